"""Answers in a thinking format, whichever is declared in so8t.formats.layouts: composed and split without loss.

Only exact markers are structure: `＜final＞`, `<FINAL>` and `<final >` are text like any other.
Text that looks exactly like structure is made inert by one backslash after its first character
(`<final>` -> `<\\final>`, `<\\final>` -> `<\\\\final>`), which split() takes away again: nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from so8t.formats.layouts import (  # noqa: F401  the declarations, for whoever composes and splits
    FORMATS,
    HEADINGS,
    NONE,
    PLAIN,
    TAGS,
    THINK,
    TWO_HEADINGS,
    FinalField,
    Part,
    ThinkingFormat,
    dropping,
    from_json,
    reserving,
    to_json,
)
from so8t.formats.records import LABELS


class FormatError(ValueError):
    """A text that does not keep the format: where, and what should have stood there."""

    def __init__(self, position: int, expected: str, found: str) -> None:
        super().__init__(f"character {position}: expected {expected}, found {found}")
        self.position, self.expected, self.found = position, expected, found


@dataclass(frozen=True)
class Final:
    """What the requester sees.  The confidence has two decimals: more would be noise to learn."""

    label: str
    confidence: float
    reason: str
    answer: str

    def __post_init__(self) -> None:
        if self.label not in LABELS:
            raise ValueError(f"label {self.label!r} must be one of {', '.join(LABELS)}")
        if not 0 <= self.confidence <= 1:  # NaN fails too
            raise ValueError(f"confidence {self.confidence!r} is not between 0 and 1")
        object.__setattr__(self, "confidence", round(float(self.confidence), 2))


@dataclass(frozen=True)
class Thinking:
    """What a classed format holds."""

    task: str
    safety: str
    policy: str
    final: Final

    @property
    def inner(self) -> tuple[str, ...]:
        return self.task, self.safety, self.policy

    @property
    def fields(self) -> tuple[str, ...]:
        final = self.final
        return final.label, f"{final.confidence:.2f}", final.reason, final.answer

    @property
    def shown(self) -> str:
        """The free text that a requester sees."""
        return f"{self.final.reason}\n{self.final.answer}"


@dataclass(frozen=True)
class Plain:
    """What a plain format holds: the texts of its inner parts, and an answer that names no class."""

    inner: tuple[str, ...]
    answer: str

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.answer,)

    @property
    def shown(self) -> str:
        return self.answer


Said = Thinking | Plain


def compose(said: Said, fmt: ThinkingFormat) -> str:
    inner = (part.open + inert(text, fmt) + part.close for part, text in zip(fmt.parts[:-1], said.inner, strict=True))
    fields = (field.key + inert(text, fmt) for field, text in zip(fmt.fields, said.fields, strict=True))
    return "".join(inner) + wrap_final("\n".join(fields), fmt)


def opening(texts: Iterable[str], label: str, fmt: ThinkingFormat) -> str:
    """All that stands before the confidence: the inner parts with these texts, the label, and the next key."""
    inner = "".join(part.open + inert(text, fmt) + part.close for part, text in zip(fmt.parts[:-1], texts, strict=True))
    return f"{inner}{fmt.parts[-1].open}{fmt.fields[0].key}{label}\n{fmt.fields[1].key}"


def joints(fmt: ThinkingFormat) -> tuple[str, str, str]:
    """What stands between confidence and reason, between reason and answer, and after the answer."""
    return f"\n{fmt.fields[2].key}", f"\n{fmt.fields[3].key}", fmt.parts[-1].close


def wrap_final(content: str, fmt: ThinkingFormat) -> str:
    """The final part alone around a content that is already inert: what a history without thinking carries."""
    final = fmt.parts[-1]
    return final.open + content + final.close


def read(text: str, fmt: ThinkingFormat) -> Said:
    """The parts of a text that keeps the format exactly; otherwise FormatError."""
    *inner, (start, stop) = _contents(text, fmt)
    texts = tuple(active(text[start:stop], fmt) for start, stop in inner)
    return _said(texts, _fields(text, start, stop, fmt))


def split(text: str, fmt: ThinkingFormat) -> Thinking:
    """The same, of a classed format."""
    said = read(text, fmt)
    if not isinstance(said, Thinking):
        raise AssertionError(f"the format {fmt.name} names no class")
    return said


def read_direct(text: str, fmt: ThinkingFormat) -> Said:
    """The same of a text without thinking, as a direct answer is: what stays of it, then the final part alone."""
    text, position = _trimmed(text, fmt)
    if not text.startswith(fmt.skipped, position):
        _fail(text, position, fmt.skipped)
    start = position + len(fmt.skipped)
    fields = _fields(text, start, _stop(text, start, fmt.parts[-1].close, None, fmt), fmt)
    return _said(("",) * (len(fmt.parts) - 1), fields)


def split_final(text: str, fmt: ThinkingFormat) -> Final:
    """The final part of a direct answer of a classed format; otherwise FormatError."""
    said = read_direct(text, fmt)
    if not isinstance(said, Thinking):
        raise AssertionError(f"the format {fmt.name} names no class")
    return said.final


def _said(inner: tuple[str, ...], fields: Sequence[str]) -> Said:
    if len(fields) == 1:
        return Plain(inner, fields[0])
    task, safety, policy = inner
    label, confidence, reason, answer = fields
    return Thinking(task, safety, policy, Final(label, float(confidence), reason, answer))


def final_part(text: str, fmt: ThinkingFormat) -> str:
    """What read() finds behind the thinking, as it stands there: the same answer without its thinking."""
    start, _ = _contents(text, fmt)[-1]
    return text[start - len(fmt.parts[-1].open) :]


def _trimmed(text: str, fmt: ThinkingFormat) -> tuple[str, int]:
    """Without spaces behind it, and where it begins behind those before it.

    SentencePiece reads a space before a text, and llama.cpp prints it; some chat formats have spaces there.
    """
    if fmt.parts[-1].close:
        text = text.rstrip(" ")
    return text, len(text) - len(text.lstrip(" "))


def _contents(text: str, fmt: ThinkingFormat) -> list[tuple[int, int]]:
    """Where the text of each part begins and ends; they are all that there is, but for spaces around them."""
    text, position = _trimmed(text, fmt)
    contents = []
    for part, following in zip(fmt.parts, (*fmt.parts[1:], None), strict=True):
        if not text.startswith(part.open, position):
            _fail(text, position, part.open)
        start = position + len(part.open)
        stop = _stop(text, start, part.close, following.open if following else None, fmt)
        contents.append((start, stop))
        position = stop + len(part.close)
    return contents


def _stop(text: str, start: int, close: str, following: str | None, fmt: ThinkingFormat) -> int:
    """Where the part that starts here ends: before the one marker that may follow it."""
    if following is None:
        stop = len(text) - len(close) if text.endswith(close) and len(text) - len(close) >= start else -1
    else:
        stop = text.find(close + following, start)
    stray = _structure(fmt).search(text, start, stop if stop >= 0 else len(text))
    if stray or stop < 0:
        _fail(text, stray.start() if stray else len(text), close + (following or "") or "the end")
    return stop


def _fields(text: str, start: int, stop: int, fmt: ThinkingFormat) -> list[str]:
    """The texts of the final part's fields; those of a classed format name a class and a confidence."""
    content, values = text[start:stop], []
    position = 0
    if fmt.classed and not fmt.whole_lines:
        position = int(content.startswith(f" {fmt.fields[0].key}"))  # read behind a marker's token
    for field, following in zip(fmt.fields, (*fmt.fields[1:], None), strict=True):
        if not content.startswith(field.key, position):
            _fail(text, start + position, field.key)
        position += len(field.key)
        end = content.find("\n" + following.key, position) if following else len(content)
        if end < 0 or (field.name in ("label", "confidence") and "\n" in content[position:end]):
            _fail(text, start + position, f"one line, then {following.key.strip()}" if following else field.key)
        values.append((start + position, content[position:end]))
        position = end + 1
    if fmt.classed:
        _check_class(text, *values[:2])
    return [active(value, fmt) for _, value in values]


