"""Bring one stage up to date: reuse, restore or build it, in a process of its own.

    python -m so8t.engine.bring <profile> <stage>     in the project's folder; its last word on stdout is a JSON object

A process of its own: a stage that is killed takes nothing else along, memory goes back when it ends, and no
library meets a forked parent.  It ends when its parent does: the parent holds the other end of its stdin.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.engine import plan as plans
from so8t.engine.plan import Plan, Row
from so8t.engine.status import Session, Status
from so8t.errors import StageError, UserError
from so8t.store import artifact, journal
from so8t.store.digest import Signature, signature
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST
from so8t.store.locks import stage_lock
from so8t.store.manifest import Manifest
from so8t.store.publish import leftover, publish, seal, write_manifest

AGAIN = 75  # exit code: start a new process, for the code changed under this one
ATTEMPTS = 3  # a build whose inputs change under it starts over


@dataclass(frozen=True)
class Outcome:
    stage: str
    how: str  # reused, restored, built
    key: str
    seconds: float


def ensure(project: Path, profile: str, name: str, need_bytes: bool = False, force: bool = False) -> Outcome:
    """Make the stage current, whatever it takes.

    `need_bytes` brings back files that `retain` let go; `force` builds even what is current or in the store.
    """
    layout = plans.load(project, profile).layout
    with stage_lock(layout, name):
        for _ in range(ATTEMPTS):
            outcome = _attempt(Session(plans.load(project, profile)), name, need_bytes, force)
            if outcome is not None:
                return outcome
    raise StageError(f"{name}: its inputs kept changing while it was built; nothing was published, run doit again")


def _attempt(session: Session, name: str, need_bytes: bool, force: bool) -> Outcome | None:
    started = time.monotonic()
    plan, status = session.plan, session.status(name)
    if status.current and not force and not (need_bytes and status.artifact.dropped):
        return Outcome(name, "reused", _wanted(status).key, 0.0)
    wanted = _wanted(status)
    how = "restored"
    if force or plan.layout.forgotten(name).exists() or not _restore(plan, wanted):
        how = "built"
        if not _build(session, status):
            return None
    seconds = time.monotonic() - started
    journal.append(plan.layout, name, wanted.key, how, seconds)
    _let_go(Session(plan), status.row)
    return Outcome(name, how, wanted.key, seconds)


def _wanted(status: Status) -> Fingerprint:
    if status.wanted is None:
        lacking = [reason for reason in status.reasons if reason.kind in ("missing", "upstream", "disk")]
        why = "; ".join(reason.sentence for reason in lacking)
        ups = " ".join(reason.name for reason in lacking if reason.kind != "disk")
        raise StageError(f"{status.row.name} cannot be built: {why}" + (f"; run doit {ups}" if ups else ""))
    return status.wanted


def _restore(plan: Plan, wanted: Fingerprint) -> bool:
    """Publish a result of this key that is there already: sealed before a crash, or in the store."""
    work = plan.layout.work(wanted.stage, wanted.key)
    out, restored = work / "out", work / "restored"
    manifest = leftover(out, wanted.key)
    if manifest is None:
        manifest = plan.store.find(wanted.key)
        if manifest is None or not plan.store.restore(manifest, restored):
            return False
        out = restored
        write_manifest(out, manifest)
    _publish(plan, out, manifest)
    return True


def _build(session: Session, status: Status) -> bool:
    """Build into the private work folder; False if an input changed meanwhile, so the result is worth nothing."""
    plan, row, wanted = session.plan, status.row, _wanted(status)
    _refuse_strangers(session, row)
    dropped = [up for up in row.upstream if session.artifact(up).dropped]
    for up in dropped:
        ensure(plan.layout.project, plan.layout.profile, up, need_bytes=True)
    if dropped and Session(plan).status(row.name).wanted != wanted:
        return False  # what came back is not what was let go
    work = _work_folder(plan, row, wanted)
    sources = _looks(session, row)
    scratch = plan.layout.state / "scratch" / row.name
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        hashed = _call(session, row, work / "out", scratch)
    except CodeChanged:
        raise
    except Exception:
        if _changed(plan, wanted):
            return _start_over(work, row)
        raise
    if _looks(session, row) != sources or _changed(plan, wanted):
        return _start_over(work, row)
    manifest = seal(work / "out", wanted, row.gives, row.ships, hashed)
    _publish(plan, work / "out", manifest)
    return True


def _work_folder(plan: Plan, row: Row, wanted: Fingerprint) -> Path:
    """This key's work folder: as it was left if the stage can go on from there, else empty."""
    work = plan.layout.work(row.name, wanted.key)
    if not row.resumable:
        for old in sorted((plan.layout.state / "work").glob(f"{row.name}-*")):
            _salvage(plan, row, old / "out")
            shutil.rmtree(old)
    (work / "out").mkdir(parents=True, exist_ok=True)
    return work


def _salvage(plan: Plan, row: Row, out: Path) -> None:
    """A result of another key that was sealed and, for a kill, not put in place goes to the store."""
    sealed = leftover(out)
    if sealed is not None:
        plan.store.keep(out, sealed, row.precious)
        plan.store.take_over(out, plan.layout.state / "set-aside" / row.name)


