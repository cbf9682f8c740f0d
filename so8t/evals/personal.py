"""How well personal data is found in texts that say where it is: recall and precision by kind, with intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
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
    seen = list(lines)
    kinds = frozenset(pii.placeholders(table).values())
    return against(seen, (located(line["text"], table) for line in seen), kinds)


def against(
    lines: Iterable[Mapping[str, Any]],
    found: Iterable[Sequence[Sequence[Any]]],
    kinds: Collection[str],
    touching: bool = False,
) -> dict[str, Figures]:
    """Of findings, each a start, an end and a kind; `touching`: a span need not be covered whole."""
    whole, there, findings, wrong = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for line, spans in zip(lines, found, strict=True):
        right = [(start, end, kind) for start, end, kind in line["spans"] if kind in kinds]
        for start, end, kind in right:
            there[kind] += 1
            near = [(s, e) for s, e, k in spans if k == kind and s < end and start < e]
            whole[kind] += any(touching or (s <= start and end <= e) for s, e in near)
        for start, end, kind in spans:
            findings[kind] += 1
            wrong[kind] += not any(s < end and start < e and k == kind for s, e, k in right)
    counted = sorted(there | findings)
    return {kind: Figures(whole[kind], there[kind], findings[kind], wrong[kind]) for kind in counted}


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
