"""How Ollama sees thinking in a TEMPLATE, and what it makes of a model's output.

It takes the texts at both ends of the list around `.Thinking`, inside a range over `.Messages`, for the opening and
the closing tag; then it parts an answer at them, and white space after either tag is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from so8t.formats.gosyntax import Assign, Call, Expression, Field, If, Node, Print, Range, Text, parse

_SPACE = "".join(map(chr, (9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B))))
_SPACE += "".join(map(chr, (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)))  # Go's unicode.IsSpace


@dataclass(frozen=True)
class Seen:
    """What a client of /api/chat gets."""

    thinking: str
    content: str


def tags(template: str) -> tuple[str, str] | None:
    """The opening and the closing tag; None where Ollama would say that the model cannot think."""
    first = last = ""
    for nodes in _around_thinking(parse(template), inside=False):
        if isinstance(nodes[0], Text):
            first = nodes[0].text.strip(_SPACE)
        if isinstance(nodes[-1], Text):
            last = nodes[-1].text.strip(_SPACE)
    return (first, last) if first and last else None


def _around_thinking(nodes: tuple[Node, ...], inside: bool) -> Iterator[tuple[Node, ...]]:
    """Every list of nodes that names `.Thinking` itself, in the order in which Ollama meets them."""
    for node in nodes:
        if inside and any(_names(expression, "Thinking") for expression in _expressions(node)):
            yield nodes
        if isinstance(node, If):
            yield from _around_thinking(node.then, inside)
            yield from _around_thinking(node.otherwise, inside)
        elif isinstance(node, Range):
            yield from _around_thinking(node.body, _names(node.over, "Messages"))


def _expressions(node: Node) -> Iterable[Expression]:
    if isinstance(node, If):
        return (node.condition,)
    return (node.value,) if isinstance(node, (Print, Assign)) else ()


def _names(expression: Expression, name: str) -> bool:
    """`$.Name` is a variable's field, which Ollama does not count."""
    if isinstance(expression, Call):
        return any(_names(argument, name) for argument in expression.arguments)
    return isinstance(expression, Field) and not expression.of_root and expression.name == name


def separate(output: str, tags: tuple[str, str]) -> Seen:
    """A whole answer as Ollama's stream parser leaves it when thinking is on."""
    first, last = tags
    begun = output.lstrip(_SPACE)
    if not begun.startswith(first):
        return Seen("", output)
    thinking, found, content = begun[len(first) :].lstrip(_SPACE).partition(last)
    return Seen(thinking, content.lstrip(_SPACE) if found else "")


def preferred_over_template(jinja: str) -> tuple[str, ...]:
    """Words for which Ollama 0.30 and later lays the TEMPLATE aside and takes the GGUF's embedded template."""
    return tuple(word for word in ("tools", "tool_call", "</think>") if word in jinja)
