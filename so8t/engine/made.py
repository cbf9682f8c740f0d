"""Which machine made a result: told to the journal, and through the mirror to the journals of others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from so8t.engine.plan import Plan
from so8t.store import journal, makers
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError

T = TypeVar("T")


@dataclass(frozen=True)
class Made:
    """Where a result was computed, and the most bytes that its process held at once, where that is known."""

    machine: str
    memory: int | None


def tell(plan: Plan, name: str, key: str, seconds: float, made: Made | None) -> None:
    """`made`, if it was built now; else it was restored, and the mirror may know who built it."""
    if made:
        journal.append(plan.layout, name, key, "built", seconds, made.memory, made.machine)
        _ask(plan, name, lambda mirror: makers.leave(mirror, key, made.machine))
        return
    known = journal.machine(journal.by_key(plan.layout).get(key, ()))
    maker = None if known else _ask(plan, name, lambda mirror: makers.read(mirror, key))
    journal.append(plan.layout, name, key, "restored", seconds, made=maker)


def _ask(plan: Plan, name: str, call: Callable[[Mirror], T]) -> T | None:
    store = plan.store
    if store.mirror is None or name in store.private:
        return None
    try:
        return call(store.mirror)
    except MirrorError as error:
        print(f"warning: {name}: the machine that built it is not named: {error}", file=sys.stderr)
        return None
