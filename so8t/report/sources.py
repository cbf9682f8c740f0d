"""Where the records came from, and what was found in them: sources with their terms, personal data, harmful texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.report import words
from so8t.report.facts import Facts, Figure

FILE = "raw/stats.json"
_CLEANED, _ANSWERS = "cleaned/stats.json", "evaluation/scores.json"


@dataclass(frozen=True)
class Origin:
    """A source as its declaration names it."""

    name: str
    terms: str
    trust: str
    lines: Figure
    records: Figure


@dataclass(frozen=True)
class Found:
    what: str
    counts: tuple[tuple[str, Figure], ...]


def origins(facts: Facts) -> tuple[Origin, ...]:
    said = _declared(facts)
    return tuple(
        _origin(name, counts, said.get(name, {})) for name, counts in (facts.documents.get(FILE) or {}).items()
    )


def _origin(name: str, counts: Mapping[str, Any], said: Mapping[str, str]) -> Origin:
    lines, records = (Figure(words.number(counts[key]), FILE, f"{name}.{key}") for key in ("lines", "records"))
    return Origin(name, said.get("terms", ""), said.get("trust", ""), lines, records)


def _declared(facts: Facts) -> dict[str, dict[str, str]]:
    """Terms and trust by a source's name, from the values of raw's spec."""
    raw = next((stage for stage in facts.stages if stage.name == "raw"), None)
    entries: dict[str, dict[str, str]] = {}
    for value in raw.values if raw else ():
        place, _, key = value.name.rpartition(".")
        if place.startswith("sources[") and key in ("name", "terms", "trust"):
            entries.setdefault(place, {})[key] = str(value.value)
    return {entry["name"]: entry for entry in entries.values() if "name" in entry}


def found(facts: Facts) -> tuple[Found, ...]:
    """What `cleaned` replaced and marked, by kind; and what was replaced in the answers of the evaluation."""
    titles = {"pii": "Personal data replaced", "harm": "Marked as harmful"}
    cleaned = (
        _found(title, counts, _CLEANED, key) for key, title in titles.items() if (counts := facts.find(_CLEANED, key))
    )
    return (*cleaned, *_in_answers(facts))


def _in_answers(facts: Facts) -> Iterator[Found]:
    for split, by_model in (facts.find(_ANSWERS, "splits") or {}).items():
        for model, figures in by_model.items():
            for way, counts in withheld(figures).items():
                name = f"{model}, {way}" if way else model
                record = ".".join(filter(None, ("splits", split, model, way, "pii")))
                yield _found(f"Personal data replaced in answers to {split} by {name}", counts, _ANSWERS, record)


def withheld(figures: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """What of a model's answers to a split was replaced, by kind: of free ones, direct ones, and under the grammar."""
    ways = {"": figures, "direct": figures.get("direct") or {}, "grammar": figures.get("grammar") or {}}
    return {way: one["pii"] for way, one in ways.items() if "pii" in one}


def withheld_of(figures: Mapping[str, Any]) -> str:
    """The same in one cell, of all ways of asking together."""
    total = sum((Counter(counts) for counts in withheld(figures).values()), Counter[str]())
    return ", ".join(f"{kind} {total[kind]:,}" for kind in sorted(total)) or "none"


def _found(title: str, counts: Mapping[str, int], file: str, record: str) -> Found:
    rows = ((kind, Figure(words.number(count), file, f"{record}.{kind}")) for kind, count in counts.items())
    return Found(title, tuple(rows))


def kinds(facts: Facts) -> list[str] | None:
    """The kinds of personal data that `cleaned` looks for; None where that is not told."""
    values = facts.values("cleaned")
    listed = [str(value) for name, value in values.items() if name.startswith("pii.kinds[")]
    return listed or ([str(kind) for kind in values["pii.kinds"]] if "pii.kinds" in values else None)


def is_japanese(facts: Facts) -> bool:
    """Whether its records had to be."""
    return bool(facts.values("cleaned").get("language.min_japanese"))


def day(facts: Facts) -> str:
    """When the newest artifact came to its place, as the journal has it."""
    return max((stage.built.when[:10] for stage in facts.stages if stage.built), default="")
