"""Formats in which people publish conversations, as data: which keys show one, and where our fields lie in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from so8t.corpus.declared import OUR_NAMES, Declared, Fields
from so8t.errors import DataError
from so8t.formats.records import LABELS

LOOKED_AT = 8  # records that decide
_OURS = "ours"


@dataclass(frozen=True)
class Shape:
    """One way to write a format: the keys that must be there, and the fields."""

    format: str
    keys: tuple[str, ...]
    fields: Fields


def _pair(format: str, text: str, answer: str, *keys: str) -> Shape:
    return Shape(format, keys, Fields(text=text, answer=answer))


def _compared(*keys: str, **fields: str) -> Shape:
    return Shape("preference", (*keys, "chosen", "rejected"), Fields(**fields, rejected="rejected"))


SHAPES = (  # the first that fits
    _compared("prompt", text="prompt", answer="chosen"),
    _compared("question", text="question", answer="chosen"),
    _compared("instruction", "input", text="{instruction}\n\n{input}", answer="chosen"),
    _compared("instruction", text="instruction", answer="chosen"),
    _compared(messages="chosen"),
    Shape("openai", ("messages",), Fields(messages="messages")),
    Shape("sharegpt", ("conversations",), Fields(messages="conversations")),
    Shape("sharegpt", ("conversation",), Fields(messages="conversation")),
    _pair("alpaca", "{instruction}\n\n{input}", "output", "instruction", "output"),
    _pair("alpaca", "{instruction}\n\n{context}", "response", "instruction", "response"),
    *(
        _pair("prompt_completion", text, answer, text, answer)
        for text in ("prompt", "question", "instruction", "query")
        for answer in ("completion", "response", "answer", "output")
    ),
    _pair("alpaca", "{指示}\n\n{入力}", "出力", "指示", "出力"),
    _pair("prompt_completion", "質問", "回答", "質問", "回答"),
    _pair("prompt_completion", "質問", "答え", "質問", "答え"),
    _pair("prompt_completion", "text", "output", "text", "output"),
    _pair("prompt_completion", "text", "completion", "text", "completion"),
    Shape(_OURS, ("text",), OUR_NAMES),
)
_ALSO = ("system", "history", "label")  # taken where they are, beside what the format says


@dataclass(frozen=True)
class Decision:
    """How the records of a source are read, and why, for people."""

    fields: Fields
    format: str = ""  # none where our own names are taken
    said: str = ""


def decide(source: Declared, records: Sequence[Mapping[str, Any]]) -> Decision:
    """Explicit `fields` win; else the format that the spec names, or the first one that all records' keys show."""
    if source.fields:
        return Decision(source.fields)
    keys: dict[str, None] = dict.fromkeys(key for record in records for key in record)
    found = next((shape for shape in SHAPES if _fits(shape, keys.keys(), source.format)), None)
    if found is None:
        if not keys or source.format == _OURS:
            return Decision(OUR_NAMES)
        raise DataError(_unknown(source, list(keys)))
    if found.format == _OURS:
        return Decision(OUR_NAMES)
    fields = found.fields
    also = {name: name for name in _ALSO if name in keys and _usable(name, fields, source, records)}
    why = "the spec says so" if source.format else f"its records have {_listed(found.keys)}"
    taken = ", ".join(f"{name} = {_shown(path)}" for name, path in fields.model_dump(exclude_none=True).items())
    more = f", and {_listed(tuple(also))}" if also else ""
    return Decision(fields.model_copy(update=also), found.format, f"{found.format}: {why}; {taken}{more}")


def _fits(shape: Shape, keys: Set[str], format: str | None) -> bool:
    return set(shape.keys) <= keys and format in (None, shape.format)


def _usable(name: str, fields: Fields, source: Declared, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the key means what ours of that name does: a `label` may be anything."""
    if name == "history":
        return fields.text is not None
    if name == "label":
        known = {*(source.labels or LABELS), "", None}
        values = [record.get(name) for record in records]
        return all(isinstance(value, str | None) and value in known for value in values)
    return True


def _unknown(source: Declared, keys: Sequence[str]) -> str:
    have = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "")
    what = f"do not have the keys of format: {source.format}" if source.format else "are in no format that is known"
    return (
        f"source {source.name}: its records {what}; their keys are {have}; say which of them are ours, such as "
        f"fields: {{text: {keys[0]}, answer: {keys[-1]}}}"
    )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _shown(path: Any) -> str:
    return repr(path) if "\n" in path or "{" in path else str(path)
