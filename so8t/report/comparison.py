"""What differs between two runs as one self-contained page that needs no script.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from so8t.report import words
from so8t.report.page import environment
from so8t.runs.differences import Answer, Differences, Figure
from so8t.runs.door import Told
from so8t.runs.known import Run

_SIGNS = (("added", "+"), ("removed", "−"), ("changed", "~"))
_COUNTED, _PLAIN = ("leaks", "records"), ("loss", "perplexity")  # figures that are not shares


@dataclass(frozen=True)
class Side:
    """A run as the page calls it."""

    name: str
    run: Run
    told: Told | None

    @property
    def facts(self) -> list[str]:
        told = [self.told.when.replace("T", " ").replace("+00:00", " UTC")] if self.told else []
        profile = [self.told.profile] if self.told and self.told.profile != self.name else []
        return [f"run {self.run.key[:8]}", *profile, *told]


def render(before: Side, after: Side, found: Differences, questions: Mapping[str, str]) -> str:
    moved = [each for each in found.answers if each.before != each.after]
    template = environment().get_template("comparison.html")
    return template.render(
        sides=(before, after),
        found=found,
        values=[(stage, each) for stage, each in found.values if each.kind == "spec"],
        others=_shared([(stage, each.sentence) for stage, each in found.values if each.kind != "spec"]),
        figures=[_figure(each) for each in found.figures],
        kinds=Counter(each.kind for each in found.answers).most_common(),
        groups=_by_question(moved),
        same_class=[each for each in found.answers if each.before == each.after],
        questions=questions,
        signs=_SIGNS,
    )


def _shared(sentences: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """One module changes many stages: each sentence once, with the stages."""
    found: dict[str, list[str]] = {}
    for stage, sentence in sentences:
        found.setdefault(sentence, []).append(stage)
    return found


def _figure(each: Figure) -> tuple[str, str, str, str]:
    """Most are shares, and the change of a share is in points."""
    change, kind = each.after - each.before, each.name.rsplit(".", 1)[-1]
    if kind in _COUNTED:
        return each.name, words.number(int(each.before)), words.number(int(each.after)), f"{change:+.0f}"
    if kind in _PLAIN:
        return each.name, words.number(each.before), words.number(each.after), f"{change:+.3g}"
    return each.name, words.share(each.before), words.share(each.after), f"{100 * change:+.1f}"


def _by_question(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    """What several models and ways answer otherwise stands together."""
    found: dict[str, list[Answer]] = {}
    for each in answers:
        found.setdefault(each.id, []).append(each)
    return found
