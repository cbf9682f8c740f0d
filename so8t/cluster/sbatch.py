"""What Slurm is told and what it says, as text: the options and the script of a job, and the table of squeue."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from so8t.cluster import order as orders
from so8t.cluster.attempts import Job
from so8t.cluster.jobs import Parcel, Wants

COLUMNS = "JobID:|,State:|,exit_code:|,Reason:|,WorkDir:|"  # of `squeue -O`, none of them cut
_ROW = re.compile(r"^(\d+)\|([A-Z_]+)\|(\d+)\|([^|]*)\|(.*)\|$", re.MULTILINE)
BLIND = 66  # the script's exit code on a node that does not see the job's folder
_WAITS = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
_RUNS = ("RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")
_STATUS = {
    **dict.fromkeys(_WAITS, "PENDING"),
    **dict.fromkeys(_RUNS, "RUNNING"),
    "COMPLETED": "SUCCEEDED",
    "CANCELLED": "STOPPED",
}  # and FAILED for all others
_WHY = {
    "TIMEOUT": "its time was over; --time in cluster.options gives it more",
    "PREEMPTED": "another job took its place",
    "NODE_FAIL": "its node failed",
    "OUT_OF_MEMORY": "it needed more memory than run.*.resources asks for",
}


@dataclass(frozen=True)
class Row:
    """A line of squeue."""

    number: str
    state: str
    wait: int  # as wait(2) has it
    reason: str
    folder: Path

    @property
    def is_live(self) -> bool:
        return _STATUS.get(self.state) in ("PENDING", "RUNNING")

    @property
    def code(self) -> int:
        """Negative: killed by that signal."""
        return -(self.wait & 0x7F) or self.wait >> 8


def rows(said: str) -> list[Row]:
    """The newest last."""
    found = [Row(number, state, int(wait), reason, Path(at)) for number, state, wait, reason, at in _ROW.findall(said)]
    return sorted(found, key=lambda row: int(row.number))


def job(id: str, row: Row | None, code: int | None) -> Job:
    """From what Slurm knows, if it still does, and the exit code that the job left, if it came so far.

    Slurm forgets a job minutes after its end; one that it stopped has a code, too, and its state says why.
    """
    if code == 0:
        return Job(id, "SUCCEEDED", code=0)
    if row is None:
        gone = "Slurm does not know it any more, and it left no exit code"
        return Job(id, "FAILED", gone if code is None else f"exit code {code}", code)
    if code is None and row.state == "FAILED":
        code = row.code
    status = _STATUS.get(row.state, "FAILED")
    return Job(id, status, _why(row, status, code), code)


def _why(row: Row, status: str, code: int | None) -> str:
    if status == "PENDING":
        return f"Slurm says {row.reason}" if row.reason != "None" else ""
    if status != "FAILED":
        return ""
    return f"exit code {code}" if row.state == "FAILED" else _WHY.get(row.state, f"Slurm says {row.state}")


# ---- what is submitted ---------------------------------------------------------------------------------------


def name(id: str) -> str:
    """The same for all attempts of a key, so that Slurm runs one of them at a time."""
    return id.rpartition("-")[0]


def options(id: str, folder: Path, parcel: Parcel, own: Sequence[str]) -> list[str]:
    """Of sbatch; those of the profile before ours, which count."""
    return [
        *own,
        "--parsable",
        f"--job-name={name(id)}",
        "--dependency=singleton",
        "--no-requeue",  # another attempt is doit's to make
        f"--chdir={folder}",
        "--output=/dev/null",  # the script writes where this machine reads
        f"--comment={parcel.told['so8t']} of {parcel.told['profile']}",
        "--nodes=1",
        "--ntasks=1",
        *_asked(parcel.wants),
    ]


def _asked(wants: Wants) -> Iterator[str]:
    if wants.CPU:
        yield f"--cpus-per-task={wants.CPU:g}"
    if wants.memory:
        yield f"--mem={math.ceil(wants.memory / (1 << 20))}M"
    counted = {"gpu": wants.GPU, **wants.named}
    if generic := ",".join(f"{name}:{count:g}" for name, count in counted.items() if count):
        yield f"--gres={generic}"


def script(folder: Path, parcel: Parcel) -> str:
    """Slurm brings it to the node, and it leaves the exit code of what it ran in the job's folder."""
    place, python = shlex.quote(str(folder)), shlex.quote(parcel.command[0])
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(parcel.environment.items()))
    without = (
        f"{parcel.order.stage}: the node has no {parcel.command[0]}: name an interpreter that all nodes have with "
        "cluster.python in profile.yaml"
    )
    word = shlex.quote(orders.say(error=without, machine="").removesuffix('"}'))
    return f"""\
#!/bin/sh
cd {place}/work || exit {BLIND}
exec >>../log 2>&1 </dev/null
export {exports}
trap : TERM
if command -v {python} >/dev/null; then
  {shlex.join(parcel.command)}
else
  printf '%s%s"}}\\n' {word} "$(uname -n)"
  (exit 127)
fi
code=$?
cd .. && rm -rf work
echo $code >ended.part && mv ended.part ended
exit $code
"""


def refusal(said: str, parcel: Parcel) -> str:
    stage = parcel.order.stage
    return (
        f"{stage}: sbatch does not take the job: {said}; it asks for {parcel.wants}: run.{stage}.resources and "
        "cluster.options in profile.yaml say so"
    )
