"""Runs and their differences as text of 80 columns.  Pure."""

from __future__ import annotations

import json
import textwrap
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from so8t.engine.outlook import duration, size
from so8t.runs import known
from so8t.runs.differences import Answer, Differences
from so8t.runs.door import Told
from so8t.runs.known import Run
from so8t.runs.spread import Group, Result, Spread, tables

WIDTH = 80
_IN = " " * 10
_LONG = 32  # columns of a profile's name, such as one of a sweep
MANY = 20  # lines of one kind, unless all are asked for


def table(runs: Sequence[tuple[Run, Told | None, Mapping[str, Any]]]) -> Iterator[str]:
    """A line a run, and below it the values that are not the same in all runs."""
    fields = known.varying(run for run, _, _ in runs)
    across = min(max([12, *(width(told.profile) for _, told, _ in runs if told)]), _LONG)
    yield f"{'run':8}  {'when (UTC)':16}  {'took':>7}  {'size':>8}  {'profile':{across}}  accuracy"
    for run, told, scores in runs:
        when = told.when[:16].replace("T", " ") if told else "unknown"
        took = duration(told.seconds) if told else ""
        profile = _filled(told.profile if told else "", across)
        yield f"{run.key[:8]}  {when:16}  {took:>7}  {size(run.size):>8}  {profile}  {headline(scores)}"
        shown = [f"{field}={_value(run.spec[field])}" for field in fields if field in run.spec]
        yield from _wrapped(shown, _IN)
        if run.missed:
            yield from textwrap.wrap(f"missed: {run.missed.why}", WIDTH, initial_indent=_IN, subsequent_indent=_IN)


def headline(scores: Mapping[str, Any]) -> str:
    """Of each split, the first model that is not the base."""
    found = []
    for split, models in scores.items():
        if model := known.tuned(models):
            figures = models[model]
            shown = f"{figures['accuracy']:.3f}" if "accuracy" in figures else f"perplexity {figures['perplexity']}"
            found.append(f"{split.removeprefix('test_')} {shown}")
    return ", ".join(found)


def report(found: Differences, every: bool) -> Iterator[str]:
    if not found.any:
        yield "no difference"
        return
    values = [f"{stage}.{each.sentence.removeprefix('spec ')}" for stage, each in found.values if each.kind == "spec"]
    others = Counter(each.sentence for _, each in found.values if each.kind != "spec")  # one module changes many stages
    yield from _part("values", values, every)
    yield from _part("code and packages", list(others), every)
    for one in found.data:
        counts = f"{len(one.added)} added, {len(one.removed)} removed, {len(one.changed)} changed"
        ids = [f"{sign} {name}" for sign, names in _signed(one) for name in names]
        yield from _part(f"records of {one.file}: {counts}", ids, every)
    yield from _part("figures", [_figure(each.name, each.before, each.after) for each in found.figures], every)
    by_kind = Counter(each.kind for each in found.answers)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in by_kind.most_common())
    moved = [_answer(each) for each in found.answers if each.before != each.after]
    yield from _part(f"answers that differ: {counts}" if counts else "", moved, every)


_SHOWN = {  # those that a run's scores have
    "accuracy": "accuracy",
    "unsafe_compliance": "unsafe",
    "over_refusal": "over-refusal",
    "exact": "exact",
    "perplexity": "perplexity",
    "loss": "loss",
}
_CELL = 15  # columns: 0.958 ± 0.012, and two before it


def sweep(result: Result) -> Iterator[str]:
    """For each split a line a run, the means over seeds below; then what is not whole."""
    labels = [result.label(row.member) for row in result.rows] + [_of(result, group) for group in result.groups]
    across = max(map(width, [*labels, *(f"{split}, {model}" for split, model in tables(result))]))
    for split, model in tables(result):
        names = [name for name in _SHOWN if any(f"{split}.{model}.{name}" in row.figures for row in result.rows)]
        yield _line(f"{split}, {model}", [_SHOWN[name] for name in names], across)
        for row in result.rows:
            cells = [_number(row.figures.get(f"{split}.{model}.{name}")) for name in names]
            yield _line(result.label(row.member), [*cells, "missed"] if row.missed else cells, across)
        for group in result.groups:
            cells = [_spread(group.figures.get(f"{split}.{model}.{name}")) for name in names]
            yield _line(_of(result, group), cells, across)
        yield ""
    if not tables(result):
        yield f"no scores yet of the {len(result.rows)} profiles; doit sweep without the names of tasks makes them"
    elif result.groups:
        yield f"means over {' and '.join(result.seeds)}, ± the standard deviation of the sample"
    for row in result.rows:
        if row.failed:
            yield f"{row.member.name}: {row.failed}"


def _of(result: Result, group: Group) -> str:
    missing = f" of {len(group.rows)}" if len(group.scored) < len(group.rows) else ""
    return f"{result.group_label(group)} mean of {len(group.scored)}{missing}"


def _line(label: str, cells: Sequence[str], across: int) -> str:
    return _filled(label, across) + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _spread(found: Spread | None) -> str:
    if found is None:
        return "–"
    return _number(found.mean) if found.deviation is None else f"{found.mean:.3f} ± {found.deviation:.3f}"


def _signed(one: Any) -> list[tuple[str, tuple[str, ...]]]:
    return [("+", one.added), ("-", one.removed), ("~", one.changed)]


def _part(title: str, lines: Sequence[str], every: bool) -> Iterator[str]:
    if not lines and ":" not in title:
        return
    yield title
    shown = lines if every else lines[:MANY]
    yield from (f"  {line}" for line in shown)
    if len(shown) < len(lines):
        yield f"  and {len(lines) - len(shown):,} more; --all shows them"


def _figure(name: str, before: float, after: float) -> str:
    if name.endswith("leaks"):
        return f"{name}: {before:,.0f} -> {after:,.0f}"
    return f"{name}: {before:.4f} -> {after:.4f} ({after - before:+.4f})"


def _answer(each: Answer) -> str:
    sides = " -> ".join(side or "(no format)" for side in (each.before, each.after))
    return f"{each.asked} {each.id[:8]}: {sides} ({each.kind}; it is {each.label})"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 30 else f"{text[:29]}…"


def _wrapped(words: Sequence[str], indent: str) -> Iterator[str]:
    line = indent
    for word in words:
        if line != indent and width(line) + 2 + width(word) > WIDTH:
            yield line
            line = indent
        line += word if line == indent else f"  {word}"
    if line != indent:
        yield line


def _filled(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def width(text: str) -> int:
    """Columns of a terminal."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
