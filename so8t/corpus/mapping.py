"""Their record -> the content of one of ours, or a `Defect` that says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import reduce
from hashlib import blake2b
from operator import methodcaller
from typing import Any

import orjson

from so8t.corpus.declared import OUR_NAMES, SPLIT, Declared, Fields
from so8t.corpus.rows import Defect
from so8t.formats.records import LABELS, Record

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
_ORDER = ("text", "system", "history", "label", "reason", "answer", "thinking", "split", "tags")
_THINKING = ("task", "safety", "policy")
_is_split = re.compile(SPLIT).fullmatch

_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}

Get = Callable[[Any], Any]
Check = Callable[[Any, str], Any]


def content(source: Declared) -> Callable[[Any], Record]:
    """The function that turns one of the source's records into all of ours but `id` and `source`."""
    fields = source.fields or OUR_NAMES
    read_text = _text(fields.text) if fields.text else _conversation(str(fields.messages))
    constants = _constants(source)
    readers = _readers(source, fields, constants)
    tags = source.constants.tags

    def convert(theirs: Any) -> Record:
        if not isinstance(theirs, dict):
            raise Defect("not an object", f"the record is {_kind(theirs)}, not an object")
        ours = read_text(theirs)
        for field, get, check in readers:
            value = get(theirs)
            if value is not None and (value := check(value, field)):
                ours[field] = value
        ours |= constants
        if tags or "tags" in ours:
            ours["tags"] = dict(sorted((ours.get("tags", {}) | tags).items()))
        return {field: ours[field] for field in _ORDER if field in ours}

    return convert


def identify(ours: Record) -> str:
    """16 hex digits of the content, wherever it stands: provenance and the split it is pinned to do not count."""
    counted = {field: value for field, value in ours.items() if field != "split"}
    try:
        canonical = orjson.dumps(counted, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise Defect("invalid UTF-8", f"a text that UTF-8 cannot hold: {error}") from None
    return blake2b(canonical, digest_size=8).hexdigest()


def _constants(source: Declared) -> dict[str, Any]:
    constants = source.constants.model_dump(exclude_none=True, exclude={"tags"})
    return constants | ({"split": source.split} if source.split else {})


def _readers(source: Declared, fields: Fields, constants: Mapping[str, Any]) -> list[tuple[str, Get, Check]]:
    checks: dict[str, Check] = {
        "system": _string,
        "history": _turns,
        "label": _labels(source.labels),
        "reason": _string,
        "answer": _string,
        "thinking": _thinking,
        "split": _split,
        "tags": _tags,
    }
    paths = {field: getattr(fields, field) for field in checks if field not in constants}
    return [(field, _getter(path), checks[field]) for field, path in paths.items() if path]


def _text(path: str) -> Callable[[Any], Record]:
    get = _getter(path)

    def read(theirs: Any) -> Record:
        text = get(theirs)
        if text is None:
            raise Defect("no text", f"no text: {path} is missing")
        if not _string(text, "text").strip():
            raise Defect("no text", f"no text: {path} is empty")
        return {"text": text}

    return read


def _conversation(path: str) -> Callable[[Any], Record]:
    get = _getter(path)

    def read(theirs: Any) -> Record:
        if (found := get(theirs)) is None:
            raise Defect("no text", f"no text: {path} is missing")
        return _divide(_turns(found, path, system=True), path)

    return read


def _divide(turns: list[dict[str, str]], path: str) -> Record:
    """[system] history... user [assistant] -> our fields."""
    ours: Record = {}
    if turns and turns[0]["role"] == "system":
        ours["system"] = turns.pop(0)["content"]
    if any(turn["role"] == "system" for turn in turns):
        raise Defect("bad conversation", f"{path} has a system turn after its first turn")
    last = max((at for at, turn in enumerate(turns) if turn["role"] == "user"), default=None)
    if last is None:
        raise Defect("no text", f"no text: {path} has no user turn")
    if len(turns) > last + 2:
        raise Defect("bad conversation", f"{path} has {len(turns) - last - 1} replies to its last user turn")
    ours["text"] = turns[last]["content"]
    if last:
        ours["history"] = turns[:last]
    if len(turns) > last + 1:
        ours["answer"] = turns[last + 1]["content"]
    return ours


def _turns(value: Any, field: str, system: bool = False) -> list[dict[str, str]]:
    if not isinstance(value, list):
        raise Defect("wrong type", f"{field} is {_kind(value)}, not a list of turns")
    return [_turn(turn, f"{field}.{at}", system) for at, turn in enumerate(value)]


def _turn(value: Any, field: str, system: bool) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {_kind(value)}, not a turn of role and content")
    theirs = value.get("role", value.get("from"))
    role = ROLES.get(theirs) if isinstance(theirs, str) else None
    if role is None or (role == "system" and not system):
        raise Defect("bad conversation", f"{field} has the role {theirs!r}; known are {', '.join(ROLES)}")
    text = _string(value.get("content", value.get("value")), f"{field}.content")
    if not text.strip():
        raise Defect("bad conversation", f"{field} is empty")
    return {"role": role, "content": text}


def _string(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise Defect("wrong type", f"{field} is {_kind(value)}, not a string")
    return value


def _labels(theirs: Mapping[str, str]) -> Callable[[Any, str], str | None]:
    known = theirs or {label: label for label in LABELS}

    def check(value: Any, field: str) -> str | None:
        if theirs and isinstance(value, int):  # a class of `datasets` is a number
            value = _written(value)
        if not _string(value, field):
            return None
        if value not in known:
            raise Defect("unknown label", f"{field} is {_shown(value)}; known are {', '.join(known)}")
        return known[value]

    return check


def _thinking(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {_kind(value)}, not an object")
    if set(value) != set(_THINKING):
        raise Defect("bad thinking", f"{field} must hold exactly {', '.join(_THINKING)}")
    return {part: _filled(value[part], f"{field}.{part}") for part in _THINKING}


def _filled(value: Any, field: str) -> str:
    if not (text := _string(value, field)).strip():
        raise Defect("bad thinking", f"{field} is empty")
    return text


def _split(value: Any, field: str) -> str:
    if (split := _string(value, field)) and not _is_split(split):
        raise Defect("bad split", f"{field} is {_shown(split)}; use a-z, 0-9 and _, at most 40, a letter first")
    return split


def _tags(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {_kind(value)}, not an object")
    return {name: _tag(tag, f"{field}.{name}") for name, tag in value.items() if tag is not None}


def _tag(value: Any, field: str) -> str:
    return _written(value) if isinstance(value, int) else _string(value, field)


def _written(value: int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "…")


def _getter(path: str | Mapping[str, str]) -> Get:
    """A value of a record by its path, or an object of several; None where there is nothing."""
    if not isinstance(path, str):
        getters = {name: _getter(at) for name, at in path.items()}
        return lambda record: {name: get(record) for name, get in getters.items()}
    if "." not in path:
        return methodcaller("get", path)
    parts = path.split(".")
    return lambda record: reduce(_descend, parts, record)


def _descend(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return None


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")
