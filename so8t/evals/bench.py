"""Every model asked every question: outcomes by split and model, in figures with their intervals."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from so8t.errors import StageError
from so8t.evals import bootstrap, leaks, outcomes, pace
from so8t.evals.asking import Answer, Way, ask
from so8t.evals.leaks import Watch
from so8t.evals.outcomes import Outcome, as_line, judge, withholding
from so8t.evals.withheld import Withhold
from so8t.formats import direct
from so8t.formats.chat import ChatFormat, Message
from so8t.formats.grammar import grammar
from so8t.formats.records import Label
from so8t.formats.thinking import Said, ThinkingFormat
from so8t.store.answers import Answers

THINKING, DIRECT = "thinking", "direct"  # how an answer was asked for: what a sample's and a score's `mode` says
SHOWN = 8  # records that a message names, at most
Table = Mapping[str, Mapping[str, Sequence[Outcome]]]  # split -> model -> outcomes


@dataclass(frozen=True)
class Question:
    """`thinking`: the answer that its record has, which no answer that is shown may give away."""

    id: str
    label: Label | None
    prompt: Sequence[Message]
    thinking: Said


@dataclass(frozen=True)
class Guided:
    """A pass under the grammar: questions of each split, characters of each text, tokens of an answer; at most."""

    conversations: int | None
    text: int
    longest: int


@dataclass(frozen=True)
class Sheet:
    """Outcomes by split and model: of answers that think first, of direct ones, and of those that the grammar guided.

    And the pace of each model.
    """

    free: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    direct: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    guided: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    pace: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """What is asked, in which formats and how; each file is loaded once for all splits."""

    questions: Mapping[str, Sequence[Question]]
    chat: ChatFormat
    thinking: ThinkingFormat
    way: Way
    kept: Answers
    watch: Watch
    withhold: Withhold

    def ask(self, sheet: Sheet, model: str, path: Path) -> None:
        """Add the free answers of one model, and say how they were."""
        sheet.pace[model] = pace.figures(self._put(sheet.free, model, path, self.questions, self.way))
        _say(sheet.free, model, model, sheet.pace)

    def ask_directly(self, sheet: Sheet, model: str, path: Path) -> None:
        """Add its answers to the same questions without thinking."""
        name = f"{model}-{DIRECT}"
        answers = self._put(sheet.direct, model, path, self.questions, self.way, directly=True)
        sheet.pace[name] = pace.figures(answers)
        _say(sheet.direct, model, name, sheet.pace)

    def guide(self, sheet: Sheet, model: str, path: Path, guided: Guided) -> None:
        """Add answers under the grammar, hard questions first; one without the format is a StageError."""
        hard = {split: _hard_first(asked, sheet.free[split][model]) for split, asked in self.questions.items()}
        some = {split: asked[: guided.conversations] for split, asked in hard.items()}
        rules = grammar(self.thinking, guided.text)
        self._put(sheet.guided, model, path, some, replace(self.way, longest=guided.longest), rules)
        for split, by_model in sheet.guided.items():
            for one in by_model[model]:
                if one.problem:
                    raise StageError(
                        f"evaluation: {split}: {path.name} answers {one.id} without the format though the grammar "
                        f"holds it (ended by {one.ended}): {one.problem}; {_advice(one.ended)}"
                    )

    def _put(
        self,
        table: dict[str, dict[str, list[Outcome]]],
        model: str,
        path: Path,
        questions: Mapping[str, Sequence[Question]],
        way: Way,
        rules: str | None = None,
        directly: bool = False,
    ) -> list[Answer]:
        flat = [(split, one) for split, asked in questions.items() for one in asked]
        begun = direct.prefill(self.thinking) if directly else ""
        answers = ask(path, [one.prompt for _, one in flat], self.chat, way, self.kept, rules, begun)
        for (split, one), answer in zip(flat, answers, strict=True):
            text = begun + answer.text
            outcome = judge(one.id, one.label, text, answer.ended, self.thinking, directly)
            found = self.watch.leaks(one.thinking, leaks.visible(text, self.thinking, directly))
            outcome = withholding(replace(outcome, leaks=found), self.withhold, one.prompt, directly)
            table.setdefault(split, {}).setdefault(model, []).append(outcome)
        return answers


def scores(by_model: Mapping[str, Sequence[Outcome]], draws: int, seed: int, base: str) -> dict[str, dict[str, Any]]:
    """The figures of one split with intervals, and of what each model has more than the base."""
    weights = bootstrap.draws(len(next(iter(by_model.values()))), draws, seed)
    rates = {model: bootstrap.rates(found, weights) for model, found in by_model.items()}
    figures: dict[str, dict[str, Any]] = {}
    for model, found in by_model.items():
        figures[model] = {"mode": THINKING, **outcomes.figures(found), "intervals": bootstrap.intervals(rates[model])}
        if base in rates and model != base:
            figures[model]["more_than_base"] = bootstrap.difference(rates[model], rates[base])
    return figures


def direct_scores(found: Sequence[Outcome], thinking: Sequence[Outcome], draws: int, seed: int) -> dict[str, Any]:
    """The figures of direct answers with intervals, and of what they have more than the thinking ones."""
    weights = bootstrap.draws(len(found), draws, seed)
    rates, beside = bootstrap.rates(found, weights), bootstrap.rates(thinking, weights)
    return {
        "mode": DIRECT,
        **outcomes.figures(found),
        "intervals": bootstrap.intervals(rates),
        "more_than_thinking": bootstrap.difference(rates, beside),
    }


def leaking(table: Table) -> list[str]:
    """No direct answer gives any thinking away, or a sentence says which do, and what to do."""
    found = [
        f"{split}: {len(leaky)} of {len(by_model[model])} direct answers of {model} hold thinking: {_named(leaky)}"
        for split, by_model in table.items()
        for model in by_model
        if (leaky := [one for one in by_model[model] if one.leaks])
    ]
    hint = (
        "raise thinking_sft.direct or the steps in adapter.yaml, or take a larger type in types of gguf.yaml; "
        "thinking_sft.direct: 0 closes this way of asking"
    )
    return [f"{'; '.join(found)}; {hint}"] if found else []


def _named(leaking: Sequence[Outcome]) -> str:
    """`00c0ffee (</think-task>), 0badcafe (危険なし) and 3 more`."""
    shown = ", ".join(f"{one.id} ({one.leaks[0]})" for one in leaking[:SHOWN])
    return shown + (f" and {len(leaking) - SHOWN} more" if len(leaking) > SHOWN else "")


def guided_figures(found: Sequence[Outcome]) -> dict[str, Any]:
    whole = outcomes.figures(found)
    return {name: whole[name] for name in ("records", "format_valid", "accuracy", "pii") if name in whole}


def write(path: Path, sheet: Sheet) -> None:
    """Every answer without personal data, the broken ones too, with where they broke."""
    with path.open("wb") as file:
        tables = ((THINKING, "free", sheet.free), (DIRECT, "free", sheet.direct), (THINKING, "grammar", sheet.guided))
        for mode, way, table in tables:
            for split, by_model in table.items():
                for model, found in by_model.items():
                    file.writelines(_lines({"model": model, "split": split, "mode": mode, "way": way}, found))


def _lines(head: Mapping[str, str], found: Iterable[Outcome]) -> Iterable[bytes]:
    for one in found:
        yield orjson.dumps({**head, **as_line(one)}, option=orjson.OPT_APPEND_NEWLINE)


def _hard_first(asked: Sequence[Question], found: Sequence[Outcome]) -> list[Question]:
    """Those whose free answers broke the format, then the others."""
    order = sorted(range(len(asked)), key=lambda at: (found[at].problem is None, at))
    return [asked[at] for at in order]


def _advice(ended: str) -> str:
    if ended == "stop":
        return "the grammar and the format's reader disagree: please report it with the answer"
    return "lower grammar.text, or raise grammar.longest, in evaluation.yaml"


def _say(table: Table, model: str, name: str, paces: Mapping[str, Any]) -> None:
    for split, by_model in table.items():
        found = outcomes.figures(by_model[model])
        right = f"accuracy {found['accuracy']:.3f}, " if "accuracy" in found else ""
        _tell(
            f"{split}, {name}: {right}format valid {found['format_valid']:.3f}, "
            f"{found['leaks']} leaks ({found['records']} records)"
        )
    _tell(f"{name}: {pace.sentence(paces[name])}")


def _tell(text: str) -> None:
    print(f"evaluation: {text}", file=sys.stderr, flush=True)
