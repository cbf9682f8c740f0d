"""doit why: every reason for which a stage would rebuild, and what that would touch downstream."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from so8t.engine.backend import check_stages, current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Session, Status
from so8t.store import journal

SCREEN = 24  # lines


class Why(TaskCommand):
    name = "why"
    doc_purpose = "say why stages would be rebuilt"
    doc_usage = "[TASK ...]"
    doc_description = "Exit code 0 if all of them are up to date, 1 if not, 2 if that cannot be told."
    cmd_options = (
        {
            "name": "every",
            "long": "all",
            "type": bool,
            "default": False,
            "help": "every reason, however many",
        },
    )

    def _execute(self, pos_args: list[str], every: bool = False) -> int:
        check_stages(self.task_list, pos_args)
        session = current_graph().session
        statuses = [session.deep_status(name) for name in pos_args or session.plan.usual]
        told = journal.by_key(session.plan.layout)
        lines = [line for status in statuses for line in explain(session, status, told)]
        if len(lines) > SCREEN and not every:
            lines = list(briefly(session, statuses))
        self.outstream.writelines(f"{line}\n" for line in lines)
        stale = [reason.kind for status in statuses for reason in status.reasons]
        return 0 if not stale else 2 if set(stale) == {"unknown"} else 1


def briefly(session: Session, statuses: Sequence[Status]) -> Iterator[str]:
    """A line for each stage that is not up to date, and one for all others."""
    current = [status.row.name for status in statuses if status.current]
    if current:
        yield f"up to date: {', '.join(current)}"
    for status in statuses:
        if not status.current:
            first, *more = [reason.sentence for reason in status.reasons]
            rest = f", and {len(more)} more" if more else ""
            yield f"{status.row.name}: {_outlook(session, status)}: {first}{rest}"
    yield "doit why --all says every reason"


def explain(session: Session, status: Status, told: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    name = status.row.name
    if status.current:
        where = "stay in the mirror" if session.plan.stays_away(name) else "were removed"
        dropped = f" (its files {where}: retain is manifest)" if status.artifact.dropped else ""
        return [f"{name}: up to date{_elsewhere(status, told)}{dropped}"]
    return [f"{name}: {_outlook(session, status)}", *(f"  - {reason.sentence}" for reason in status.reasons)] + (
        [f"  then, if its content changes: {', '.join(below)}"] if (below := session.plan.below(name)) else []
    )


def _elsewhere(status: Status, told: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The machine that computed it, if that was another one."""
    machine = journal.machine(told.get(status.artifact.manifest.key, ())) if status.artifact.manifest else None
    return f", built on {machine}" if machine and machine != platform.node() else ""


def _outlook(session: Session, status: Status) -> str:
    if status.wanted is None or any(reason.kind == "upstream" for reason in status.reasons):
        return "waits for what it stands on"
    if any(reason.kind == "unknown" for reason in status.reasons):
        return "cannot be told"
    if status.row.outside or any(reason.kind == "forgotten" for reason in status.reasons):
        return "would be built"
    stored = session.plan.store.entry(status.wanted.key).exists()
    return "would be restored from the store" if stored else "would be built"
