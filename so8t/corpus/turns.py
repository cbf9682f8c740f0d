"""Conversations as others write them -> turns of system, user and assistant, and those -> fields of ours.

Turns are {role, content} or {from, value}, pairs of a question and an answer, or a transcript; content is a text, or
parts of one.
A call of a tool and its result are put aside, left out, or kept as the text that Hermes and Qwen write for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import orjson

from so8t.corpus.rows import Defect
from so8t.formats.records import Record

Tools = Literal["quarantine", "flatten", "keep"]
Turn = dict[str, str]
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
}
_CALLS = ("function_call", "tool_call")  # roles of a turn that is a call
_RESULTS = ("tool", "function", "observation", "tool_response", "function_response", "ipython")
_TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}  # of a part
_SPEAKER = re.compile(r"\n\n(Human|Assistant): ")  # of a transcript
_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def kind(value: Any) -> str:
    return _KINDS.get(type(value), f"a {type(value).__name__}")


def string(value: Any, field: str) -> str:
    if not isinstance(value, str):
        raise Defect("wrong type", f"{field} is {kind(value)}, not a string")
    return value


def divide(turns: list[Turn], path: str) -> Record:
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


def read(value: Any, field: str, system: bool = False, tools: Tools = "quarantine") -> list[Turn]:
    """The turns of a list; `system` says whether one may be the system's."""
    if is_transcript(value):
        value = [_said(role.lower(), text.strip()) for role, text in _spoken(value)]
    if not isinstance(value, list):
        raise Defect("wrong type", f"{field} is {kind(value)}, not a list of turns")
    if value and all(_is_pair(each) for each in value):
        value = [turn for asked, replied in value for turn in (_said("user", asked), _said("assistant", replied))]
    found = (turn for at, each in enumerate(value) for turn in _turns(each, f"{field}.{at}", system, tools))
    return list(found) if tools == "quarantine" else _joined(found)


def are_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def is_transcript(value: Any) -> bool:
    """It begins with an empty line and the words of a human, as hh-rlhf writes conversations."""
    return isinstance(value, str) and value.startswith("\n\nHuman: ")


def _spoken(transcript: str) -> Iterable[tuple[str, str]]:
    _, *parts = _SPEAKER.split(transcript)
    return zip(parts[::2], parts[1::2], strict=True)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(text, str) for text in value)


def _said(role: str, text: str) -> Turn:
    return {"role": role, "content": text}


def _turns(value: Any, field: str, system: bool, tools: Tools) -> list[Turn]:
    """One turn; none if it was a tool's and those are left out."""
    if not isinstance(value, dict):
        raise Defect("wrong type", f"{field} is {kind(value)}, not a turn of role and content")
    theirs = value.get("role", value.get("from"))
    calls = value.get("tool_calls") or value.get("function_call")
    if calls or theirs in _CALLS or theirs in _RESULTS:
        return _of_a_tool(value, theirs, calls, field, tools)
    role = ROLES.get(theirs) if isinstance(theirs, str) else None
    if role is None or (role == "system" and not system):
        raise Defect("bad conversation", f"{field} has the role {theirs!r}; known are {', '.join(ROLES)}")
    text = _content(value, field)
    if not text.strip():
        raise Defect("bad conversation", f"{field} is empty")
    return [_said(role, text)]


def _content(turn: Mapping[str, Any], field: str) -> str:
    """A text, the texts of its parts, or the refusal that stands in its place."""
    value = turn.get("content", turn.get("value"))
    if value is None and isinstance(turn.get("refusal"), str):
        return str(turn["refusal"])
    if isinstance(value, list):
        return "\n".join(_part(part, f"{field}.content.{at}") for at, part in enumerate(value))
    return string(value, f"{field}.content")


def _part(value: Any, field: str) -> str:
    if isinstance(value, str):
        return value
    form = value.get("type") if isinstance(value, dict) else None
    if form not in _TEXTS:
        raise Defect("bad conversation", f"{field} is a part of type {form!r}, not text")
    return string(value.get(_TEXTS[form]), f"{field}.{_TEXTS[form]}")


# ---- tools ---------------------------------------------------------------------------------------------------


def _of_a_tool(value: Mapping[str, Any], theirs: Any, calls: Any, field: str, tools: Tools) -> list[Turn]:
    if tools == "quarantine":
        what = "the result of a tool" if theirs in _RESULTS else "a call of a tool"
        raise Defect("tool turn", f"{field} is {what}; tools: flatten leaves such turns out, tools: keep takes them")
    if theirs in _RESULTS:
        result = f"<tool_response>\n{_content(value, field)}\n</tool_response>"
        return [_said("user", result)] if tools == "keep" else []
    if not calls:  # the turn itself is the call
        return [_said("assistant", _call(_content(value, field), field))] if tools == "keep" else []
    words = _content(value, field) if value.get("content", value.get("value")) is not None else ""
    called = [_call(call, field) for call in (calls if isinstance(calls, list) else [calls])]
    text = "\n".join([*filter(str.strip, [words]), *(called if tools == "keep" else [])])
    return [_said("assistant", text)] if text else []


def _call(value: Any, field: str) -> str:
    """`{name, arguments}` between tags; OpenAI writes the arguments as JSON in a string."""
    function = _unpacked(value)
    if isinstance(function, dict):
        function = function.get("function", function)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Defect("bad conversation", f"{field} calls a tool without a name")
    call = {"name": function["name"], "arguments": _unpacked(function.get("arguments", {}))}
    return f"<tool_call>\n{orjson.dumps(call).decode()}\n</tool_call>"


def _unpacked(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _joined(turns: Iterable[Turn]) -> list[Turn]:
    """Neighbours of one role as one turn: what stood between them was a tool's, or several tools answered."""
    joined: list[Turn] = []
    for turn in turns:
        if joined and joined[-1]["role"] == turn["role"] != "system":
            joined[-1] = _said(turn["role"], f"{joined[-1]['content']}\n\n{turn['content']}")
        else:
            joined.append(turn)
    return joined
