"""How large a base is, read from its configuration: of what is built, or of where the spec takes it from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Base:
    parameters: int
    hidden: int
    linear: tuple[tuple[int, int], ...]  # inputs and outputs of every projection
    each: int  # bytes of a stored parameter
    layers: int
    heads: int
    attended: int  # the width of all queries, and of what attention puts out
    keys: int  # of all keys, and of all values
    inner: int
    vocabulary: int

    @property
    def stored(self) -> int:
        return self.parameters * self.each


def of_config(config: Mapping[str, Any], dtype: str = "") -> Base:
    """By the numbers that every decoder's configuration has; biases and norms of heads are next to nothing."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, layers = config["num_attention_heads"], config["num_hidden_layers"]
    head = config.get("head_dim") or hidden // heads
    queries, keys = heads * head, (config.get("num_key_value_heads") or heads) * head
    if config.get("model_type") == "phi3":
        layer = [(hidden, queries + 2 * keys), (queries, hidden), (hidden, 2 * inner), (inner, hidden)]
    else:
        layer = [(hidden, queries), (hidden, keys), (hidden, keys), (queries, hidden)]
        layer += [(hidden, inner), (hidden, inner), (inner, hidden)]
    tables = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    parameters = layers * (sum(a * b for a, b in layer) + 2 * hidden) + tables + hidden
    stored = str(dtype or config.get("dtype") or config.get("torch_dtype") or "float32")
    return Base(
        parameters=parameters,
        hidden=hidden,
        linear=tuple(layer * layers),
        each=_BYTES.get(stored, 4),
        layers=layers,
        heads=heads,
        attended=queries,
        keys=keys,
        inner=inner,
        vocabulary=config["vocab_size"],
    )


def of_tiny(source: Mapping[str, Any]) -> Base:
    return of_config(
        {
            "model_type": "phi3",
            "hidden_size": source["hidden_size"],
            "intermediate_size": source["intermediate_size"],
            "num_attention_heads": source["heads"],
            "num_key_value_heads": source["kv_heads"],
            "num_hidden_layers": source["layers"],
            "vocab_size": source["vocab_size"],
        }
    )


def find(source: Mapping[str, Any], files: Mapping[str, Path], built: Path) -> Base | None:
    """None where nothing here says it: a repository that was not fetched yet.  `files` are the source's, by name."""
    config = next((path for path in _configs(files, built) if path.is_file()), None)
    if config:
        return of_config(json.loads(config.read_bytes()))
    if source["kind"] == "tiny":
        return of_tiny(source)
    if source["kind"] == "gguf":
        from so8t.gguf import foreign, foreignconfig

        for path in files.values():
            return of_config(foreignconfig.config(foreign.open_file(path)), source.get("precision", ""))
    return None


def _configs(files: Mapping[str, Path], built: Path) -> Iterator[Path]:
    yield built / "model" / "config.json"
    yield from (path for path in files.values() if path.name == "config.json")
