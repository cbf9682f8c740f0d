"""The plan: the whole graph as plain values, remembered until a file that it was read from changes.

An unchanged plan is loaded without importing a stage, pydantic or yaml.
It does not say what is up to date; `status` does.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import so8t
from so8t.engine import contents
from so8t.errors import StageError
from so8t.store.atomic import write_atomic
from so8t.store.cache import Store
from so8t.store.digest import TICK_NS, signature
from so8t.store.layout import Layout
from so8t.store.mirror import Mirror

if TYPE_CHECKING:
    from so8t.store.code import Known


@dataclass(frozen=True)
class Row:
    """A stage as the graph knows it; everything but `values` and `build` facts enters its key."""

    name: str
    module: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    ships: tuple[str, ...]
    spec: Mapping[str, Any]  # semantic values
    values: Mapping[str, Any]  # all values
    code: Mapping[str, str]
    packages: Mapping[str, str]
    sources: tuple[str, ...]
    resumable: bool
    precious: bool
    on_request: bool
    outside: bool
    doc: str

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(taken.split("/", 1)[0] for taken in self.takes))


@dataclass(frozen=True)
class Plan:
    layout: Layout
    rows: Mapping[str, Row]
    retain: Mapping[str, str]
    budget: int
    copy_below: int
    mirror: str | None

    @property
    def usual(self) -> list[str]:
        """The stages that are meant where none is named."""
        return [name for name, row in self.rows.items() if not row.on_request]

    @property
    def store(self) -> Store:
        return Store(self.layout.artifacts, self.copy_below, Mirror(self.mirror) if self.mirror else None)

    def consumers(self, name: str) -> list[str]:
        return [row.name for row in self.rows.values() if name in row.upstream]

    def below(self, name: str) -> list[str]:
        """Every stage that depends on this one, in the graph's order."""
        reached = {name}
        for row in self.rows.values():
            if reached.intersection(row.upstream):
                reached.add(row.name)
        return [other for other in self.rows if other in reached and other != name]


def load(project: Path, profile: str) -> Plan:
    """The plan of a profile, from memory while nothing that it was read from has changed."""
    memory = project / "artifacts" / ".so8t" / "plans" / f"{profile}.json"
    known = _remembered(memory, project)
    if known is not None:
        return _plan(project, profile, known)
    before = time.time_ns()
    facts, watch = read(project, profile)
    signatures = {_name(project, path): signature(path) for path in watch}
    youngest = max((max(sig[1], sig[2]) for sig in signatures.values() if sig), default=0)
    if youngest < before - TICK_NS:
        with contextlib.suppress(OSError):  # nothing is lost but the time to read the specs again
            write_atomic(memory, _dump({"identity": _identity(), "watch": signatures, "facts": facts}))
    return _plan(project, profile, json.loads(_dump(facts)))


def read(project: Path, profile: str) -> tuple[dict[str, Any], list[Path]]:
    """Read stages and specs anew: the facts, and the files and folders that they came from."""
    from so8t.spec import load as spec
    from so8t.spec import profile as profiles
    from so8t.spec.fields import semantic

    drop_stale_bytecode(project)
    table = contents.read(project)
    stages = table.stages
    found = profiles.read(project, profile)
    models = spec.load(found, table.models)
    settings = spec.settings(found)
    modules: Known = {}
    versions = {package: version(package) for package in sorted({p for s in stages.values() for p in s.packages})}
    rows = {}
    for name, stage in stages.items():
        model = models[name]
        rows[name] = Row(
            name=name,
            module=stage.build.__module__,
            takes=stage.takes,
            gives=stage.gives,
            ships=stage.ships,
            spec=semantic(model),
            values=model.model_dump(mode="json"),
            code=code_of(project, stage.build.__module__, modules),
            packages={package: versions[package] for package in sorted(stage.packages)},
            sources=tuple(stage.sources(model)) if stage.sources else (),
            resumable=stage.resumable,
            precious=stage.precious,
            on_request=stage.on_request,
            outside=stage.outside is not None,
            doc=(stage.doc or sys.modules[stage.build.__module__].__doc__ or "")
            .strip()
            .split("\n")[0]
            .removeprefix(f"{name}: "),
        )
    _check_graph(rows)
    facts = {
        "artifacts": settings.artifacts,
        "retain": dict(settings.retain),
        "budget": settings.store.budget,
        "copy_below": settings.store.copy_below,
        "mirror": settings.store.mirror,
        "rows": [asdict(row) for row in rows.values()],
    }
    # distributions come and go in the folders of sys.path; in the project's own, artifacts do
    places = [Path(path) for path in sys.path if path and Path(path) != project]
    return facts, [*found.watch, *_python_files(_roots(project)), *places]


