"""One answer and what it says: its class and confidence, or where it broke the format; and many of them in figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from so8t.corpus.agreement import BINS, OPEN
from so8t.evals import withheld
from so8t.evals.scores import Scores
from so8t.evals.withheld import Kept, Withhold
from so8t.formats.chat import Message
from so8t.formats.records import NO_FORMAT, Label
from so8t.formats.thinking import FormatError, Thinking, ThinkingFormat, read, read_direct


@dataclass(frozen=True)
class Outcome:
    """`said` and `confidence` are None where the format is broken, and `problem` says where; and where no class is
    asked for, as `label` is then.

    `leaks`: what of the thinking the visible part holds.  `kept`: what may leave this process in place of `text`.
    """

    id: str
    label: Label | None
    said: Label | None
    confidence: float | None
    problem: str | None
    ended: str
    text: str
    leaks: tuple[str, ...] = ()
    kept: Kept | None = None

    @property
    def shown(self) -> str:
        return self.kept.text if self.kept else self.text


def judge(
    number: str, label: Label | None, text: str, ended: str, fmt: ThinkingFormat, directly: bool = False
) -> Outcome:
    """`directly`: asked for the final part alone."""
    try:
        found = read_direct(text, fmt) if directly else read(text, fmt)
    except FormatError as error:
        return Outcome(number, label, None, None, str(error), ended, text)
    if not isinstance(found, Thinking):
        return Outcome(number, label, None, None, None, ended, text)
    final = found.final
    return Outcome(number, label, final.label, final.confidence, None, ended, text)  # type: ignore[arg-type]


def withholding(one: Outcome, withhold: Withhold, prompt: Sequence[Message], directly: bool = False) -> Outcome:
    """The same outcome with what is kept of it; where the format is broken, what is said of that is said of this."""
    kept = withhold(one.text, prompt)
    if one.problem is None or not kept.found:
        return replace(one, kept=kept)
    again = judge(one.id, one.label, kept.text, one.ended, withhold.fmt, directly)
    return replace(one, kept=kept, problem=again.problem or one.problem.partition(", found ")[0])


def as_line(one: Outcome) -> dict[str, Any]:
    """What is stored of it; never the answer as it was given."""
    if one.kept is None:
        raise AssertionError(f"the answer to {one.id} was not searched for personal data")
    line = {name: value for name, value in vars(one).items() if name != "kept"}
    return {**line, "text": one.kept.text, **withheld.counted([one.kept])}


def figures(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """Every rate of Scores, how many answers leaked thinking, and how often each stated confidence was right.

    Of answers without a class there is less to say.
    """
    scores, leaking, seen = Scores(), 0, list(outcomes)
    if seen and seen[0].label is None:
        return _without_classes(seen)
    for one in seen:
        if one.label is None:
            raise AssertionError(f"{one.id} has no class to be counted against")
        scores.tally.add(one.label, one.said, one.confidence)
        leaking += bool(one.leaks)
    found = scores.figures()
    confusion = {
        truth: {NO_FORMAT if said == OPEN else said: count for said, count in row.items()}
        for truth, row in found["confusion"].items()
    }
    counted = {"leaks": leaking, **withheld.counted(one.kept for one in seen)}
    return {**found, **counted, "confusion": confusion, "reliability": reliability(scores.tally.bins)}


def _without_classes(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    valid, leaking = sum(one.problem is None for one in outcomes), sum(bool(one.leaks) for one in outcomes)
    counted = {"leaks": leaking, **withheld.counted(one.kept for one in outcomes)}
    return {"records": len(outcomes), "format_valid": round(valid / len(outcomes), 6), **counted}


def reliability(bins: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Of each tenth of confidence that was stated: how often, its mean, and the share that was right."""
    return [
        {
            "from": at / BINS,
            "to": (at + 1) / BINS,
            "answers": int(count),
            "confidence": round(stated / count, 4),
            "accuracy": round(right / count, 4),
        }
        for at, (count, stated, right) in enumerate(bins)
        if count
    ]
