"""A Modelfile: values to its text, and every reason why Ollama would refuse or change one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from so8t.errors import StageError
from so8t.ollama import parameters, syntax
from so8t.ollama.parameters import Parameters
from so8t.ollama.syntax import Command

_ENDING = re.compile(r'"""[ \t]*[\r\n]')
GREEDY = """\
# Ollama's /v1 takes temperature 1.0 where a request names none, whatever stands here; top_k 1 holds there.
"""
_SEMVER = re.compile(r"v?[0-9]+(\.[0-9]+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")


@dataclass(frozen=True)
class Modelfile:
    """`source` is a path relative to the file, with its folder: a bare name would be pulled from a registry."""

    source: str
    template: str
    system: str
    parameters: Parameters
    stop: tuple[str, ...]
    licence: str


def write(model: Modelfile, file: str) -> str:
    """The text, after reading it back as Ollama does: each value is the one that was given."""
    if not model.source.startswith(("./", "../")):
        raise StageError(f"{file}: FROM {model.source}: write ./{model.source}, or Ollama looks in its registry")
    intended = [("from", "", model.source), ("template", "", model.template)]
    intended += [("parameter", name, value) for name, value in parameters.lines(model.parameters)]
    intended += [("parameter", "stop", text) for text in dict.fromkeys(model.stop)]
    intended += [(name, "", text) for name, text in (("system", model.system), ("license", model.licence)) if text]
    for name, _, value in intended:
        _check_unchanged(file, name, value)
    text = "".join(_line(*command) for command in intended)
    if found := problems(text, file):
        raise StageError("\n".join(found))
    if [(command.name, command.key, command.value) for command in syntax.parse(text, file)] != intended:
        raise AssertionError(f"{file} does not say what it was made from:\n{text}")
    return text


def _line(name: str, key: str, value: str) -> str:
    plain = name == "from" or (name == "parameter" and key != "stop")
    words = (name.upper(), key, value if plain and " " not in value else syntax.quoted(value))
    reason = GREEDY if (name, key, value) == ("parameter", "top_k", "1") else ""
    return reason + " ".join(word for word in words if word) + "\n"


def _check_unchanged(file: str, name: str, value: str) -> None:
    if found := syntax.lost(value):
        raise StageError(f"{file}: Ollama would silently drop from {name.upper()}: {described(found)}; take them out")
    if _ENDING.search(value):
        raise StageError(f'{file}: {name.upper()} would end at the """ that ends one of its lines; take it out')


def described(letters: Sequence[str]) -> str:
    """Each character once: `U+3000 IDEOGRAPHIC SPACE`."""
    return ", ".join(
        f"U+{ord(letter):04X} {unicodedata.name(letter, 'without a name')}" for letter in dict.fromkeys(letters)
    )


def problems(text: str, file: str) -> list[str]:
    """All that is wrong with any Modelfile, as `file:line: what`; a syntax error is raised, for nothing follows it."""
    commands = syntax.parse(text, file)
    found = [(command.line, what) for command in commands for what in _wrong(command)]
    for name in ("from", "template", "system"):
        lines = [command.line for command in commands if command.name == name]
        found += [(line, f"{name.upper()} again; Ollama takes the last one") for line in lines[1:]]
    named = {command.name for command in commands}
    first = next(command.line for command in commands if command.name == "from")
    if "template" not in named:
        found.append((first, "without TEMPLATE Ollama guesses one"))
    if not any(command.key == "stop" for command in commands):
        found.append((first, "without PARAMETER stop an answer does not end"))
    return [f"{file}:{line}: {what}" for line, what in sorted(found)]


def _wrong(command: Command) -> list[str]:
    found = []
    if command.lost:
        found.append(f"Ollama silently drops from {command.name.upper()}: {described(command.lost)}")
    if not command.value and command.key != "stop":
        found.append(f"{command.name.upper()} has no value")
    elif command.name == "parameter" and (what := parameters.problem(command.key, command.value)):
        found.append(what)
    elif command.name == "requires" and not _SEMVER.fullmatch(command.value):
        found.append(f"REQUIRES takes a version such as 0.14.0, not {command.value!r}")
    return found
