"""doit plan: what a build would do and need, and why it cannot come to its end, before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from so8t.commands.doctor import lacking
from so8t.engine.backend import check_stages, current_graph
from so8t.engine.outlook import last
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Session
from so8t.errors import UserError
from so8t.planning import bases, outline, sizes
from so8t.planning.outline import Ahead, Machine
from so8t.store import journal
from so8t.watch import machine


class ShowPlan(TaskCommand):
    name = "plan"
    doc_purpose = "say what a build would do, what it needs, and whether this machine has it"
    doc_usage = "[TASK ...]"
    doc_description = "Exit code 0 if nothing speaks against the build, 1 if something does."
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        check_stages(self.task_list, pos_args)
        session = current_graph().session
        plan = session.plan
        names = plan.above(pos_args or plan.usual)
        here = Machine(shutil.disk_usage(plan.layout.project).free, machine.memory())
        stages = list(ahead(session, names))
        against = [
            *outline.problems(stages, here),
            *session.lacking(names),
            *lacking(plan, names),
        ]
        self.outstream.writelines(f"{line}\n" for line in outline.lines(plan.layout.profile, stages, here))
        self.outstream.writelines(f"cannot be built: {each}\n" for each in against)
        return int(bool(against))


def ahead(session: Session, names: list[str]) -> Iterator[Ahead]:
    plan = session.plan
    own = (entry for entry in journal.read(plan.layout) if entry["profile"] == plan.layout.profile)
    told = last(own, plan.layout.profile)
    disk = dict(_disk(session, names))
    for name in names:
        status = session.status(name)
        if session.is_current(name):
            yield Ahead(name, "current")
        elif status.wanted and plan.store.find(status.wanted.key):
            yield Ahead(name, "restored", seconds=0.0)
        else:
            known: Mapping[str, Any] = told.get(name, {})
            yield Ahead(name, "built", disk.get(name), known.get("memory"), known.get("seconds"))


def _disk(session: Session, names: list[str]) -> Iterator[tuple[str, float]]:
    plan = session.plan
    values = {name: plan.rows[name].values for name in names}
    found: list[tuple[str, list[float]]] = []
    if "raw" in values:
        found += sizes.texts(_texts(list(_files(session, "raw").values())))
    if "base_model" in values:
        built = plan.layout.folder("base_model")
        base = bases.find(values["base_model"]["source"], _files(session, "base_model"), built)
        found += sizes.models(base, values) if base else ()
    found += [(name, [size]) for name, size in sizes.OTHERS.items()]
    for name, parts in found:
        if name in values:
            yield name, sizes.kept(parts, plan.copy_below, plan.rows[name].precious)


def _files(session: Session, name: str) -> dict[str, Path]:
    try:
        return {file: path for file, path in session.files(session.plan.rows[name]) if path.is_file()}
    except UserError:
        return {}  # `lacking` says it


def _texts(files: list[Path]) -> sizes.Texts:
    """Their size, and how many records they hold, by the lines of their first megabytes."""
    size = sum(path.stat().st_size for path in files)
    seen = lines = 0
    for path in files:
        with path.open("rb") as stream:
            part = stream.read(4 * sizes.MIB)
        seen, lines = seen + len(part), lines + part.count(b"\n")
    return sizes.Texts(round(lines * size / seen) if seen else 0, size)
