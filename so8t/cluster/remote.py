"""A stage built by a node: its inputs are offered to the store, a job is found or made, and its result comes back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from so8t.cluster import attempts, package
from so8t.cluster import order as orders
from so8t.cluster.attempts import Again, Done, Failed, Submit
from so8t.cluster.follow import Following, patiently
from so8t.cluster.jobs import Jobs, Parcel, Taken, Unreachable, Wants
from so8t.cluster.order import Order
from so8t.engine.made import Made
from so8t.engine.plan import Plan, Row
from so8t.engine.status import Session
from so8t.errors import StageError
from so8t.spec import profile as profiles
from so8t.store import makers, said
from so8t.store.fingerprint import Fingerprint
from so8t.store.manifest import File, Manifest
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError

_GRACE = 5.0  # seconds in which a second Ctrl-C stops the job
_CTRL_C = 130  # doit's exit code
# what a stage's process has here, too: so8t.engine.births says why
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "GOMP_SPINCOUNT": "3000"}


_NOBODY = Made("the cluster", None)


class Broken(Exception):
    """A bug, on a node."""


@dataclass
class Remote:
    """One build on the cluster, as so8t.engine.ensure calls it."""

    session: Session
    row: Row
    wanted: Fingerprint
    jobs: Jobs
    anew: bool = False
    made: Made = _NOBODY
    tell: Callable[[str], object] = print  # while a job is found and followed: to people and to what is kept

    def __call__(self, out: Path) -> Mapping[str, File] | Manifest:
        plan = self.session.plan
        mirror = plan.store.mirror
        assert mirror is not None  # the specs say so
        try:
            self._offer(plan, mirror)
            with said.telling(plan.layout, self.wanted.key) as self.tell:
                manifest = self._made_there(plan, mirror)
            if plan.stays_away(self.row.name):
                return manifest
            if not plan.store.restore(manifest, out):
                raise StageError(f"{self.row.name}: the store has its entry and not all of its files; run doit again")
        except MirrorError as error:
            raise StageError(f"{self.row.name}: {error}") from error
        return {file.path: file for file in manifest.files}

    # ---- what it needs -------------------------------------------------------------------------------------

    def _offer(self, plan: Plan, mirror: Mirror) -> None:
        """Every result that the stage takes is in the store before anybody is asked for anything."""
        for up in self.row.upstream:
            have = self.session.artifact(up)
            if have.manifest is None:
                raise AssertionError(f"{up} has no manifest, and {self.row.name} was to be built")
            known = mirror.manifest(have.manifest.key) == have.manifest
            if not known and not mirror.trust.offers:
                raise StageError(
                    f"{self.row.name}: the store lacks {up}, and this machine has no key to sign it with: name its "
                    "file with store.key (doit mirror --new-key FILE makes one)"
                )
            if not (known and have.dropped) and mirror.trust.offers:
                mirror.upload(plan.layout.folder(up), have.manifest)

    def _order(self) -> Order:
        taken = {up: self.session.artifact(up).manifest for up in self.row.upstream}
        inputs = {up: manifest.key for up, manifest in taken.items() if manifest}
        return Order(self.session.plan.layout.profile, self.wanted, inputs, orders.python(), self.anew)

    def _contents(self) -> dict[str, Path]:
        plan = self.session.plan
        project = plan.layout.project
        chain = [folder.name for folder in profiles.read(project, plan.layout.profile).chain]
        sources = [path for _, path in self.session.files(self.row)]
        return package.contents(project, chain, sources, project / Path(plan.key).expanduser() if plan.key else None)

    # ---- the job -------------------------------------------------------------------------------------------

    def _made_there(self, plan: Plan, mirror: Mirror) -> Manifest:
        for tried in range(1, attempts.MOST + 1):
            ended = self._attempt(tried)
            manifest = mirror.manifest(self.wanted.key)
            if isinstance(ended, Done) or (isinstance(ended, Again) and manifest and not self.anew):
                if manifest is None:
                    raise StageError(f"{self.row.name}: its job ended well, and the store has no result of it")
                if self.made == _NOBODY:  # its last word was lost with its log
                    self.made = Made(makers.read(mirror, self.wanted.key) or _NOBODY.machine, None)
                return manifest
            if isinstance(ended, Failed):
                raise (StageError if ended.is_mistake else Broken)(ended.message)
            self.tell(f"{self.row.name}: {ended.why}; trying again")
        raise AssertionError("the last attempt is done or failed")

    def _attempt(self, tried: int) -> Done | Again | Failed:
        name = self.row.name
        id = patiently(self._job, name, partial(attempts.deaf, name), self.tell)
        following = Following(self.jobs, name, id, str(self._wants()), self.tell)
        try:
            job = following.to_the_end()
        except BaseException as left:
            self._leave(id, left)
            raise
        if job is None:
            return attempts.lost(name, id, tried)
        word = orders.heard(following.log)
        if "machine" in word:
            self.made = Made(word["machine"], word.get("memory"))
        return attempts.verdict(name, job, word, following.log, tried)

    def _job(self) -> str:
        """The id of the job that makes the result: one that lives, or a new one, whose order may have been heard."""
        while True:
            step = attempts.choose(self.wanted.key, self.jobs.of(self.wanted.key))
            if not isinstance(step, Submit):
                self.tell(f"{self.row.name}: goes on as job {step.id}")
                return step.id
            try:
                self.jobs.submit(step.id, self._parcel())
            except Taken:
                continue
            self.tell(f"{self.row.name}: sent to the cluster as job {step.id}")
            return step.id

    def _parcel(self) -> Parcel:
        plan = self.session.plan
        python = (plan.cluster or {}).get("python") or sys.executable
        told = {"so8t": self.row.name, "profile": plan.layout.profile, "key": self.wanted.key}
        command = [python, "-X", "utf8", "-m", "so8t.cluster.node"]
        return Parcel(command, self._contents(), self._order(), _ENVIRONMENT, self._wants(), told)

    def _wants(self) -> Wants:
        return Wants(**self.session.plan.run[self.row.name]["resources"])

    def _leave(self, id: str, left: BaseException) -> None:
        """On Ctrl-C the job goes on, unless Ctrl-C comes a second time; on anything else it goes on."""
        if not (isinstance(left, KeyboardInterrupt) or (isinstance(left, SystemExit) and left.code == _CTRL_C)):
            return
        name = self.row.name
        self.tell(f"{name}: goes on at the cluster as job {id}; Ctrl-C again within {_GRACE:.0f} s stops it there")
        try:
            time.sleep(_GRACE)
        except BaseException:
            try:
                self.jobs.stop(id)
                self.tell(f"{name}: job {id} is told to stop")
            except Unreachable as error:
                self.tell(f"{name}: job {id} could not be stopped ({error}); it goes on")
            raise
