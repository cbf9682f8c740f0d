"""What runs on a node of a cluster: one stage, from inputs of the store to a result in the store.

    python -m so8t.cluster.node

It runs in the job's working directory, where the order lies, and keeps its artifacts in a folder of the key's own,
so that jobs do not meet, and another attempt on this node goes on where one was stopped.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from so8t.cluster import order as orders
from so8t.cluster.order import Order
from so8t.engine import ensure as engine
from so8t.engine import plan as plans
from so8t.engine import reading
from so8t.engine.bring import Build, Target, bring
from so8t.engine.ensure import Building, CodeChanged
from so8t.engine.fence import fenced
from so8t.engine.plan import ARTIFACTS, Plan
from so8t.engine.process import explain
from so8t.engine.status import Session
from so8t.engine.why import compare
from so8t.errors import StageError, UserError
from so8t.store.locks import held


def main() -> int:
    machine, began = platform.node(), time.monotonic()
    order = orders.decode(Path(orders.FILE).read_bytes())
    word: dict[str, Any]
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f"{order.stage}: on {machine}", file=sys.stderr, flush=True)
        with _room(order) as room:
            os.environ[ARTIFACTS] = str(room)
            how = _fill(Path.cwd(), order, machine)
        word, code = {"how": how, "seconds": time.monotonic() - began, "memory": engine.peak()}, 0
    except KeyboardInterrupt:
        stopped = f"{order.stage}: stopped; nothing was published, run doit again to go on"
        word, code = {"error": stopped, "stopped": True}, 130
    except CodeChanged:
        word, code = {"error": f"{order.stage}: the job's files changed while it ran; run doit again"}, 1
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else explain(order.stage, error)
        word, code = ({"error": message}, 1) if message else ({"bug": traceback.format_exc()}, 2)
    print(orders.say(machine=machine, **word), flush=True)
    return code


@contextmanager
def _room(order: Order) -> Iterator[Path]:
    """The key's folder on this node, for one job at a time; it goes when its result is in the store."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    room = Path(cache, "so8t", "nodes", order.wanted.key[:32])
    with held(room, f"{order.stage}: waiting for an earlier job of it on this node"):
        room.mkdir(parents=True, exist_ok=True)
        yield room
        shutil.rmtree(room, ignore_errors=True)


def _fill(project: Path, order: Order, machine: str) -> str:
    plan = plans.load(project, order.profile)
    _check_versions(plan, order, machine)
    mirror = plan.store.mirror
    if mirror is None or not mirror.trust.offers:
        raise StageError(
            f"{order.stage}: {machine} has no key to sign its result with: {_GIVE_KEY[(plan.cluster or {})['kind']]}"
        )
    _take_inputs(plan, order)
    _check_key(plan, order, machine)
    outcome = engine.ensure(
        project, order.profile, order.stage, need_bytes=True, force=order.anew, builder=Building, bring=_alone
    )
    return outcome.how


_GIVE_KEY = {
    "ray": "put the file that store.key names there, or the key itself into SO8T_STORE_KEY of `ray start`",
    "slurm": "name a file with store.key that the nodes see, too, such as ~/.so8t/key.pem; SO8T_STORE_KEY stays behind",
}


def _check_versions(plan: Plan, order: Order, machine: str) -> None:
    there = {package: reading.version(package) for package in order.wanted.packages}
    found = list(orders.differences(order, machine, orders.python(), there))
    if found:
        raise StageError(orders.refusal(order, machine, found))


def _take_inputs(plan: Plan, order: Order) -> None:
    """Every result that the stage takes, out of the store, under the key that doit's machine has."""
    store = replace(plan.store, relies=True, private=frozenset(plan.rows))  # what is there is not offered once more
    for up, key in order.inputs.items():
        manifest = store.find(key)
        if manifest is None:
            raise StageError(f"{order.stage}: the store has no entry {key[:12]} of {up}; run doit again to offer it")
        gives = plan.rows[up].gives
        target = Target(plan.layout, store, manifest.fingerprint, gives)
        bring(target, _nowhere(f"{order.stage}: the store has not all files of {up}; run doit again to offer them"))


def _nowhere(message: str) -> Build:
    def build(out: Path) -> None:
        raise StageError(message)

    return build


def _check_key(plan: Plan, order: Order, machine: str) -> None:
    """Code, specs and inputs are the same on both machines, or somebody is told what is not."""
    wanted = Session(plan).status(order.stage).wanted
    if wanted is None or wanted.key != order.wanted.key:
        reasons = "; ".join(reason.sentence for reason in compare(order.wanted, wanted)) if wanted else "no inputs"
        raise StageError(f"{order.stage}: {machine} would compute something else: {reasons}")


def _alone(target: Target, build: Build, anew: bool) -> str:
    """No other node builds this key meanwhile; what is in its place is in the store, too."""
    with fenced(target, anew) as ours:
        return bring(ours, build, anew)


if __name__ == "__main__":
    sys.exit(main())
