"""The thinking format, declared once: three inner parts and a final one, composed and split without loss.

A format is data (ordered parts with their markers), so that a streaming server and a grammar derive from it.
Only exact markers are structure: `＜final＞`, `<FINAL>` and `<final >` are text like any other.
Text that looks exactly like structure is made inert by one backslash after its first character
(`<final>` -> `<\\final>`, `<\\final>` -> `<\\\\final>`), which split() takes away again: nothing is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, NoReturn

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
    task: str
    safety: str
    policy: str
    final: Final


@dataclass(frozen=True)
class Part:
    """`open` + text + `close`; the last part is called final."""

    name: str
    open: str
    close: str


@dataclass(frozen=True)
class FinalField:
    """One entry of the final part: its key, then its text; each starts a line."""

    name: str
    key: str


@dataclass(frozen=True)
class ThinkingFormat:
    """`markers` are structure (with `whole_lines`, only as a whole line); `reserved` belongs to chat formats.

    `history`: thinking stands in earlier answers of a conversation; else a template drops it from them.
    `spaced`: the base's vocabulary reads spaces before texts, so that an answer may begin with one.
    """

    name: str
    parts: tuple[Part, ...]
    fields: tuple[FinalField, ...]
    markers: tuple[str, ...]
    whole_lines: bool
    reserved: tuple[str, ...]
    history: bool = True
    spaced: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """Markers that have tokens of their own: none where whole lines are the marks."""
        return () if self.whole_lines else self.markers


FIELDS = (
    FinalField("label", "判定: "),
    FinalField("confidence", "確信度: "),
    FinalField("reason", "理由: "),
    FinalField("answer", "回答: "),
)
RESERVED = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<s>", "</s>", "<unk>")
TAGS = ThinkingFormat(
    name="tags",
    parts=(
        Part("task", "<think-task>", "</think-task>"),
        Part("safety", "<think-safety>", "</think-safety>"),
        Part("policy", "<think-policy>", "</think-policy>"),
        Part("final", "<final>", "</final>"),
    ),
    fields=FIELDS,
    markers=tuple(
        f"<{slash}{tag}>" for tag in ("think-task", "think-safety", "think-policy", "final") for slash in ("", "/")
    ),
    whole_lines=False,
    reserved=RESERVED,
)
HEADINGS = ThinkingFormat(
    name="headings",
    parts=(
        Part("task", "# 思考ステップ\n## 課題\n", "\n"),
        Part("safety", "## 安全性\n", "\n"),
        Part("policy", "## 方針\n", "\n"),
        Part("final", "# 最終回答\n", ""),
    ),
    fields=FIELDS,
    markers=("# 思考ステップ", "## 課題", "## 安全性", "## 方針", "# 最終回答"),
    whole_lines=True,
    reserved=RESERVED,
)
FORMATS = {"tags": TAGS, "headings": HEADINGS}


def compose(thinking: Thinking, fmt: ThinkingFormat) -> str:
    final = thinking.final
    before = opening((thinking.task, thinking.safety, thinking.policy), final.label, fmt)
    to_reason, to_answer, end = joints(fmt)
    reason, answer = inert(final.reason, fmt), inert(final.answer, fmt)
    return f"{before}{final.confidence:.2f}{to_reason}{reason}{to_answer}{answer}{end}"


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


def split(text: str, fmt: ThinkingFormat) -> Thinking:
    """The parts of a text that keeps the format exactly; otherwise FormatError."""
    *inner, final = _contents(text, fmt.parts, fmt)
    task, safety, policy = (active(text[start:stop], fmt) for start, stop in inner)
    return Thinking(task, safety, policy, _split_final(text, *final, fmt))


def split_final(text: str, fmt: ThinkingFormat) -> Final:
    """The final part of a text that is that part alone, as a direct answer is; otherwise FormatError."""
    (final,) = _contents(text, fmt.parts[-1:], fmt)
    return _split_final(text, *final, fmt)


def final_part(text: str, fmt: ThinkingFormat) -> str:
    """What split() finds behind the thinking, as it stands there: the same answer without its thinking."""
    start, _ = _contents(text, fmt.parts, fmt)[-1]
    return text[start - len(fmt.parts[-1].open) :]


def _contents(text: str, parts: Sequence[Part], fmt: ThinkingFormat) -> list[tuple[int, int]]:
    """Where the text of each of these parts begins and ends; they are all that there is, but for spaces around them.

    SentencePiece reads a space before a text, and llama.cpp prints it; some chat formats have spaces there.
    """
    if fmt.parts[-1].close:
        text = text.rstrip(" ")
    position, contents = len(text) - len(text.lstrip(" ")), []
    for part, following in zip(parts, (*parts[1:], None), strict=True):
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


def _split_final(text: str, start: int, stop: int, fmt: ThinkingFormat) -> Final:
    content, values = text[start:stop], []
    position = int(content.startswith(f" {fmt.fields[0].key}") and not fmt.whole_lines)  # read behind a marker's token
    for field, following in zip(fmt.fields, (*fmt.fields[1:], None), strict=True):
        if not content.startswith(field.key, position):
            _fail(text, start + position, field.key)
        position += len(field.key)
        end = content.find("\n" + following.key, position) if following else len(content)
        if end < 0 or (field.name in ("label", "confidence") and "\n" in content[position:end]):
            _fail(text, start + position, f"one line, then {following.key.strip()}" if following else field.key)
        values.append((start + position, content[position:end]))
        position = end + 1
    (at_label, label), (at_confidence, confidence), (_, reason), (_, answer) = values
    if label not in LABELS:
        _fail(text, at_label, f"one of {', '.join(LABELS)}")
    if not re.fullmatch(r"0(\.[0-9]+)?|1(\.0+)?", confidence):
        _fail(text, at_confidence, "a number from 0 to 1")
    return Final(label, float(confidence), active(reason, fmt), active(answer, fmt))


def _fail(text: str, position: int, expected: str) -> NoReturn:
    found = repr(text[position : position + 20]) if position < len(text) else "the end of the text"
    raise FormatError(position, expected if expected == expected.strip() else repr(expected), found)


def inert(text: str, fmt: ThinkingFormat) -> str:
    """The text with nothing in it that is structure; active() is its inverse."""
    if not any(letter in text for letter in _first_letters(fmt)):
        return text
    return _lookalike(fmt, "*").sub(lambda found: found[0] + "\\", text)


def reserving(fmt: ThinkingFormat, tokens: Iterable[str]) -> ThinkingFormat:
    """The same format, to which these tokens of a chat format are structure, too."""
    return replace(fmt, reserved=tuple(dict.fromkeys((*fmt.reserved, *filter(None, tokens)))))


@lru_cache
def _first_letters(fmt: ThinkingFormat) -> frozenset[str]:
    """What structure begins with; the answer's key follows a line end."""
    return frozenset(("\n", *(token[0] for token in (*fmt.markers, *fmt.reserved))))


