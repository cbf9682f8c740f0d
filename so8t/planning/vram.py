"""What training takes on a CUDA device, from shapes alone.  Pure; an estimate that no card has confirmed yet.

Weights, gradients and moments follow from their number; what a layer keeps for its way back was counted in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from so8t.engine.outlook import size
from so8t.models import dealing
from so8t.planning.bases import Base

GIB = 1 << 30
CUDA = 0.8 * GIB  # the context, its libraries and the allocator's waste: an assumption
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_MOMENTS = {"adamw": 8.0, "adamw8bit": 2 + 8 / 256, "paged_adamw8bit": 2 + 8 / 256}  # bytes of a parameter
_BLOCKED = {"int8": 1.0, "nf4": 0.5 + 1 / 64 + 4 / (64 * 256)}  # bytes of a weight; NF4 with double quantisation
_NUMBERS = 29  # of a gate's block of 8: 28 angles and alpha


@dataclass(frozen=True)
class Training:
    quantise: str
    precision: str
    rank: int
    gated: int  # layers that carry gates which learn
    rows: int  # in a pass
    sequence: int
    checkpointing: bool
    attention: str = "sdpa"
    optimizer: str = "auto"
    matmul: str = "highest"
    unit: int = 1  # of which the tokens of a pass are a multiple
    lanes: int = 1
    devices: int = 1  # among which the lanes are dealt
    divided: bool = False  # the base, too


def training(values: Mapping[str, Any], gated: Any, base: Base, cards: int | None = 1) -> Training:
    """From the values of adapter.yaml, and so8t_model's layers; `cards` are here, None: as many as are asked for."""
    named = {"all": base.layers, "intermediate": max(base.layers - 2, 0)}
    train, gates = values["train"], values["gates"]["train"]
    layers = named[gated] if isinstance(gated, str) else len(gated)
    return Training(
        quantise=values["quantise"],
        precision=values["precision"],
        rank=values["lora"]["r"],
        gated=layers if gates else 0,
        rows=train["micro_batch"],
        sequence=train["sequence"],
        checkpointing=train["gradient_checkpointing"],
        attention=train["attention"],
        optimizer=train["optimizer"],
        matmul=train["matmul"],
        unit=train["pad_to_multiple_of"],
        lanes=train["lanes"],
        devices=_devices(train, cards),
        divided=train["shard"] == "full",
    )


def _devices(train: Mapping[str, Any], cards: int | None) -> int:
    wanted, lanes = train["processes"], train["lanes"]
    return int(wanted) if wanted != "auto" else dealing.most(lanes, lanes if cards is None else max(cards, 1))


