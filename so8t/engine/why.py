"""Why a stage is not current: values first, sentences last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.store.fingerprint import Fingerprint

ABSENT = object()


@dataclass(frozen=True)
class Reason:
    kind: str  # spec, input, code, package, stage, key, disk, upstream, missing, forgotten, new, outside, unknown
    name: str
    old: Any = ABSENT
    new: Any = ABSENT

    @property
    def sentence(self) -> str:
        fixed = {
            "new": "never built",
            "forgotten": "forgotten by doit forget",
            "disk": self.name,
            "outside": self.name,
            "unknown": self.name,
            "upstream": f"{self.name} is not up to date",
            "missing": f"{self.name} is not built",
            "key": f"{self.name}: the same values in another form",
        }
        return fixed.get(self.kind) or f"{self.kind} {self.name}: {_change(self.kind, self.old, self.new)}"


def compare(recorded: Fingerprint, wanted: Fingerprint) -> list[Reason]:
    """Every difference between what an artifact was made from and what it would be made from now."""
    if recorded.key == wanted.key:
        return []
    found = [
        *_differences("stage", {"name": recorded.stage}, {"name": wanted.stage}),
        *_differences("spec", flatten(recorded.spec), flatten(wanted.spec)),
        *_differences("input", recorded.inputs, wanted.inputs),
        *_differences("code", recorded.code, wanted.code),
        *_differences("package", recorded.packages, wanted.packages),
    ]
    # values that print alike, such as {"a.b": 1} and {"a": {"b": 1}}: the key knows better
    return found or [Reason("key", f"key {recorded.key[:12]} -> {wanted.key[:12]}")]


def _differences(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Reason]:
    for name in [*old, *(name for name in new if name not in old)]:
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        if before is ABSENT or after is ABSENT or before != after or type(before) is not type(after):
            yield Reason(kind, name, before, after)


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """A nested value as dotted paths to its leaves."""
    if isinstance(value, dict) and value:
        parts = ((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
    elif isinstance(value, list) and value:
        parts = ((f"{path}[{index}]", item) for index, item in enumerate(value))
    else:
        return {path: value} if path else {}
    return {name: leaf for part, item in parts for name, leaf in flatten(item, part).items()}


def _change(kind: str, old: Any, new: Any) -> str:
    if old is ABSENT:
        return f"new ({_show(kind, new)})" if kind in ("spec", "package") else "new"
    if new is ABSENT:
        return f"gone (was {_show(kind, old)})" if kind in ("spec", "package") else "gone"
    if kind == "code":
        return "changed"
    return f"{_show(kind, old)} -> {_show(kind, new)}"


def _show(kind: str, value: Any) -> str:
    if kind == "input":
        return str(value)[:12]
    if kind == "package":
        return str(value)
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
