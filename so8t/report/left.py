"""The door to the records that left: the first of each reason, and their texts, found again and redacted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from so8t.corpus import harm, pii
from so8t.formats import records
from so8t.store.layout import Layout

FILES = {  # where they are named -> where their texts stand
    "raw/quarantined.jsonl": "",  # in the line itself
    "cleaned/dropped.jsonl": "raw/raw.jsonl",
    "labelled/quarantined.jsonl": "cleaned/cleaned.jsonl",
    "thinking_sft/dropped.jsonl": "labelled/labelled.jsonl",
}
EXAMPLES = 10  # of each reason
_SPOKEN = ("id", "reason", "detail", "source")
_LONGEST = 120  # characters of a text that are shown, once it is redacted
_READ, _EDGE = 4_000, 200  # characters that are redacted for them, and those at the cut, where a number may be halved


def read(layout: Layout, kinds: pii.Table) -> dict[str, list[dict[str, Any]]]:
    """By file.  Each has a `text` if that is still there, redacted; an empty one is harmful and not for a page."""
    found = {file: list(first(records.read(path), kinds)) for file in FILES if (path := _there(layout, file))}
    for file, origin in FILES.items():
        if file in found and origin and (path := _there(layout, origin)):
            found[file] = _with_texts(found[file], path, kinds)
    return found


def _there(layout: Layout, file: str) -> Path | None:
    """None where there is none, or its bytes were let go."""
    path = layout.artifacts / layout.profile / file
    return path if path.is_file() else None


def first(lines: Iterable[Mapping[str, Any]], kinds: pii.Table) -> Iterator[dict[str, Any]]:
    """The first few of each reason."""
    seen = Counter[str]()
    for line in lines:
        seen[line["reason"]] += 1
        if seen[line["reason"]] <= EXAMPLES:
            text = {"text": shown(str(line["raw"]), kinds)} if "raw" in line else {}
            yield {name: line[name] for name in _SPOKEN if name in line and _is_measure(name, line[name])} | text


def _is_measure(name: str, value: Any) -> bool:
    """A detail in words may quote the record; one in figures does not."""
    return name != "detail" or isinstance(value, dict)


def _with_texts(left: list[dict[str, Any]], path: Path, kinds: pii.Table) -> list[dict[str, Any]]:
    found = dict(_texts(path, {_place(one) for one in left}))
    return [{**one, "text": shown(found[place], kinds)} if (place := _place(one)) in found else one for one in left]


def _texts(path: Path, wanted: set[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str]]:
    """Only lines that begin with the id of a wanted record are parsed."""
    starts, missing = {f'{{"id":"{id_}"'.encode() for id_, _ in wanted}, set(wanted)
    with path.open("rb", 1 << 20) as lines:
        for line in lines:
            if not missing:
                return
            if line[: line.find(b",")] in starts and (place := _place(record := orjson.loads(line))) in missing:
                missing.discard(place)
                yield place, record["text"]


def _place(one: Mapping[str, Any]) -> tuple[str, str]:
    """A record by its id and where it came from: a text that came twice has one id."""
    return one["id"], orjson.dumps(one.get("source"), option=orjson.OPT_SORT_KEYS).decode()


def shown(text: str, kinds: pii.Table) -> str:
    """One line without personal data of these kinds; nothing where the text is harmful, or may be."""
    if _harmful().categories([text[:_READ]]):
        return ""
    plain, _ = pii.remove(text[:_READ], kinds)
    plain = plain if len(text) <= _READ else plain[:-_EDGE]
    line = " ".join("".join(char if char.isprintable() else " " for char in plain).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


@lru_cache
def _harmful() -> harm.Table:
    return harm.Table(harm.DEFAULT, suspect=0.8)  # more than a build asks: what is shown is seen by people
