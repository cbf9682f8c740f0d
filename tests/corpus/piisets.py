"""The marked sentences, and the rules that are measured on them: the tuned part and the one that is held out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import orjson

from so8t.corpus import pii
from so8t.evals import personal
from so8t.evals.personal import Figures
from tests.corpus import piisentences

Lines = Sequence[Mapping[str, Any]]
PUBLIC = ("0120", "0570", "0800", "0990")
INTERNAL = (r"EMP-\d{6}", r"CUST-\d{8}")  # in the sentences that were made
_FOLDER = Path(__file__).parents[1] / "golden/pii"


def read(name: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (_FOLDER / f"{name}.jsonl").read_bytes().splitlines()]


def shapes(lines: Lines) -> tuple[str, ...]:
    """The patterns of `internal` are the user's: here the shape of each identifier, its letters kept."""
    spans = {line["text"][start:end] for line in lines for start, end, kind in line["spans"] if kind == "internal"}
    return tuple(
        sorted(r"(?<![A-Za-z0-9])" + re.sub(r"\d", r"\\d", re.escape(span)) + r"(?![A-Za-z0-9])" for span in spans)
    )


def of_tuned() -> pii.Table:
    return pii.kinds(pii.KINDS, PUBLIC, INTERNAL)


def of_held_out(lines: Lines) -> pii.Table:
    return pii.kinds(pii.KINDS, PUBLIC, shapes(lines))


def measured() -> dict[str, Any]:
    """What so8t/report/look/personal.json says."""
    held, tuned = read("heldout"), [*piisentences.lines(), *read("tuned")]
    return {
        "held_out": told(len(held), personal.measure(held, of_held_out(held))),
        "second": told_of("second"),
        "third": told_of("third", ("name", "birth_date")),
        "tuned": told(len(tuned), personal.measure(tuned, of_tuned())),
    }


def told_of(name: str, kinds: Sequence[str] = pii.KINDS) -> dict[str, Any]:
    """Of a part that is held out; in the third nothing but names and dates of birth is marked."""
    lines = read(name)
    found = personal.measure(lines, of_held_out(lines))
    return told(len(lines), {kind: figures for kind, figures in found.items() if kind in kinds})


def told(texts: int, *figures: Mapping[str, Figures]) -> dict[str, Any]:
    """Of sets whose figures are added up."""
    kinds = sorted(set().union(*figures))
    return {"texts": texts, "kinds": {kind: _together(kind, figures).as_json() for kind in kinds}}


def _together(kind: str, figures: Iterable[Mapping[str, Figures]]) -> Figures:
    return Figures(*map(sum, zip(*(astuple(one[kind]) for one in figures if kind in one), strict=True)))