def unspaced(text: str, fmt: ThinkingFormat) -> str:
    """Without the space behind an opening marker, which a vocabulary may read there before every text."""
    for part in fmt.parts:
        text = text.replace(f"{part.open} ", part.open)
    return text


def active(text: str, fmt: ThinkingFormat) -> str:
    if "\\" not in text:
        return text
    return _lookalike(fmt, "+").sub(lambda found: found[0][:-1], text)


def dropping(fmt: ThinkingFormat) -> str:
    """What opens the part that alone stays of an earlier answer, where a template drops thinking; else nothing."""
    return "" if fmt.history else fmt.parts[-1].open


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
    choices += [like(fmt.fields[-1].key, r"(?<=\n)")]  # the reason may have lines; the answer's key ends it
    return re.compile("|".join(choices), re.MULTILINE)


@lru_cache
def _structure(fmt: ThinkingFormat) -> re.Pattern[str]:
    line: Callable[[str], str] = (lambda text: f"^{text}$") if fmt.whole_lines else (lambda text: text)
    return re.compile("|".join(line(re.escape(marker)) for marker in fmt.markers), re.MULTILINE)


def to_json(fmt: ThinkingFormat) -> dict[str, Any]:
    """What is as usual about history and spaces is left out."""
    usual = {"history": True, "spaced": False}
    return {key: value for key, value in asdict(fmt).items() if key not in usual or value != usual[key]}


def from_json(value: dict[str, Any]) -> ThinkingFormat:
    return ThinkingFormat(
        name=value["name"],
        parts=tuple(Part(**part) for part in value["parts"]),
        fields=tuple(FinalField(**field) for field in value["fields"]),
        markers=tuple(value["markers"]),
        whole_lines=value["whole_lines"],
        reserved=tuple(value["reserved"]),
        history=value.get("history", True),
        spaced=value.get("spaced", False),
    )
