"""A PEFT adapter as the merge needs it: for each base tensor that it touches, the low-rank factors and their scale.

What this module does not know, it refuses: a setting that PEFT would obey and a merge would not is a wrong model.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.weights.embeddings import EMBEDDING, HEAD
from so8t.weights.header import FLOATS, Tensor
from so8t.weights.reader import Checkpoint
from so8t.weights.sound import check_sound

if TYPE_CHECKING:
    import torch

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."
DOWN, UP, MAGNITUDE = ".lora_A.weight", ".lora_B.weight", ".lora_magnitude_vector"
EMBEDDING_DOWN, EMBEDDING_UP = ".lora_embedding_A", ".lora_embedding_B"
TOKENS = ".token_adapter.trainable_tokens_delta"
_RECENT = 4  # factors that are kept

# settings that are obeyed here, or that say how it was trained and not what it computes; all others must be off
_OBEYED = {
    *("r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out"),
    *("trainable_token_indices", "ensure_weight_tying"),
}
_TRAINING = {
    *("peft_type", "task_type", "peft_version", "base_model_name_or_path", "revision", "auto_mapping"),
    *("inference_mode", "lora_dropout", "target_modules", "exclude_modules", "modules_to_save"),
    *("layers_to_transform", "layers_pattern", "megatron_core", "qalora_group_size", "eva_config", "lora_ga_config"),
    *("runtime_config", "loftq_config"),
}
_HARMLESS = {"bias": ("none",), "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal")}


@dataclass(frozen=True)
class Low:
    """What an adapter adds to one weight: scale times up @ down, turned over for what is stored input first."""

    weight: str
    down: str
    up: str
    scale: float
    turned: bool = False
    is_embedding: bool = False
    magnitude: str | None = None


@dataclass(frozen=True)
class Rows:
    """Rows that an adapter has in the place of some of a tensor's: those of tokens that were trained alone."""

    numbers: tuple[int, ...]
    values: str  # one row for each number


