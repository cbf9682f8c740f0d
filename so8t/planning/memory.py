"""The most memory that each stage with a model in it holds at once, before it is built.  Pure.

Weights, caches and tables of logits follow from shapes; what libraries hold beside them was measured, on Linux, and
tests/planning/test_memory.py holds all of it against what builds of two profiles took.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from so8t.planning import sizes, vram
from so8t.planning.bases import Base
from so8t.planning.sizes import MIB
from so8t.planning.vram import Training

ERROR = 0.2  # by how much all this may be wrong
PYTHON = 350.0 * MIB  # the interpreter with torch and transformers
PEFT = 30.0 * MIB  # beside that
TRAINER = 130.0 * MIB  # with accelerate and bitsandbytes
STREAMS = 80.0 * MIB  # buffers through which weights are read and written
KERNELS = 1024 * 1.0 * MIB  # oneDNN keeps so many products of bfloat16, each with code for its own shape
PER_STEP = 24  # products of one step, each with a shape that the step before did not have
WIDTHS = 0.4  # of those that a row may have: rows of tiny have 54 to 150 of 256 tokens
FEW = 10  # steps of an epoch of pairs that come of failures; the next epoch meets the same shapes
ALLOCATOR = 1.35  # what glibc takes for tensors of changing sizes
LEARNED = 0.6  # of a conversation's tokens
UBATCH = 512  # tokens that llama.cpp computes at once
COPIES = 10  # of a conversation's logits, while two models are compared
WINDOW, COMPARED = 4096, 56  # tokens of the vocabulary at once, and bytes for each of a comparison in float64
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

ADVICE = {
    "base_model": "set a smaller source.batch or source.sequence, or source.precision: bfloat16 where it is a GGUF",
    "so8t_model": "take a smaller base, or a machine with more memory",
    "adapter_scores": "set a smaller batch, or precision: bfloat16, in adapter_scores.yaml",
    "merged_model": "set fewer parity.conversations or parity.tokens in merged_model.yaml",
    "baked_model": "set fewer parity.conversations or parity.tokens in baked_model.yaml",
    "gguf": "set parity.precision: bfloat16 in gguf.yaml",
    "evaluation": "set workers: 1 in evaluation.yaml, or base: false",
    "preference": "set train.micro_batch: 1 and a smaller batch in preference.yaml",
}


def stages(base: Base, values: Mapping[str, Mapping[str, Any]], is_on_cpu: bool) -> Iterator[tuple[str, float]]:
    """By name, for what is among `values`; what trains on a card takes that one's memory, and is not told here."""
    sequence = values.get("adapter", {}).get("train", {}).get("sequence", 0)
    for name, given in values.items():
        if name == "base_model":
            if found := _base_model(base, given["source"]):
                yield name, found
        elif name == "so8t_model":
            yield name, PYTHON + base.stored
        elif name == "adapter" and is_on_cpu:
            yield name, adapter(base, training(values, base), given["train"]["steps"])
        elif name == "preference" and given["on"] and is_on_cpu:
            yield name, _preference(base, values, given)
        elif name == "adapter_scores":
            yield name, _answers(base, given["precision"], given["batch"], given["longest"], sequence)
        elif name in ("merged_model", "baked_model"):
            yield name, _streamed(base, given["parity"])
        elif name == "gguf":
            yield name, _gguf(base, given["parity"], sequence)
        elif name == "evaluation":
            longest = max(given["longest"], (given["grammar"] or {}).get("longest", 0))
            yield name, PYTHON + given["workers"] * _llama(base, sequence + longest)


def training(values: Mapping[str, Mapping[str, Any]], base: Base) -> Training:
    """On a processor, where moments are never in eight bits."""
    run = vram.training(values["adapter"], values["so8t_model"]["layers"], base)
    return replace(run, optimizer="adamw")


