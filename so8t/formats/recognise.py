"""A base's own chat template as a declaration: probed with marked messages, taken apart at the base's special tokens.

What comes out is a guess until `owntemplate.check` has proven it on the whole suite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from so8t.errors import StageError
from so8t.formats import structure
from so8t.formats.chat import PRESETS, ChatFormat, Message, Turn
from so8t.formats.owntemplate import Refused, Write, own

SYSTEM, USER, ANSWER, NEXT = "ｼｽﾃﾑ甲", "ﾕｰｻﾞｰ乙", "ｱﾝｻｰ丙", "ﾕｰｻﾞｰ丁"  # texts that no template holds
_JOINER = "\n\n"
_TURNS = [
    {"role": "user", "content": USER},
    {"role": "assistant", "content": ANSWER},
    {"role": "user", "content": NEXT},
]
_OPENING = {"role": "system", "content": SYSTEM}


def declare(tokenizer: Any) -> ChatFormat:
    """The declaration that the template of transformers' tokenizer seems to follow."""
    write = own(tokenizer)
    special = structure.names(tokenizer.added_tokens_decoder.values())
    alone, _, repeated, _ = _parts(write, _TURNS, (USER, ANSWER, NEXT))
    begin = tokenizer.bos_token
    if begin and alone.startswith(begin) and begin not in repeated:
        raise StageError(
            f"chat format: the base's own template begins with {begin}, which its tokenizer does not add; llama.cpp "
            'would not either: set "add_bos_token": true and its post_processor in the base\'s tokenizer files'
        )
    try:
        found = _with_system(write, special, alone)
    except Refused:
        found = _without_system(write, special)
    default = _default(alone, found)
    ends = [token for token in (_first(found.assistant.suffix, special), tokenizer.eos_token) if token]
    return _named(
        replace(
            found,
            default_system=default,
            stop=tuple(dict.fromkeys(ends)),
            bos=tokenizer.bos_token or "",
            eos=tokenizer.eos_token or "",
            role_tokens=tuple(token for token in special if token in _structure(found)),
        )
    )


def _with_system(write: Write, special: dict[str, Any], alone: str) -> ChatFormat:
    if _order(write([_OPENING, *_TURNS])) == [USER, ANSWER, SYSTEM, NEXT]:
        return _system_last(write, special, alone)
    before, opened, between, after, end = _parts(write, [_OPENING, *_TURNS], (SYSTEM, USER, ANSWER, NEXT))
    answer = _suffix(after, special) or after.removesuffix(alone)
    user = after.removeprefix(answer)
    asked = _suffix(between, special)
    in_user = before.startswith(user) and bool(user or not before)
    system = Turn(before.removeprefix(user), opened) if in_user else Turn(before, opened.removesuffix(user))
    return _format(
        system, Turn(user, asked), Turn(between.removeprefix(asked), answer), end.removeprefix(asked), in_user
    )


def _system_last(write: Write, special: dict[str, Any], alone: str) -> ChatFormat:
    """A template that writes the system's message in the last question, as Mistral's do."""
    user, between, after, opened, end = _parts(write, [_OPENING, *_TURNS], (USER, ANSWER, SYSTEM, NEXT))
    asked, answer = _suffix(between, special), _suffix(after, special) or after.removesuffix(alone)
    system = Turn(after.removeprefix(answer).removeprefix(user), opened)
    turns = Turn(user, asked), Turn(between.removeprefix(asked), answer)
    return replace(_format(system, *turns, end.removeprefix(asked), True), system_last=True)


def _without_system(write: Write, special: dict[str, Any]) -> ChatFormat:
    """A template that refuses a system's message: it then stands in the user's, as Gemma 2's users write it."""
    user, between, after, end = _parts(write, _TURNS, (USER, ANSWER, NEXT))
    asked, answer = _suffix(between, special), _suffix(after, special)
    turns = Turn(user, asked), Turn(between.removeprefix(asked), answer)
    return _format(Turn("", _JOINER), *turns, end.removeprefix(asked), True)


def _format(system: Turn, user: Turn, assistant: Turn, generation: str, in_user: bool) -> ChatFormat:
    return ChatFormat("own", system, user, assistant, generation, _JOINER, (), "", "", (), in_user)


def _parts(write: Write, messages: Sequence[Message], marks: Sequence[str]) -> list[str]:
    """The text between the marks, which stand in it once and in this order."""
    text = write(messages)
    parts = re.split("|".join(marks), text)
    if _order(text) != list(marks):
        raise StageError(
            "chat format: the base's own template does not write messages one behind another, each once:\n"
            f"  {text!r}\ndeclare a format yourself (chat in thinking_sft.yaml)"
        )
    return parts


def _order(text: str) -> list[str]:
    return re.findall("|".join((SYSTEM, USER, ANSWER, NEXT)), text)


def _suffix(text: str, special: dict[str, Any]) -> str:
    """What ends a turn: the special token at the front, and the line ends behind it."""
    token = _leading(text, special)
    return token + re.match(r"\n*", text[len(token) :])[0] if token else ""  # type: ignore[index]


def _leading(text: str, special: dict[str, Any]) -> str:
    return max((token for token in special if text.startswith(token)), key=len, default="")


def _first(text: str, special: dict[str, Any]) -> str:
    """The special token that comes first."""
    there = [token for token in special if token in text]
    return min(there, key=lambda token: (text.find(token), -len(token)), default="")


def _default(alone: str, found: ChatFormat) -> str:
    """The system's text that the template writes where there is none."""
    written = alone.removesuffix(found.user.prefix)
    if not written or found.system_in_user:
        return ""
    return written.removeprefix(found.system.prefix).removesuffix(found.system.suffix)


def _structure(fmt: ChatFormat) -> str:
    turns = (fmt.system, fmt.user, fmt.assistant)
    return "".join(turn.prefix + turn.suffix for turn in turns) + fmt.generation


def _named(fmt: ChatFormat) -> ChatFormat:
    """Under the name of the preset that has the same structure."""
    same = (name for name, preset in PRESETS.items() if _structure(preset) == _structure(fmt))
    return replace(fmt, name=next(same, "own"))
