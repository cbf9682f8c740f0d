"""Make one stage of a profile current: read the plan, look at the disk, and bring what its key stands for."""

from __future__ import annotations

import gc
import importlib
import json
import logging
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from so8t.engine import made, placed, reading, retain
from so8t.engine import plan as plans
from so8t.engine.bring import ATTEMPTS, Build, InputsChanged, Target, bring
from so8t.engine.made import Made
from so8t.engine.plan import Plan, Row
from so8t.engine.status import Session, Status
from so8t.errors import Missed, SpecError, StageError, UserError
from so8t.store import artifact, carried, journal, missed, running, said
from so8t.store.carried import Place
from so8t.store.digest import Signature, signature
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST
from so8t.store.locks import key_lock, stage_lock
from so8t.store.manifest import File, Manifest
from so8t.store.publish import seal

if TYPE_CHECKING:
    from so8t.engine.stage import Inputs, Stage

_NOT_OURS = (".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave


class CodeChanged(Exception):
    """The code on the disk is not what the key says, and this process may already hold some of it."""


@dataclass(frozen=True)
class Outcome:
    stage: str
    how: str  # reused, restored, built
    key: str
    seconds: float


class Builder(Protocol):
    """Fills a folder, as bring's `Build`, and knows afterwards who did."""

    def __call__(self, out: Path) -> Mapping[str, File] | Manifest | None: ...

    @property
    def made(self) -> Made: ...


BuilderOf = Callable[[Session, Row, Fingerprint], Builder]
Bring = Callable[[Target, Build, bool], str]


def ensure(
    project: Path,
    profile: str,
    name: str,
    need_bytes: bool = False,
    force: bool = False,
    builder: BuilderOf | None = None,
    bring: Bring = bring,
) -> Outcome:
    """Make the stage current, whatever it takes.

    `need_bytes` brings back files that `retain` let go; `force` builds even what is current or in the store.
    """
    layout = plans.load(project, profile).layout
    with stage_lock(layout, name), running.during(layout.running / f"{name}.json", name):
        for _ in range(ATTEMPTS):
            try:
                session = Session(plans.load(project, profile))
                return _attempt(session, name, need_bytes, force, builder or _here(session.plan, name), bring)
            except InputsChanged:
                print(f"{name}: an input changed during the build; starting over", file=sys.stderr, flush=True)
    raise StageError(f"{name}: its inputs kept changing while it was built; nothing was published, run doit again")


def again(project: Path, profile: str, name: str, place: Path) -> Outcome:
    """Build the stage once more, into `place`/out, from what is published, and publish nothing.

    What earlier builds kept for later ones is not used: an answer of a model is asked for again.
    """
    started = time.monotonic()
    session = Session(plans.load(project, profile))
    row, wanted = session.plan.rows[name], _wanted(session.status(name))
    out = place / "out"
    shutil.rmtree(place, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        hashed = Building(session, row, wanted, place / "scratch")(out)
    except InputsChanged:
        raise StageError(f"{name}: an input changed while it was built again; nobody can tell, try again") from None
    seal(out, wanted, row.gives, row.ships, hashed)
    return Outcome(name, "built", wanted.key, time.monotonic() - started)


def _here(plan: Plan, name: str) -> BuilderOf:
    """Built by this process, unless the profile says otherwise; then it can only be brought back here."""
    if plan.runs_here(name):
        return Building
    message = (
        f"{name} is built on the cluster, and its files are not in the store any more: run doit forget {name}, then "
        f"doit {name}"
    )
    return lambda session, row, wanted: Refusing(message)


def _attempt(session: Session, name: str, need_bytes: bool, force: bool, builder: BuilderOf, bring: Bring) -> Outcome:
    started = time.monotonic()
    plan, status = session.plan, session.status_outside(name)
    wanted = _wanted(status)
    if status.current and not force and not (need_bytes and status.artifact.dropped):
        return Outcome(name, "reused", wanted.key, 0.0)
    row = status.row
    building = builder(session, row, wanted)
    anew = force or row.outside or plan.layout.forgotten(name).exists()  # nothing outside is in the store
    minutes = _checkpoints(plan, row, building)
    target = Target(
        plan.layout, plan.store, wanted, row.gives, row.ships, row.resumable, row.precious,
        stays_away=plan.stays_away(name) and not need_bytes, checkpoints=minutes,
    )  # fmt: skip
    try:
        with key_lock(plan.layout, name, wanted.key):
            how = bring(target, building, anew)
    except Missed as error:
        kept = missed.put_by(plan.layout, target.work / "out", wanted, row.gives, str(error))
        journal.append(plan.layout, name, wanted.key, missed.OUTCOME, time.monotonic() - started)
        raise StageError(kept.sentence(plan.layout)) from error
    shutil.rmtree(plan.layout.missed(name), ignore_errors=True)
    how = "built" if how == "built" else "restored"
    if plan.checkpoints and row.resumable and target.store.mirror:
        carried.forget(Place(target.store.mirror, name, wanted.key, target.work))
    seconds = time.monotonic() - started
    made.tell(plan, name, wanted.key, seconds, building.made if how == "built" else None)
    retain.let_go(Session(plan), row)
    return Outcome(name, how, wanted.key, seconds)


def _checkpoints(plan: Plan, row: Row, building: Builder) -> float:
    """Minutes between two checkpoints that go to the mirror, if it runs here and the profile says so."""
    shared = row.resumable and row.name not in plan.store.private and isinstance(building, Building)
    return plan.checkpoints if shared else 0.0


def _wanted(status: Status) -> Fingerprint:
    if status.wanted is None:
        lacking = [reason for reason in status.reasons if reason.kind in ("missing", "upstream", "disk")]
        why = "; ".join(reason.sentence for reason in lacking)
        ups = " ".join(reason.name for reason in lacking if reason.kind != "disk")
        raise StageError(f"{status.row.name} cannot be built: {why}" + (f"; run doit {ups}" if ups else ""))
    return status.wanted


@dataclass(frozen=True)
class Building:
    """One build of a stage, its inputs looked at before and after: InputsChanged if they are not what the key says."""

    session: Session
    row: Row
    wanted: Fingerprint
    scratch: Path | None = None  # in place of the stage's own

    @property
    def made(self) -> Made:
        return Made(platform.node(), peak())

    def __call__(self, out: Path) -> Any:
        self._check_strangers()
        self._bring_dropped()
        before = self._looks()
        try:
            hashed = self._call(out)
        except CodeChanged:
            raise
        except Exception as error:
            if self._have_changed():
                raise InputsChanged from error
            raise
        if self._looks() != before or self._have_changed():
            raise InputsChanged
        return hashed

    def _check_strangers(self) -> None:
        """A file that no key knows must not lie where a build could read it."""
        layout = self.session.plan.layout
        for up in self.row.upstream:
            have, folder = self.session.artifact(up), layout.folder(up)
            known = set(have.manifest.digests if have.manifest else ()) | {MANIFEST}
            for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
                if path.relative_to(folder).as_posix() not in known and path.name not in _NOT_OURS:
                    raise StageError(
                        f"{layout.shown(path)} is not part of the artifact, and {self.row.name} could read it: "
                        "move it away"
                    )

    def _bring_dropped(self) -> None:
        """Bring back the bytes of upstream artifacts that `retain` let go."""
        plan = self.session.plan
        dropped = [up for up in self.row.needs if self.session.artifact(up).dropped]
        for up in dropped:
            ensure(plan.layout.project, plan.layout.profile, up, need_bytes=True)
        if dropped and Session(plan).status(self.row.name).wanted != self.wanted:
            raise InputsChanged  # what came back is not what was let go

    def _looks(self) -> list[Signature | None]:
        """What the file system says of the sources: an edit that was undone shows here alone."""
        return [signature(path) for _, path in self.session.files(self.row)]

    def _call(self, out: Path) -> Any:
        from so8t.engine.stage import Inputs, Source

        layout, row = self.session.plan.layout, self.row
        scratch = self.scratch or layout.state / "scratch" / row.name
        scratch.mkdir(parents=True, exist_ok=True)
        pin_code(self.session.plan, row)
        stage = importlib.import_module("stages").STAGES[row.name]
        spec = stage.spec.model_validate_json(json.dumps(row.values))
        rows = self.session.plan.rows
        folders = {rows[up].stands_for or up: layout.folder(up) for up in row.upstream}
        folders |= {up: layout.folder(up) for up in row.upstream}
        found = self.session.sources(row).items()
        sources = {source: tuple(Source(name, path) for name, path in files) for source, files in found}
        given = Inputs(folders, sources, scratch, row.reads, self.wanted.key, layout)
        with said.kept(layout, self.wanted.key, row.resumable) if self.scratch is None else nullcontext():
            return self._at_its_place(stage, given, out, spec)

    def _at_its_place(self, stage: Stage, given: Inputs, out: Path, spec: Any) -> Any:
        """Build; where the stage refuses a value of a spec, the message shows the line that wrote it."""
        try:
            return stage.build(given, out, spec)
        except StageError as error:
            shown = placed.shown(self.session.plan, self.row.name, str(error))
            if isinstance(error, Missed) or shown == str(error):
                raise
            raise SpecError(shown) from error

    def _have_changed(self) -> bool:
        """Whether the inputs differ from what the key says.  Spec and code were read before and do no harm."""
        plan = self.session.plan
        upstream = {up: artifact.inspect(plan.layout, up) for up in self.row.upstream}
        if any(have.damage or (have.dropped and up in self.row.needs) for up, have in upstream.items()):
            return True
        fresh = Session(plan).status(self.row.name).wanted
        return fresh is None or fresh.inputs != self.wanted.inputs


@dataclass(frozen=True)
class Refusing:
    """In place of a build."""

    message: str

    @property
    def made(self) -> Made:
        raise AssertionError("nothing was made")

    def __call__(self, out: Path) -> None:
        raise StageError(self.message)


# ---- the code, held still -------------------------------------------------------------------------------------


def pin_code(plan: Plan, row: Row) -> None:
    """Import all of the stage's code now, so that an edit during a long build changes nothing in it."""
    reading.drop_stale_bytecode(plan.layout.project)
    with importing():
        for module in row.code:
            importlib.import_module(module)
    try:
        now = plans.load(plan.layout.project, plan.layout.profile).rows[row.name].code
    except UserError:  # specs that are being edited
        now = reading.code_of(plan.layout.project, row.module)
    if now != row.code:
        raise CodeChanged


@contextmanager
def importing() -> Iterator[None]:
    """Silent, for no user can act on what libraries say here; and modules stay, so nobody looks for garbage in them.

    Looking takes a fifth of the seconds in which torch and transformers are imported, and time again in each later
    collection.
    """
    logging.disable(logging.WARNING)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        logging.disable(logging.NOTSET)


def peak() -> int | None:
    """The most bytes that this process held at once, with the largest that it started; Windows does not tell."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
