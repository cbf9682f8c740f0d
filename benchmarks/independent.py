"""The baked weights once more, by other means: base + LoRA + gates in float64, rounded once, beside every tensor.

    python benchmarks/independent.py artifacts/tiny
    python benchmarks/independent.py --base FOLDER --adapter FOLDER --baked FOLDER

It reads the files alone (safetensors, JSON) with numpy, and imports neither so8t nor PEFT nor torch.
What nothing touched must be equal bit for bit.  What was computed must be the rounding of a number that 32-bit sums
can give: within the bound of their rounding errors from the exact one.  Stored in 16 bits, at least 99.999 % of it
must be equal (of float16, whose steps are eight times finer, 99.992 %) and the rest one step away; an adapter that
nearly cancels some of its base's weights misses that by nature, and --equal and --steps say what is allowed then.
The exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

Array = NDArray[Any]

SIZE = 8
EQUAL = {"BF16": 0.99999, "F16": 0.99992}  # the least share of what is computed
FEW = 3  # values that may differ however few there are: a share of them says nothing
PREFIX = "base_model.model."
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
TOKENS = ".token_adapter.trainable_tokens_delta"
ROWS = 1024  # of a tensor at once
# digits behind the leading one, and the exponent below which numbers are subnormal
FORMATS = {"BF16": (7, -126), "F16": (10, -14), "F32": (23, -126), "F64": (52, -1022)}
READ = {"BF16": "<u2", "F16": "<f2", "F32": "<f4", "F64": "<f8"}


# ---- files


@dataclass(frozen=True)
class Stored:
    """A tensor on the disk."""

    kind: str
    data: Array  # as it is stored: the bits, where numpy does not know the type

    @property
    def exact(self) -> Array:
        """In float64, which holds every value of every type."""
        bits = self.data
        plain = (bits.astype("<u4") << 16).view("<f4") if self.kind == "BF16" else bits
        return plain.astype(numpy.float64)


def tensors(folder: Path) -> dict[str, Stored]:
    """Of every safetensors file in the folder."""
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in _file(path)}


def _file(path: Path) -> Iterator[tuple[str, Stored]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    data = numpy.memmap(path, numpy.uint8, "r", 8 + length)
    for name, told in header.items():
        if name != "__metadata__":
            start, stop = told["data_offsets"]
            yield name, Stored(told["dtype"], data[start:stop].view(READ[told["dtype"]]).reshape(told["shape"]))


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


# ---- gates


def gates(folder: Path) -> dict[str, Array]:
    """The block matrix M (n, 8, 8) of each gate, by the weight that it multiplies from the right."""
    kind, stored = read_json(folder / "so8t.json")["kind"], tensors_of(folder / "gates.safetensors")
    names = sorted({name.partition(".so8_gate.")[0] for name in stored})
    return {f"{name}.o_proj.weight": _matrix(kind, stored, f"{name}.so8_gate.") for name in names}


def tensors_of(path: Path) -> dict[str, Array]:
    return {name: tensor.exact for name, tensor in _file(path)}


def _matrix(kind: str, stored: Mapping[str, Array], prefix: str) -> Array:
    if kind == "free":
        return nearest(numpy.eye(SIZE) + stored[prefix + "delta"])
    g, skew = 1 / (1 + math.exp(-float(stored[prefix + "alpha"]))), skewed(stored[prefix + "theta"])
    if kind == "geodesic":
        return exponential(g * skew)
    return numpy.asarray((1 - g) * numpy.eye(SIZE) + g * exponential(skew))


def skewed(theta: Array) -> Array:
    upper = numpy.zeros((len(theta), SIZE, SIZE))
    rows, columns = numpy.triu_indices(SIZE, 1)
    upper[:, rows, columns] = theta
    return numpy.asarray(upper - upper.transpose(0, 2, 1))


def exponential(skew: Array) -> Array:
    """Through eigenvalues: i times a skew matrix is Hermitian, whatever its size."""
    values, vectors = numpy.linalg.eigh(1j * skew)
    turned = (vectors * numpy.exp(-1j * values)[:, None, :]) @ vectors.conj().transpose(0, 2, 1)
    return numpy.asarray(turned.real)


def nearest(blocks: Array) -> Array:
    """The rotation nearest to each block."""
    left, _, right = numpy.linalg.svd(blocks)
    left[:, :, -1] *= numpy.linalg.det(left @ right)[:, None]
    return numpy.asarray(left @ right)


# ---- the adapter


@dataclass(frozen=True)
class Adapter:
    config: Mapping[str, Any]
    tensors: Mapping[str, Array]

    def low(self, weight: str) -> tuple[Array, Array, float, Array | None] | None:
        """up (rows, r), down (r, columns), scale and DoRA's magnitudes for a weight of the base."""
        module = weight.removesuffix(".weight")
        down, up = (self.tensors.get(f"{PREFIX}{module}.lora_{letter}.weight") for letter in "AB")
        if down is None or up is None:  # of an embedding both are stored the other way round
            up, down = (self.tensors.get(f"{PREFIX}{module}.lora_embedding_{letter}") for letter in "AB")
            if down is None or up is None:
                return None
            up, down = up.T, down.T
        rank = self._setting("rank_pattern", module, self.config["r"])
        alpha = self._setting("alpha_pattern", module, self.config["lora_alpha"])
        scale = alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank
        magnitude = self.tensors.get(f"{PREFIX}{module}.lora_magnitude_vector")
        return up, down, scale, None if magnitude is None else magnitude.reshape(-1, 1)

    def whole(self, weight: str) -> Array | None:
        """What was trained in the weight's place."""
        named = (f"{PREFIX}{weight}", f"{PREFIX}{weight.removesuffix('.weight')}.base_layer.weight")
        return next((self.tensors[name] for name in named if name in self.tensors), None)

    def tokens(self, weight: str) -> tuple[list[int], Array] | None:
        """Rows that were trained alone: their numbers and values."""
        module = weight.removesuffix(".weight")
        found = self.tensors.get(f"{PREFIX}{module}{TOKENS}")
        if found is None:
            return None
        indices = self.config["trainable_token_indices"]
        return next(each for name, each in indices.items() if f".{module}".endswith(f".{name}")), found

    def _setting(self, key: str, module: str, default: float) -> float:
        patterns = self.config.get(key) or {}
        return next((value for name, value in patterns.items() if re.match(rf"(.*\.)?({name})$", module)), default)


