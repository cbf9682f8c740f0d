"""How much of what came in may leave: a stage that keeps nothing, or loses more than its spec allows, has missed.

Raised when everything is written, so that what left can be looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from so8t.errors import Missed

_HELP = {  # what takes most, and what to look at first
    "no text": "`fields` or `format` in raw.yaml say where the text lies",
    "wrong type": "`fields` or `format` in raw.yaml say where the text lies",
    "not JSON": "`kind` in raw.yaml says what the file is",
    "unknown label": "`labels` in raw.yaml translates them",
    "tool turn": "`tools` in raw.yaml says what becomes of them",
    "language": "language.min_japanese: 0 in cleaned.yaml takes every language",
    "too_short": "length.min_chars in cleaned.yaml is the bound",
    "too_long": "length.max_chars and length.max_record_chars in cleaned.yaml are the bounds",
    "exact_duplicate": "`fields` in raw.yaml may leave out the part that differs",
    "near_duplicate": "duplicates.threshold in cleaned.yaml is the bound",
    "no_answer": "a record is learned with its answer: `fields.answer` in raw.yaml says where it lies",
}


def check(stage: str, left: Mapping[str, int], kept: int, most: float, field: str) -> None:
    """Missed, with the reasons that took the records, the largest first."""
    gone = sum(left.values())
    if kept and gone <= most * (gone + kept):
        return
    if not gone and not kept:
        raise Missed(f"{stage}: no record came in")
    reasons = sorted(left.items(), key=lambda item: (-item[1], item[0]))
    took = ", ".join(f"{count:,} x {reason}" for reason, count in reasons)
    what = f"{gone:,} of {gone + kept:,} records were {field.removeprefix('max_')}"
    more = f", more than {field}: {most:g} allows" if kept else ", so no record is left"
    help = f"; {_HELP[reasons[0][0]]}" if reasons[0][0] in _HELP else ""
    raise Missed(f"{stage}: {what}{more}: {took}{help}")
