"""The one door to Slurm: its own commands, and a folder that this machine and all nodes see.

    FOLDER/so8t-KEY-1/  work/  what travels, until the job has ended
                        log    what the job says
                        ended  its exit code, for Slurm forgets

Who submits at the same moment as another may make two attempts: Slurm runs one after the other, and the second takes
the first one's result from the store.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.cluster import attempts, package, sbatch
from so8t.cluster.attempts import Job
from so8t.cluster.jobs import Parcel, Taken, Unreachable
from so8t.cluster.sbatch import Row
from so8t.errors import StageError
from so8t.store.trust import VARIABLE

_WAIT = 60.0  # seconds for one answer
_KEPT = 7 * 24 * 3600.0  # seconds that a job's folder stays
_AWAY = "Unable to contact slurm controller"


@dataclass(frozen=True)
class Slurm:
    folder: Path
    options: Sequence[str] = ()

    def check(self) -> None:
        for program in ("sbatch", "squeue", "scancel"):
            if shutil.which(program) is None:
                raise StageError(
                    f"cluster: {program} is not on this machine: run doit on a login node of the Slurm cluster, or "
                    "install Slurm's commands here, with the cluster's slurm.conf and munge key"
                )
        try:
            self._rows()
        except Unreachable as error:
            raise StageError(
                f"cluster: Slurm does not answer ({error}): is slurmctld running, and munged on this machine? "
                "`scontrol ping` says more"
            ) from error
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.folder).close()
        except OSError as error:
            raise StageError(
                f"cluster.folder: {self.folder} cannot be written ({error.strerror}): name a folder that this machine "
                "and all nodes see, and in which you may write"
            ) from error

    def of(self, key: str) -> list[Job]:
        name = sbatch.name(attempts.name(key, 1))
        listed = self._listed(name)
        ids = {path.name for path in self.folder.glob(f"{name}-*")} | set(listed)
        return [sbatch.job(id, listed.get(id), self._code(id)) for id in sorted(ids)]

    def job(self, id: str) -> Job | None:
        code = self._code(id)
        if code == 0:
            return sbatch.job(id, None, code)
        row = self._listed(sbatch.name(id)).get(id)
        if row is not None and row.code == sbatch.BLIND and self._code(id) is None:
            raise StageError(
                f"cluster.folder: the node of job {id} does not see {self.folder / id}: name a folder that this "
                "machine and all nodes see"
            )
        return sbatch.job(id, row, self._code(id))

    def log(self, id: str) -> str | None:
        try:
            return (self.folder / id / "log").read_text("utf-8", "replace")
        except OSError:
            return None

    def submit(self, id: str, parcel: Parcel) -> None:
        self._prune()
        place = self.folder / id
        try:
            place.mkdir(mode=0o700)  # what travels may be private
        except FileExistsError:
            raise Taken from None
        try:
            package.write(parcel.files, parcel.order, place / "work")
            (place / "job.sh").write_text(sbatch.script(place, parcel), "utf-8")
        except OSError:
            shutil.rmtree(place, ignore_errors=True)
            raise
        done = _ask("sbatch", *sbatch.options(id, place, parcel, self.options), str(place / "job.sh"))
        if done.returncode:
            shutil.rmtree(place, ignore_errors=True)
            said = _last(done.stderr)
            raise Unreachable(said) if _AWAY in said else StageError(sbatch.refusal(said, parcel))

    def stop(self, id: str) -> None:
        row = self._listed(sbatch.name(id)).get(id)
        if row is not None and row.is_live:
            _asked("scancel", row.number)

    def _code(self, id: str) -> int | None:
        try:
            return int((self.folder / id / "ended").read_text("ascii"))
        except FileNotFoundError:
            return None

    def _listed(self, name: str) -> dict[str, Row]:
        """By id."""
        return {row.folder.name: row for row in self._rows(f"--name={name}") if row.folder.parent == self.folder}

    def _rows(self, *words: str) -> list[Row]:
        """This user's jobs, as far as Slurm knows them."""
        mine = ["--noheader", "--states=all", f"--user={os.getuid()}", *words]
        return sbatch.rows(_asked("squeue", *mine, f"--Format={sbatch.COLUMNS}"))

    def _prune(self) -> None:
        """Jobs of a week ago leave nothing."""
        old = [place for place in self.folder.glob("so8t-*") if time.time() - _touched(place) > _KEPT]
        live = {row.folder for row in self._rows() if row.is_live} if old else set()
        for place in old:
            if place not in live:
                shutil.rmtree(place, ignore_errors=True)


def of(settings: Mapping[str, Any]) -> Slurm:
    """The one for `cluster`; the folder by the name that nodes know it by, whatever links it leads through."""
    return Slurm(Path(settings["folder"]).expanduser().absolute(), settings["options"])


def _touched(place: Path) -> float:
    return max((path.stat().st_mtime for path in (place, place / "log") if path.exists()), default=0.0)


def _asked(program: str, *words: str) -> str:
    done = _ask(program, *words)
    if done.returncode:
        raise Unreachable(_last(done.stderr))
    return done.stdout


def _ask(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """In a session of its own, past Ctrl-C; what it knows of the environment goes to the node, but the key that signs.

    Unreachable if there is no answer; what it was asked for may have come about.
    """
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    try:
        return subprocess.run(
            [program, *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
            errors="replace", timeout=_WAIT, start_new_session=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{program} has not ended in {_WAIT:.0f} s") from error


def _last(said: str) -> str:
    """Of what a command complained about."""
    lines = said.strip().splitlines() or ["without a word"]
    return re.sub(r"^(\w+: )?(\w+ )?error: (Batch job submission failed: )?", "", lines[-1])
