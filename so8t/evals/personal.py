"""How well personal data is found in texts that say where it is: recall and precision by kind, with intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.corpus import pii
from so8t.evals.failures import Recall

Marked = tuple[int, int, str]


@dataclass(frozen=True)
class Figures:
    """Of one kind: spans that are covered whole, spans there are, findings, and those of them that lie on no span."""

    whole: int
    there: int
    found: int
    wrong: int

    @property
    def recall(self) -> Recall:
        return Recall(self.whole, self.there)

    @property
    def precision(self) -> Recall:
        return Recall(self.found - self.wrong, self.found)


def measure(lines: Iterable[Mapping[str, Any]], table: pii.Table) -> dict[str, Figures]:
    """Of texts with their `spans`, each a start, an end and a kind; only of the table's kinds."""
    placeholders = pii.placeholders(table)
    whole, there, found, wrong = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        right = [(start, end, kind) for start, end, kind in line["spans"] if kind in placeholders.values()]
        spans = located(line["text"], pii.remove(line["text"], table)[0], placeholders)
        for start, end, kind in right:
            there[kind] += 1
            whole[kind] += any(s <= start and end <= e and k == kind for s, e, k in spans)
        for start, end, kind in spans:
            found[kind] += 1
            wrong[kind] += not any(s < end and start < e and k == kind for s, e, k in right)
    return {kind: Figures(whole[kind], there[kind], found[kind], wrong[kind]) for kind in sorted(there | found)}


def located(text: str, cleaned: str, placeholders: Mapping[str, str]) -> list[Marked]:
    """Where the placeholders stand in the text as it was."""
    spans: list[Marked] = []
    start, kind = 0, ""
    for piece in _pieces(cleaned, tuple(placeholders)):
        if name := _kind(piece, placeholders):
            kind = name
            continue
        at = text.index(piece, start) if piece else (len(text) if kind else start)
        if kind:
            spans.append((start, at, kind))
        start, kind = at + len(piece), ""
    return spans


def _pieces(cleaned: str, placeholders: Sequence[str]) -> list[str]:
    either = "|".join(re.escape(one).replace("N", r"\d+") for one in placeholders)
    return re.split(f"({either})", cleaned)


def _kind(piece: str, placeholders: Mapping[str, str]) -> str:
    return placeholders.get(re.sub(r"(?<=〔人名)\d+", "N", piece), "")
