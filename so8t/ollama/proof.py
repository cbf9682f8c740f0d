"""That an imported model does for its users what the evaluation says: asked as they ask, it gives the right class, and
nothing of its thinking stands in what is shown.

Every way of asking has its share of the questions: three doors, thinking on, left out or off, whole or in parts; then a
conversation with a history, and a question that mentions the tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.corpus.answered import Answered
from so8t.errors import StageError
from so8t.formats import goeval, leaks
from so8t.formats import thinking as think
from so8t.formats.gosyntax import TemplateError
from so8t.formats.gotemplate import opening
from so8t.formats.thinking import FormatError, Said, Thinking, ThinkingFormat
from so8t.ollama import asking
from so8t.ollama.asking import Door, Message, Reply, Way
from so8t.ollama.client import Client, Refused

SHOWN = 200  # characters of an answer in a message
NATIVE: tuple[Door, ...] = ("/api/chat", "/api/generate")
V1: Door = "/v1/chat/completions"
THINKS = {True: "think true", None: "think left out", False: "think false"}


@dataclass(frozen=True)
class Imported:
    """A model in a server, and what its answers should be like; `thinks`: Ollama parts thinking from content."""

    server: Client
    name: str
    template: str
    format: ThinkingFormat

    @property
    def thinks(self) -> bool:
        return ".Thinking" in self.template

    @property
    def closed(self) -> bool:
        """Whether a request without thinking is refused by the TEMPLATE itself."""
        try:
            goeval.render(self.template, [_user("?")], think=False)
        except TemplateError:
            return True
        return False


@dataclass(frozen=True)
class Asked:
    """One question in one way, and what came of it; `wrong` says why that is not what the evaluation saw."""

    question: Answered
    way: Way
    reply: Reply
    wrong: str | None


def check_imported(model: str, shown: dict[str, Any], template: str, thinks: bool) -> None:
    """`shown` is the answer of /api/show."""
    if shown.get("template") != template:
        raise StageError(f"ollama: {model} has another TEMPLATE than its Modelfile: the server chose one of its own")
    if thinks and "thinking" not in shown.get("capabilities", []):
        found = ", ".join(shown.get("capabilities", [])) or "none"
        raise StageError(f"ollama: the server finds no thinking in the TEMPLATE of {model} (capabilities: {found})")


def prove(model: Imported, questions: Sequence[Answered]) -> dict[str, Any]:
    """The figures of the proof and one conversation; a StageError where an answer leaks, or too many are wrong."""
    right: dict[str, Any] = {}
    first = None
    for mode in THINKS if model.thinks else (None,):
        if mode is False and model.closed:
            _check_refuses(model, questions)
            right[THINKS[mode]] = "refused"
            continue
        asked = list(_all(model, questions, mode))
        first = first or asked[0]
        right[THINKS[mode]] = _check_enough(model, asked, mode)
    if first is None:
        raise AssertionError("a model is asked in one way at least")
    beside = _history_and_tags(model, first) if model.thinks else 0
    answer = {"role": "assistant", "thinking": first.reply.thinking, "content": first.reply.content}
    figures = {"asked": len(questions), "right": right, "beside": beside, "leaks": 0}
    return {"proof": figures, "messages": [_user(first.question.question), answer]}


def ways(mode: bool | None) -> list[Way]:
    doors = NATIVE if mode else (*NATIVE, V1)  # /v1 can only turn thinking off
    return [Way(door, mode, stream) for door in doors for stream in (True, False)]


def _all(model: Imported, questions: Sequence[Answered], mode: bool | None) -> Iterator[Asked]:
    known = ways(mode)
    for at, question in enumerate(questions):
        way = known[at % len(known)]
        reply = asking.hear(model.server, model.name, [_user(question.question)], way)
        if model.thinks:
            _check_keeps_in(model, reply, way, leaks.thoughts(question.target, model.format))
        yield Asked(question, way, reply, _wrong(model, question, reply, way))


def _wrong(model: Imported, question: Answered, reply: Reply, way: Way) -> str | None:
    try:
        said = read(model.name, reply, model.format, model.thinks, way.think is not False)
    except StageError as error:
        return str(error).removeprefix("ollama: ")
    if not reply.done_reason:
        return f"the answer to {question.question!r} broke off before it was done ({way})"
    if isinstance(said, Thinking) and said.final.label != question.label:
        return f"{question.question!r} is {question.label}, and the answer says {said.final.label} ({way})"
    return None


def _check_keeps_in(model: Imported, reply: Reply, way: Way, thoughts: Sequence[str]) -> None:
    if found := leaks.leak(reply.content, model.format, thoughts):
        raise StageError(
            f"ollama: {model.name} shows its thinking ({way}): {found!r} stands in {reply.content[:SHOWN]!r}; "
            f"take it out of the server with `ollama rm {model.name}` until that is mended"
        )


def _check_enough(model: Imported, asked: Sequence[Asked], mode: bool | None) -> int:
    """One in twenty may be another one than the evaluation saw: kernels round otherwise."""
    wrong = [each.wrong for each in asked if each.wrong]
    right, least = len(asked) - len(wrong), len(asked) - len(asked) // 20
    if right < least:
        raise StageError(
            f"ollama: {model.name} answers {right} of {len(asked)} questions as in the evaluation ({THINKS[mode]}); "
            f"{least} are needed; the first that it does not: {wrong[0]}"
        )
    return right


def _check_refuses(model: Imported, questions: Sequence[Answered]) -> None:
    """A TEMPLATE that fails closed gives an error, and no text."""
    for way, question in zip(ways(False), questions, strict=False):
        try:
            reply = asking.hear(model.server, model.name, [_user(question.question)], way)
        except Refused:
            continue
        raise StageError(
            f"ollama: {model.name} answers {reply.content[:SHOWN]!r} ({way}), though its TEMPLATE refuses to: "
            "restart the server, which may render with what another import left, and run doit ollama again"
        )


def _history_and_tags(model: Imported, first: Asked) -> int:
    """Asked for leaks alone: what was trained on single questions may answer anything here."""
    said = {"role": "assistant", "content": first.reply.content}
    question = _user(first.question.question)
    tagged = _user(f"{first.question.question} {''.join(model.format.markers)}")
    count = 0
    for mode in [None] if model.closed else [None, False]:
        for way in ways(mode):
            histories = [] if way.door == "/api/generate" else [[question, said, question]]
            if way.door == "/api/chat":
                histories.append([question, {**said, "thinking": first.reply.thinking}, question])
            for messages in ([tagged], *histories):
                reply = asking.hear(model.server, model.name, messages, way)
                _check_keeps_in(model, reply, way, leaks.thoughts(first.question.target, model.format))
                count += 1
    return count


def read(model: str, reply: Reply, fmt: ThinkingFormat, thinks: bool, thought: bool = True) -> Said:
    """The answer's parts, as the model wrote them; anything else than the format is a failed import."""
    close = fmt.parts[-1].close
    if not thinks:
        whole = reply.content
    elif thought:
        whole = opening(fmt) + reply.thinking + fmt.closing + reply.content + close
    else:
        whole = "".join(part.open + part.close for part in fmt.parts[:-1]) + fmt.parts[-1].open + reply.content + close
    try:
        if thinks and thought and not reply.thinking:
            raise FormatError(0, opening(fmt), repr(reply.content[:20]))
        return think.read(whole, fmt)
    except FormatError as error:
        raise StageError(
            f"ollama: the answer of {model} is not in the thinking format ({error}; it ended with "
            f"{reply.done_reason!r}): thinking {reply.thinking[:SHOWN]!r}, content {reply.content[:SHOWN]!r}; "
            "see in evaluation whether the model keeps the format at all, and raise num_predict if it was cut off"
        ) from error


def _user(content: str) -> Message:
    return {"role": "user", "content": content}