@dataclass(frozen=True)
class Adapter:
    """An adapter whose names, shapes and settings are understood; its data is still on the disk."""

    tensors: Checkpoint
    lows: Mapping[str, Low]  # by base tensor
    whole: Mapping[str, str]  # base tensors that it replaces, and by which of its own
    rows: Mapping[str, Rows]  # by base tensor
    together: bool  # whether embeddings and head, which share their weights, learned as one
    _recent: dict[str, torch.Tensor] = field(default_factory=dict, compare=False, repr=False)

    @property
    def touched(self) -> list[str]:
        return sorted({*self.lows, *self.whole, *self.rows})

    def factors(self, low: Low, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """up and down, float32, as far as rows `start` to `stop` of the weight need them."""
        if low.turned:
            return self._whole(low.up), self._whole(low.down)[:, start:stop]
        return self._read(low.up, start, stop), self._whole(low.down)

    def replace_(self, rows: torch.Tensor, weight: str, start: int) -> None:
        """Put trained rows into rows `start` and on of a base tensor, rounded to its type."""
        if own := self.rows.get(weight):
            values = self._whole(own.values)
            for number, value in zip(own.numbers, values, strict=True):
                if start <= number < start + len(rows):
                    rows[number - start] = value

    def magnitude(self, low: Low, start: int, stop: int) -> torch.Tensor | None:
        return self._read(low.magnitude, start, stop).flatten() if low.magnitude else None

    def close(self) -> None:
        self.tensors.close()

    def _whole(self, name: str) -> torch.Tensor:
        """One part of a weight after another asks for the same factor, perhaps at once."""
        if (found := self._recent.get(name)) is None:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            found = self._recent[name] = self._read(name)
        return found

    def _read(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        found = self.tensors.rows(name, start, stop).float()
        check_sound(found, self.tensors, name)
        return found


def read(folder: Path, base: Checkpoint, label: str = "adapter") -> Adapter:
    """The adapter in a folder, which must fit this base; close it when done."""
    config = _config(folder / CONFIG, label)
    tensors = Checkpoint({WEIGHTS: folder / WEIGHTS}, label)
    try:
        return _understand(config, tensors, base, label)
    except BaseException:
        tensors.close()
        raise


def _understand(config: Mapping[str, Any], tensors: Checkpoint, base: Checkpoint, label: str) -> Adapter:
    _check_settings(config, label)
    lows: dict[str, Low] = {}
    whole: dict[str, str] = {}
    rows: dict[str, Rows] = {}
    for name, tensor in tensors.tensors.items():
        if tensor.dtype not in FLOATS:
            raise StageError(f"{tensors.file(name)}: tensor {name} holds {tensor.dtype}: an adapter holds floats")
        module, kind = _split(name, tensors)
        if kind in (DOWN, EMBEDDING_DOWN):
            low = _low(module, kind, config, tensors, base)
            lows[low.weight] = low
        elif kind == TOKENS:
            rows[f"{module}.weight"] = _token_rows(name, module, config, tensors, base)
        elif kind == "":
            whole[_replaced(name, tensors, base)] = name
        elif PREFIX + module + (EMBEDDING_DOWN if kind == EMBEDDING_UP else DOWN) not in tensors:
            raise StageError(f"{tensors.file(name)}: {name} is there without the lora_A that belongs to it")
    if not lows and not whole and not rows:
        raise StageError(f"{label}: {WEIGHTS} holds no tensor: nothing was trained")
    if both := sorted(rows.keys() & (lows.keys() | whole.keys())):
        raise StageError(f"{label}: {both[0]} was trained in rows and in another way, which is not merged")
    together = HEAD not in base and (EMBEDDING in rows or bool(config.get("ensure_weight_tying")))
    if together:
        _check_together(lows, rows, label)
        whole.pop(HEAD, None)  # PEFT writes it twice
    return Adapter(tensors, lows, whole, rows, together)


def _split(name: str, tensors: Checkpoint) -> tuple[str, str]:
    """The module's name and which of its tensors this is; none of LoRA's: a tensor of the base, replaced."""
    if not name.startswith(PREFIX):
        raise StageError(f"{tensors.file(name)}: tensor {name} does not begin with {PREFIX}: not a PEFT adapter")
    for kind in (DOWN, UP, EMBEDDING_DOWN, EMBEDDING_UP, MAGNITUDE, TOKENS):
        if name.endswith(kind):
            return name[len(PREFIX) : -len(kind)], kind
    if ".lora_" in name:
        raise StageError(f"{tensors.file(name)}: tensor {name} is of a kind that cannot be merged")
    return name[len(PREFIX) :], ""


def _low(module: str, kind: str, config: Mapping[str, Any], tensors: Checkpoint, base: Checkpoint) -> Low:
    is_embedding = kind == EMBEDDING_DOWN
    down, up, weight = (
        PREFIX + module + kind,
        PREFIX + module + (EMBEDDING_UP if is_embedding else UP),
        f"{module}.weight",
    )
    if up not in tensors:
        raise StageError(f"{tensors.file(down)}: {up} is missing beside {down}")
    magnitude = PREFIX + module + MAGNITUDE
    low = Low(
        weight=weight,
        down=down,
        up=up,
        scale=_scale(module, config, tensors[down]),
        turned=is_embedding or bool(config.get("fan_in_fan_out")),
        is_embedding=is_embedding,
        magnitude=magnitude if config.get("use_dora") else None,
    )
    _check_magnitude(low, magnitude, tensors)
    _check_shapes(low, tensors, base)
    return low


def _scale(module: str, config: Mapping[str, Any], down: Tensor) -> float:
    rank = _pattern(config.get("rank_pattern"), module, config["r"])
    alpha = _pattern(config.get("alpha_pattern"), module, config["lora_alpha"])
    if down.rows != rank:
        raise StageError(f"adapter: {down.name} has shape {list(down.shape)}, {CONFIG} gives this module rank {rank}")
    return float(alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank)


def _pattern(patterns: Mapping[str, Any] | None, module: str, default: Any) -> Any:
    """As PEFT finds it: the first pattern that is the whole name, or its end behind a dot."""
    return next((value for key, value in (patterns or {}).items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _check_magnitude(low: Low, magnitude: str, tensors: Checkpoint) -> None:
    if low.magnitude and low.turned:
        raise StageError(
            f"adapter: {low.weight} has DoRA on weights that are stored input first, which is not merged here: "
            "train embeddings without dora"
        )
    if bool(low.magnitude) != (magnitude in tensors):
        missing = "lacks" if low.magnitude else "has"
        raise StageError(f"adapter: {CONFIG} says use_dora: {bool(low.magnitude)}, and {WEIGHTS} {missing} {magnitude}")


def _check_shapes(low: Low, tensors: Checkpoint, base: Checkpoint) -> None:
    if low.weight not in base and low.weight != HEAD:
        raise StageError(
            f"{tensors.file(low.down)}: {low.down} is for {low.weight}, which the base lacks: "
            "this adapter was trained on another base"
        )
    there = base[stored(low.weight, base)].shape
    down, up = tensors[low.down].shape, tensors[low.up].shape
    fits = len(down) == len(up) == 2 and up[1] == down[0]
    made = (up[0], down[1]) if fits else ()
    if (made[::-1] if low.turned else made) != there:
        raise StageError(
            f"{tensors.file(low.down)}: {low.up} {list(up)} and {low.down} {list(down)} do not make {low.weight} "
            f"{list(there)}: this adapter was trained on another base"
        )
    if low.magnitude and tensors[low.magnitude].rows != base[stored(low.weight, base)].rows:
        raise StageError(f"adapter: {low.magnitude} {list(tensors[low.magnitude].shape)} is not one for each row")


# ---- embeddings that a head shares -----------------------------------------------------------------------------


def stored(name: str, base: Checkpoint) -> str:
    """Where the base has a tensor: a head that shares the embeddings' weights is stored with them."""
    return EMBEDDING if name == HEAD and HEAD not in base else name


def _replaced(name: str, tensors: Checkpoint, base: Checkpoint) -> str:
    """The base tensor that a fully trained module, or an embedding that was saved along, stands for."""
    target = name[len(PREFIX) :].replace(".base_layer.", ".")
    if target not in base and target != HEAD:
        raise StageError(f"{tensors.file(name)}: the base has no tensor for {name}: trained on another base?")
    there, shape = base[stored(target, base)].shape, tensors[name].shape
    if shape != there:
        raise StageError(
            f"{tensors.file(name)}: {name} has shape {list(shape)}, the base's has {list(there)}: "
            "this adapter was trained on another base, or its vocabulary was enlarged"
        )
    return target


def _token_rows(name: str, module: str, config: Mapping[str, Any], tensors: Checkpoint, base: Checkpoint) -> Rows:
    weight, given = f"{module}.weight", config.get("trainable_token_indices") or {}
    if isinstance(given, list):  # PEFT's short form, of the embeddings
        given = {"embed_tokens": given}
    numbers = next((found for key, found in given.items() if f".{module}".endswith(f".{key}")), None)
    if numbers is None:
        raise StageError(f"{tensors.file(name)}: {CONFIG} does not say of which tokens {name} holds the rows")
    if weight not in base:
        raise StageError(f"{tensors.file(name)}: the base has no tensor {weight}: trained on another base?")
    count, width = base[weight].shape
    if tensors[name].shape != (len(numbers), width) or not all(0 <= number < count for number in numbers):
        raise StageError(
            f"{tensors.file(name)}: {name} {list(tensors[name].shape)} is not a row of {weight} {[count, width]} for "
            f"each of {len(numbers)} tokens: this adapter was trained on another base"
        )
    return Rows(tuple(numbers), name)


def _check_together(lows: Mapping[str, Low], rows: Mapping[str, Rows], label: str) -> None:
    if strange := sorted({EMBEDDING, HEAD} & lows.keys()) or sorted({HEAD} & rows.keys()):
        raise StageError(
            f"{label}: embeddings and head share their weights and learned as one, and {strange[0]} also has a part "
            "of its own, which is not merged"
        )


# ---- settings --------------------------------------------------------------------------------------------------


def _config(path: Path, label: str) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise StageError(f"{label}: {CONFIG} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StageError(f"{label}: {CONFIG} is not JSON: {error}") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise StageError(f"{label}: {CONFIG} does not describe a LoRA adapter")
    for key in ("r", "lora_alpha"):
        if type(config.get(key)) not in (int, float) or not config[key] > 0:
            raise StageError(f"{label}: {CONFIG}: {key} is {config.get(key)!r}, and must be a positive number")
    return config


def _check_settings(config: Mapping[str, Any], label: str) -> None:
    for key, value in sorted(config.items()):
        if key in _OBEYED or key in _TRAINING or not value:
            continue
        if value not in _HARMLESS.get(key, ()):
            raise StageError(f"{label}: {CONFIG}: {key}: {value!r} changes what the adapter computes; it is not merged")
