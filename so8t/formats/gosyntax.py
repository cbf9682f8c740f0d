"""Go's text/template, as much of its syntax as we write: text to a tree.  Anything else is an error, never skipped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

WORDS = ("if", "else", "end", "range")
FUNCTIONS = ("and", "eq", "len", "not", "slice")
_SPACE = " \t\r\n"
_TOKEN = re.compile(r'"[^"\\\n]*"|\$\w*(?:\.\w+)*|(?:\.[A-Za-z_]\w*)+|[A-Za-z_]\w*|\d+|:?=|[(),]|\s+')


class TemplateError(ValueError):
    """A template outside the part of the language that is known here."""


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Place:
    """Where Go says that something stands: the line from 1, the byte in it from 0."""

    line: int
    byte: int


@dataclass(frozen=True)
class Field:
    """`.Name` of the dot, or `$.Name` of the whole data."""

    name: str
    of_root: bool
    place: Place = field(compare=False)


@dataclass(frozen=True)
class Variable:
    name: str


@dataclass(frozen=True)
class Literal:
    value: str | int


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]


Expression = Field | Variable | Literal | Call


@dataclass(frozen=True)
class Print:
    value: Expression


@dataclass(frozen=True)
class Assign:
    """`new`: `:=`, a variable that lives to the end of its list; else `=`, another value of one that lives."""

    name: str
    value: Expression
    new: bool


@dataclass(frozen=True)
class If:
    condition: Expression
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True)
class Range:
    """Over a list; the dot becomes its element.  Both variables are always named."""

    index: str
    element: str
    over: Expression
    body: tuple[Node, ...]


Node = Text | Print | Assign | If | Range


class _Token(str):
    """A word of an action that knows where it stands."""

    place: Place


@dataclass(frozen=True)
class _Action:
    line: int
    tokens: tuple[_Token, ...]

    def fail(self, what: str) -> NoReturn:
        raise TemplateError(f"line {self.line}: {{{{ {' '.join(self.tokens)} }}}}: {what}")


def parse(template: str) -> tuple[Node, ...]:
    return _Parser(list(_pieces(template))).whole()


def _pieces(template: str) -> Iterator[str | _Action]:
    """Text and actions; a dash inside the braces takes the white space beside them away."""
    at, trimmed = 0, False
    while (start := template.find("{{", at)) >= 0:
        line = template.count("\n", 0, start) + 1
        left = template[start + 2 : start + 3] == "-" and template[start + 3 : start + 4] in tuple(_SPACE)
        text = template[at:start].lstrip(_SPACE) if trimmed else template[at:start]
        yield text.rstrip(_SPACE) if left else text
        tokens, at, trimmed = _action(template, start + (3 if left else 2), line)
        yield _Action(line, tokens)
    rest = template[at:]
    yield rest.lstrip(_SPACE) if trimmed else rest


def _action(template: str, at: int, line: int) -> tuple[tuple[_Token, ...], int, bool]:
    tokens: list[_Token] = []
    while True:
        if template.startswith("}}", at):
            return tuple(tokens), at + 2, False
        if template.startswith("-}}", at) and template[at - 1] in _SPACE:
            return tuple(tokens), at + 3, True
        found = _TOKEN.match(template, at)
        if found is None:
            shown = repr(template[at : at + 10]) if at < len(template) else "the end of the template"
            raise TemplateError(f"line {line}: {shown} in an action is not known here")
        if found[0].strip():
            tokens.append(_token(found[0], template[:at]))
        at = found.end()


def _token(word: str, before: str) -> _Token:
    token = _Token(word)
    token.place = Place(before.count("\n") + 1, len(before.rpartition("\n")[2].encode("utf-8")))
    return token


class _Parser:
    def __init__(self, pieces: list[str | _Action]) -> None:
        self._pieces, self._at = pieces, 0

    def whole(self) -> tuple[Node, ...]:
        nodes, closing = self._nodes()
        if closing is not None:
            closing.fail("closes nothing")
        return nodes

    def _nodes(self) -> tuple[tuple[Node, ...], _Action | None]:
        """What stands before the `else` or `end` that ends a list, and that action."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if isinstance(piece, str):
                if piece:
                    nodes.append(Text(piece))
            elif piece.tokens[:1] in (("end",), ("else",)):
                return tuple(nodes), piece
            else:
                nodes.append(self._node(piece))
        return tuple(nodes), None

    def _node(self, action: _Action) -> Node:
        first, *rest = action.tokens or (_Token(),)
        if first == "if":
            return self._if(action, rest)
        if first == "range":
            return self._range(action, rest)
        if rest[:1] in ([":="], ["="]) and first.startswith("$") and "." not in first:
            return Assign(first, _expression(action, rest[1:]), new=rest[0] == ":=")
        return Print(_expression(action, list(action.tokens)))

    def _if(self, action: _Action, condition: list[_Token]) -> If:
        then, closing = self._nodes()
        value = _expression(action, condition)
        if closing is None:
            action.fail("has no end")
        if closing.tokens == ("end",):
            return If(value, then, ())
        if closing.tokens[:2] == ("else", "if"):
            return If(value, then, (self._if(closing, list(closing.tokens[2:])),))
        if closing.tokens != ("else",):
            closing.fail("is not known here")
        otherwise, end = self._nodes()
        if end is None or end.tokens != ("end",):
            action.fail("has no end")
        return If(value, then, otherwise)

    def _range(self, action: _Action, tokens: list[_Token]) -> Range:
        body, end = self._nodes()
        if end is None or end.tokens != ("end",):
            action.fail("has no end of its own (an else is not known here)")
        if len(tokens) < 5 or tokens[1] != "," or tokens[3] != ":=" or not tokens[0][:1] == tokens[2][:1] == "$":
            action.fail("must be `range $index, $element := list`")
        return Range(tokens[0], tokens[2], _expression(action, tokens[4:]), body)


def _expression(action: _Action, tokens: list[_Token]) -> Expression:
    value, rest = _command(action, tokens)
    if rest:
        action.fail(f"{rest[0]} is not expected here")
    return value


def _command(action: _Action, tokens: list[_Token]) -> tuple[Expression, list[_Token]]:
    """A call with its operands, or one operand."""
    if not tokens:
        action.fail("a value is missing")
    if tokens[0] not in FUNCTIONS:
        return _operand(action, tokens)
    arguments: list[Expression] = []
    rest = tokens[1:]
    while rest and rest[0] != ")":
        argument, rest = _operand(action, rest)
        arguments.append(argument)
    return Call(tokens[0], tuple(arguments)), rest


def _operand(action: _Action, tokens: list[_Token]) -> tuple[Expression, list[_Token]]:
    token, rest = tokens[0], tokens[1:]
    if token == "(":
        value, rest = _command(action, rest)
        if rest[:1] != [")"]:
            action.fail("a parenthesis is not closed")
        return value, rest[1:]
    if token.startswith('"'):
        return Literal(token[1:-1]), rest
    if token.isdigit():
        return Literal(int(token)), rest
    variable, *names = token.split(".")
    if variable in ("", "$") and len(names) == 1:
        return Field(names[0], of_root=variable == "$", place=token.place), rest
    if len(variable) > 1 and variable.startswith("$") and not names:
        return Variable(token), rest
    return action.fail(f"{token} is not known here")
