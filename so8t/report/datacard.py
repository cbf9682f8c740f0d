"""DATA.md: where the records came from, what became of them, what is in them, and what is not known.  Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from so8t.formats.records import LABELS
from so8t.report import flow, lookout, sources, unknown, words
from so8t.report import personal as found_how_well
from so8t.report.cards import UNTOLD, Card, cell, harm, purpose, table
from so8t.report.facts import Split
from so8t.report.splits import JAPANESE, KANJI, MIXED, NONE, OTHER

STAGES = ("raw", "cleaned", "labelled", "thinking_sft")
VERDICTS = ("yes", "no", "unknown")


def render(card: Card) -> str:
    sections = (
        *(_head, _sources, _signals, _work, _personal, _harm, _splits, _labelling, _languages, _repetitions),
        *(_losses, _unknown, _use),
    )
    return "\n".join(line for section in sections for line in section(card))


def _head(card: Card) -> Iterator[str]:
    there = f"The conversations are in `{card.where}/`." if card.where else "No record of it is in this folder."
    yield from (
        f"# The data of {card.name}",
        "",
        f"What the model was trained and evaluated on. {there}",
        "",
    )  # fmt: skip


def _sources(card: Card) -> Iterator[str]:
    yield from ("## Sources and their terms", "")
    for one in sources.origins(card.facts):
        yield f"- {cell(one.name)}: {one.records.text} records of {one.lines.text} lines"
        yield f"  - terms of use: {cell(one.terms) or UNTOLD}"
        yield f"  - trust: {one.trust or UNTOLD}"
    yield ""


def _signals(card: Card) -> Iterator[str]:
    """Of pages of the web; without one there is no such part."""
    said = sum((Counter(one.signals) for one in card.facts.splits), Counter[tuple[str, str]]())
    if said:
        yield from ("## What the sites of web pages say about training", "")
        yield from ("Conversations, by vocabulary; those that a site refuses are not fetched.", "")
        rows = [(cell(name), *(f"{said[name, verdict]:,}" for verdict in VERDICTS)) for name in _firsts(said)]
        yield from table(("vocabulary", *VERDICTS), rows)


def _firsts(said: Mapping[tuple[str, str], int]) -> list[str]:
    return sorted({name for name, _ in said})


def _work(card: Card) -> Iterator[str]:
    yield from ("## What was done to them", "")
    rows = [
        (
            step.stage,
            step.taken_figure.text,
            step.given_figure.text,
            ", ".join(f"{cell(loss.reason)} {loss.figure.text}" for loss in step.losses) or "none",
        )
        for step in flow.steps(card.facts)
        if step.stage in STAGES
    ]
    yield from table(("stage", "in", "out", "left, and why"), rows)


def _personal(card: Card) -> Iterator[str]:
    yield from ("## Personal data", "", personal(card), unknown.names(card), "")
    yield from _found(card, "pii", "replaced")
    yield from found_how_well.lines(card)


def personal(card: Card) -> str:
    """What became of personal data, as far as the values of `cleaned` are told."""
    kinds = sources.kinds(card.facts)
    if kinds is None:
        return "Personal data of the kinds that were chosen are replaced before anything is stored."
    if not kinds:
        return "Personal data was not looked for."
    return f"Personal data of these kinds are replaced before anything is stored: {', '.join(kinds)}."


def _harm(card: Card) -> Iterator[str]:
    yield from ("## Harmful and NSFW texts", "", harm(card.judges), "")
    yield from _found(card, "harm", "records")
    marked = sum((Counter(one.harmful) for one in card.facts.splits), Counter[str]())
    if marked and card.judges:
        said = ", ".join(f"{label} {marked[label]:,}" for label in LABELS)
        yield from (f"Conversations whose request is marked so, by class: {said}.", "")
    yield from lookout.lines(card)


def _found(card: Card, key: str, what: str) -> Iterator[str]:
    counts: Mapping[str, int] = card.facts.find("cleaned/stats.json", key) or {}
    yield from table(("kind", what), [(cell(kind), f"{count:,}") for kind, count in counts.items()])


def _splits(card: Card) -> Iterator[str]:
    yield from ("## Splits and classes", "")
    named = [label for label in LABELS if any(one.labels.get(label) for one in card.facts.splits)]
    rows = [(cell(one.name), f"{one.conversations:,}", *_shares(one, named)) for one in card.facts.splits]
    if not rows:
        counted = card.facts.find("thinking_sft/stats.json", "by_split") or {}
        rows = [(cell(name), f"{count:,}") for name, count in counted.items()]
    yield from table(("split", "conversations", *named), rows)


def _shares(one: Split, labels: Sequence[str]) -> Iterator[str]:
    for label in labels:
        count = one.labels.get(label, 0)
        yield f"{count:,} ({words.share(count / one.conversations)})" if one.conversations else words.NOTHING


def _labelling(card: Card) -> Iterator[str]:
    """Who said of which class a record is."""
    by: Mapping[str, Mapping[str, int]] = card.facts.find("labelled/agreement.json", "labelled_by") or {}
    if by:
        yield from table(
            ("class from", *LABELS),
            [(cell(who), *(f"{counts.get(label, 0):,}" for label in LABELS)) for who, counts in by.items()],
        )


def _languages(card: Card) -> Iterator[str]:
    scripts = [name for name in (JAPANESE, MIXED, KANJI, OTHER, NONE) if any(s.scripts.get(name) for s in _all(card))]
    if scripts:
        yield from ("## Languages", "", "Questions, by their letters; no language was guessed.", "")
        rows = [(cell(one.name), *(f"{one.scripts.get(name, 0):,}" for name in scripts)) for one in _all(card)]
        yield from table(("split", *scripts), rows)


def _all(card: Card) -> tuple[Split, ...]:
    return card.facts.splits


def _repetitions(card: Card) -> Iterator[str]:
    """Within the data, and between what is learned and what is asked."""
    values = card.facts.values("cleaned") | {
        f"sft.{name}": value for name, value in card.facts.values("thinking_sft").items()
    }
    dropped: Mapping[str, int] = card.facts.find("cleaned/stats.json", "dropped") or {}
    across = (card.facts.find("thinking_sft/stats.json", "dropped") or {}).get("near_duplicate_across_splits", 0)
    yield from ("## Repetitions and leakage", "")
    rows = [
        ("records that repeat another exactly", _by(values, "duplicates.exact", dropped.get("exact_duplicate", 0))),
        (
            f"records near to another{_limit(values, 'duplicates.threshold')}",
            _by(values, "duplicates.near", dropped.get("near_duplicate", 0)),
        ),
        (
            f"records near to one of a split held out{_limit(values, 'sft.near_duplicate_threshold')}",
            _by(values, "sft.near_duplicate_threshold", across),
        ),
    ]
    yield from table(("looked for", "left"), rows)
    if _all(card):
        again = sum(one.again for one in _all(card))
        yield from (
            f"Questions that stand word for word in more than one of the finished splits: {again:,}.",
            "",
        )


def _by(values: Mapping[str, Any], switch: str, count: int) -> str:
    return "not looked for" if switch in values and not values[switch] else f"{count:,}"


def _limit(values: Mapping[str, Any], name: str) -> str:
    return f" (Jaccard similarity of n-grams ≥ {values[name]})" if values.get(name) else ""


def _losses(card: Card) -> Iterator[str]:
    steps = [step for step in flow.steps(card.facts) if step.stage in STAGES and step.losses]
    if not (card.shows_losses and steps):
        return
    yield from ("## What left, by reason", "", unknown.EXAMPLES, "")
    for step in steps:
        for loss in step.losses:
            yield from (f"### {step.stage}: {cell(loss.reason)} ({loss.figure.text})", "")
            yield from (f"- {_example(one)}" for one in loss.examples)
            yield from ("",) if loss.examples else ("The records are no longer there, or say nothing more.", "")


def _example(one: Mapping[str, Any]) -> str:
    source = one.get("source") or {}
    place = ":".join(str(source[key]) for key in ("file", "line") if key in source)
    detail = ", ".join(f"{key} {value}" for key, value in (one.get("detail") or {}).items())
    said = [code(str(one["id"])) if "id" in one else "", cell(place), cell(detail)]
    return ", ".join(filter(None, said)) + f": {_text(one)}"


def _text(one: Mapping[str, Any]) -> str:
    if "text" not in one:
        return "its text is no longer there"
    return code(one["text"]) if one["text"] else "not shown, for it is harmful"


def code(text: str) -> str:
    """A text in Markdown in which nothing is markup: a longer fence than any run of backticks in it."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _unknown(card: Card) -> Iterator[str]:
    yield from ("## What is not known", "", *(f"- {line}" for line in unknown.lines(card)), "")


def _use(card: Card) -> Iterator[str]:
    meant, never = purpose(card.judges)
    yield from (
        "## Use",
        "",
        f"{meant} The terms of each source hold for its records.",
        never,
        f"Time to make: {words.seconds(sum(one.seconds for one in card.facts.stages if one.name in STAGES))}.",
        "",
    )
