"""The plan, read anew: stages, specs, code and versions become plain facts that can be remembered."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from so8t.engine import contents
from so8t.engine.plan import Row
from so8t.engine.stage import Stage
from so8t.errors import StageError
from so8t.spec import load as spec
from so8t.spec import profile as profiles
from so8t.spec.fields import At, semantic
from so8t.spec.settings import Settings
from so8t.store import code
from so8t.store.code import Known
from so8t.store.digest import TICK_NS, signature
from so8t.store.layout import MANIFEST

NOT_INSTALLED = "not installed"  # in place of a version
_VERSION = re.compile(r"^Version:[ \t]*(\S+)", re.MULTILINE)


def read(project: Path, profile: str) -> tuple[dict[str, Any], list[Path]]:
    """The facts, and the files and folders that they came from."""
    drop_stale_bytecode(project)
    table = contents.read(project)
    found = profiles.read(project, profile, table.renamed)
    models, settings = spec.load(found, table.models), spec.settings(found)
    spec.agreed(found, contradictions(table, models))
    stages = wanted(table.stages, models)
    rows = _rows(project, stages, {**models, profiles.SETTINGS: settings})
    _check_graph(rows)
    spec.agreed(found, [*_staying(rows, settings), *_broken(settings)])
    facts = {
        **_settings(settings),
        "warnings": list(found.warnings),
        "absent": [name for name in table.stages if name not in rows],
        "rows": [dict(vars(row)) for row in rows.values()],
    }
    return facts, [*found.watch, *_code_files(_roots(project)), *_distributions(project)]


def wanted(stages: Mapping[str, Stage], models: Mapping[str, BaseModel]) -> dict[str, Stage]:
    """The stages that the specs ask for; who takes what another gives instead takes it from there."""
    absent = {name for name, stage in stages.items() if stage.asked and not stage.asked(models[name])}
    moved: dict[str, str] = {}
    found = {}
    for name, stage in stages.items():
        if name not in absent:
            takes = (moved.get(taken, taken) for taken in stage.takes if taken.partition("/")[0] not in absent)
            found[name] = replace(stage, takes=tuple(takes))
            moved |= {taken: f"{name}/{taken.partition('/')[2]}" for taken in stage.instead}
    return found


def contradictions(table: contents.Contents, models: Mapping[str, BaseModel]) -> Iterator[At]:
    """Of every stage's spec with others'."""
    for name, stage in table.stages.items():
        if stage.agrees:
            yield from stage.agrees(models[name], models)


def _staying(rows: Mapping[str, Row], settings: Settings) -> Iterator[At]:
    """What cannot be built on a cluster, for personal data stay on this machine."""
    for name, run in settings.run.items():
        if run.where == "here" or name not in rows or settings.store.share_private:
            continue
        if private := [each for each in (name, *rows[name].upstream) if rows[each].private]:
            text = (
                f"{name} cannot run on the cluster: {private[0]} holds personal data, which stay on this machine; "
                "leave it out, or set store.share_private"
            )
            yield At(text, f"{profiles.SETTINGS}.run.{name}.where")


def _broken(settings: Settings) -> Iterator[At]:
    """What Slurm cannot give, for it counts by whole numbers."""
    if settings.cluster is None or settings.cluster.kind != "slurm":
        return
    for name, run in settings.run.items():
        wants = {"CPU": run.resources.CPU, "GPU": run.resources.GPU}
        counted = wants | {f"named.{each}": count for each, count in run.resources.named.items()}
        for each, count in counted.items():
            if count % 1:
                place = f"{profiles.SETTINGS}.run.{name}.resources.{each}"
                yield At(f"must be a whole number for Slurm (got {count:g})", place)


def _rows(project: Path, stages: Mapping[str, Stage], models: Mapping[str, BaseModel]) -> dict[str, Row]:
    """One for each stage, in the order of the flow; modules and versions that stages share are looked at once."""
    modules: Known = {}
    versions = {package: version(package) for package in sorted({p for s in stages.values() for p in s.packages})}
    return {name: _row(project, stage, models, modules, versions) for name, stage in stages.items()}


def _row(
    project: Path, stage: Stage, models: Mapping[str, BaseModel], modules: Known, versions: Mapping[str, str]
) -> Row:
    model = models[stage.name]
    unread = set(stage.unread(model)) if stage.unread else set()
    reads = {name: value_of(stage.name, name, models) for name in stage.reads if name not in unread}
    return Row(
        name=stage.name,
        module=stage.build.__module__,
        takes=stage.takes,
        gives=stage.gives,
        ships=stage.ships,
        spec={**semantic(model), **reads},
        values=model.model_dump(mode="json"),
        reads=reads,
        code=code_of(project, stage.build.__module__, modules),
        packages={package: versions[package] for package in sorted(stage.packages)},
        sources=_patterns(stage, model),
        hints=dict(stage.hints(model)) if stage.hints else {},
        resumable=stage.resumable,
        private=stage.private,
        precious=stage.precious,
        on_request=stage.on_request,
        stands_for=stage.instead[0].partition("/")[0] if stage.instead else "",
        lacks=stage.lacks is not None,
        outside=stage.outside is not None,
        doc=contents.describe(stage),
    )


def value_of(reader: str, name: str, models: Mapping[str, BaseModel]) -> Any:
    """The semantic value of another stage's spec at `adapter.lora.targets`."""
    stage, *path = name.split(".")
    value: Any = semantic(models[stage]) if stage in models else {}
    for key in path:
        if not isinstance(value, dict) or key not in value:
            raise StageError(f"stages/{reader}.py reads {name}, which is not a semantic value of any stage's spec")
        value = value[key]
    return value


