"""Their record -> the content of one of ours, or a `Defect` that says what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import reduce
from hashlib import blake2b
from operator import methodcaller
from typing import Any

import orjson

from so8t.corpus import turns
from so8t.corpus.declared import OUR_NAMES, SPLIT, Declared, Fields
from so8t.corpus.rows import Defect
from so8t.corpus.turns import Tools, Turn, divide, kind, string
from so8t.formats.records import LABELS, Record

_ORDER = ("text", "system", "history", "label", "reason", "answer", "rejected", "thinking", "split", "tags")
_THINKING = ("task", "safety", "policy")
_is_split = re.compile(SPLIT).fullmatch
_PLACE = re.compile(r"\{([^{}]+)\}")

Get = Callable[[Any], Any]
Check = Callable[[Any, str], Any]


def content(source: Declared) -> Callable[[Any], Record]:
    """The function that turns one of the source's records into all of ours but `id` and `source`."""
    fields = source.fields or OUR_NAMES
    if fields.text:
        read_text = _text(fields.text, fields.answer, source.tools)
    else:
        read_text = _conversation(str(fields.messages), source.tools)
    constants = _constants(source)
    readers = _readers(source, fields, constants)
    tags = source.constants.tags

    def convert(theirs: Any) -> Record:
        if not isinstance(theirs, dict):
            raise Defect("not an object", f"the record is {kind(theirs)}, not an object")
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
        "system": string,
        "history": turns.read,
        "label": _labels(source.labels),
        "reason": string,
        "answer": _answer,
        "rejected": _rejected,
        "thinking": _thinking,
        "split": _split,
        "tags": _tags,
    }
    paths = {field: getattr(fields, field) for field in checks if field not in constants}
    return [(field, _getter(path), checks[field]) for field, path in paths.items() if path]


def _text(path: str, answer: str | None, tools: Tools) -> Callable[[Any], Record]:
    get, reply = _getter(path), _getter(answer) if answer else None

    def read(theirs: Any) -> Record:
        text, said = get(theirs), reply(theirs) if reply else None
        if turns.are_turns(text) or turns.are_turns(said):
            return _in_turns(text, path, said, str(answer), tools)
        if text is None:
            raise Defect("no text", f"no text: {path} is missing")
        if not string(text, "text").strip():
            raise Defect("no text", f"no text: {path} is empty")
        return {"text": text}

    return read


def _in_turns(text: Any, path: str, said: Any, answer: str, tools: Tools) -> Record:
    """A prompt or an answer that is itself a list of turns; an answer that holds the user's holds the prompt, too."""
    before, after = _as_turns(text, path, "user", tools), _as_turns(said, answer, "assistant", tools)
    whole = after if any(turn["role"] == "user" for turn in after) else before + after
    return divide(whole, path)


def _as_turns(value: Any, path: str, role: str, tools: Tools) -> list[Turn]:
    if turns.are_turns(value):
        return turns.read(value, path, system=True, tools=tools)
    return [{"role": role, "content": string(value, path)}] if value else []


def _answer(value: Any, field: str) -> str | None:
    """None for turns: they were divided with the text."""
    return None if turns.are_turns(value) else string(value, field)


def _rejected(value: Any, field: str) -> str:
    """A text, or the end of a conversation whose end nobody should learn."""
    if not turns.are_turns(value) and not turns.is_transcript(value):
        return string(value, field)
    found = turns.read(value, field, system=True)
    if not found or found[-1]["role"] != "assistant":
        raise Defect("bad conversation", f"{field} does not end with a turn of the assistant")
    return found[-1]["content"]


def _conversation(path: str, tools: Tools) -> Callable[[Any], Record]:
    get = _getter(path)

    def read(theirs: Any) -> Record:
        if (found := get(theirs)) is None:
            raise Defect("no text", f"no text: {path} is missing")
        return divide(turns.read(found, path, system=True, tools=tools), path)

    return read


def _labels(theirs: Mapping[str, str]) -> Callable[[Any, str], str | None]:
    known = theirs or {label: label for label in LABELS}

    def check(value: Any, field: str) -> str | None:
        if theirs and isinstance(value, int):  # a class of `datasets` is a number
            value = _written(value)
        if not string(value, field):
            return None
        if value not in known:
            raise Defect("unknown label", f"{field} is {_shown(value)}; known are {', '.join(known)}")
        return known[value]

    return check


def _thinking(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {kind(value)}, not an object")
    if set(value) != set(_THINKING):
        raise Defect("bad thinking", f"{field} must hold exactly {', '.join(_THINKING)}")
    return {part: _filled(value[part], f"{field}.{part}") for part in _THINKING}


def _filled(value: Any, field: str) -> str:
    if not (text := string(value, field)).strip():
        raise Defect("bad thinking", f"{field} is empty")
    return text


def _split(value: Any, field: str) -> str:
    if (split := string(value, field)) and not _is_split(split):
        raise Defect("bad split", f"{field} is {_shown(split)}; use a-z, 0-9 and _, at most 40, a letter first")
    return split


def _tags(value: Any, field: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {kind(value)}, not an object")
    return {name: _tag(tag, f"{field}.{name}") for name, tag in value.items() if tag is not None}


def _tag(value: Any, field: str) -> str:
    return _written(value) if isinstance(value, int) else string(value, field)


def _written(value: int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:40] + "…")


def _getter(path: str | Mapping[str, str]) -> Get:
    """A value of a record by its path, or an object of several; None where there is nothing."""
    if not isinstance(path, str):
        getters = {name: _getter(at) for name, at in path.items()}
        return lambda record: {name: get(record) for name, get in getters.items()}
    if "{" in path:
        return _template(path)
    if "." not in path:
        return methodcaller("get", path)
    parts = path.split(".")
    return lambda record: reduce(_descend, parts, record)


def _template(template: str) -> Get:
    """Texts joined as the template says; a paragraph goes if its fields are all empty, and all does if none is left."""
    paragraphs = [(each, {path: _getter(path) for path in _PLACE.findall(each)}) for each in template.split("\n\n")]

    def read(record: Any) -> str | None:
        filled = [
            _filled_in(each, {path: get(record) for path, get in getters.items()}) for each, getters in paragraphs
        ]
        return "\n\n".join(each for each in filled if each) or None

    return read


def _filled_in(paragraph: str, values: Mapping[str, Any]) -> str:
    texts = {path: "" if value is None else string(value, path).strip() for path, value in values.items()}
    if texts and not any(texts.values()):
        return ""
    return _PLACE.sub(lambda found: texts[found[1]], paragraph)


def _descend(value: Any, part: str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return None
