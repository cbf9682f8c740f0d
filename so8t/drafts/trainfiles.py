"""The lines of a drafted profile about its base, the training and the figures."""

from __future__ import annotations

import math
from collections.abc import Iterable

from so8t.drafts.draft import LARGE, Draft, Line, text


def base_model(draft: Draft) -> list[Line]:
    return [
        ("source:", draft.base.said),
        (f"  kind: {draft.base.kind}", "tiny, local (a folder), hub (a repository) or gguf (a file)"),
        *((f"  {key}: {text(value)}", _WHY_SOURCE[key]) for key, value in draft.base.source.items()),
    ]


def so8t_model(draft: Draft) -> list[Line]:
    few = 0 < draft.base.layers <= 2
    many = f"of the base's {draft.base.layers}" if draft.base.layers else "all but the first and the last one"
    why = f"the base has {draft.base.layers}, so none lies between the first and the last" if few else many
    return [(f"layers: {'all' if few else 'intermediate'}", f"which layers get gates: {why}")]


_WHY_SOURCE = {
    "path": "relative to the project, or absolute; ~ and environment variables are read",
    "repo": "the repository of the hub",
    "revision": "its commit, for a branch may move",
}


def adapter(draft: Draft) -> list[Line]:
    rows = max(1, int(draft.data.count * (1 - 2 * draft.share)))
    batch = 16 if draft.base.parameters >= LARGE else 4 if draft.own else 8
    steps = max(1, math.ceil(3 * rows / batch))
    train = [
        ("train:", "the run"),
        ("  steps: null", "by epochs, not by a number of steps"),
        ("  epochs: 3.0", f"how often each conversation is seen: about {steps:,} steps"),
        (
            f"  sequence: {draft.sequence}",
            f"tokens of a row; 19 of 20 records have at most {draft.data.record:,} characters",
        ),
        (f"  batch: {batch}", "rows of a step"),
    ]
    validation = [
        ("validation:", "the loss on held-out records while it runs"),
        (f"  every: {max(1, steps // 4)}", "steps between two looks"),
    ]
    if not draft.own:
        return [*train, ("  micro_batch: 8", "rows at a time"), *validation]
    return [*_own_base(draft), *train, *_own_train(draft), *validation]


def _own_base(draft: Draft) -> list[Line]:
    large = draft.base.parameters >= LARGE
    rank = 64 if large else 16
    held = (
        "8 bits, so that a large base fits a GPU; none keeps it whole"
        if large
        else "the base as it is; int8 needs CUDA"
    )
    return [
        (f"quantise: {'int8' if large else 'none'}", held),
        ("precision: bfloat16", "of the base and of what is computed; float32 is slower and exact"),
        ("lora:", "the low-rank part that is trained"),
        (f"  r: {rank}", "its rank"),
        (f"  alpha: {2 * rank}", "its scale, usually twice the rank"),
    ]


def _own_train(draft: Draft) -> list[Line]:
    large = draft.base.parameters >= LARGE
    return [
        (f"  micro_batch: {1 if large else 4}", "rows at a time: fewer of them need less memory"),
        (f"  gradient_checkpointing: {'true' if large else 'false'}", "true saves memory and takes a third more time"),
        (f"  learning_rate: {0.0002 if large else 0.001}", "of the low-rank part, at its highest"),
        ("  attention: sdpa", "torch's own attention"),
    ]


def scores(draft: Draft) -> list[Line]:
    lines = [
        ("splits: [test]", "the held-out records that are asked"),
        ("conversations: 64", "of these the first so many; null asks all"),
        (f"longest: {draft.answer}", f"tokens of an answer; 19 of 20 have at most {draft.data.answer:,} characters"),
    ]
    if draft.own:
        lines += [("precision: bfloat16", "as in training"), ("batch: 8", "conversations at a time")]
    return lines


def parity(beside: str) -> list[Line]:
    return [
        ("parity:", f"how the model is compared {beside}"),
        ("  splits: [test]", "on these records"),
        ("  conversations: 8", "so many of them"),
    ]


def gguf(draft: Draft) -> list[Line]:
    lines = [
        ("name: " + text(draft.name), "the name of the files"),
        ("description: not stated", "one sentence for readers"),
    ]
    if draft.own:
        lines += [
            ("base:", "what was tuned"),
            ("  name: " + text(draft.base.name), "its name, for readers of the file"),
        ]
    return [
        *lines,
        *parity("with its GGUF files"),
    ]


def evaluation(draft: Draft) -> list[Line]:
    return [
        ("splits: [test]", "the held-out records that are asked, as in adapter_scores"),
        ("conversations: 64", "of these the first so many; as in adapter_scores"),
        (f"longest: {draft.answer}", "tokens of an answer"),
        *([*_bounds(draft), *_GRAMMAR] if draft.task == "four_class" else ()),
    ]


_GRAMMAR: list[Line] = [
    ("grammar:", "answers that broke the format, once more under the grammar that doit serve uses: all must keep it"),
    ("  conversations: 8", "at most so many of each split"),
    ("  text: 30", "characters of each text of such an answer"),
    ("  longest: 750", "tokens of such an answer: a character may be four, and the answer has five texts"),
]


def _bounds(draft: Draft) -> Iterable[Line]:
    asked = min(64, draft.held_out)
    allowed = {"f16": max(0.01, 1 / asked), "q8_0": max(0.02, 2 / asked), "q4_k_m": max(0.05, 3 / asked)}
    yield "bounds:", f"how far a file's accuracy may be from PyTorch's, where about {asked} are asked"
    yield from ((f"  {kind}: {_up(bound):g}", f"{kind}: {_ANSWERS[kind]}") for kind, bound in allowed.items())


_ANSWERS = {"f16": "one answer", "q8_0": "two answers", "q4_k_m": "three answers"}


def _up(value: float) -> float:
    return min(1.0, math.ceil(value * 1000) / 1000)