def read_adapter(folder: Path) -> Adapter:
    return Adapter(read_json(folder / "adapter_config.json"), tensors_of(folder / "adapter_model.safetensors"))


# ---- what must be there


@dataclass(frozen=True)
class Expected:
    """Some rows of a tensor in float64, and how far 32-bit sums may be from them; None: nothing touched it."""

    values: Array
    bound: Array | None


def expected(base: Stored, adapter: Adapter, blocks: Array | None, weight: str, rows: slice) -> Expected:
    before, touched = base.data[rows], blocks is not None
    values = Stored(base.kind, before).exact
    if (whole := adapter.whole(weight)) is not None:
        values, touched = whole[rows], True
    if (tokens := adapter.tokens(weight)) is not None:
        values, touched = _with_tokens(values, tokens, rows), True
    sizes, terms = numpy.abs(values), SIZE
    if (low := adapter.low(weight)) is not None:
        up, down, scale, magnitude = low
        values, sizes = values + scale * (up[rows] @ down), sizes + abs(scale) * (numpy.abs(up[rows]) @ numpy.abs(down))
        terms, touched = terms + down.shape[0], True
        if magnitude is not None:
            factor = magnitude[rows] / numpy.linalg.norm(values, axis=1, keepdims=True)
            values, sizes, terms = values * factor, sizes * numpy.abs(factor), terms + values.shape[1]
    if blocks is not None:
        values, sizes = _folded(values, blocks), _folded(sizes, numpy.abs(blocks))
    return Expected(values, (terms + SIZE) * 2.0**-24 * sizes if touched else None)


def _with_tokens(values: Array, tokens: tuple[list[int], Array], rows: slice) -> Array:
    values = values.copy()
    for number, row in zip(*tokens, strict=True):
        if rows.start <= number < rows.stop:
            values[number - rows.start] = row
    return values


def _folded(weight: Array, blocks: Array) -> Array:
    cut = weight.reshape(len(weight), -1, 1, SIZE)
    return numpy.asarray((cut @ blocks).reshape(weight.shape))


# ---- comparing


def step(values: Array, kind: str) -> Array:
    """From each value to its neighbour in a type."""
    digits, least = FORMATS[kind]
    exponents = numpy.frexp(values)[1] - 1
    return numpy.ldexp(1.0, numpy.where(values == 0, least, numpy.maximum(exponents, least)) - digits)


def rounded(values: Array, kind: str) -> Array:
    """To the nearest value of a type, once; halves to the even one."""
    unit = step(values, kind)
    return numpy.asarray(numpy.rint(values / unit) * unit)


@dataclass(frozen=True)
class Row:
    """A tensor, or several of them together; `excess` is the worst error before rounding, as a part of its bound."""

    name: str
    kind: str
    computed: bool
    values: int
    differing: int
    steps: float
    excess: float

    @property
    def equal(self) -> float:
        return 1 - self.differing / self.values if self.values else 1.0