def adapter(base: Base, run: Training, steps: int | None) -> float:
    found = vram.parts(base, run)
    fixed = PYTHON + TRAINER + sum(found[name] for name in ("base", "LoRA and gates", "gradients", "moments"))
    kernels = 0.0
    if run.precision != "float32" or run.matmul != "highest":
        widths = WIDTHS * run.sequence / run.unit
        kernels = min(KERNELS, PER_STEP * MIB * (widths if steps is None else min(steps, widths)))
    return fixed + ALLOCATOR * (found["activations"] + LEARNED * found["logits"] + kernels)


def advice(base: Base, run: Training, steps: int | None, memory: float) -> str:
    """What would make the adapter fit into so much."""
    return vram.fitting(run, lambda smaller: adapter(base, smaller, steps), memory)


def _preference(base: Base, values: Mapping[str, Mapping[str, Any]], given: Mapping[str, Any]) -> float:
    """A row of it is two answers; and what asks, before and after it, is no less hungry."""
    train, precision = given["train"], values["adapter"]["precision"]
    run = replace(training(values, base), rows=2 * train["micro_batch"], sequence=train["sequence"])
    run = replace(run, checkpointing=train["gradient_checkpointing"], attention=train["attention"])
    run = replace(run, matmul=train["matmul"], unit=train["pad_to_multiple_of"])
    asking = _answers(base, precision, given["batch"], given["longest"], 0)
    steps = FEW if given["pairs"] == "derived" else train["steps"]
    return max(adapter(base, run, steps), asking)


def _base_model(base: Base, source: Mapping[str, Any]) -> float | None:
    """Trained here, or compared with llama.cpp; what is fetched passes through in pieces."""
    if source["kind"] == "tiny":
        run = Training("none", "float32", 0, 0, source["batch"], source["sequence"], False)
        found = vram.parts(base, run)
        learning = 16.0 * base.parameters  # weights, gradients, two moments
        return PYTHON + PEFT + learning + ALLOCATOR * (found["activations"] + found["logits"])
    if source["kind"] == "gguf":
        computing = base.parameters * _BYTES[source["precision"]]
        return PYTHON + STREAMS + computing + sizes.weights(base, "q5_0") + _buffers(base)
    return None


def _answers(base: Base, precision: str, batch: int, longest: int, sequence: int) -> float:
    """Answers with their cache of keys and values, and the logits of what would have been right."""
    each = _BYTES[precision]
    kept = batch * (longest + sequence // 4) * base.layers * 2 * base.keys * each
    learned = LEARNED * batch * sequence * base.vocabulary * (each + 8.0)
    return PYTHON + PEFT + base.parameters * each + kept + learned


def _streamed(base: Base, parity: Mapping[str, Any]) -> float:
    """The largest tensor or layer, and two models' logits over a part of the vocabulary."""
    tokens = len(parity["splits"]) * parity["conversations"] * parity["tokens"]
    layer = 4.0 * sum(a * b for a, b in base.linear[: len(base.linear) // base.layers])
    largest = max(layer, 4.0 * base.vocabulary * base.hidden)
    return PYTHON + PEFT + STREAMS + largest + tokens * min(WINDOW, base.vocabulary) * COMPARED


def _gguf(base: Base, parity: Mapping[str, Any], sequence: int) -> float:
    """The model in PyTorch beside its f16 file in llama.cpp."""
    tokens = min(parity["tokens"], sequence or parity["tokens"])
    computing = base.parameters * _BYTES[parity["precision"]]
    return PYTHON + STREAMS + computing + _llama(base, parity["tokens"]) + COPIES * 4.0 * tokens * base.vocabulary


def _llama(base: Base, context: int) -> float:
    """A file of f16, its cache in float16, and what it computes in."""
    return sizes.weights(base, "f16") + 2.0 * context * base.layers * 2 * base.keys + _buffers(base)


def _buffers(base: Base) -> float:
    return 4.0 * UBATCH * base.vocabulary
