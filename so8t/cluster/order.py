"""What a node is asked for: one stage under one key, from inputs that the store has."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from so8t.store.fingerprint import Fingerprint

FILE = ".so8t-order.json"  # in the job's working directory
WORD = "so8t-node: "  # begins the lines of a job's log that are for doit


@dataclass(frozen=True)
class Order:
    profile: str
    wanted: Fingerprint  # as doit's machine knows it
    inputs: Mapping[str, str]  # by the names of the stages that it takes, the keys of their results
    python: str
    anew: bool = False  # whatever the store has

    @property
    def stage(self) -> str:
        return self.wanted.stage

    def encode(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Order:
    whole = json.loads(data)
    return Order(**{**whole, "wanted": Fingerprint(**whole["wanted"])})


def python() -> str:
    """As far as it may change what a stage computes or what its code is called."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def differences(order: Order, node: str, there: str, packages: Mapping[str, str]) -> Iterator[str]:
    """What a node has in other versions than the key says."""
    if there != order.python:
        yield f"Python {there} on {node}, {order.python} here"
    for package, version in order.wanted.packages.items():
        if packages[package] != version:
            yield f"{package} {packages[package]} on {node}, {version} here"


def refusal(order: Order, node: str, found: list[str]) -> str:
    return (
        f"{order.stage}: {node} would compute something else: {'; '.join(found)}; install the same versions on the "
        "node, or name another interpreter with cluster.python in profile.yaml"
    )


# ---- what the node says --------------------------------------------------------------------------------------


def say(**word: Any) -> str:
    """One line of a job's log that is for doit."""
    return WORD + json.dumps(word, ensure_ascii=False)


def heard(log: str) -> dict[str, Any]:
    """The last such line; nothing where a job was killed before it had its say."""
    for line in reversed(log.splitlines()):
        if line.startswith(WORD):
            try:
                word = json.loads(line.removeprefix(WORD))
            except ValueError:
                return {}  # torn
            return word if isinstance(word, dict) else {}
    return {}
