"""Records accounted for, from the sources to the splits: every one that came in went on or left for a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from so8t.report import svg, words
from so8t.report.facts import Facts, Figure

_HIGH = 150.0  # of all records
_BETWEEN, _WIDE = 168.0, 12.0  # columns, and the bar of each
_TOP = 54.0


@dataclass(frozen=True)
class Loss:
    """Records that left for one reason, and the first of them."""

    reason: str
    count: int
    figure: Figure
    examples: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Step:
    stage: str
    taken: int
    given: int
    taken_figure: Figure
    given_figure: Figure
    losses: tuple[Loss, ...] = ()

    @property
    def adds_up(self) -> bool:
        return self.taken == self.given + sum(loss.count for loss in self.losses)


def steps(facts: Facts) -> tuple[Step, ...]:
    found = (_raw(facts), _cleaned(facts), _labelled(facts), _composed(facts), _trained(facts))
    return tuple(step for step in found if step)


def _raw(facts: Facts) -> Step | None:
    file = "raw/stats.json"
    stats = facts.documents.get(file)
    if not stats:
        return None
    lines, given = (sum(source[key] for source in stats.values()) for key in ("lines", "records"))
    counts: dict[str, int] = {}
    for source in stats.values():
        for reason, count in {
            "blank": source["blank"],
            "beyond_limit": source["beyond_limit"],
            "refused": source.get("refused", 0),
            **source["quarantined"],
        }.items():
            counts[reason] = counts.get(reason, 0) + count
    losses = _losses(facts, file, "*.quarantined", counts, "raw/quarantined.jsonl")
    return Step("raw", lines, given, _figure(lines, file, "*.lines"), _figure(given, file, "*.records"), losses)


def _cleaned(facts: Facts) -> Step | None:
    return _counted(facts, "cleaned", "cleaned/stats.json", "cleaned/dropped.jsonl")


def _composed(facts: Facts) -> Step | None:
    return _counted(facts, "thinking_sft", "thinking_sft/stats.json", "thinking_sft/dropped.jsonl")


def _counted(facts: Facts, stage: str, file: str, examples: str) -> Step | None:
    stats = facts.documents.get(file)
    if not stats:
        return None
    losses = _losses(facts, file, "dropped", stats["dropped"], examples)
    return Step(
        stage, stats["in"], stats["out"], _figure(stats["in"], file, "in"), _figure(stats["out"], file, "out"), losses
    )


def _labelled(facts: Facts) -> Step | None:
    file = "labelled/agreement.json"
    counts = facts.find(file, "records")
    if not counts:
        return None
    losses = _losses(
        facts, file, "records.quarantined", {"unknown_label": counts["quarantined"]}, "labelled/quarantined.jsonl"
    )
    return Step(
        "labelled", counts["in"], counts["out"],
        _figure(counts["in"], file, "records.in"), _figure(counts["out"], file, "records.out"), losses,
    )  # fmt: skip


def _trained(facts: Facts) -> Step | None:
    """Conversations of the training split; with direct answers, some records are two."""
    file = "adapter/training.json"
    data = facts.find(file, "data")
    if not data:
        return None
    counts = {reason: data[reason] for reason in ("too_long", "nothing_to_learn")}
    given = data["conversations"]
    taken = given + sum(counts.values())
    figures = _figure(taken, file, "data"), _figure(given, file, "data.conversations")
    return Step("adapter", taken, given, *figures, _losses(facts, file, "data", counts, ""))


def _losses(facts: Facts, file: str, record: str, counts: Mapping[str, int], examples: str) -> tuple[Loss, ...]:
    first = facts.dropped.get(examples, ())
    return tuple(
        Loss(
            reason, count, _figure(count, file, f"{record}.{reason}"), [one for one in first if one["reason"] == reason]
        )
        for reason, count in counts.items()
        if count
    )


def _figure(count: int, file: str, record: str) -> Figure:
    return Figure(words.number(count), file, record)


def draw(facts: Facts) -> Markup | None:
    """Bars as high as their records, bands between them, what left below, the splits at the end."""
    shown = [step for step in steps(facts) if step.stage != "adapter"]
    splits = facts.find("thinking_sft/stats.json", "by_split") or {}
    most = max((step.taken for step in shown), default=0)
    if not most:
        return None
    scale = _HIGH / most
    parts: list[Markup] = []
    for at, step in enumerate(shown):
        x = 4 + at * _BETWEEN
        parts += _column(x, step, scale)
        if at + 1 < len(shown):
            parts.append(_band(x + _WIDE, _TOP, x + _BETWEEN, _TOP, step.given * scale))
    if splits:
        parts += _fan(4 + (len(shown) - 1) * _BETWEEN + _WIDE, shown[-1], splits, scale)
    width = 4 + (len(shown) - 1) * _BETWEEN + _WIDE + (_BETWEEN + 150 if splits else 150)
    height = max(_TOP + _HIGH + 20 * max(len(step.losses) for step in shown), _TOP + _fan_height(splits, scale)) + 34
    said = "; ".join(f"{step.stage} {step.taken:,} in, {step.given:,} out" for step in shown)
    return svg.picture(
        width, height, f"Records: {said}", *parts, class_="flow", style=f"min-width:{0.72 * width:.0f}px"
    )


def _column(x: float, step: Step, scale: float) -> list[Markup]:
    low = _TOP + step.taken * scale
    parts = [
        svg.element("text", step.stage, x=x, y=18, class_="name"),
        svg.element("text", f"{step.taken:,} → {step.given:,}", x=x, y=36, class_="facts"),
        svg.element("rect", x=x, y=_TOP, width=_WIDE, height=max(step.given * scale, 1.0), class_="kept"),
    ]
    gone = step.taken - step.given
    if gone:
        parts.append(
            svg.element(
                "rect", x=x, y=_TOP + step.given * scale, width=_WIDE, height=max(gone * scale, 2.0), class_="gone"
            )
        )
    for at, loss in enumerate(step.losses):
        parts.append(svg.element("text", f"− {loss.count:,} {loss.reason}", x=x, y=low + 20 + 18 * at, class_="lost"))
    return parts


def _band(x: float, top: float, to_x: float, to_top: float, high: float) -> Markup:
    middle = (x + to_x) / 2
    path = (
        f"M{x:.1f} {top:.1f}C{middle:.1f} {top:.1f} {middle:.1f} {to_top:.1f} {to_x:.1f} {to_top:.1f}"
        f"V{to_top + high:.1f}C{middle:.1f} {to_top + high:.1f} {middle:.1f} {top + high:.1f} {x:.1f} {top + high:.1f}Z"
    )
    return svg.element("path", d=path, class_="band")


def _fan(x: float, step: Step, splits: Mapping[str, int], scale: float) -> list[Markup]:
    parts: list[Markup] = []
    top, to_x, to_top = _TOP, x + _BETWEEN - _WIDE, _TOP
    for split, count in splits.items():
        high = max(count * scale, 1.0)
        parts.append(_band(x, top, to_x, to_top, high))
        parts.append(svg.element("rect", x=to_x, y=to_top, width=_WIDE, height=high, class_="kept"))
        share = count / step.given if step.given else 0
        parts.append(svg.element("text", split, x=to_x + _WIDE + 8, y=to_top + max(high / 2, 6) + 1, class_="name"))
        parts.append(
            svg.element(
                "text",
                f"{count:,} · {words.share(share)}",
                x=to_x + _WIDE + 8,
                y=to_top + max(high / 2, 6) + 17,
                class_="facts",
            )
        )
        top, to_top = top + high, to_top + max(high, 34) + 8
    return parts


def _fan_height(splits: Mapping[str, int], scale: float) -> float:
    return sum(max(count * scale, 34) + 8 for count in splits.values())
