"""Model output in, certain answer text out: an automaton over the thinking format that fails closed.

It accepts no text that `so8t.formats.thinking.split` refuses, and refuses some that split takes for text: markers in
disguise, even behind the backslash that makes them text, and bare tokens of the chat format.
Text is handed on only when nothing that may follow could make it anything but answer; a text that turns out to break
the format ends in Broken, and nothing comes out any more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from so8t.formats.layouts import ThinkingFormat
from so8t.formats.records import LABELS
from so8t.serve.lookalike import LONGEST, Look, fold, look, names, opens

_CONFIDENCE = re.compile(r"0(\.[0-9]+)?|1(\.0+)?")


class Broken(Exception):
    """The output does not keep the format.  The message is one of a few words and holds nothing of the output."""


@dataclass(frozen=True)
class Verdict:
    """What the final part says before its answer: of a plain format, nothing."""

    label: str
    confidence: float
    reason: str


PLAIN = Verdict("", 1.0, "")


@dataclass(frozen=True)
class _Step:
    """One run of text: where it ends, and what must not stand in it."""

    name: str
    until: str  # nothing: the end of the output
    forbidden: tuple[str, ...] = ()
    keep: int = 0  # last characters of `until` that the next step begins with: a line end that a marker may need


@dataclass(frozen=True)
class _Token:
    """Something that is text in a final part only with a backslash between `head` and `rest`, or not at all."""

    head: str
    rest: str
    bare: bool = False  # it is text without one, too
    marker: bool = False  # it is text in no case
    line: bool = False  # it counts as a whole line alone


@lru_cache
def _steps(fmt: ThinkingFormat) -> tuple[_Step, ...]:
    """The inner parts, then the fields of the final one; the last of all is the answer."""
    markers = tuple(f"\n{marker}\n" if fmt.whole_lines else marker for marker in fmt.markers)
    final = fmt.parts[-1]
    inner = [
        _Step(part.name, part.close + following.open, markers, keep=1 if fmt.whole_lines else 0)
        for part, following in zip(fmt.parts[:-2], fmt.parts[1:], strict=False)
    ]
    last = [_Step(part.name, part.close + final.open + fmt.fields[0].key, markers) for part in fmt.parts[-2:-1]]
    return (*inner, *last, *_field_steps(fmt, markers), _Step(fmt.fields[-1].name, final.close))


def _field_steps(fmt: ThinkingFormat, markers: tuple[str, ...]) -> tuple[_Step, ...]:
    """What stands before the answer: class and confidence on a line each, and the reason, which may have lines."""
    if not fmt.classed:
        return ()
    label, confidence, reason, answer = fmt.fields
    return (
        _Step(label.name, f"\n{confidence.key}", ("\n", *markers)),
        _Step(confidence.name, f"\n{reason.key}", ("\n", *markers)),
        _Step(reason.name, f"\n{answer.key}"),
    )


@lru_cache
def _tokens(fmt: ThinkingFormat) -> tuple[_Token, ...]:
    keys = [field.key for field in fmt.fields[-1:] if fmt.classed]
    return (
        *(_Token(each[0], each[1:], marker=True, line=fmt.whole_lines) for each in fmt.markers),
        *(_Token(each[0], each[1:]) for each in fmt.reserved),
        *(_Token(f"\n{key[0]}", key[1:], bare=True) for key in keys),
    )


@lru_cache
def _starts(fmt: ThinkingFormat) -> tuple[re.Pattern[str], ...]:
    """Per step, the first characters of what ends it or must not stand in it."""
    firsts = ("".join(sorted({each[0] for each in (step.until, *step.forbidden) if each})) for step in _steps(fmt))
    return tuple(re.compile(f"[{re.escape(first)}]" if first else r"(?!)") for first in firsts)


@lru_cache
def _ordinary(fmt: ThinkingFormat) -> re.Pattern[str]:
    """Runs of characters that begin neither a token nor anything like one."""
    first = names(fmt).first_letters
    ascii_ones = "".join(each for each in map(chr, range(128)) if each.isalnum() and fold(each)[:1] not in first)
    return re.compile(f"[ぁ-ゖァ-ヺ一-鿿、。 {ascii_ones}]+")


def _begins(text: str, at: int, whole: str) -> bool:
    """Whether the text ends inside `whole`."""
    return len(text) - at < len(whole) and whole.startswith(text[at:])


class Splitter:
    """feed() and end() give answer text; `verdict` is there before the first of it, `thinking` is what stays."""

    def __init__(self, fmt: ThinkingFormat, limit: int) -> None:
        self._fmt, self._limit = fmt, limit
        self._steps, self._starts, self._tokens = _steps(fmt), _starts(fmt), _tokens(fmt)  # looked up once: hashing
        self._ordinary, self._names = _ordinary(fmt), names(fmt)  # a format takes longer than most chunks
        self._free = min(2, len(fmt.fields))  # the last steps, whose text people see: the reason, and the answer
        self._number = -1  # the step under way; -1 before the opening marker, len(steps) after the end
        self._pending = ""  # what may be the beginning of a marker
        self._length = 0
        self._fresh = self._line_start = True  # nothing yet of the part or field under way; or of its line
        self._value: list[str] = []  # the field's text so far
        self._fields: list[str] = []
        self._thoughts: list[str] = []
        self._over = False
        self.verdict: Verdict | None = None

    @property
    def thinking(self) -> str:
        """Everything before the final part, as far as it came, markers and all."""
        return "".join(self._thoughts)

    @property
    def closed(self) -> bool:
        """Whether the final part has its end, so that nothing is missing."""
        return self._number == len(self._steps)

    def feed(self, text: str) -> str:
        return self._run(text, ended=False)

    def end(self) -> str:
        """The rest of the answer, once the output has ended; Broken where the format is not complete."""
        return self._run("", ended=True)

    def _run(self, text: str, ended: bool) -> str:
        if self._over:
            raise Broken("over")
        self._over = True  # until this text has proved harmless
        self._length += len(text)
        if self._length > self._limit:
            raise Broken("too long")
        self._pending += text
        if ended and not self._can_end():
            raise Broken("unfinished")
        while self._advance(ended):
            pass
        self._over = ended
        if self.verdict is None:
            return ""
        certain = "".join(self._value)
        self._value.clear()
        return certain

    def _can_end(self) -> bool:
        return self._number == len(self._steps) - (0 if self._steps[-1].until else 1)

    def _advance(self, ended: bool) -> bool:
        """Work on what is pending; true when the next step can go on with the rest."""
        if self._number < 0:
            return self._open()
        if self._number == len(self._steps):
            self._pending = self._pending.lstrip(" ")
            if self._pending:
                raise Broken("text after the end")
            return False
        return self._final(ended) if self._number >= len(self._steps) - self._free else self._inner()

    def _open(self) -> bool:
        opening = self._fmt.parts[0].open
        self._pending = self._pending.lstrip(" ")  # as split() does
        if not opening and not self._pending:
            return False  # what comes first may be spaces still
        if self._pending.startswith(opening):
            self._take(len(opening) - (1 if self._fmt.whole_lines else 0))
            self._number = 0
            if len(self._steps) == 1:
                self.verdict = PLAIN
            return True
        if not opening.startswith(self._pending):
            raise Broken("no opening")
        return False

    def _take(self, count: int) -> str:
        taken, self._pending = self._pending[:count], self._pending[count:]
        if self._number < len(self._fmt.parts) - 1:
            self._thoughts.append(taken)
        return taken

    # ---- parts that stay, and the lines of label and confidence --------------------------------------------------

    def _inner(self) -> bool:
        if self._fmt.classed and self._number == len(self._fmt.parts) - 2 and not self._fmt.whole_lines:
            opened = self._steps[self._number].until.removesuffix(self._fmt.fields[0].key)
            self._pending = self._pending.replace(f"{opened} ", opened, 1)  # as split() does
        step, pending, at = self._steps[self._number], self._pending, 0
        starts = self._starts[self._number]
        while found := starts.search(pending, at):
            at = found.start()
            if pending.startswith(step.until, at):
                return self._leave(step, at)
            if _begins(pending, at, step.until):
                return self._pass(at)
            if pending.startswith(step.forbidden, at):
                raise Broken("structure")
            if any(_begins(pending, at, each) for each in step.forbidden):
                return self._pass(at)
            at += 1
        return self._pass(len(pending))

    def _pass(self, count: int) -> bool:
        """What comes before a possible marker is text."""
        text = self._take(count)
        self._fresh = self._fresh and not text
        if self._number >= len(self._fmt.parts) - 1:
            self._value.append(text)
        return False

    def _leave(self, step: _Step, at: int) -> bool:
        self._pass(at)
        if self._fmt.whole_lines and self._fresh and self._number < len(self._fmt.parts) - 1:
            raise Broken("structure")  # the line end belongs to the part's own opening, not to this marker
        self._take(len(step.until) - step.keep)
        self._next()
        return True

    def _next(self) -> None:
        value, fields = "".join(self._value), self._fmt.fields
        self._value.clear()
        field = self._number - (len(self._fmt.parts) - 1)
        if field >= 0:
            self._fields.append(value)
        if field == 0 and value not in LABELS:
            raise Broken("no such class")
        if field == 1 and not _CONFIDENCE.fullmatch(value):
            raise Broken("no such confidence")
        if field == len(fields) - 2:
            self.verdict = self._verdict()
        self._number += 1
        self._fresh = self._line_start = True

    def _verdict(self) -> Verdict:
        if not self._fmt.classed:
            return PLAIN
        label, confidence, reason = self._fields
        return Verdict(label, round(float(confidence), 2), reason)

    # ---- reason and answer ---------------------------------------------------------------------------------------

    def _final(self, ended: bool) -> bool:
        until, pending, at = self._steps[self._number].until, self._pending, 0
        ordinary, known = self._ordinary, self._names
        while at < len(pending):
            if run := ordinary.match(pending, at):
                self._emit(run[0])
                at = run.end()
                continue
            if until and pending.startswith(until, at):
                return self._close(at + len(until))
            if (until and not ended and _begins(pending, at, until)) or (length := self._token(at, ended)) < 0:
                break
            if length == 0:
                suspicious = opens(pending[at]) or fold(pending[at])[:1] in known.first_letters
                seen = look(pending, at, known, ended) if suspicious else Look.NO
                if seen is Look.YES:
                    raise Broken("look-alike")
                if seen is Look.MAYBE:
                    break
                self._emit(pending[at])
                length = 1
            at += length
        self._take(at)
        return False

    def _close(self, count: int) -> bool:
        self._take(count)
        if self._number == len(self._steps) - 1:
            self._number += 1  # the answer's last text is still to be handed over
        else:
            self._next()
        return True

    def _emit(self, text: str) -> None:
        self._value.append(text)
        self._line_start = text.endswith("\n")

    def _token(self, at: int, ended: bool) -> int:
        """How long the token is that stands here as text, 0 if none does, -1 if more must be seen."""
        pending, unsure = self._pending, False
        for token in self._tokens:
            rest = at + len(token.head)
            if not pending.startswith(token.head, at):
                unsure = unsure or _begins(pending, at, token.head)
                continue
            while pending.startswith("\\", rest):
                rest += 1
            backslashes = rest - at - len(token.head)
            end = rest + len(token.rest)
            if token.line and not self._line_start:
                continue
            if not pending.startswith(token.rest, rest):
                unsure = unsure or _begins(pending, rest, token.rest)
            elif token.line and end == len(pending) and not ended:
                unsure = True
            elif token.line and end < len(pending) and pending[end] != "\n":
                continue
            elif backslashes > LONGEST or not (backslashes or token.bare):
                raise Broken("structure")
            elif token.marker:
                raise Broken("look-alike")
            elif backslashes:
                self._emit(token.head + "\\" * (backslashes - 1) + token.rest)
                return end - at
        if unsure and len(pending) - at > 2 * LONGEST:
            raise Broken("look-alike")
        return -1 if unsure and not ended else 0
