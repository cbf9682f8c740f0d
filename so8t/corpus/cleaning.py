"""The chain that a record goes through; a step returns the record, changed or not, or raises Drop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.corpus import harm, language, normalise, pii
from so8t.corpus.neardup import Parts, comparable
from so8t.formats.records import Record

Step = Callable[[Record], Record]

_PLAIN = ("text", "system", "reason", "answer", "rejected")
_OPTIONAL = (*_PLAIN[1:], "history", "thinking")
_MANY_KANJI = 20  # Chinese has no kana; a short Japanese title need not have any either
_PLACEHOLDER = re.compile("〔[^〕]{2,8}〕")


class Drop(Exception):
    """The record leaves the stream: a reason to count by, and details that hold no personal data."""

    def __init__(self, reason: str, detail: dict[str, Any] | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or {}


def clean(record: Record, steps: Sequence[Step]) -> Record:
    for step in steps:
        record = step(record)
    return record


def dropped(record: Record, drop: Drop) -> Record:
    """What remains of a record that left: never its text, which may hold personal data."""
    detail = {"detail": drop.detail} if drop.detail else {}
    return {"id": record["id"], "reason": drop.reason, **detail, "source": record.get("source")}


# --- the free texts of a record -------------------------------------------------------------------------------


def free_texts(record: Record) -> Iterator[str]:
    """Every text that somebody wrote."""
    yield from (record[name] for name in _PLAIN if record.get(name))
    yield from (turn["content"] for turn in record.get("history") or ())
    yield from (record.get("thinking") or {}).values()


def map_texts(record: Record, change: Callable[[str], str]) -> Record:
    """The record with every free text and tag changed, keys in their old order.

    An optional text that ends empty goes, and thinking that lost one of its parts: it would be a target with a hole.
    """
    changed = {name: _changed(name, value, change) for name, value in record.items()}
    return {name: value for name, value in changed.items() if value or name not in _OPTIONAL}


def _changed(name: str, value: Any, change: Callable[[str], str]) -> Any:
    if not value:
        return value
    if name in _PLAIN:
        return change(value)
    if name == "history":
        turns = [{**turn, "content": change(turn["content"])} for turn in value]
        return [turn for turn in turns if turn["content"]]
    if name in ("thinking", "tags"):
        parts = {part: change(text) for part, text in value.items()}
        return parts if name == "tags" or all(parts.values()) else {}
    return value


def parts_to_compare(record: Record) -> Parts:
    """The text, the conversation before it, and the system prompt, each in its comparable form."""
    history = record.get("history")
    turns = "\x1e".join(f"{turn['role']}:{comparable(turn['content'])}" for turn in history) if history else ""
    return comparable(record["text"]), turns, comparable(record.get("system") or "")


def is_held_out(record: Record) -> bool:
    """Pinned to a split other than training: such a record wins over every training record near to it."""
    return record.get("split") not in (None, "train")


# --- the steps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normalise:
    """Every free text in its stored form."""

    keep_fullwidth: str

    def __call__(self, record: Record) -> Record:
        return map_texts(record, lambda text: normalise.normalise(text, self.keep_fullwidth))


@dataclass(frozen=True)
class CheckLength:
    """Bounds in characters of the text, and of everything in the record together."""

    min_chars: int
    max_chars: int
    max_record_chars: int

    def __call__(self, record: Record) -> Record:
        chars = len(record["text"])
        if not record["text"].strip():
            raise Drop("empty")
        if chars < self.min_chars:
            raise Drop("too_short", {"chars": chars, "min_chars": self.min_chars})
        if chars > self.max_chars:
            raise Drop("too_long", {"chars": chars, "max_chars": self.max_chars})
        whole = sum(map(len, free_texts(record)))
        if whole > self.max_record_chars:
            raise Drop("too_long", {"record_chars": whole, "max_record_chars": self.max_record_chars})
        return record


@dataclass(frozen=True)
class CheckLanguage:
    """Enough Japanese letters in the text, and kana among them once it has many kanji."""

    min_japanese: float
    min_kana: float

    def __call__(self, record: Record) -> Record:
        text = _PLACEHOLDER.sub("", record["text"])
        if language.is_plain(text, self.min_japanese, self.min_kana):
            return record
        share = language.measure(text)
        too_few_kana = share.kana < self.min_kana and share.japanese * share.letters >= _MANY_KANJI
        if share.japanese < self.min_japanese or too_few_kana:
            raise Drop("language", {"japanese": round(share.japanese, 3), "kana": round(share.kana, 3)})
        return record


class RemovePii:
    """Placeholders for personal data in every free text, and `pii` with the counts by kind.

    A person is the same 〔人名1〕 in all texts of a record.
    """

    def __init__(self, kinds: Sequence[str], public_phones: tuple[str, ...], internal: tuple[str, ...] = ()) -> None:
        self._table = pii.kinds(kinds, public_phones, internal)

    def __call__(self, record: Record) -> Record:
        total: dict[str, int] = {}
        persons = pii.persons(self._table)

        def change(text: str) -> str:
            text, found = pii.remove(text, self._table, persons)
            for kind, count in found.items():
                total[kind] = total.get(kind, 0) + count
            return text

        changed = map_texts(record, change)
        return {**changed, "pii": dict(sorted(total.items()))} if total else record


class RouteHarm:
    """`harm` with the categories of a harmful record; the worst leave the stream.

    Reason and thinking of a class that does not help are not searched: there a harmful request is named
    in order to refuse it.  What would be learned as help is.
    """

    def __init__(self, table: harm.Table, drop: Sequence[str]) -> None:
        self._table = table
        self._drop = frozenset(drop)

    def __call__(self, record: Record) -> Record:
        found = self._table.categories(_searched(record))
        for category in found:
            if category in self._drop:
                raise Drop(f"harm:{category}")
        return {**record, "harm": found} if found else record


def _searched(record: Record) -> Iterator[str]:
    label = record.get("label")
    yield from (record[name] for name in ("text", "system", "answer") if record.get(name))
    yield from (turn["content"] for turn in record.get("history") or ())
    yield from (record.get("tags") or {}).values()
    if label == "ALLOW":
        yield record.get("reason") or ""
    if label in ("ALLOW", None):
        yield from (record.get("thinking") or {}).values()
