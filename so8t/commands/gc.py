"""doit gc: empty the store down to a budget, keeping what any profile's artifacts use."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from doit.exceptions import InvalidCommand

from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.spec.settings import size
from so8t.store import idle, said
from so8t.store.gc import Sweep, collect
from so8t.store.layout import MANIFEST
from so8t.store.manifest import BadManifest, decode
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError


class Gc(TaskCommand):
    name = "gc"
    doc_purpose = "empty the store down to its size budget"
    doc_usage = ""
    doc_description = "Keeps what the profiles use now; removes the longest unused of the rest, and abandoned work."
    cmd_options = (
        {
            "name": "budget",
            "long": "budget",
            "type": str,
            "default": "",
            "help": "bytes to keep, such as 20GiB or 0 (default: store.budget of the profile)",
        },
        {
            "name": "dryrun",
            "short": "n",
            "long": "dry-run",
            "type": bool,
            "default": False,
            "help": "say what would go",
        },
    )

    def _execute(self, budget: str, dryrun: bool) -> int:
        plan = current_graph().plan
        try:
            limit = size(budget) if budget else plan.budget
        except ValueError as error:
            raise InvalidCommand(f"gc: --budget: {error}") from error
        sweep = collect(plan.store, in_use(plan), limit, dry=dryrun)
        abandoned = sweep_work(plan, dryrun)
        if not dryrun:
            said.forget(plan.layout, set(sweep.kept))
        self.outstream.write(describe(sweep, abandoned, dryrun) + "\n")
        if plan.store.mirror is not None and (leases := sweep_leases(plan.store.mirror, dryrun)):
            verb = "would go from" if dryrun else "removed from"
            self.outstream.write(f"{verb} the mirror: {leases} leases that nobody has held for a day\n")
        return 0


def in_use(plan: Plan) -> set[str]:
    """Keys of every artifact of every profile below the same artifacts folder."""
    keys = set()
    for path in plan.layout.artifacts.glob(f"*/*/{MANIFEST}"):
        try:
            keys.add(decode(path.read_bytes()).key)
        except (BadManifest, FileNotFoundError):
            continue  # damaged or just replaced: its stage is looked at by the next build
    return keys


def sweep_work(plan: Plan, dry: bool) -> int:
    """Work folders of abandoned builds of this profile; those of a running build are locked."""
    from filelock import FileLock, Timeout

    gone = 0
    wanted = _still_wanted(plan)
    for work in sorted((plan.layout.state / "work").glob("*")):
        stage = work.name.rpartition("-")[0]
        if work in wanted or (work / "out" / MANIFEST).exists():
            continue  # the next run goes on from here, or has only to put it in place
        lock = plan.layout.state / "locks" / f"{stage}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(str(lock), timeout=0):
                gone += 1
                if not dry:
                    shutil.rmtree(Path(work))
        except Timeout:
            continue
    return gone


def sweep_leases(mirror: Mirror, dry: bool) -> int:
    try:
        return idle.sweep(mirror, dry)
    except MirrorError as error:
        print(f"warning: {error}", file=sys.stderr)
        return 0


def _still_wanted(plan: Plan) -> set[Path]:
    """The work folders in which a resumable stage would go on under the specs of today."""
    session = Session(plan)
    statuses = [session.status(row.name) for row in plan.rows.values() if row.resumable]
    return {plan.layout.work(found.row.name, found.wanted.key) for found in statuses if found.wanted}


def describe(sweep: Sweep, abandoned: int, dry: bool) -> str:
    verb = "would go" if dry else "removed"
    return (
        f"{verb}: {len(sweep.removed)} results, {sweep.freed:,} bytes, {abandoned} unfinished builds; "
        f"kept: {len(sweep.kept)} results, {sweep.size:,} bytes"
    )