def _refuse_strangers(session: Session, row: Row) -> None:
    """A file that no key knows must not lie where a build could read it."""
    for up in row.upstream:
        have = session.artifact(up)
        folder = session.plan.layout.folder(up)
        known = set(have.manifest.digests if have.manifest else ()) | {MANIFEST}
        for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
            name = path.relative_to(folder).as_posix()
            if name not in known and path.name not in (".DS_Store", "Thumbs.db", "desktop.ini"):
                shown = session.plan.layout.shown(path)
                raise StageError(f"{shown} is not part of the artifact, and {row.name} could read it: move it away")


def _looks(session: Session, row: Row) -> list[Signature | None]:
    """What the file system says of the sources: an edit that was undone shows here alone."""
    return [signature(path) for _, path in session.sources(row)]


def _call(session: Session, row: Row, out: Path, scratch: Path) -> Any:
    from so8t.engine.stage import Inputs, Source

    _pin_code(session.plan, row)
    stage = importlib.import_module("stages").STAGES[row.name]
    spec = stage.spec.model_validate_json(json.dumps(row.values))
    folders = {up: session.plan.layout.folder(up) for up in row.upstream}
    sources = tuple(Source(name, path) for name, path in session.sources(row))
    return stage.build(Inputs(folders, sources, scratch), out, spec)


def _changed(plan: Plan, wanted: Fingerprint) -> bool:
    """Whether the inputs are no longer what the key says.  Spec and code were read before and do no harm."""
    upstream = [artifact.inspect(plan.layout, up) for up in plan.rows[wanted.stage].upstream]
    if any(have.damage or have.dropped for have in upstream):
        return True
    fresh = Session(plan).status(wanted.stage).wanted
    return fresh is None or fresh.inputs != wanted.inputs


class CodeChanged(Exception):
    """The code on the disk is not what the key says, and this process may already hold some of it."""


@contextmanager
def _importing() -> Iterator[None]:
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


def _pin_code(plan: Plan, row: Row) -> None:
    """Import all of the stage's code now, so that an edit during a long build changes nothing in it."""
    plans.drop_stale_bytecode(plan.layout.project)
    with _importing():
        for module in row.code:
            importlib.import_module(module)
    try:
        now = plans.load(plan.layout.project, plan.layout.profile).rows[row.name].code
    except UserError:  # specs that are being edited
        now = plans.code_of(plan.layout.project, row.module)
    if now != row.code:
        raise CodeChanged


def _start_over(work: Path, row: Row) -> bool:
    print(f"{row.name}: an input changed during the build; starting over", file=sys.stderr, flush=True)
    shutil.rmtree(work)
    return False


def _publish(plan: Plan, out: Path, manifest: Manifest) -> None:
    stage = manifest.fingerprint.stage
    try:
        aside = publish(plan.layout, out, manifest, plan.store, plan.rows[stage].precious)
    except PermissionError as error:
        if os.name != "nt":
            raise
        folder = plan.layout.shown(plan.layout.folder(stage))
        raise StageError(f"{folder} is in use by another program; close it and run doit again") from error
    for path in aside:
        print(f"{stage}: a file that doit did not write was set aside as {plan.layout.shown(path)}", file=sys.stderr)
    shutil.rmtree(out.parent, ignore_errors=True)


def _let_go(session: Session, row: Row) -> None:
    """Drop the bytes of upstream artifacts that the profile retains as manifests only, once nobody needs them."""
    plan = session.plan
    for up in row.upstream:
        if plan.retain.get(up) != "manifest":
            continue
        with stage_lock(plan.layout, up):
            now = Session(plan)
            have = now.artifact(up)
            if have.manifest is None or have.damage or have.dropped:
                continue
            if all(now.status(other).current for other in plan.consumers(up)):
                artifact.drop_bytes(plan.layout, up, have.manifest)
                plan.store.forget_files(have.manifest)


# ---- the process ---------------------------------------------------------------------------------------------


def main(argv: list[str]) -> int:
    profile, name, *force = argv
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints, prints to the story; stdout carries the result alone
    _die_with_parent()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answer: dict[str, Any]
    try:
        outcome = ensure(Path.cwd(), profile, name, force=bool(force))
        answer, code = {"how": outcome.how, "key": outcome.key, "seconds": outcome.seconds}, 0
    except CodeChanged:
        return AGAIN
    except KeyboardInterrupt:
        answer, code = {"error": f"{name}: interrupted; nothing was published, run doit again to go on"}, 130
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else _explain(name, error)
        answer, code = ({"error": message}, 1) if message else ({"bug": traceback.format_exc()}, 2)
    result.write(json.dumps(answer))
    result.close()
    return code


_HINTS = {
    errno.ENOSPC: "free some space (doit gc empties the store)",
    errno.EROFS: "make the folder writable",
    errno.EACCES: "make it accessible",
    errno.EPERM: "make it accessible",
    errno.EFBIG: "raise the file size limit",
    errno.EMFILE: "raise the limit of open files",
}


def _explain(name: str, error: Exception) -> str | None:
    """What the machine refused, as the user's message; None for anything that is a bug."""
    if not isinstance(error, OSError) or error.errno not in _HINTS:
        return None
    where = f": {error.filename}" if error.filename else ""
    return f"{name}: {error.strerror}{where}; nothing was published; {_HINTS[error.errno]} and run doit again"


def _die_with_parent() -> None:
    def watch() -> None:
        while os.read(0, 1):
            pass  # the pipe ends when the parent does, however it does
        _interrupt()

    threading.Thread(target=watch, daemon=True, name="parent watch").start()


def _interrupt() -> None:
    import _thread

    _thread.interrupt_main()
    time.sleep(10)  # time enough for a trainer to leave its checkpoint
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
