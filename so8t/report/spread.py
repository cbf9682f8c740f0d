"""What a quantisation changed, closer: over parts of a conversation, record by record, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.report import words
from so8t.report.facts import Facts, Figure

LEDGER, SCORES = "gguf/ledger.json", "evaluation/scores.json"
WHOLE = "all"
COLUMNS = ("mean", "median", "95 %", "99 %", "99.9 %", "largest")
_KL = ("mean", "median", "p95", "p99", "p99_9", "max")
_REFUSING = ("REFUSE", "DENY")
_SHOWN = 12  # tensors of a type


@dataclass(frozen=True)
class Part:
    """A part of the conversations, or all of them: how far apart the two are there; `kl` as COLUMNS."""

    type: str
    name: str
    tokens: Figure
    share: Figure
    kl: tuple[Figure, ...]
    delta_p: tuple[Figure, ...]
    top1: Figure
    perplexity: Figure


@dataclass(frozen=True)
class Flips:
    """Records of one split whose class is another: the harmful turns first, then how many in all, then each."""

    split: str
    type: str
    against: str
    harmful: tuple[tuple[str, Figure], ...]
    changed: Figure
    records: tuple[Figure, ...]


@dataclass(frozen=True)
class Weighed:
    """What an importance matrix knew of a type's tensors."""

    type: str
    known: Figure
    of: Figure
    missing: tuple[str, ...]
    tokens: Figure
    chunks: Figure


@dataclass(frozen=True)
class Tensors:
    """A type's tensors from the worst on, and how many more there are."""

    type: str
    worst: tuple[tuple[str, str, Figure], ...]
    more: int


def parts(facts: Facts) -> tuple[Part, ...]:
    return tuple(_parts(facts))


def _parts(facts: Facts) -> Iterator[Part]:
    for kind, entry in _types(facts).items():
        yield _part(kind, WHOLE, entry, f"types.{kind}")
        for name, figures in entry["sections"].items():
            yield _part(kind, name, figures, f"types.{kind}.sections.{name}")
        if without := entry.get("without_imatrix"):
            yield _part(f"{kind} without imatrix", WHOLE, without, f"types.{kind}.without_imatrix")


def _types(facts: Facts) -> Mapping[str, Any]:
    return facts.find(LEDGER, "types") or {}


def _part(kind: str, name: str, found: Mapping[str, Any], record: str) -> Part:
    def figure(text: str, *keys: str) -> Figure:
        return Figure(text, LEDGER, ".".join((record, *keys)))

    change, ratio = found["delta_p"] or {}, found["perplexity_ratio"]
    return Part(
        kind,
        name,
        figure(words.number(found["tokens"]), "tokens"),
        figure(words.share(found.get("share", 1.0)), "share"),
        tuple(figure(words.number(float(f"{found['kl'][key]:.2g}")), "kl", key) for key in _KL),
        tuple(figure(_points(change.get(key)), "delta_p", key) for key in ("mean", "rms")),
        figure(words.share(found["top1"]), "top1"),
        figure(words.NOTHING if ratio is None else f"{ratio:.4f}", "perplexity_ratio"),
    )


def _points(value: float | None) -> str:
    return words.NOTHING if value is None else f"{round(100 * value, 2) + 0.0:.2f} %"


def flips(facts: Facts) -> tuple[Flips, ...]:
    return tuple(
        _flips(split, kind, found)
        for split, by_model in (facts.find(SCORES, "splits") or {}).items()
        for kind, figures in by_model.items()
        if (found := figures.get("flips"))
    )


def _flips(split: str, kind: str, found: Mapping[str, Any]) -> Flips:
    record = f"splits.{split}.{kind}.flips"
    became = [(label, found["became"].get(label, {}).get("ALLOW", 0)) for label in _REFUSING]
    harmful = tuple(
        (f"of {found['of'][label]:,} {label} became ALLOW", _count(count, f"{record}.became.{label}.ALLOW"))
        for label, count in became
    )
    changed = sum(count for row in found["became"].values() for count in row.values())
    records = tuple(
        Figure(f"{one['id']} {one['from']} → {one['to']}", SCORES, f"{record}.records[{at}]")
        for at, one in enumerate(found.get("records", ()))
    )
    return Flips(split, kind, found["against"], harmful, _count(changed, f"{record}.became"), records)


def _count(count: int, record: str) -> Figure:
    return Figure(words.number(count), SCORES, record)


def weighed(facts: Facts) -> tuple[Weighed, ...]:
    return tuple(_weighed(kind, found) for kind, entry in _types(facts).items() if (found := entry.get("imatrix")))


def _weighed(kind: str, found: Mapping[str, Any]) -> Weighed:
    known, of, tokens, chunks = (
        Figure(words.number(found[key]), LEDGER, f"types.{kind}.imatrix.{key}")
        for key in ("tensors", "of", "tokens", "chunks")
    )
    return Weighed(kind, known, of, tuple(found.get("missing", ())), tokens, chunks)


def tensors(facts: Facts) -> tuple[Tensors, ...]:
    return tuple(_tensors(kind, entry["tensors"]) for kind, entry in _types(facts).items() if entry.get("tensors"))


def _tensors(kind: str, found: Mapping[str, Any]) -> Tensors:
    order = sorted(found, key=lambda name: (-found[name]["error"], name))
    worst = tuple((name, str(found[name].get("type", "")), _error(kind, name, found[name]["error"])) for name in order)
    return Tensors(kind, worst[:_SHOWN], len(worst) - len(worst[:_SHOWN]))


def _error(kind: str, name: str, value: float) -> Figure:
    return Figure(f"{100 * value:.2f} %", LEDGER, f"types.{kind}.tensors.{name}.error")
