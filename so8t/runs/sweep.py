"""The door of a sweep: its profiles are checked, written and built, and what they are worth is read."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from so8t.engine import contents, profiles
from so8t.engine import plan as plans
from so8t.engine.building import Ended
from so8t.engine.contents import Contents
from so8t.engine.plan import Plan
from so8t.engine.profiles import Say
from so8t.engine.status import Session
from so8t.errors import UserError
from so8t.runs import axes, grid
from so8t.runs.axes import Axis
from so8t.runs.door import Runs
from so8t.runs.grid import Member
from so8t.runs.spread import Result, Row
from so8t.spec import load as spec
from so8t.spec import profile as specs
from so8t.spec.fields import semantic
from so8t.spec.mistakes import Mistake, did_you_mean, error
from so8t.spec.profile import FOLDER, Profile
from so8t.store import atomic
from so8t.store.locks import held

# by what is wanted of each profile: what this machine, the store and the cluster have not
Lacks = Callable[[Sequence[tuple[Session, Sequence[str]]]], list[str]]


def run(base: Plan, arguments: Sequence[str], stages: Sequence[str], at_once: int, say: Say, lacks: Lacks) -> Result:
    """Nothing is written before all values are known to be right, and nothing built before all is written."""
    along = axes.read(arguments)
    project, name = base.layout.project, base.layout.profile
    with held(base.layout.shared / "locks" / "sweep", "sweep: waiting for another sweep to write its profiles"):
        members = check(project, name, along)
        for member in members:
            write(project / FOLDER / member.name, member)
    made = [plans.load(project, member.name) for member in members]
    _check_means(made, stages, lacks)
    stopped = profiles.build_all(made, stages, at_once, say)
    runs = Runs(base)
    return Result(name, along, tuple(_row(runs, one, plan, stopped) for one, plan in zip(members, made, strict=True)))


def check(project: Path, name: str, along: Sequence[Axis]) -> list[Member]:
    """The profiles, each of which is right, or SpecError with the places of all that is wrong."""
    table = contents.read(project)
    base = specs.read(project, name, table.renamed)
    spec.load(base, table.models)
    unknown = [axis for axis in along if axis.stage not in table.stages]
    if unknown:
        known = list(table.stages)
        text = "unknown stage {0}{1}"
        raise error(Mistake(each.keys[0], text.format(each.stage, did_you_mean(each.stage, known))) for each in unknown)
    members = grid.members(name, along)
    _check_values(base, members, table)
    for member in members:
        check_folder(project / FOLDER / member.name, member)
    return members


def _check_values(base: Profile, members: Sequence[Member], table: Contents) -> None:
    """Each combination is a right profile, and none makes what another makes."""
    mistakes: list[Mistake] = []
    known: dict[str, Member] = {}
    for member in members:
        models, wrong = spec.check(grid.overlay(base, member), table.models)
        mistakes += wrong
        if not mistakes:
            makes = json.dumps({stage: semantic(models[stage]) for stage in table.stages}, sort_keys=True)
            if (twin := known.setdefault(makes, member)) is not member:
                raise UserError(f"{twin.name} and {member.name} would have one result: leave one of them out")
    if mistakes:
        raise error(mistakes)


def check_folder(folder: Path, member: Member) -> None:
    if os.path.lexists(folder) and _texts(folder) != member.files:
        where = f"{FOLDER}/{member.name}"
        raise UserError(f"{where} is there already, and does not say what the sweep would write: move it away")


def _texts(folder: Path) -> dict[str, str]:
    """What a file manager leaves there says nothing."""
    there = [path for path in folder.glob("[!.]*") if path.is_file()]
    return {path.name: path.read_text("utf-8", errors="replace") for path in there}


def write(folder: Path, member: Member) -> None:
    """By one rename: a folder that is there is whole."""
    if folder.exists():
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    for name, text in member.files.items():
        atomic.write_atomic(part / name, text.encode("utf-8"))
    atomic.move(part, folder)


def _check_means(made: Sequence[Plan], stages: Sequence[str], lacks: Lacks) -> None:
    """Once a sweep: a run that cannot be finished is not begun."""
    lacking = lacks([(Session(plan), plan.above(stages or plan.usual)) for plan in made])
    if lacking:
        raise UserError("\n".join([*dict.fromkeys(lacking), "nothing was built"]))


def _row(runs: Runs, member: Member, plan: Plan, stopped: Mapping[str, Ended]) -> Row:
    found = runs.current(plan)
    failed = stopped[member.name].message if member.name in stopped else None
    if found is None:
        return Row(member, None, {}, None, failed)
    return Row(member, found.key, runs.scores(found), found.missed.why if found.missed else None, failed)
