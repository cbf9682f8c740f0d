"""What a GGUF says of itself: its name, its licence, and what it was made from.

Nothing here knows a time, a host or a path: equal models have equal keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["string", "uint32", "float32", "bool", "strings", "int32s", "float32s"]


@dataclass(frozen=True)
class Pair:
    key: str
    value: Any
    kind: Kind


@dataclass(frozen=True)
class Provenance:
    """What a reader of the file should know about its making."""

    name: str
    license: str = ""
    description: str = ""
    base_name: str = ""
    base_organization: str = ""
    base_url: str = ""
    datasets: tuple[tuple[str, str], ...] = ()  # name and digest
    weights: str = ""  # digest of what was converted
    tools: tuple[tuple[str, str], ...] = ()  # name and version


def general(origin: Provenance, parameters: int) -> Iterator[Pair]:
    yield Pair("general.type", "model", "string")
    yield Pair("general.name", origin.name, "string")
    yield Pair("general.size_label", size_label(parameters), "string")
    if origin.license:
        yield Pair("general.license", origin.license, "string")
    if origin.description:
        yield Pair("general.description", origin.description, "string")
    if origin.base_name:
        yield Pair("general.base_model.count", 1, "uint32")
        yield Pair("general.base_model.0.name", origin.base_name, "string")
        if origin.base_organization:
            yield Pair("general.base_model.0.organization", origin.base_organization, "string")
        if origin.base_url:
            yield Pair("general.base_model.0.repo_url", origin.base_url, "string")
    if origin.datasets:
        yield Pair("general.dataset.count", len(origin.datasets), "uint32")
    for number, (name, digest) in enumerate(origin.datasets):
        yield Pair(f"general.dataset.{number}.name", name, "string")
        yield Pair(f"general.dataset.{number}.version", digest, "string")
    if origin.weights:
        yield Pair("so8t.weights", origin.weights, "string")
    for name, version in origin.tools:
        yield Pair(f"so8t.built_with.{name}", version, "string")


def size_label(parameters: int) -> str:
    """`3.8B`: two digits."""
    scales = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))
    scale, letter = next((pair for pair in scales if parameters > pair[0]), scales[-1])
    value = parameters / scale
    digits = max(2 - len(str(round(value)).lstrip("0")), 0)
    return f"{value:.{digits}f}{letter}"
