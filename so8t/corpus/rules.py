"""Labelling rules: patterns with a class, a reason and a confidence, and the class that harm demands at least.

Patterns search the NFKC-normalised text without regard to letter case.
Precedence: the most severe class wins (REFUSE, DENY, ESCALATION, ALLOW), then the order of the spec.
An exception to a rule is written in its `unless`, never as a milder rule that should win.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from so8t.corpus.harm import SUSPECTED
from so8t.formats.records import LABELS, Label
from so8t.spec.fields import SpecModel

SEVERITY: Mapping[str, int] = {label: rank for rank, label in enumerate(LABELS)}


def normalise(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def check_pattern(pattern: str) -> str:
    """Refuse what cannot be compiled, what can never match and what always matches."""
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error} in {pattern!r}") from error
    if normalise(pattern) != pattern:
        odd = "".join(dict.fromkeys(each for each in pattern if normalise(each) != each)) or pattern
        raise ValueError(
            f"{pattern!r} holds {odd!r}, which never occurs in NFKC-normalised text: "
            f"write {normalise(odd)!r}, with a backslash before what is special in a regular expression"
        )
    if compiled.search(""):
        raise ValueError(f"{pattern!r} matches the empty text, so it would match every record")
    return pattern


def check_any(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("a rule needs at least one pattern")
    return patterns


Pattern = Annotated[str, AfterValidator(check_pattern)]


class Rule(SpecModel):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    """Names the rule in `labelled_by` as `rule:<name>`; `harm` is taken."""

    label: Label
    """The class of a record that the rule matches."""

    patterns: Annotated[tuple[Pattern, ...], AfterValidator(check_any)]
    """Regular expressions; one found anywhere in the NFKC-normalised text is a match. Letter case is ignored."""

    unless: tuple[Pattern, ...] = ()
    """Exceptions: the rule does not match a text in which one of these is found."""

    reason: str = Field(min_length=1)
    """Why, in the words that the record and the model's answer carry."""

    confidence: float = Field(0.95, gt=0, le=1)
    """The confidence of records that this rule labels."""


def check_names(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    seen = {"harm"}
    for rule in rules:
        if rule.name in seen:
            raise ValueError(f"two rules are called {rule.name!r}" if rule.name != "harm" else "'harm' is taken")
        seen.add(rule.name)
    return rules


Rules = Annotated[tuple[Rule, ...], AfterValidator(check_names)]


@dataclass(frozen=True)
class RuleBook:
    """Rules in order of precedence, compiled."""

    pages: tuple[tuple[Rule, tuple[re.Pattern[str], ...], tuple[re.Pattern[str], ...]], ...]

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> RuleBook:
        ordered = sorted(rules, key=lambda rule: -SEVERITY[rule.label])  # stable: then the order of the spec
        return cls(tuple((rule, _compiled(rule.patterns), _compiled(rule.unless)) for rule in ordered))

    def match(self, text: str) -> Rule | None:
        text = normalise(text)
        for rule, patterns, unless in self.pages:
            if _found(patterns, text) and not _found(unless, text):
                return rule
        return None


def _compiled(patterns: Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


def _found(patterns: tuple[re.Pattern[str], ...], text: str) -> bool:
    return any(pattern.search(text) for pattern in patterns)


class HarmClass(SpecModel):
    label: Literal["ESCALATION", "DENY", "REFUSE"] = "REFUSE"
    """The mildest class that the harm allows; never ALLOW."""

    reason: str = Field("有害な行為につながる内容のため、応じられません。", min_length=1)
    """Why, in the words that the record and the model's answer carry."""


class Suspicion(HarmClass):
    label: Literal["ESCALATION", "DENY", "REFUSE"] = "ESCALATION"
    """The mildest class that a suspicion allows; never ALLOW."""

    reason: str = Field("有害な内容の疑いがあるため、担当者が確認します。", min_length=1)
    """Why, in the words that the record and the model's answer carry."""


class Harm(SpecModel):
    default: HarmClass = HarmClass()
    """What a category of harm that `categories` does not name demands."""

    categories: dict[str, HarmClass] = Field(default_factory=dict)
    """What a category of harm, as `cleaned` names them, demands."""

    suspected: Suspicion = Suspicion()
    """What harm demands that `cleaned.harm.suspect` found and no pattern names: it may be none, so a person decides."""

    confidence: float = Field(0.99, gt=0, le=1)
    """The confidence of records whose class was raised because of harm."""

    def demand(self, found: Sequence[str]) -> HarmClass | None:
        """The most severe of what the found categories demand; the first one found among equals."""
        named = {**self.categories, SUSPECTED: self.suspected}
        demands = [named.get(category, self.default) for category in found]
        return max(demands, key=lambda demand: SEVERITY[demand.label], default=None)
