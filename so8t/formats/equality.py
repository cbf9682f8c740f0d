"""One chat format, three engines: the tokens of every conversation, as each engine makes them.

    training     the segments, tokenised as the training does it
    pieces       the same segments through llama.cpp's tokenizer: how our own evaluation and server call it
    embedded     the GGUF's own Jinja template, rendered, then tokenised as one text
    template     Ollama's TEMPLATE, rendered, then tokenised as one text
Each is asked twice: for the prompt before which the model thinks, and for that of a direct answer, where it learned
to give one.
A rendered text cannot say which of its role tokens a message spelt: there such conversations are compared as a
careful client sends them, with a backslash in every role token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from so8t.errors import StageError
from so8t.formats import chat, direct, goeval, suite
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat, Segment
from so8t.formats.encoding import Encoder
from so8t.formats.goeval import Refusal
from so8t.formats.suite import Conversation, Message
from so8t.formats.thinking import ThinkingFormat

AROUND = 3  # tokens shown on either side of a difference
View = Callable[[Sequence[Message], bool], list[int]]  # the second says whether the answer begins with thinking


class Difference(StageError):
    """Two engines read one conversation in two ways."""


class Engine(Protocol):
    """What is asked of so8t.gguf.llamacpp.Model."""

    metadata: dict[str, str]

    @property
    def template(self) -> str: ...

    def tokenize(self, text: str, special: bool) -> list[int]: ...

    def piece(self, number: int, special: bool = False) -> bytes: ...


@dataclass(frozen=True)
class Formats:
    """`direct`: direct answers were learned, too."""

    chat: ChatFormat
    thinking: ThinkingFormat
    direct: bool = True

    def segments(self, messages: Sequence[Message], think: bool) -> list[Segment]:
        conversation = suite.trained(messages, self.thinking)
        return chat.segments(conversation, self.chat, True, self.prefill(messages, think))

    def prefill(self, messages: Sequence[Message], think: bool) -> str:
        """With what the prompt begins an answer; a conversation that ends with one prompts for none."""
        return "" if think or messages[-1]["role"] != "user" else direct.prefill(self.thinking)


def training(tokenizer: Any, formats: Formats) -> View:
    """`tokenizer` is transformers'."""
    encoder = Encoder(tokenizer)
    return lambda messages, think: encoder(formats.segments(messages, think)).ids


def pieces(engine: Engine, tokenizer: Any, formats: Formats) -> View:
    encoder = Encoder(_Lent(engine, tokenizer))
    return lambda messages, think: encoder(formats.segments(messages, think)).ids


def embedded(engine: Engine, formats: Formats) -> View:
    """A Jinja template knows nothing of direct answers: whoever renders it adds the prefill."""
    render = _jinja(engine.template)

    def view(messages: Sequence[Message], think: bool) -> list[int]:
        begun = chat.begun(formats.chat, formats.prefill(messages, think))
        return _whole(engine, render(suite.said(messages, formats.thinking)) + begun)

    return view


def template(engine: Engine, text: str, formats: Formats, splits: bool = True) -> View:
    """`splits`: Ollama's clients hold thinking and content apart; else they hold what the model wrote."""
    if splits:
        return lambda messages, think: _whole(engine, goeval.render(text, messages, think))
    return lambda messages, _: _whole(engine, goeval.render(text, suite.trained(messages, formats.thinking)))


def check_markers(engine: Engine, thinking: ThinkingFormat) -> None:
    """Markers are text to the engine: a control token would not be printed, and the thinking would run together."""
    for marker in thinking.markers:
        ids = engine.tokenize(marker, False)
        printed = b"".join(map(engine.piece, ids)).decode("utf-8", "replace")
        if ids != engine.tokenize(marker, True) or printed.removeprefix(" ") != marker:  # some read a space before it
            raise StageError(
                f"chat format: {marker} is a control token in the GGUF, which no engine prints; "
                "add the markers to the tokenizer with special=False"
            )


