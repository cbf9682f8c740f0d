"""What a build has before it, looked up: which stages it builds, and what each will leave and took the last time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from so8t.engine.outlook import last
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.errors import DataError, UserError
from so8t.planning import bases, memory, outline, sizes
from so8t.planning.bases import Base
from so8t.planning.outline import Ahead, Machine
from so8t.store import journal
from so8t.store.cache import Store
from so8t.store.manifest import Manifest
from so8t.watch import cuda, machine

Past = Mapping[str, Mapping[str, Any]]


def foresee(session: Session, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """For a run that is about to begin: the plan's lines if it is a long one, and what it cannot end without.

    Most runs are neither long nor large, and then nothing is hashed, and nobody outside is asked.
    """
    try:
        told = past(session)
    except DataError:
        told = {}  # the outlook says what is wrong with the journal; no build stops for that
    plan = session.plan
    at_most, here = _at_most(session, names, told), machine_here(session)
    if not (_is_long(at_most, plan) or any(outline.too_small(at_most, here))):
        return [], []
    at_hand = Store(plan.layout.artifacts, plan.copy_below)  # what a mirror has needs as much disk as what is built
    stages = look(session, names, told, at_hand)
    lines = list(outline.lines(plan.layout.profile, stages, here)) if _is_long(stages, plan) else []
    return lines, list(outline.too_small(stages, here))


def _at_most(session: Session, names: Sequence[str], told: Past) -> list[Ahead]:
    """Every stage that is not current as if it were built."""
    disk, needed, rows = dict(_disk(session, names)), memory_of(session, names), session.plan.rows
    stale = [name for name in names if not rows[name].outside and not session.is_current(name)]
    return [_here(session.plan, _built(name, disk, needed, told)) for name in stale]


def _is_long(stages: Sequence[Ahead], plan: Plan) -> bool:
    seconds = sum(each.seconds or 0 for each in stages)
    return seconds > 0 and seconds >= 60 * plan.notify["minutes"]


def machine_here(session: Session) -> Machine:
    return Machine(shutil.disk_usage(session.plan.layout.project).free, machine.memory())


def past(session: Session) -> Past:
    """What the journal says of each stage's last build of this profile."""
    layout = session.plan.layout
    return last((entry for entry in journal.read(layout) if entry["profile"] == layout.profile), layout.profile)


def look(session: Session, names: Sequence[str], told: Past, store: Store) -> list[Ahead]:
    """In the order of the graph, so that a stage below one that is restored may be so, too."""
    ahead, disk, needed = Session(session.plan), dict(_disk(session, names)), memory_of(session, names)
    found = (_stage(ahead, name, store) or _built(name, disk, needed, told) for name in names)
    return [_here(session.plan, each) for each in found]


def base(session: Session) -> Base | None:
    """The base of the profile, as far as it can be known before it is there."""
    source = session.plan.rows["base_model"].values["source"]
    return bases.find(source, _files(session, "base_model"), session.plan.layout.folder("base_model"))


def memory_of(session: Session, names: Sequence[str]) -> dict[str, tuple[float, str]]:
    """By stage, what it needs by its shapes, and what would make it less; empty while nobody knows the base."""
    rows = session.plan.rows
    if not {"base_model", "so8t_model", "adapter"} <= rows.keys() or not (shape := base(session)):
        return {}
    device = rows["adapter"].values["train"]["device"]
    is_on_cpu = device == "cpu" or (device == "auto" and not cuda.devices())
    values = {name: row.values for name, row in rows.items()}
    needed = {name: (found, memory.ADVICE.get(name, "")) for name, found in memory.stages(shape, values, is_on_cpu)}
    if "adapter" in needed and (there_is := machine.memory()):
        run, steps = memory.training(values, shape), values["adapter"]["train"]["steps"]
        advice = memory.advice(shape, run, steps, there_is) or "take a smaller base, or a machine with more memory"
        needed["adapter"] = needed["adapter"][0], advice
    return {name: found for name, found in needed.items() if name in names}


def _here(plan: Plan, each: Ahead) -> Ahead:
    """Without the memory of a stage that a node of a cluster builds: that is asked of the node."""
    return each if plan.runs_here(each.stage) else replace(each, memory=None, advice=None)


def _built(name: str, disk: Mapping[str, float], needed: Mapping[str, tuple[float, str]], told: Past) -> Ahead:
    known = told.get(name, {})
    found, advice = needed.get(name, (known.get("memory"), None))
    return Ahead(name, "built", disk.get(name), found, known.get("seconds"), advice)


def _stage(session: Session, name: str, store: Store) -> Ahead | None:
    """None for one that will be built."""
    if session.is_current(name):
        return Ahead(name, "current")
    if manifest := _in_the_store(session, name, store):
        session.assume(name, manifest)
        return Ahead(name, "restored", seconds=0.0)
    return None


def _in_the_store(session: Session, name: str, store: Store) -> Manifest | None:
    """Where everything above it is known; what stands outside of the project is never there."""
    status = session.status(name)
    is_known = all(session.is_current(up) for up in status.row.upstream)
    anew = status.row.outside or any(reason.kind == "forgotten" for reason in status.reasons)
    return store.find(status.wanted.key) if is_known and status.wanted and not anew else None


def _disk(session: Session, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    plan = session.plan
    values = {name: plan.rows[name].values for name in names}
    found: list[tuple[str, list[float]]] = []
    if "raw" in values:
        found += sizes.texts(_texts(list(_files(session, "raw").values())))
    if "base_model" in values and (shape := base(session)):
        found += sizes.models(shape, values)
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
