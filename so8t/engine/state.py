"""Where a profile stands now, as plain values: what is up to date, what runs in whatever process, what was built."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from so8t.engine import frame
from so8t.engine.outlook import seconds
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.store import journal, running, said
from so8t.store.layout import Layout
from so8t.store.locks import is_held
from so8t.store.running import Running

_LAST = 12  # entries of the journal
_TAIL = 6  # lines of what a stage says


def state(plan: Plan, now: float) -> dict[str, Any]:
    layout, session = plan.layout, Session(plan)
    told = list(journal.read(layout))
    expected = seconds(told, layout.profile)
    under_way = [each for each in running.read(layout.running) if is_held(layout, each.stage)]
    current = {name for name in plan.usual if session.is_current(name)}
    runs = {each.stage: each for each in under_way}
    shown = [name for name in plan.rows if name in plan.usual or name in runs]
    share, facts = frame.whole(under_way, plan.usual, current - set(runs), expected, now)
    return {
        "profile": layout.profile,
        "whole": {"share": share, "facts": facts},
        "stages": [_stage(session, name, runs.get(name), name in current, expected, now) for name in shown],
        "told": _told(layout, told),
    }


def _stage(
    session: Session, name: str, runs: Running | None, current: bool, expected: Mapping[str, float], now: float
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "doc": session.plan.rows[name].doc, "took": expected.get(name)}
    if runs:
        share, facts = frame.stage(runs, expected.get(name), now)
        wanted = session.status(name).wanted
        lines = said.tail(session.plan.layout, wanted.key, _TAIL) if wanted else ()
        return {**found, "state": "running", "share": share, "facts": facts, "said": list(lines)}
    if current:
        return {**found, "state": "up to date"}
    return {**found, "state": "not up to date", "why": _why(session, name)}


def _why(session: Session, name: str) -> str:
    reasons = [reason.sentence for reason in session.deep_status(name).reasons]
    return reasons[0] + (f", and {len(reasons) - 1} more" if len(reasons) > 1 else "")


def _told(layout: Layout, told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    own = deque((entry for entry in told if entry["profile"] == layout.profile), _LAST)
    return [{name: entry[name] for name in ("when", "stage", "outcome", "seconds")} for entry in reversed(own)]