def check_answers(engine: Engine, tokenizer: Any, formats: Formats) -> bool:
    """What the training learns comes back from the engine as the same text, but for spaces that no reader minds.

    Gives whether there are such spaces.
    """
    encoder, stops, spaced = Encoder(tokenizer), set(formats.chat.stop), False
    for conversation in suite.conversations(formats.thinking):
        messages = suite.trained(conversation.messages, formats.thinking)
        if messages[-1]["role"] != "assistant":
            continue
        encoded = encoder(chat.segments(messages, formats.chat))
        learned = [number for number, is_learned in zip(encoded.ids, encoded.learned, strict=True) if is_learned]
        printed = [engine.piece(number, True) for number in learned]
        back = b"".join(piece for piece in printed if piece.decode("utf-8", "replace") not in stops)
        texts = back.decode("utf-8", "replace"), messages[-1]["content"]
        said, written = (think.unspaced(text.strip(" "), formats.thinking) for text in texts)
        if said != written:
            part = slice(max(0, _parting(said, written) - 12), _parting(said, written) + 12)
            raise StageError(
                f"chat format: the answer of conversation {conversation.name!r}, as the training learns it, comes back "
                f"from llama.cpp as other text, so that no answer would keep the thinking format\n"
                f"  learned:   {written[part]!r}\n  llama.cpp: {said[part]!r}\n"
                "take another base, or a tokenizer.json that keeps texts as they are"
            )
        spaced = spaced or texts[0] != texts[1]
    return spaced


@dataclass(frozen=True)
class Proof:
    """How many conversations were read, and what differed in those of an accepted kind."""

    conversations: int
    differences: Mapping[str, str]


def check(views: Mapping[str, View], formats: Formats, engine: Engine, accepted: Collection[str] = ()) -> Proof:
    """Every view gives the first one's ids for every conversation, or a StageError says where it does not.

    The views called `training` and `pieces` get role tokens as they are, too.
    """
    conversations, differences = suite.conversations(formats.thinking), {}
    for conversation in conversations:
        try:
            for think in (True, False) if formats.direct else (True,):
                _check(views, conversation, suite.inert(conversation.messages, formats.thinking), think, engine)
                if conversation.spells_roles:
                    exact = {name: view for name, view in views.items() if name in ("training", "pieces")}
                    _check(exact, conversation, conversation.messages, think, engine)
        except Difference as difference:
            if conversation.kind not in accepted:
                raise
            differences[conversation.name] = str(difference)
    return Proof(len(conversations), differences)


def check_texts(
    tokenizer: Any, engine: Engine, texts: Iterable[tuple[str, str]], accepted: Collection[str]
) -> dict[str, str]:
    """Kinds and texts, each read as a message's: the first difference of every accepted kind, else a StageError."""
    given = list(texts)
    read = Encoder(tokenizer).texts([text for _, text in given])
    found = [engine.tokenize(text, False) for _, text in given]
    return _check_texts(("llama.cpp", "pieces"), engine, given, read, found, accepted)


def check_auto(
    tokenizer: Any, auto: Any, engine: Engine, texts: Iterable[tuple[str, str]], accepted: Collection[str]
) -> dict[str, str]:
    """The same for `auto`, with which others load the model, beside the training's tokenizer."""
    if type(auto) is type(tokenizer):  # both read the file as it stands
        return {}
    given = list(texts)
    read, found = (Encoder(each).texts([text for _, text in given]) for each in (tokenizer, auto))
    return _check_texts(("transformers' AutoTokenizer", "AutoTokenizer"), engine, given, read, found, accepted)


def _check_texts(
    names: tuple[str, str],
    engine: Engine,
    given: Sequence[tuple[str, str]],
    read: Sequence[list[int]],
    found: Sequence[list[int]],
    accepted: Collection[str],
) -> dict[str, str]:
    """`names` of who found what, in a sentence and before its tokens."""
    differing: dict[str, list[str]] = {}
    for (kind, text), ids, theirs in zip(given, read, found, strict=True):
        if theirs != ids:
            at = _parting(ids, theirs)
            shown = f"{text!r}\n  training: {_shown(engine, ids, at)}\n  {names[1]}: {_shown(engine, theirs, at)}"
            differing.setdefault(kind, []).append(shown)
    for kind, shown_all in differing.items():
        if kind not in accepted:
            total = sum(one == kind for one, _ in given)
            raise Difference(
                f"chat format: {names[0]} reads {len(shown_all)} of {total} texts of the kind {kind} otherwise than "
                f"the training, the first of them {shown_all[0]}\n"
                "accept the kind (in chat_format.yaml) if the model may read such texts as it was not trained to"
            )
    return {kind: f"{len(shown_all)} texts, the first of them {shown_all[0]}" for kind, shown_all in differing.items()}


