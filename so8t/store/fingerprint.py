"""What a stage's result depends on, and the key that names it.  Pure values, no files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class Fingerprint:
    stage: str
    spec: Mapping[str, Any]
    inputs: Mapping[str, str]  # name -> BLAKE3 of the content
    code: Mapping[str, str]  # module -> digest of its syntax
    packages: Mapping[str, str]  # distribution -> version

    def as_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "spec": self.spec,
            "inputs": self.inputs,
            "code": self.code,
            "packages": self.packages,
        }

    @cached_property
    def key(self) -> str:
        return hashlib.sha256(canonical({"format": FORMAT, **self.as_dict()})).hexdigest()


def canonical(value: Any) -> bytes:
    """The one spelling of a JSON value."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )
