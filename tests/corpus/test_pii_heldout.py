"""Today's rules on sentences that were written by hand before anybody tuned a rule on them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
from stdnum import luhn
from stdnum.jp import in_

from so8t.corpus import pii

HELD_OUT = Path(__file__).parents[1] / "golden/pii/heldout.jsonl"
LINES: list[dict[str, Any]] = [orjson.loads(line) for line in HELD_OUT.read_bytes().splitlines()]
PUBLIC = ("0120", "0570", "0800", "0990")
TABLE = pii.kinds(("secret", "email", "ip", "card", "my_number", "address", "phone"), PUBLIC)
KIND = {kind.placeholder: kind.name for kind in TABLE}
PLACEHOLDER = re.compile("(" + "|".join(map(re.escape, KIND)) + ")")
Span = tuple[int, int, str]
COUNTS = {
    "address": 17,
    "bank_account": 10,
    "birth_date": 14,
    "card": 8,
    "coordinates": 12,
    "driving_licence": 8,
    "email": 10,
    "health_insurance": 14,
    "internal": 12,
    "ip": 11,
    "my_number": 7,
    "name": 117,
    "passport": 9,
    "pension": 7,
    "phone": 17,
    "plate": 9,
    "residence_card": 7,
    "secret": 32,
}
TODAY = {  # covered whole, there, wrong
    "address": (14, 17, 0),
    "card": (8, 8, 0),
    "email": (10, 10, 0),
    "ip": (11, 11, 0),
    "my_number": (7, 7, 2),
    "phone": (17, 17, 0),
    "secret": (29, 32, 0),
}


def found(text: str) -> list[Span]:
    """Where the placeholders stand in the text as it was."""
    spans: list[Span] = []
    start, kind = 0, ""
    for piece in PLACEHOLDER.split(pii.remove(text, TABLE)[0]):
        if piece in KIND:
            kind = KIND[piece]
            continue
        at = text.index(piece, start) if piece else (len(text) if kind else start)
        if kind:
            spans.append((start, at, kind))
        start, kind = at + len(piece), ""
    return spans


def figures() -> dict[str, tuple[int, int, int]]:
    """By kind: spans covered whole, spans there are, findings that lie on no span of their kind."""
    whole, there, wrong = Counter[str](), Counter[str](), Counter[str]()
    for line in LINES:
        right = [(start, end, kind) for start, end, kind in line["spans"] if kind in KIND.values()]
        spans = found(line["text"])
        for start, end, kind in right:
            there[kind] += 1
            whole[kind] += any(s <= start and end <= e and k == kind for s, e, k in spans)
        for start, end, kind in spans:
            wrong[kind] += not any(s < end and start < e and k == kind for s, e, k in right)
    return {kind: (whole[kind], there[kind], wrong[kind]) for kind in sorted(there)}


def test_the_set_has_so_many_spans_of_each_kind() -> None:
    counts = Counter(kind for line in LINES for _, _, kind in line["spans"])
    assert (len(LINES), sum(not line["spans"] for line in LINES), len({line["text"] for line in LINES})) == (
        384,
        130,
        384,
    )
    assert dict(counts) == COUNTS


def test_spans_lie_in_their_text_and_do_not_overlap() -> None:
    for line in LINES:
        places = [place for start, end, _ in line["spans"] for place in (start, end)]
        assert places == sorted(places) and all(0 <= place <= len(line["text"]) for place in places), line["id"]


def test_numbers_with_a_check_digit_have_the_right_one() -> None:
    checks = {"card": luhn.is_valid, "my_number": in_.is_valid}
    for line in LINES:
        for start, end, kind in line["spans"]:
            digits = re.sub(r"\D", "", line["text"][start:end])
            assert kind not in checks or checks[kind](digits), line["id"]


def test_what_the_rules_find_today() -> None:
    assert figures() == TODAY