@dataclass(frozen=True)
class Bounds:
    """What is allowed in 16 bits: the least share that is equal, and how many steps off the rest may be."""

    equal: Mapping[str, float]
    steps: float

    def problem(self, row: Row) -> str:
        """What is wrong with a tensor, or nothing."""
        if not row.computed:
            return f"{row.differing:,} values are not the base's" if row.differing else ""
        if row.excess > 1:
            return f"{row.excess:.2g} times the bound of rounding errors"
        return f"{row.steps:g} steps off" if row.kind in self.equal and row.steps > self.steps else ""

    def problems(self, rows: Sequence[Row]) -> list[str]:
        found = [f"{row.name}: {problem}" for row in rows if (problem := self.problem(row))]
        short = [row for row in sums(rows) if row.computed and row.kind in self.equal]
        many = [row for row in short if row.differing > max(FEW, (1 - self.equal[row.kind]) * row.values)]
        return found + [f"{row.differing:,} of {row.values:,} {row.kind} values differ" for row in many]


def compare(base: Stored, baked: Stored, adapter: Adapter, blocks: Array | None, weight: str) -> Row:
    count, computed, differing, steps, excess = len(baked.data), False, 0, 0.0, 0.0
    for start in range(0, count, ROWS):
        rows = slice(start, min(count, start + ROWS))
        wanted, found = expected(base, adapter, blocks, weight, rows), Stored(baked.kind, baked.data[rows]).exact
        computed = wanted.bound is not None
        nearest_value = rounded(wanted.values, baked.kind)
        unequal = (found != nearest_value) | (numpy.signbit(found) != numpy.signbit(nearest_value))
        smaller = numpy.where(numpy.abs(found) < numpy.abs(nearest_value), found, nearest_value)
        differing += int(unequal.sum())
        steps = max(steps, float((numpy.abs(found - nearest_value) / step(smaller, baked.kind)).max()))
        if wanted.bound is not None:
            errors = numpy.abs(found - wanted.values) - step(nearest_value, baked.kind) / 2
            excess = max(excess, _excess(errors, wanted.bound))
    return Row(weight, baked.kind, computed, baked.data.size, differing, steps, excess)


def _excess(errors: Array, bound: Array) -> float:
    off = errors > 0
    with numpy.errstate(divide="ignore"):
        return float((errors[off] / bound[off]).max()) if off.any() else 0.0


def compare_all(base: Path, adapter: Path, baked: Path) -> list[Row]:
    """A row for each tensor of the baked model."""
    before, after, learned, turned = tensors(base), tensors(baked), read_adapter(adapter), gates(adapter)
    untied = {HEAD: before[EMBEDDING]} if HEAD in after and HEAD not in before else {}
    before = {**before, **untied}
    if before.keys() != after.keys():
        names = sorted(before.keys() ^ after.keys())
        raise SystemExit(f"independent: base and baked model hold different tensors: {', '.join(names[:5])}")
    if strange := sorted(turned.keys() - after.keys()):
        raise SystemExit(f"independent: the gate before {strange[0]} has no weight behind it")
    return [compare(before[name], after[name], learned, turned.get(name), name) for name in sorted(after)]


# ---- what is printed


def summed(rows: Sequence[Row], title: str) -> Row:
    counts = sum(row.values for row in rows), sum(row.differing for row in rows)
    return Row(title, rows[0].kind, rows[0].computed, *counts, max(r.steps for r in rows), max(r.excess for r in rows))


def sums(rows: Sequence[Row]) -> list[Row]:
    """What was computed and what was not, of each type."""
    parts = sorted({(row.kind, row.computed) for row in rows})
    return [
        summed([row for row in rows if (row.kind, row.computed) == part], "computed" if part[1] else "untouched")
        for part in parts
    ]


def table(rows: Sequence[Row]) -> str:
    lines = ["| tensor | type | values | bit-equal | most steps | error / bound |", "|---|---|---|---|---|---|"]
    for row in [*rows, *sums(rows)]:
        figures = f"{row.values:,} | {100 * row.equal:.5f} % | {row.steps:g} | {row.excess:.2g}"
        lines.append(f"| {row.name} | {row.kind} | {figures} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("profile", nargs="?", type=Path, help="a profile's artifacts, such as artifacts/tiny")
    parser.add_argument("--base", type=Path, help="a checkpoint folder")
    parser.add_argument("--adapter", type=Path, help="the adapter with its gates")
    parser.add_argument("--baked", type=Path, help="a checkpoint folder")
    parser.add_argument("--equal", type=float, help="the least share of computed 16-bit values that is equal")
    parser.add_argument("--steps", type=float, default=1, help="how many steps off the rest of them may be")
    asked = parser.parse_args(arguments)
    of_profile = {"base": "base_model/model", "adapter": "adapter", "baked": "baked_model/model"}
    folders = {key: getattr(asked, key) or (asked.profile and asked.profile / path) for key, path in of_profile.items()}
    if not all(folders.values()):
        parser.error("name a profile's artifacts, or --base, --adapter and --baked")
    rows = compare_all(**folders)
    print(table(rows))
    bounds = Bounds(dict.fromkeys(EQUAL, asked.equal) if asked.equal is not None else EQUAL, asked.steps)
    for problem in (wrong := bounds.problems(rows)):
        print(f"independent: not what base, adapter and gates give: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