def _parting(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Where two sequences part."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (left, right) in pairs if left != right), min(len(one), len(other)))


def check_closed(text: str, formats: Formats) -> None:
    """The TEMPLATE renders no prompt for a direct answer, or a StageError says for which conversation it does."""
    for conversation in suite.conversations(formats.thinking):
        try:
            goeval.render(text, conversation.messages, think=False)
        except Refusal:
            continue
        if conversation.messages[-1]["role"] == "user":
            raise StageError(
                f"chat format: with think false the TEMPLATE prompts for an answer to {conversation.name!r}, but "
                "direct answers were never learned: close that branch, or give thinking_sft.direct a share"
            )


def _check(
    views: Mapping[str, View], conversation: Conversation, messages: Sequence[Message], think: bool, engine: Engine
) -> None:
    found = {name: view(messages, think) for name, view in views.items()}
    for name, ids in found.items():
        first, expected = next(iter(found.items()))
        if ids != expected:
            at = _parting(expected, ids)
            raise Difference(
                f"chat format: conversation {conversation.name!r}{'' if think else ', asked for a direct answer,'} "
                f"has other tokens in {name} than in {first}, from token {at} on:\n"
                + "".join(
                    f"  {each}: {_shown(engine, which, at)}\n" for each, which in ((first, expected), (name, ids))
                )
                + "every engine must read what the training wrote: compare the templates and the vocabulary"
                + (f", or accept {conversation.kind} (in chat_format.yaml)" if conversation.kind else "")
            )


def _shown(engine: Engine, ids: Sequence[int], at: int) -> str:
    """`... 〈31 "は"〉 [32 "？"] ...`: the tokens around a position, the one there in brackets."""

    def token(place: int) -> str:
        text = json.dumps(engine.piece(ids[place], True).decode("utf-8", "backslashreplace"), ensure_ascii=False)
        return f"[{ids[place]} {text}]" if place == at else f"{ids[place]} {text}"

    places = range(max(0, at - AROUND), min(len(ids), at + AROUND + 1))
    return ", ".join(map(token, places)) + ("" if at < len(ids) else " [the end]")


def _whole(engine: Engine, text: str) -> list[int]:
    """A rendered prompt as llama.cpp's server and Ollama tokenise it."""
    asked = engine.metadata.get("tokenizer.ggml.add_bos_token") == "true"
    bos = [int(engine.metadata["tokenizer.ggml.bos_token_id"])] if asked else []
    return bos + engine.tokenize(text, True)


def _jinja(text: str) -> Callable[[Sequence[Message]], str]:
    """Rendered as transformers and llama.cpp do it: a sandbox, blocks without the line ends behind them."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise StageError(f"chat format: the GGUF's template refuses a conversation: {message}")

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(text)
    return lambda messages: template.render(messages=messages, add_generation_prompt=True)


class _Lent:
    """An engine in the place of transformers' tokenizer, which still tells which tokens are special."""

    def __init__(self, engine: Engine, tokenizer: Any) -> None:
        self._engine = engine
        self.added_tokens_decoder = tokenizer.added_tokens_decoder
        self.bos_token_id = tokenizer.bos_token_id

    def __call__(self, texts: str | Iterable[str], **options: Any) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": _whole(self._engine, texts)}
        return {"input_ids": [self._engine.tokenize(text, False) for text in texts]}

    def convert_tokens_to_ids(self, token: str) -> int:
        ids = self._engine.tokenize(token, True)
        if len(ids) != 1:
            raise StageError(f"chat format: {token} is {len(ids)} tokens in the GGUF, but one in the training")
        return ids[0]
