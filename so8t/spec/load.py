"""A profile -> validated, frozen models; or one error with every mistake of every file.

Values are taken as they are written: a quoted "0.5" is not a number and `yes` is not a boolean, but a list fills a
tuple, and an integer a float.  A `null` is a value of its own; to return to a default, leave the key out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from so8t.spec import agree, either, issues, tasks, yamltree
from so8t.spec.fields import At
from so8t.spec.issues import Found
from so8t.spec.mistakes import Mark, Mistake, SpecText, did_you_mean, error
from so8t.spec.profile import SETTINGS, Profile, label
from so8t.spec.settings import Settings
from so8t.spec.yamltree import Node


def load(profile: Profile, models: Mapping[str, type[BaseModel]]) -> dict[str, BaseModel]:
    """The stages' models; SpecError lists the mistakes of all files, sorted by file, line and column."""
    loaded, mistakes = check(profile, models)
    if mistakes:
        raise error(mistakes)
    return loaded


def check(profile: Profile, models: Mapping[str, type[BaseModel]]) -> tuple[dict[str, BaseModel], list[Mistake]]:
    """The models that are right, and all mistakes."""
    mistakes = [*profile.mistakes, *_strays(profile, models)]
    profile = tasks.settled(profile, models, mistakes)
    mistakes += either.clashes(profile, models)
    loaded = {stage: _validate(profile, stage, model, mistakes) for stage, model in models.items()}
    _validate(profile, SETTINGS, Settings, mistakes)
    mistakes += _unknown_stages(profile, models)
    return {stage: model for stage, model in loaded.items() if model is not None}, mistakes


def agreed(profile: Profile, causes: Iterable[At]) -> None:
    """SpecError if specs that are right by themselves contradict each other."""
    if found := agree.mistakes(profile, causes):
        raise error(found)


def settings(profile: Profile) -> Settings:
    """The settings of profile.yaml alone."""
    mistakes = [each for each in profile.mistakes if each.mark.file.name.endswith(f"/{SETTINGS}.yaml")]
    found = _validate(profile, SETTINGS, Settings, mistakes)
    if mistakes or not isinstance(found, Settings):
        raise error(mistakes)
    return found


def _validate(profile: Profile, stage: str, model: type[BaseModel], mistakes: list[Mistake]) -> BaseModel | None:
    root = profile.settings if stage == SETTINGS else profile.files.get(stage) or _absent(profile, stage)
    text = json.dumps(yamltree.plain(root))  # not orjson, for which a NaN is a null
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as refused:
        partial = profile.broken or stage in profile.unread
        for found in issues.mistakes(refused.errors(include_url=False), root, model):
            if not (partial and found.may_follow):
                mistakes.append(_name_file(profile, stage, found))
        return None


def _name_file(profile: Profile, stage: str, found: Found) -> Mistake:
    """The mistake of a file that does not exist, or that belongs to a profile further up, says so."""
    mistake = found.mistake
    inherited = any(
        mistake.mark.file.name.startswith(f"{label(profile.project, above)}/") for above in profile.chain[1:]
    )
    if mistake.mark.line and not inherited:
        return mistake
    if found.missing_at_top or not mistake.mark.line:
        return Mistake(_absent(profile, stage).mark, f"{mistake.text} (the file does not exist)")
    return Mistake(mistake.mark, f"{mistake.text} (inherited by {profile.name})")


def _absent(profile: Profile, stage: str) -> Node:
    name = label(profile.project, profile.chain[0] / f"{stage}.yaml")
    return Node({}, Mark(SpecText(name, ""), 0, 0))


def _strays(profile: Profile, models: Iterable[str]) -> list[Mistake]:
    """Files that name no stage."""
    known = [*models, SETTINGS]
    return [
        Mistake(
            Mark(SpecText(label(profile.project, path), ""), 0, 0),
            f"unknown stage {path.stem}{did_you_mean(path.stem, known)}",
        )
        for path in profile.watch
        if path.suffix == ".yaml" and path.stem not in known
    ]


def _unknown_stages(profile: Profile, models: Mapping[str, Any]) -> list[Mistake]:
    """Keys of `retain` and `run` that name no stage."""
    values = profile.settings.value
    named = {key: values.get(key) for key in ("retain", "run")} if isinstance(values, dict) else {}
    return [
        Mistake(entry.key, f"{key}.{stage}: unknown stage {stage}{did_you_mean(stage, models)}")
        for key, table in named.items()
        if table is not None and isinstance(table.node.value, dict)
        for stage, entry in table.node.value.items()
        if stage not in models
    ]
