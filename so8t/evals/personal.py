"""How well personal data is found in texts that say where it is: recall and precision by kind, with intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.corpus import pii
from so8t.corpus.findings import folded
from so8t.evals.failures import Recall

Marked = tuple[int, int, str]
_PLACES = 0xF0000  # characters that no text has


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

    def as_json(self) -> dict[str, Any]:
        """Shares to three digits with the ends of their intervals; None where nothing was found."""
        parts = {"recall": self.recall, "precision": self.precision}
        shares = {name: _rounded(one) if one.records else None for name, one in parts.items()}
        return {"spans": self.there, "findings": self.found, **shares}


def _rounded(one: Recall) -> list[float]:
    return [round(share, 3) for share in (one.share, *one.interval)]


def measure(lines: Iterable[Mapping[str, Any]], table: pii.Table) -> dict[str, Figures]:
    """Of texts with their `spans`, each a start, an end and a kind; only of the table's kinds."""
    placeholders = pii.placeholders(table)
    whole, there, found, wrong = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for line in lines:
        right = [(start, end, kind) for start, end, kind in line["spans"] if kind in placeholders.values()]
        spans = located(line["text"], table)
        for start, end, kind in right:
            there[kind] += 1
            whole[kind] += any(s <= start and end <= e and k == kind for s, e, k in spans)
        for start, end, kind in spans:
            found[kind] += 1
            wrong[kind] += not any(s < end and start < e and k == kind for s, e, k in right)
    return {kind: Figures(whole[kind], there[kind], found[kind], wrong[kind]) for kind in sorted(there | found)}


def located(text: str, table: pii.Table) -> list[Marked]:
    """Where something is found: while the rules replace, each character stands for its place, so none is guessed."""
    kinds = pii.placeholders(table)
    cleaned, _ = pii.replaced("".join(map(chr, range(_PLACES, _PLACES + len(text)))), folded(text), table)
    spans: list[Marked] = []
    start, here = 0, list[str]()
    for piece in filter(None, _pieces(cleaned, tuple(kinds))):
        if kind := _kind(piece, kinds):
            here.append(kind)
            continue
        spans += [(start, ord(piece[0]) - _PLACES, kind) for kind in here]
        start, here = ord(piece[-1]) - _PLACES + 1, []
    return [*spans, *((start, len(text), kind) for kind in here)]


def _pieces(cleaned: str, placeholders: Sequence[str]) -> list[str]:
    either = "|".join(re.escape(one).replace("N", r"\d+") for one in placeholders)
    return re.split(f"({either})", cleaned)


def _kind(piece: str, placeholders: Mapping[str, str]) -> str:
    return placeholders.get(re.sub(r"(?<=〔人名)\d+", "N", piece), "")
