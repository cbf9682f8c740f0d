"""DATA.md of a release: where the records came from, what was done to them, and what they may be used for.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from so8t.release.modelcard import harm, table
from so8t.release.told import Told, splits
from so8t.report import sources, words


def render(told: Told) -> str:
    sections = (_head, _sources, _work, _splits, _classes, _harm, _use)
    return "\n".join(line for section in sections for line in section(told))


def _head(told: Told) -> Iterator[str]:
    yield from (
        f"# The data of {told.product.name}",
        "",
        "What the model was trained and evaluated on. "
        f"{'The conversations are in `data/`.' if told.has_data else 'No record of it is in this folder.'}",
        "",
    )  # fmt: skip


def _sources(told: Told) -> Iterator[str]:
    yield from ("## Sources and their terms", "")
    for one in sources.origins(told.facts):
        yield f"- {one.name}: {one.records.text} records of {one.lines.text} lines"
        yield f"  - terms of use: {' '.join(one.terms.split()) or 'not told here'}"
        yield f"  - trust: {one.trust or 'not told here'}"
    yield ""


def _work(told: Told) -> Iterator[str]:
    yield from ("## What was done to them", "")
    rows = []
    for stage, stats in _counts(told):
        lost = ", ".join(f"{reason} {count:,}" for reason, count in sorted(stats.get("dropped", {}).items()))
        rows.append((stage, f"{stats['in']:,}", f"{stats['out']:,}", lost or "none"))
    yield from table(("stage", "in", "out", "dropped, and why"), rows)
    yield personal(told)
    if told.judges:
        yield "Each record gets one of four classes with a reason."
    yield "Patterns do not find the names of persons."
    yield ""
    for found in sources.found(told.facts):
        yield f"- {found.what}: " + ", ".join(f"{kind} {figure.text}" for kind, figure in found.counts)
    yield ""


def personal(told: Told) -> str:
    """What became of personal data, as far as the values of `cleaned` are told."""
    values = told.values("cleaned")
    kinds = [str(value) for name, value in values.items() if name.startswith("pii.kinds[")]
    if kinds:
        return f"Personal data of these kinds are replaced before anything is stored: {', '.join(kinds)}."
    if "pii.kinds" in values:
        return "Personal data was not looked for."
    return "Personal data of the kinds that were chosen are replaced before anything is stored."


def _counts(told: Told) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in ("cleaned", "thinking_sft"):
        stats = told.facts.documents.get(f"{name}/stats.json")
        if stats:
            yield name, stats


def _splits(told: Told) -> Iterator[str]:
    yield from ("## Splits", "")
    yield from table(("split", "conversations"), [(name, f"{count:,}") for name, count in splits(told.facts).items()])


def _classes(told: Told) -> Iterator[str]:
    by_label = told.facts.find("thinking_sft/stats.json", "by_label") or {}
    if by_label:
        yield from ("## Classes", "")
        yield from table(("class", "conversations"), [(name, f"{count:,}") for name, count in by_label.items()])


def _harm(told: Told) -> Iterator[str]:
    yield from (
        "## Harmful and NSFW texts",
        "",
        harm(told),
        "",
    )  # fmt: skip


def _use(told: Told) -> Iterator[str]:
    yield from (
        "## Use",
        "",
        f"For training and testing of models that {'judge requests' if told.judges else 'answer in conversations'}. "
        "The terms of each source hold for its records.",
        "Not for learning how to do harm, and not for finding out about persons.",
        f"Time to make: {words.seconds(sum(_seconds(told)))}.",
        "",
    )


def _seconds(told: Told) -> Iterator[float]:
    yield from (
        stage.seconds for stage in told.facts.stages if stage.name in ("raw", "cleaned", "labelled", "thinking_sft")
    )
