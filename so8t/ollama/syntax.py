"""Ollama's Modelfile parser: text to commands, with all that it silently does to a value.

Comments stand at the start of a line alone; nothing is escaped; a quoted value ends where its last quote ends a
line; what is not printable (U+3000, NBSP, ZWJ, ...) vanishes from values without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from so8t.errors import StageError

COMMANDS = (
    *("from", "license", "template", "system", "adapter", "draft"),
    *("renderer", "parser", "parameter", "message", "requires"),
)
ROLES = ("system", "user", "assistant")
_SPACE = " \t"
_NEWLINE = re.compile(r"[\r\n]")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[A-Za-z]*")
_WORD = re.compile(r"[A-Za-z0-9_]*")


@dataclass(frozen=True)
class Command:
    """`key` is a parameter's name or a message's role; `lost` are characters of the value that Ollama drops."""

    name: str
    value: str
    line: int
    key: str = ""
    lost: tuple[str, ...] = ()


def parse(text: str, file: str) -> tuple[Command, ...]:
    """The commands as Ollama reads them; what it refuses is an error with file and line."""
    reader = _Reader(text.removeprefix("\ufeff"), file)
    commands = []
    while (command := reader.command()) is not None:
        commands.append(command)
    if not any(command.name == "from" for command in commands):
        raise StageError(f"{file}:1: no FROM line: name the model that this one is made from")
    return tuple(commands)


def lost(text: str) -> tuple[str, ...]:
    """The characters that would vanish: all that is not printable, but for tabs and line ends."""
    return tuple(letter for letter in text if not letter.isprintable() and letter not in "\t\r\n")


def quoted(value: str) -> str:
    """The value so that parse() gives it back; a triple quote at the end of a line cannot be written."""
    return f'"""{value}"""' if '"' in value or "\n" in value or "\r" in value else f'"{value}"'


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at = text, file, 0

    def command(self) -> Command | None:
        self._at = self._match(_BLANK)
        if self._at == len(self._text):
            return None
        line = self._text.count("\n", 0, self._at) + 1
        name = self._name(line)
        key = ""
        if name in ("parameter", "message"):
            key = self._word(line, name, _WORD if name == "parameter" else _NAME)
            if name == "message" and key not in ROLES:
                raise self._error(line, f"MESSAGE takes one of {', '.join(ROLES)}, not {key!r}")
        value, dropped = self._value(line)
        return Command(name, value, line, key, dropped)

    def _name(self, line: int) -> str:
        if not self._text[self._at].isprintable():
            self._at += 1  # Ollama drops it here, too
        start, self._at = self._at, self._match(_NAME)
        name, after = self._text[start : self._at], self._text[self._at : self._at + 1]
        if name.lower() not in COMMANDS or after == "" or after not in _SPACE:
            shown = self._text[start:].split("\n")[0].split(" ")[0]
            commands = ", ".join(COMMANDS).upper()
            raise self._error(line, f"a line is a command, one space, and a value, not {shown!r}; commands: {commands}")
        self._at += 1
        return name.lower()

    def _word(self, line: int, name: str, pattern: re.Pattern[str]) -> str:
        start, self._at = self._at, self._match(pattern)
        after = self._text[self._at : self._at + 1]
        if after == "" or after not in _SPACE:
            raise self._error(line, f"{name.upper()} takes a name, one space, and a value")
        self._at += 1
        return self._text[start : self._at - 1]

    def _value(self, line: int) -> tuple[str, tuple[str, ...]]:
        """Up to a line end where no quote is open."""
        start = self._at
        while True:
            self._at = self._line_end()
            raw = self._text[start : self._at]
            dropped = lost(raw)
            kept = "".join(letter for letter in raw if letter not in dropped).strip(" \t\r\n")
            value = _unquoted(kept)
            if value is not None:
                return value, dropped
            if self._at == len(self._text):
                raise self._error(line, "a quote is opened and never closed")
            self._at += 1

    def _line_end(self) -> int:
        found = _NEWLINE.search(self._text, self._at)
        return found.start() if found else len(self._text)

    def _match(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        return found.end() if found else self._at

    def _error(self, line: int, what: str) -> StageError:
        return StageError(f"{self._file}:{line}: {what}")


def _unquoted(value: str) -> str | None:
    """None while a quote is open."""
    for quote in ('"""', '"'):
        if value.startswith(quote):
            closed = len(value) >= 2 * len(quote) and value.endswith(quote)
            return value[len(quote) : -len(quote)] if closed else None
    return value