def _check_class(text: str, label: tuple[int, str], confidence: tuple[int, str]) -> None:
    if label[1] not in LABELS:
        _fail(text, label[0], f"one of {', '.join(LABELS)}")
    if not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", confidence[1]):
        _fail(text, confidence[0], "a number from 0 to 1")


def _fail(text: str, position: int, expected: str) -> NoReturn:
    found = repr(text[position : position + 20]) if position < len(text) else "the end of the text"
    raise FormatError(position, expected if expected == expected.strip() else repr(expected), found)


def inert(text: str, fmt: ThinkingFormat) -> str:
    """The text with nothing in it that is structure; active() is its inverse."""
    if not any(letter in text for letter in _first_letters(fmt)):
        return text
    return _lookalike(fmt, "*").sub(lambda found: found[0] + "\\", text)


@lru_cache
def _first_letters(fmt: ThinkingFormat) -> frozenset[str]:
    """What structure begins with; the answer's key follows a line end."""
    return frozenset(("\n", *(token[0] for token in (*fmt.markers, *fmt.reserved))))


def unspaced(text: str, fmt: ThinkingFormat) -> str:
    """Without the space behind an opening marker, which a vocabulary may read there before every text."""
    for opening in filter(None, (part.open for part in fmt.parts)):
        text = text.replace(f"{opening} ", opening)
    return text


def active(text: str, fmt: ThinkingFormat) -> str:
    if "\\" not in text:
        return text
    return _lookalike(fmt, "+").sub(lambda found: found[0][:-1], text)


def structure(text: str, fmt: ThinkingFormat) -> list[str]:
    """Every marker in it, in order."""
    return [found[0] for found in _structure(fmt).finditer(text)]


@lru_cache
def _lookalike(fmt: ThinkingFormat, backslashes: str) -> re.Pattern[str]:
    """The first character of anything like structure and the backslashes after it (`*` or `+` of them)."""

    def like(token: str, before: str = "", after: str = "") -> str:
        return rf"{before}{re.escape(token[0])}\\{backslashes}(?={re.escape(token[1:])}{after})"

    lines = ("^", "$") if fmt.whole_lines else ("", "")
    choices = [like(marker, *lines) for marker in fmt.markers]
    choices += [like(token) for token in fmt.reserved]
    if fmt.classed:  # the reason may have lines; the answer's key ends it
        choices += [like(fmt.fields[-1].key, r"(?<=\n)")]
    return re.compile("|".join(choices), re.MULTILINE)


@lru_cache
def _structure(fmt: ThinkingFormat) -> re.Pattern[str]:
    line: Callable[[str], str] = (lambda text: f"^{text}$") if fmt.whole_lines else (lambda text: text)
    return re.compile("|".join(line(re.escape(marker)) for marker in fmt.markers), re.MULTILINE)
