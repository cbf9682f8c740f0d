"""What each transform kept of the model: figures beside their bounds, and what each type of file cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.report import words
from so8t.report.facts import Facts, Figure

_MERGED, _BAKED = "merged_model/merge.json", "baked_model/parity.json"
_GGUF, _LEDGER = "gguf/parity.json", "gguf/ledger.json"
_ALIKE = ("max_difference", "kl", "kl_max", "top1", "worst_layer_deviation")
_APART = ("kl", "kl_p99", "kl_max", "top1", "perplexity_change")
_BOUNDED_AS = {"worst_layer_deviation": "layer", "perplexity_change": "perplexity"}
_SHARES = ("top1",)
NAMES = {
    "max_difference": "largest difference",
    "kl": "KL, mean",
    "kl_p99": "KL, 99 %",
    "kl_max": "KL, largest",
    "top1": "same first choice",
    "worst_layer_deviation": "worst layer",
    "perplexity_change": "perplexity",
}


@dataclass(frozen=True)
class Kept:
    """One figure and the bound that held when it was published; `part` is how much of the bound it uses."""

    name: str
    figure: Figure
    bound: str = ""
    part: float | None = None


@dataclass(frozen=True)
class Entry:
    step: str
    against: str
    tokens: Figure
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Proof:
    """Something that was found to be equal, and how often."""

    what: str
    figure: Figure


@dataclass(frozen=True)
class Type:
    """A file of one type: how large, how near, how good, how fast."""

    name: str
    size: Figure
    bits: Figure
    kept: tuple[Kept, ...]
    accuracy: tuple[tuple[str, Figure, str], ...]
    speed: str = ""  # of prompts and of answers


def proofs(facts: Facts) -> tuple[Proof, ...]:
    return tuple(_proofs(facts))


def _proofs(facts: Facts) -> Iterator[Proof]:
    gates = "so8t_model/so8t.json"
    if facts.find(gates, "identity_bit_equal"):
        yield Proof("Closed gates change no logit, bit for bit", Figure("equal", gates, "identity_bit_equal"))
    for file, what in (
        ("chat_format/proof.json", "Conversations with the same tokens in every engine, before the training"),
        ("gguf/parity.json", "Conversations with the same tokens by the GGUF's own template"),
        ("modelfile/check.json", "Conversations with the same tokens by the Modelfile's TEMPLATE"),
    ):
        count = facts.find(file, "conversations")
        if count is not None:
            yield Proof(what, Figure(words.number(count), file, "conversations"))
    strings = facts.find("chat_format/proof.json", "strings")
    if strings is not None:
        yield Proof(
            "Texts with the same tokens in llama.cpp",
            Figure(words.number(strings), "chat_format/proof.json", "strings"),
        )


def entries(facts: Facts) -> tuple[Entry, ...]:
    """Transforms after which the model must be the same function."""
    found = [
        ("merged_model", "the adapter over its base", _MERGED, "parity", facts.find(_MERGED, "parity")),
        ("baked_model", "the merged model with its gates", _BAKED, "baked", facts.find(_BAKED, "baked")),
    ]
    return tuple(
        Entry(step, against, _tokens(figures, file, record), _kept(figures, file, record, _ALIKE))
        for step, against, file, record, figures in found
        if figures
    )


def types(facts: Facts) -> tuple[Type, ...]:
    """Files that cost something, each against what it was made from."""
    made = facts.find(_GGUF, "types") or {}
    return tuple(_type(facts, name, figures) for name, figures in made.items())


def _type(facts: Facts, name: str, figures: Mapping[str, Any]) -> Type:
    size = _size(facts, name)
    return Type(
        name,
        Figure(words.size(size) if size else words.NOTHING, "gguf/manifest.json", "files"),
        _bits(facts, name, size),
        _kept(figures, _GGUF, f"types.{name}", _APART),
        tuple(_accuracies(facts, name)),
        _speed(facts, name),
    )


def _bits(facts: Facts, name: str, size: int) -> Figure:
    """Of the tensors, as the ledger counts them; of the whole file where there is no ledger."""
    counted = facts.find(_LEDGER, "types", name, "bits_per_weight")
    if counted is not None:
        return Figure(f"{counted:.2f}", _LEDGER, f"types.{name}.bits_per_weight")
    weights = facts.find("base_model/base.json", "parameters")
    return Figure(f"{8 * size / weights:.1f}" if size and weights else words.NOTHING, "gguf/manifest.json", "files")


def _speed(facts: Facts, name: str) -> str:
    pace = facts.find("pace", "models", name) or {}
    found = [pace.get("prompt_tokens_per_second"), pace.get("tokens_per_second")]
    return " / ".join(f"{each:,.0f}" if each else words.NOTHING for each in found) if any(found) else ""


def _size(facts: Facts, name: str) -> int:
    stage = next((stage for stage in facts.stages if stage.name == "gguf" and stage.made), None)
    files = stage.made.files if stage and stage.made else ()
    return next((file.size for file in files if file.path.endswith(f"-{name}.gguf")), 0)


def _accuracies(facts: Facts, name: str) -> Iterator[tuple[str, Figure, str]]:
    for split, by_model in (facts.find("evaluation/scores.json", "splits") or {}).items():
        figures = by_model.get(name, {})
        if "accuracy" in figures:
            source = Figure(
                words.share(figures["accuracy"]), "evaluation/scores.json", f"splits.{split}.{name}.accuracy"
            )
            yield split, source, words.interval(figures["intervals"]["accuracy"])


def _tokens(figures: Mapping[str, Any], file: str, record: str) -> Figure:
    return Figure(words.number(figures.get("tokens")), file, f"{record}.tokens")


def _kept(figures: Mapping[str, Any], file: str, record: str, names: Sequence[str]) -> tuple[Kept, ...]:
    bounds = figures.get("bounds") or {}
    return tuple(
        _one(name, figures[name], bounds.get(_BOUNDED_AS.get(name, name)), file, f"{record}.{name}")
        for name in names
        if figures.get(name) is not None
    )


def _one(name: str, value: float, bound: float | None, file: str, record: str) -> Kept:
    text = (
        f"{100 * value:+.2f} %"
        if name == "perplexity_change"
        else words.share(value)
        if name in _SHARES
        else words.number(value)
    )
    figure = Figure(text, file, record)
    if bound is None:
        return Kept(NAMES[name], figure)
    if name in _SHARES:
        part = (1 - value) / (1 - bound) if bound < 1 else None
        return Kept(NAMES[name], figure, f"≥ {words.share(bound)}", part)
    limit = f"± {100 * bound:g} %" if name == "perplexity_change" else f"≤ {words.number(bound)}"
    return Kept(NAMES[name], figure, limit, abs(value) / bound if bound else None)