def drop_stale_bytecode(project: Path) -> None:
    """Remove bytecode older than its source, whatever Python thinks of it.

    Python compares whole seconds and the size, so of two edits within a second it may run the first.
    """
    for path in _python_files(_roots(project)):
        if path.suffix == ".py":
            cache = Path(importlib.util.cache_from_source(str(path)))
            source, compiled = signature(path), signature(cache)
            if source and compiled and compiled[1] <= max(source[1], source[2]) + TICK_NS:
                cache.unlink(missing_ok=True)


def code_of(project: Path, module: str, known: Known | None = None) -> dict[str, str]:
    from so8t.store import code

    return code.closure(module, _roots(project), known)


def _roots(project: Path) -> dict[str, Path]:
    return {"stages": project / "stages", "so8t": Path(so8t.__path__[0])}


def version(package: str) -> str:
    """The version of a distribution; `unicodedata` stands for Python's Unicode tables."""
    if package == "unicodedata":
        import unicodedata

        return unicodedata.unidata_version
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _check_graph(rows: Mapping[str, Row]) -> None:
    known: set[str] = set()
    for row in rows.values():
        for name in row.upstream:
            if name not in known:
                where = "a later stage" if name in rows else "no stage"
                raise StageError(f"stages/{row.name}.py takes {name}, which is {where}; see stages/__init__.py")
        for taken in row.takes:
            name, _, part = taken.partition("/")
            if part and not any(_overlaps(part, given) for given in rows[name].gives):
                raise StageError(f"stages/{row.name}.py takes {taken}, which {name} does not give")
        known.add(row.name)


def _overlaps(part: str, given: str) -> bool:
    return part.rstrip("/") == given.rstrip("/") or (given.endswith("/") and part.startswith(given))


def _python_files(roots: Mapping[str, Path]) -> list[Path]:
    paths: list[Path] = []
    for root in roots.values():
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            paths.append(Path(folder))
            paths += [Path(folder, name) for name in sorted(names) if name.endswith(".py")]
    return paths


def _identity() -> list[str]:
    return [sys.version, sys.prefix]  # not the executable: `python` and the doit script's `python3` are one


def _name(project: Path, path: Path) -> str:
    return os.path.relpath(path, project) if path.is_relative_to(project) else str(path)


def _remembered(memory: Path, project: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(memory.read_bytes())
        if known["identity"] != _identity():
            return None
        base = str(project)
        for name, sig in known["watch"].items():
            now = signature(os.path.join(base, name))
            if (list(now) if now else None) != sig:
                return None
        facts: dict[str, Any] = known["facts"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # no memory, or a damaged one: the specs are read
    return facts


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _plan(project: Path, profile: str, facts: Mapping[str, Any]) -> Plan:
    tuples = ("takes", "gives", "ships", "sources")
    rows: dict[str, Row] = {}
    for row in facts["rows"]:
        values: dict[str, Any] = {key: tuple(value) if key in tuples else value for key, value in row.items()}
        rows[row["name"]] = Row(**values)
    layout = Layout(project, project / facts["artifacts"], profile)
    return Plan(layout, rows, facts["retain"], facts["budget"], facts["copy_below"], facts["mirror"])
