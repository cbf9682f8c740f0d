"""The plan: the whole graph as plain values, remembered until a file that it was read from changes.

An unchanged plan is loaded without importing a stage, pydantic or yaml.
It does not say what is up to date; `status` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.store.atomic import write_atomic
from so8t.store.cache import Store
from so8t.store.digest import TICK_NS, signature
from so8t.store.encryption import Encryption
from so8t.store.layout import MANIFEST, Layout
from so8t.store.mirror import Mirror
from so8t.store.trust import Trust


@dataclass(frozen=True)
class Row:
    """A stage as the graph knows it; everything but `values`, `hints` and `build` facts enters its key."""

    name: str
    module: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]
    ships: tuple[str, ...]
    spec: Mapping[str, Any]  # semantic values
    values: Mapping[str, Any]  # all values
    reads: Mapping[str, Any]  # other stages' values, which stand in `spec`, too
    code: Mapping[str, str]
    packages: Mapping[str, str]
    sources: Mapping[str, Sequence[str]]
    hints: Mapping[str, str]
    resumable: bool
    precious: bool
    private: bool
    on_request: bool
    stands_for: str  # the stage whose files those behind it take from this one
    lacks: bool
    outside: bool
    doc: str

    @property
    def upstream(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(taken.split("/", 1)[0] for taken in self.takes))

    @property
    def needs(self) -> tuple[str, ...]:
        """The artifacts of which it takes more than the manifest: their bytes must be there."""
        return tuple(dict.fromkeys(name for name, _, part in self._parts if part != MANIFEST))

    @property
    def _parts(self) -> list[tuple[str, str, str]]:
        return [taken.partition("/") for taken in self.takes]


@dataclass(frozen=True)
class Plan:
    layout: Layout
    rows: Mapping[str, Row]
    absent: Sequence[str]  # stages that the specs do not ask for
    retain: Mapping[str, str]
    budget: int
    copy_below: int
    mirror: str | None
    trusted: Sequence[str] | None  # None takes what anybody wrote
    key: str | None
    encrypt: Mapping[str, Any] | None
    share_private: bool
    checkpoints: float  # minutes between two that go to the mirror; 0: they stay here
    notify: Mapping[str, Any]
    cluster: Mapping[str, Any] | None
    run: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...]  # about old names in specs: said by each run, remembered or not

    @property
    def usual(self) -> list[str]:
        """The stages that are meant where none is named."""
        return [name for name, row in self.rows.items() if not row.on_request]

    def runs_here(self, name: str) -> bool:
        """Whether this machine builds the stage, and not a node of the cluster."""
        return bool(self.run.get(name, {}).get("where", "here") == "here")

    def stays_away(self, name: str) -> bool:
        """Whether its files stay in the mirror until somebody here needs them, and the manifest alone comes."""
        return not self.runs_here(name) and self.retain.get(name) == "manifest"

    @property
    def store(self) -> Store:
        trusted = None if self.trusted is None else tuple(self.trusted)
        trust = Trust(trusted, self.layout.project / Path(self.key).expanduser() if self.key else None)
        private = frozenset(name for name, row in self.rows.items() if row.private and not self.share_private)
        notes, closed = self.layout.uploads, self._encryption
        mirror = Mirror(self.mirror, trust, notes=notes, encryption=closed) if self.mirror else None
        return Store(self.layout.artifacts, self.copy_below, mirror, private)

    @property
    def _encryption(self) -> Encryption | None:
        if self.encrypt is None:
            return None
        identity = self.encrypt["identity"]
        return Encryption(
            tuple(self.encrypt["recipients"]),
            self.layout.project / Path(identity).expanduser() if identity else None,
        )

    def consumers(self, name: str) -> list[str]:
        """The stages that need its bytes."""
        return [row.name for row in self.rows.values() if name in row.needs]

    def above(self, names: Sequence[str]) -> list[str]:
        """These stages and every one that they stand on, in the graph's order."""
        needed = set(names)
        for row in reversed(list(self.rows.values())):
            if row.name in needed:
                needed.update(row.upstream)
        return [name for name in self.rows if name in needed]

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
    from so8t.engine import reading

    facts, watch = reading.read(project, profile)
    signatures = {_name(project, path): signature(path) for path in watch}
    youngest = max((max(sig[1], sig[2]) for sig in signatures.values() if sig), default=0)
    if youngest < before - TICK_NS:
        with contextlib.suppress(OSError):  # nothing is lost but the time to read the specs again
            write_atomic(memory, _dump({"identity": _identity(), "watch": signatures, "facts": facts}))
    return _plan(project, profile, json.loads(_dump(facts)))


_SETTINGS = (
    "retain", "budget", "copy_below", "mirror", "trusted", "key", "encrypt", "share_private", "checkpoints", "notify",
    "cluster", "run", "absent",
)  # fmt: skip
ARTIFACTS = "SO8T_ARTIFACTS"  # in the environment: the folder of the artifacts on a node of a cluster


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
    tuples = ("takes", "gives", "ships")
    rows: dict[str, Row] = {}
    for row in facts["rows"]:
        values: dict[str, Any] = {key: tuple(value) if key in tuples else value for key, value in row.items()}
        rows[row["name"]] = Row(**values)
    layout = Layout(project, project / (os.environ.get(ARTIFACTS) or facts["artifacts"]), profile)
    settings = {name: facts[name] for name in _SETTINGS}
    return Plan(layout, rows, **settings, warnings=tuple(facts["warnings"]))
