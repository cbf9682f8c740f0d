"""What leaves: a pure function from the final part to the reply.

Of a model that names classes, ALLOW answers leave as they are; the other classes answer with the profile's own texts,
whatever the model wrote.  An answer that contradicts its class, and an ALLOW without one of its own, becomes a refusal.
Of a model that names none, the answer leaves as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

from so8t.formats.records import LABELS
from so8t.serve.splitter import Verdict

LONGEST_REASON = 200


@dataclass(frozen=True)
class Text:
    """A class's own words; ALLOW has no answer."""

    reason: str
    answer: str


@dataclass(frozen=True)
class Reply:
    """What the requester gets.  `agreed` is false where it replaces an answer that contradicted its class.

    `label` is empty where the model names no class; then there is no confidence and no reason either.
    """

    label: str
    confidence: float
    reason: str
    answer: str
    agreed: bool = True


class Deciding(Protocol):
    @property
    def version(self) -> str: ...

    def decide(self, verdict: Verdict, answer: str) -> Reply: ...

    def may_leave(self, label: str, answer: str) -> bool: ...


@dataclass(frozen=True)
class Plain:
    """Of a model that was trained on conversations as they are: nothing is judged here, and nothing replaced."""

    version: str = "plain"

    def decide(self, verdict: Verdict, answer: str) -> Reply:
        return Reply(verdict.label, verdict.confidence, verdict.reason, answer)

    def may_leave(self, label: str, answer: str) -> bool:
        return bool(answer)


@dataclass(frozen=True)
class Policy:
    texts: Mapping[str, Text]  # per class
    declining: tuple[str, ...]  # patterns: an answer with one of these gives nothing, or hands the matter on

    @property
    def version(self) -> str:
        """The same texts and patterns, the same version."""
        whole = {"texts": {label: asdict(self.texts[label]) for label in LABELS}, "declining": self.declining}
        return hashlib.sha256(json.dumps(whole, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]

    def decide(self, verdict: Verdict, answer: str) -> Reply:
        if not self._agrees(verdict.label, answer):
            return Reply("REFUSE", 1.0, self.texts["REFUSE"].reason, self.texts["REFUSE"].answer, agreed=False)
        own = self.texts[verdict.label]
        brief = 0 < len(verdict.reason.strip()) <= LONGEST_REASON and "\n" not in verdict.reason
        return Reply(
            verdict.label,
            verdict.confidence,
            verdict.reason if brief else own.reason,
            answer if verdict.label == "ALLOW" else own.answer,
        )

    def may_leave(self, label: str, answer: str) -> bool:
        """Whether what has come of an answer can leave before the rest: no rest can make decide() replace it."""
        begun = _bare(answer)
        return label == "ALLOW" and bool(begun) and not any(each.startswith(begun) for each in self._not_allowed)

    def _agrees(self, label: str, answer: str) -> bool:
        if label == "ALLOW":
            return bool(_bare(answer)) and _bare(answer) not in self._not_allowed
        return (
            not _bare(answer)
            or _bare(answer) in self._not_allowed
            or any(each.search(answer) for each in self._declines)
        )

    @cached_property
    def _not_allowed(self) -> frozenset[str]:
        return frozenset(_bare(text.answer) for label, text in self.texts.items() if label != "ALLOW")

    @cached_property
    def _declines(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(re.compile, self.declining))


def _bare(text: str) -> str:
    """The letters and digits: width, case, spaces and punctuation make no other answer."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in folded if each.isalnum())