def _patterns(stage: Stage, model: BaseModel) -> dict[str, list[str]]:
    named = stage.sources(model) if stage.sources else {}
    return {name: list(patterns) for name, patterns in named.items()}


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "artifacts": settings.artifacts,
        "retain": dict(settings.retain),
        "budget": settings.store.budget,
        "copy_below": settings.store.copy_below,
        "mirror": settings.store.mirror,
        "trusted": None if settings.store.trusted == "any" else settings.store.trusted,
        "key": settings.store.key,
        "encrypt": settings.store.encrypt.model_dump() if settings.store.encrypt else None,
        "share_private": settings.store.share_private,
        "checkpoints": settings.store.checkpoints,
        "notify": settings.notify.model_dump(),
        "cluster": settings.cluster.model_dump() if settings.cluster else None,
        "run": {name: run.model_dump() for name, run in settings.run.items()},
    }


def _distributions(project: Path) -> list[Path]:
    """Where distributions come and go: the folders of sys.path; in the project's own, artifacts do."""
    return [Path(path) for path in sys.path if path and Path(path) != project]


def drop_stale_bytecode(project: Path) -> None:
    """Remove bytecode older than its source, whatever Python thinks of it.

    Python compares whole seconds and the size, so of two edits within a second it may run the first.
    """
    for path in _code_files(_roots(project)):
        if path.suffix == ".py":
            cache = Path(importlib.util.cache_from_source(str(path)))
            source, compiled = signature(path), signature(cache)
            if source and compiled and compiled[1] <= max(source[1], source[2]) + TICK_NS:
                cache.unlink(missing_ok=True)


def code_of(project: Path, module: str, known: Known | None = None) -> dict[str, str]:
    return code.closure(module, _roots(project), known)


def _roots(project: Path) -> dict[str, Path]:
    return {"stages": project / "stages", "so8t": code.SO8T}


def version(package: str) -> str:
    """The version of a distribution; `unicodedata` stands for Python's Unicode tables."""
    if package == "unicodedata":
        import unicodedata

        return unicodedata.unidata_version
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return NOT_INSTALLED
    stated = _VERSION.search(found.read_text("METADATA") or "")
    return stated[1] if stated else found.version  # which parses the whole text as a mail, a fifth of a plan's time


def _check_graph(rows: Mapping[str, Row]) -> None:
    known: set[str] = set()
    for row in rows.values():
        for name in row.upstream:
            if name not in known:
                where = "a later stage" if name in rows else "no stage"
                raise StageError(f"stages/{row.name}.py takes {name}, which is {where}; see stages/__init__.py")
        for taken in row.takes:
            name, _, part = taken.partition("/")
            if part not in ("", MANIFEST) and not any(_overlaps(part, given) for given in rows[name].gives):
                raise StageError(f"stages/{row.name}.py takes {taken}, which {name} does not give")
        known.add(row.name)


def _overlaps(part: str, given: str) -> bool:
    return part.rstrip("/") == given.rstrip("/") or (given.endswith("/") and part.startswith(given))


def _code_files(roots: Mapping[str, Path]) -> list[Path]:
    """Modules, what lies beside them, and the folders."""
    paths: list[Path] = []
    for root in roots.values():
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            paths.append(Path(folder))
            found = [Path(folder, name) for name in sorted(names)]
            paths += [path for path in found if path.suffix == ".py" or code.is_data(path)]
    return paths
