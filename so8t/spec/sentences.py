"""What pydantic found -> a sentence that says what was expected, what is accepted, and what there was."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from so8t.spec.mistakes import alternatives, clip, did_you_mean
from so8t.spec.yamltree import Node, got

Issue = Mapping[str, Any]  # pydantic's ErrorDetails

_KINDS = {
    "string": "a string",
    "path": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
}
_WANTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "none_required": lambda _: "null",
    "finite_number": lambda _: "a finite number",
    "int_from_float": lambda _: "an integer",
    "literal_error": lambda context: str(context["expected"]),
    "enum": lambda context: str(context["expected"]),
    "greater_than": lambda context: f"greater than {_number(context['gt'])}",
    "greater_than_equal": lambda context: f"greater than or equal to {_number(context['ge'])}",
    "less_than": lambda context: f"less than {_number(context['lt'])}",
    "less_than_equal": lambda context: f"less than or equal to {_number(context['le'])}",
    "multiple_of": lambda context: f"a multiple of {_number(context['multiple_of'])}",
}
_OWN = frozenset(("value_error", "assertion_error"))
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


def say(issues: Iterable[Issue], node: Node | None) -> str:
    """One sentence about one value; the several issues of a union's branches become its alternatives."""
    wanted, others = [], []
    for issue in issues:
        want = _want(issue)
        if want:
            wanted.append(want)
        else:
            others.append(_other(issue, node))
    if wanted:
        others.insert(0, f"must be {alternatives(list(dict.fromkeys(wanted)))}{_but_got(node)}{_hint(wanted, node)}")
    return "; or ".join(dict.fromkeys(others))


def _want(issue: Issue) -> str | None:
    """What follows "must be", if the issue is of that kind."""
    kind, context = str(issue["type"]), issue.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind](context)
    name, _, what = kind.rpartition("_")
    return _KINDS.get(name) if what in ("type", "parsing") else None


def _other(issue: Issue, node: Node | None) -> str:
    kind, context = str(issue["type"]), issue.get("ctx", {})
    if kind in _OWN:
        return str(context["error"]) or "is not accepted"
    if kind in ("string_too_short", "string_too_long", "too_short", "too_long"):
        return _length(kind, context, node)
    if kind == "string_pattern_mismatch":
        return f"must match {context['pattern']}{_but_got(node)}"
    if kind == "union_tag_invalid":
        return _unknown_tag(context)
    return _pydantics_own(str(issue["msg"]), node)


def _unknown_tag(context: Mapping[str, Any]) -> str:
    tags = _QUOTED.findall(context["expected_tags"])
    accepted = alternatives([f"{tag!r}" for tag in tags])
    return f"must be {accepted} (got {context['tag']!r}){did_you_mean(str(context['tag']), tags)}"


def _length(kind: str, context: Mapping[str, Any], node: Node | None) -> str:
    bound, word = ("at least", "min_length") if kind.endswith("short") else ("at most", "max_length")
    limit = context[word]
    unit = "character" if kind.startswith("string") else "item"
    have = len(node.value) if node and isinstance(node.value, (str, tuple, dict)) else context.get("actual_length")
    but = "" if have is None else f" (got {have})"
    return f"must have {bound} {limit} {unit}{'' if limit == 1 else 's'}{but}"


def _pydantics_own(message: str, node: Node | None) -> str:
    ours = re.sub("^(Input|Value) should ", "must ", message)
    return f"{ours[:1].lower()}{ours[1:]}{_but_got(node)}"


def _but_got(node: Node | None) -> str:
    return f" (got {got(node)})" if node else ""


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ---------------------------------------------------------------------------------------------------------------------
# Did you mean


def _hint(wanted: list[str], node: Node | None) -> str:
    """What would have been accepted, and is so near that it may be what was meant."""
    if node is None or isinstance(node.value, (dict, tuple)) or node.value is None:
        return ""
    if isinstance(node.value, str):
        accepted = [word for want in wanted for word in _QUOTED.findall(want)]
        near = did_you_mean(node.value, accepted)
        return near or _meant(_from_string(node.value, wanted))
    if isinstance(node.value, float) and node.value.is_integer() and "an integer" in wanted:
        return _meant(str(int(node.value)))
    return _meant(f'"{clip(node.written)}"' if "a string" in wanted else None)


_BOOLEANS = dict.fromkeys(("yes", "on", "y", "true"), "true") | dict.fromkeys(("no", "off", "n", "false"), "false")


def _meant(value: str | None) -> str:
    return f", did you mean {value}?" if value else ""


def _from_string(text: str, wanted: list[str]) -> str | None:
    """The number or boolean in a string: quoted, in full width, or with separators between its digits."""
    plain = unicodedata.normalize("NFKC", text).strip().replace("_", "").replace(",", "").lower()
    if "true or false" in wanted:
        return _BOOLEANS.get(plain)
    if "an integer" in wanted and re.fullmatch(r"[-+]?[0-9]{1,18}", plain):
        return plain
    if "a number" in wanted and re.fullmatch(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)(e[-+]?[0-9]{1,3})?", plain):
        return plain
    return None
