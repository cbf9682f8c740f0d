"""The YAML block at the head of a card, as the Hugging Face hub reads it.  Pure: it writes, and reads nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def block(values: Mapping[str, Any]) -> str:
    """Between its two lines; what is empty is left out."""
    told = {key: value for key, value in values.items() if value not in (None, "", [], {})}
    return "\n".join(["---", *_lines(told, ""), "---", ""])


def _lines(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _entry(f"{indent}{key}:", each, indent + "  ")
    else:
        for each in value:
            first, *others = _lines(each, indent + "  ") if _is_nested(each) else (f"{indent}  {_scalar(each)}",)
            yield f"{indent}- {first.strip()}"
            yield from others


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if _is_nested(value):
        yield head
        yield from _lines(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _is_nested(value: Any) -> bool:
    return isinstance(value, (Mapping, list, tuple))


def _scalar(value: Any) -> str:
    """A text in JSON's quotes is one in YAML, too, whatever stands in it; a plain word needs none."""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", value) and value not in _TRAPS:
        return value
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


_TRAPS = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")  # words that YAML does not read as text