def parts(base: Base, run: Training) -> dict[str, float]:
    """Bytes of one device, by what they are for."""
    each = _BYTES[run.precision]
    low_rank = run.rank * sum(a + b for a, b in base.linear)
    turning = run.gated * (base.attended // 8) * _NUMBERS
    moments = _MOMENTS["paged_adamw8bit" if run.optimizer == "auto" else run.optimizer]
    weights = _weights(base, run.quantise, each)
    is_divided = run.divided and run.devices > 1
    return {
        "base": weights / run.devices if is_divided else weights,
        **({"whole layers": _whole(base, run.quantise, each)} if is_divided else {}),
        "LoRA and gates": 4.0 * (low_rank + turning),
        "gradients": 4.0 * (low_rank + turning),
        **({"lanes": (run.lanes / run.devices + 2) * 4.0 * (low_rank + turning)} if run.lanes > 1 else {}),
        "moments": moments * low_rank + 8.0 * turning,
        "activations": _activations(base, run, each),
        "logits": _logits(base, run, each),
        "CUDA": CUDA,
    }


def _weights(base: Base, quantise: str, each: int) -> float:
    """Projections are quantised, embeddings, head and norms are not."""
    linear = sum(a * b for a, b in base.linear)
    scales = 4.0 * sum(b for _, b in base.linear) if quantise == "int8" else 0.0
    return linear * _BLOCKED.get(quantise, each) + scales + (base.parameters - linear) * each


def _whole(base: Base, quantise: str, each: int) -> float:
    """Of a base that is divided: the layer at work and the next one, and embeddings, head and norm."""
    linear = sum(a * b for a, b in base.linear)
    others = (base.parameters - linear) * each
    return 2 * (_weights(base, quantise, each) - others) / base.layers + others


def _activations(base: Base, run: Training, each: int) -> float:
    """Of every layer and the last norm; with checkpointing of every layer its input, and all of one at a time."""
    layer = run.rows * run.sequence * _layer(base, run, each)
    last = run.rows * run.sequence * base.hidden * (4 + each)
    kept = run.rows * run.sequence * base.hidden * each
    return last + (base.layers * kept + layer if run.checkpointing else base.layers * layer)


def _layer(base: Base, run: Training, each: int) -> float:
    """Bytes that one token leaves in one layer for the way back; tests/planning/test_vram.py counts them."""
    projections = base.linear[: len(base.linear) // base.layers]
    norms = 2 * 4 * base.hidden  # what they read, in float32
    inner = each * 3 * base.inner  # both halves of what goes up, and the unit of one
    own = 4 * (sum(a for a, _ in projections) + run.rank * len(projections))  # LoRA reads and works in float32
    if run.attention == "eager":
        weight = 4 + (each if each < 4 else 0)  # in float32, and as it is multiplied
        attention = each * 3 * base.attended + weight * base.heads * run.sequence
    else:
        attention = each * 3 * (base.attended + base.keys)  # as projected, as turned, and what comes out
    return norms + inner + own + attention


def _logits(base: Base, run: Training, each: int) -> float:
    """At most: of every token, twice as computed, and in float32 with their softmax and gradient."""
    return run.rows * run.sequence * base.vocabulary * (2 * each + 3 * 4.0)


# ---- for people --------------------------------------------------------------------------------------------------


def lines(base: Base, run: Training, card: float | None) -> Iterator[str]:
    how = "with" if run.checkpointing else "without"
    kind = run.quantise if run.quantise != "none" else run.precision
    yield "adapter on a CUDA device, by its shapes and not measured:"
    divided = f", divided among {run.devices} devices" if run.divided and run.devices > 1 else ""
    yield f"base in {kind}{divided}, {run.rows} x {run.sequence:,} tokens, {how} gradient checkpointing"
    found = parts(base, run)
    for name, taken in found.items():
        yield f"  {name:16}  {size(taken):>9}"
    yield f"  {'in all':16}  {size(sum(found.values())):>9}"
    if card:
        yield f"  {'there is':16}  {size(card):>9}"


def problem(base: Base, run: Training, card: float) -> str:
    """Why it cannot run there, and what would; empty if nothing speaks against it."""
    needed = _total(base, run)
    if needed <= card:
        return ""
    found = f"train.micro_batch: {size(needed)} of VRAM are needed by estimate, and the card has {size(card)}"
    nothing = "no setting of adapter.yaml makes it fit; take a smaller base or a larger card"
    return f"{found}: {fitting(run, lambda smaller: _total(base, smaller), card) or nothing}"


def fitting(run: Training, needed: Callable[[Training], float], there_is: float) -> str:
    """What to set, and what is needed then; empty if nothing is enough."""
    changed: list[str] = []
    for setting, smaller in _savings(run):
        changed.append(setting)
        if needed(smaller) <= there_is:
            return f"set {', '.join(changed)}, then it is {size(needed(smaller))}"
    return ""


def _savings(run: Training) -> Iterator[tuple[str, Training]]:
    """One after the other, each on top of those before, what costs least first."""
    steps: Sequence[tuple[str, dict[str, Any]]] = (
        ("train.gradient_checkpointing: true", {"checkpointing": True}),
        ("train.micro_batch: 1", {"rows": 1}),
        ("quantise: int8", {"quantise": "int8"}),
        ("quantise: nf4", {"quantise": "nf4"}),
        (f"train.sequence: {run.sequence // 2}", {"sequence": run.sequence // 2}),
    )
    for setting, values in steps:
        smaller = replace(run, **values)
        is_less = setting != "quantise: int8" or (run.quantise == "none" and not run.divided)
        if smaller != run and is_less:
            run = smaller
            yield setting, run


def _total(base: Base, run: Training) -> float:
    return sum(parts(base, run).values())
