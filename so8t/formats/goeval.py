"""What a Go TEMPLATE renders inside Ollama: the data that Ollama hands it, and the evaluation of its tree.

Faithful for the constructs that `gosyntax` parses; a field or a type beyond Ollama's chat data is an error.
A field that no message of Ollama's has is an error there, too: Refusal says it in Ollama's own words.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.formats.gosyntax import (
    Assign,
    Call,
    Expression,
    Field,
    If,
    Literal,
    Node,
    Print,
    Range,
    TemplateError,
    Text,
    Variable,
    parse,
)

Message = Mapping[str, str]
JOINER = "\n\n"  # Ollama's own, between neighbours with the same role and between system messages
MESSAGE_FIELDS = {"Role": "role", "Content": "content", "Thinking": "thinking"}
_OTHER_FIELDS = ("Images", "ToolCalls", "ToolName", "ToolCallID")  # of Ollama's messages; no TEMPLATE of ours has them


class Refusal(TemplateError):
    """Ollama cannot execute the template: it answers with status 500 and this text, and no model is asked."""


def render(template: str, messages: Sequence[Message], think: bool | None = None) -> str:
    """As /api/chat renders; `think` as in the request, None where it is left out."""
    data = {
        "System": JOINER.join(message["content"] for message in messages if message["role"] == "system"),
        "Messages": collate(messages),
        "Think": bool(think),
        "IsThinkSet": think is not None,
    }
    return "".join(_Evaluation(data).each(parse(template), data, ChainMap()))


def collate(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Neighbours with the same role as one message; the first one's thinking stays, others are lost."""
    collated: list[dict[str, str]] = []
    for message in messages:
        if collated and collated[-1]["Role"] == message["role"]:
            collated[-1]["Content"] += JOINER + message["content"]
        else:
            collated.append({name: message.get(key, "") for name, key in MESSAGE_FIELDS.items()})
    return collated


Scope = ChainMap[str, Any]


@dataclass(frozen=True)
class _Evaluation:
    root: Mapping[str, Any]

    def each(self, nodes: Iterable[Node], dot: Any, scope: Scope) -> Iterable[str]:
        """A variable lives to the end of the list that names it."""
        scope = scope.new_child()
        for node in nodes:
            if isinstance(node, Text):
                yield node.text
            elif isinstance(node, Print):
                yield _string(self.value(node.value, dot, scope))
            elif isinstance(node, Assign):
                self._assign(node, dot, scope)
            elif isinstance(node, If):
                chosen = node.then if self.value(node.condition, dot, scope) else node.otherwise
                yield from self.each(chosen, dot, scope)
            else:
                yield from self._range(node, dot, scope)

    def _assign(self, node: Assign, dot: Any, scope: Scope) -> None:
        living = scope.maps[0] if node.new else next((names for names in scope.maps if node.name in names), None)
        if living is None:
            raise TemplateError(f"undefined variable {node.name}")
        living[node.name] = self.value(node.value, dot, scope)

    def _range(self, node: Range, dot: Any, scope: Scope) -> Iterable[str]:
        values = self.value(node.over, dot, scope)
        if not isinstance(values, list):
            raise TemplateError(f"range over {values!r}, which is not a list")
        for index, element in enumerate(values):
            yield from self.each(node.body, element, scope.new_child({node.index: index, node.element: element}))

    def value(self, expression: Expression, dot: Any, scope: Scope) -> Any:
        if isinstance(expression, Literal):
            return expression.value
        if isinstance(expression, Field):
            return _field(self.root if expression.of_root else dot, expression)
        if isinstance(expression, Variable):
            if expression.name not in scope:
                raise TemplateError(f"undefined variable {expression.name}")
            return scope[expression.name]
        return self._call(expression, dot, scope)

    def _call(self, call: Call, dot: Any, scope: Scope) -> Any:
        if call.function == "and":
            found: Any = None
            for argument in call.arguments:  # stops at the first false one, whose value it gives
                found = self.value(argument, dot, scope)
                if not found:
                    break
            return found
        values = [self.value(argument, dot, scope) for argument in call.arguments]
        if call.function == "not" and len(values) == 1:
            return not values[0]
        if call.function == "len" and len(values) == 1 and isinstance(values[0], list):
            return len(values[0])
        if call.function == "slice" and len(values) == 2 and isinstance(values[0], list) and type(values[1]) is int:
            return values[0][values[1] :]
        if call.function == "eq" and len(values) == 2 and type(values[0]) is type(values[1]) in (str, int):
            return values[0] == values[1]
        raise TemplateError(f"{call.function} of {values!r} is not known here")


def _field(of: Any, field: Field) -> Any:
    if isinstance(of, Mapping) and field.name in of:
        return of[field.name]
    if isinstance(of, Mapping) and of.keys() == MESSAGE_FIELDS.keys() and field.name not in _OTHER_FIELDS:
        raise Refusal(
            f'template: :{field.place.line}:{field.place.byte}: executing "" at <.{field.name}>: '
            f"can't evaluate field {field.name} in type *template.templateMessage"
        )
    raise TemplateError(f"Ollama's chat data has no .{field.name} here")


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TemplateError(f"{value!r} is printed, which is not text")
    return value
