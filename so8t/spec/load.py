"""A profile -> validated, frozen models; or one error with every problem of every file.

Values are taken as they are written: a quoted "0.5" is no number and `yes` is no boolean, but a list fills a tuple and
an integer a float.  A `null` is a value of its own; to return to a default, leave the key out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from so8t.spec import issues, yamltree
from so8t.spec.issues import Found
from so8t.spec.problems import Mark, Problem, Source, did_you_mean, error
from so8t.spec.profile import SETTINGS, Profile, label
from so8t.spec.settings import Settings
from so8t.spec.yamltree import Node


def load(profile: Profile, models: Mapping[str, type[BaseModel]]) -> dict[str, BaseModel]:
    """The stages' models; SpecError lists the problems of all files, sorted by file, line and column."""
    problems = [*profile.problems, *_strays(profile, models)]
    loaded = {stage: _validate(profile, stage, model, problems) for stage, model in models.items()}
    _validate(profile, SETTINGS, Settings, problems)
    problems += _unknown_stages(profile, models)
    if problems:
        raise error(problems)
    return {stage: model for stage, model in loaded.items() if model is not None}


def settings(profile: Profile) -> Settings:
    """The settings of profile.yaml alone."""
    problems = [each for each in profile.problems if each.mark.source.name.endswith(f"/{SETTINGS}.yaml")]
    found = _validate(profile, SETTINGS, Settings, problems)
    if problems or not isinstance(found, Settings):
        raise error(problems)
    return found


def _validate(profile: Profile, stage: str, model: type[BaseModel], problems: list[Problem]) -> BaseModel | None:
    root = profile.settings if stage == SETTINGS else profile.files.get(stage) or _absent(profile, stage)
    text = json.dumps(yamltree.plain(root))  # not orjson, for which a NaN is a null
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as refused:
        partial = profile.broken or stage in profile.unread
        for found in issues.problems(refused.errors(include_url=False), root, model):
            if not (partial and found.may_follow):
                problems.append(_name_file(profile, stage, found))
        return None


def _name_file(profile: Profile, stage: str, found: Found) -> Problem:
    """The problem of a file that does not exist, or that belongs to a profile further up, says so."""
    problem = found.problem
    own = f"{label(profile.project, profile.chain[0])}/"
    if problem.mark.source.name.startswith(own) and problem.mark.line:
        return problem
    if found.missing_at_top or not problem.mark.line:
        return Problem(_absent(profile, stage).mark, f"{problem.text} (there is no such file)")
    return Problem(problem.mark, f"{problem.text} (inherited by {profile.name})")


def _absent(profile: Profile, stage: str) -> Node:
    name = label(profile.project, profile.chain[0] / f"{stage}.yaml")
    return Node({}, Mark(Source(name, ""), 0, 0))


def _strays(profile: Profile, models: Iterable[str]) -> list[Problem]:
    """Files that name no stage."""
    known = [*models, SETTINGS]
    return [
        Problem(
            Mark(Source(label(profile.project, path), ""), 0, 0),
            f"there is no stage {path.stem}{did_you_mean(path.stem, known)}",
        )
        for path in profile.watch
        if path.suffix == ".yaml" and path.stem not in known
    ]


def _unknown_stages(profile: Profile, models: Mapping[str, Any]) -> list[Problem]:
    """Keys of `retain` that name no stage."""
    values = profile.settings.value
    retain = values.get("retain") if isinstance(values, dict) else None
    if retain is None or not isinstance(retain.node.value, dict):
        return []
    return [
        Problem(entry.key, f"retain.{stage}: there is no stage {stage}{did_you_mean(stage, models)}")
        for stage, entry in retain.node.value.items()
        if stage not in models
    ]
