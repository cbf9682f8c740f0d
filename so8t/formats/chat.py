"""The chat format, declared once: how a conversation becomes text, and which characters the model learns.

The tokenizer's Jinja template is derived here; the Modelfile's Go TEMPLATE derives from the same declaration.
The rules are Ollama's, so that every engine agrees: system messages are joined with a blank line and printed
once, at the front; neighbours with the same role are joined with a blank line; an answer is prompted for
only after a user's message.  BOS and EOS belong to the tokenizer and are never printed.
Content is printed as it is: whoever tokenises it tokenises segments, so that role tokens in it stay text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

Message = Mapping[str, str]


@dataclass(frozen=True)
class Turn:
    prefix: str
    suffix: str


@dataclass(frozen=True)
class ChatFormat:
    """`system_in_user`: the system's text stands in the first user's turn, with `system_last` in the last one's;
    `default_system` where there is none.

    `role_tokens` are single tokens; all other structure is text to the tokenizer.
    """

    name: str
    system: Turn
    user: Turn
    assistant: Turn
    generation: str
    joiner: str
    stop: tuple[str, ...]
    bos: str
    eos: str
    role_tokens: tuple[str, ...]
    system_in_user: bool = False
    default_system: str = ""
    system_last: bool = False

    @property
    def tokens(self) -> tuple[str, ...]:
        """All that must not be spelt in a message where it would be structure."""
        return tuple(filter(None, (*self.role_tokens, *self.stop, self.bos, self.eos)))

    @property
    def lead(self) -> str:
        """What an answer begins with and no prompt gives, such as Mistral's space: the model writes it."""
        prefix, given = self.assistant.prefix, self.generation
        return prefix[len(given) :] if prefix.startswith(given) else ""

    def turn(self, role: str) -> Turn:
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"role {role!r} must be one of system, user, assistant")
        turn: Turn = getattr(self, role)
        return turn


@dataclass(frozen=True)
class Segment:
    """A run of text: `structure` comes from the format, else from a message; `learned` carries the loss."""

    text: str
    role: str
    structure: bool
    learned: bool


PHI3 = ChatFormat(
    name="phi3",
    system=Turn("<|system|>\n", "<|end|>\n"),
    user=Turn("<|user|>\n", "<|end|>\n"),
    assistant=Turn("<|assistant|>\n", "<|end|>\n"),
    generation="<|assistant|>\n",
    joiner="\n\n",
    stop=("<|end|>", "<|endoftext|>"),
    bos="<s>",
    eos="<|endoftext|>",
    role_tokens=("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
)
CHATML = ChatFormat(
    name="chatml",
    system=Turn("<|im_start|>system\n", "<|im_end|>\n"),
    user=Turn("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Turn("<|im_start|>assistant\n", "<|im_end|>\n"),
    generation="<|im_start|>assistant\n",
    joiner="\n\n",
    stop=("<|im_end|>", "<|endoftext|>"),
    bos="<s>",
    eos="<|endoftext|>",
    role_tokens=("<|im_start|>", "<|im_end|>"),
)
LLAMA3 = ChatFormat(
    name="llama3",
    system=Turn("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
    user=Turn("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
    assistant=Turn("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
    generation="<|start_header_id|>assistant<|end_header_id|>\n\n",
    joiner="\n\n",
    stop=("<|eot_id|>", "<|end_of_text|>"),
    bos="<|begin_of_text|>",
    eos="<|end_of_text|>",
    role_tokens=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
)
MISTRAL = ChatFormat(
    name="mistral",
    system=Turn("", "\n\n"),
    user=Turn("[INST] ", "[/INST]"),
    assistant=Turn(" ", "</s>"),
    generation="",
    joiner="\n\n",
    stop=("</s>",),
    bos="<s>",
    eos="</s>",
    role_tokens=("[INST]", "[/INST]", "</s>"),
    system_in_user=True,
)
GEMMA = ChatFormat(
    name="gemma",
    system=Turn("", "\n\n"),
    user=Turn("<start_of_turn>user\n", "<end_of_turn>\n"),
    assistant=Turn("<start_of_turn>model\n", "<end_of_turn>\n"),
    generation="<start_of_turn>model\n",
    joiner="\n\n",
    stop=("<end_of_turn>", "<eos>"),
    bos="<bos>",
    eos="<eos>",
    role_tokens=("<start_of_turn>", "<end_of_turn>"),
    system_in_user=True,
)
PRESETS = {fmt.name: fmt for fmt in (PHI3, CHATML, LLAMA3, MISTRAL, GEMMA)}


def render(messages: Sequence[Message], fmt: ChatFormat, generation_prompt: bool = False, prefill: str = "") -> str:
    return "".join(segment.text for segment in segments(messages, fmt, generation_prompt, prefill))


def segments(
    messages: Sequence[Message],
    fmt: ChatFormat,
    generation_prompt: bool = False,
    prefill: str = "",
    also: Collection[int] = (),
) -> list[Segment]:
    """The rendered conversation in pieces; learned is the answer that ends it, with its stop token.

    `prefill` is the beginning of that answer that the prompt gives: it stands there and is not learned.
    `also` are the places of earlier answers that are learned, too.
    """
    pieces = [piece for piece in _pieces(messages, fmt, prefill, also) if piece.text]
    if generation_prompt and messages and messages[-1]["role"] == "user":
        given = fmt.generation + begun(fmt, prefill)
        pieces.append(Segment(given, "assistant", structure=True, learned=False))
    return pieces


def begun(fmt: ChatFormat, prefill: str) -> str:
    """`prefill` as it stands behind the prompt: behind what every answer begins with."""
    return fmt.lead + prefill if prefill else ""


def _pieces(
    messages: Sequence[Message], fmt: ChatFormat, prefill: str, also: Collection[int] = ()
) -> Iterator[Segment]:
    system = fmt.joiner.join(message["content"] for message in messages if message["role"] == "system")
    opening = _system(system, fmt)
    if not fmt.system_in_user:
        yield from opening
    runs = _runs(messages)
    starts = [0, *accumulate(len(contents) for _, contents in runs)]
    users = [index for index, (role, _) in enumerate(runs) if role == "user"]
    place = users[-1 if fmt.system_last else 0] if users and fmt.system_in_user else None
    for index, (role, contents) in enumerate(runs):
        fmt.turn(role)  # refuses an unknown role
        if role != "system":
            last = role == "assistant" and index == len(runs) - 1
            learned = last or all(at in also for at in range(starts[index], starts[index + 1]))
            prefix, *rest = _around(contents, role, fmt, learned, prefill=prefill if last else "")
            yield prefix
            if index == place:
                yield from opening
            yield from rest


def _system(text: str, fmt: ChatFormat) -> list[Segment]:
    text = text or fmt.default_system
    return list(_around([text], "system", fmt, learned=False)) if text else []


def _runs(messages: Sequence[Message]) -> list[tuple[str, list[str]]]:
    """Neighbours with the same role together; a system message parts its neighbours."""
    runs: list[tuple[str, list[str]]] = []
    for message in messages:
        if not runs or runs[-1][0] != message["role"]:
            runs.append((message["role"], []))
        runs[-1][1].append(message["content"])
    return runs


def _around(contents: list[str], role: str, fmt: ChatFormat, learned: bool, prefill: str = "") -> Iterator[Segment]:
    turn, text = fmt.turn(role), fmt.joiner.join(contents)
    stop = ending(turn.suffix, fmt.stop)
    if not text.startswith(prefill):
        raise ValueError(f"the answer begins with {text[:20]!r}, not with {prefill!r}, which the prompt gives")
    lead = fmt.lead if role == "assistant" and not prefill else ""
    yield Segment(turn.prefix.removesuffix(lead) + prefill, role, structure=True, learned=False)
    yield Segment(lead, role, structure=True, learned=learned)
    yield Segment(text[len(prefill) :], role, structure=False, learned=learned)
    yield Segment(stop, role, structure=True, learned=learned)
    yield Segment(turn.suffix[len(stop) :], role, structure=True, learned=False)


def ending(suffix: str, stops: Sequence[str]) -> str:
    """What the model writes of an answer's suffix: all up to the first token that ends it."""
    ends = [suffix.find(token) + len(token) for token in stops if token in suffix]
    return suffix[: min(ends)] if ends else ""


def frame(fmt: ChatFormat, system: str) -> tuple[str, str, str]:
    """What stands before the user's text, between it and the answer, and after that, in a single turn."""
    opening = "".join(piece.text for piece in _system(system, fmt))
    before = fmt.user.prefix + opening if fmt.system_in_user else opening + fmt.user.prefix
    return before, fmt.user.suffix + fmt.assistant.prefix, fmt.assistant.suffix


def jinja_template(fmt: ChatFormat, mark: str = "", kept: str = "") -> str:
    """The same rendering as a Jinja template; all its text stands in expressions, so no white space can be trimmed.

    Of an earlier answer there stays what stands behind `mark`, with `kept` before it; without a mark, all of it.
    """
    joiner = _quoted(fmt.joiner)
    turns = "".join(
        f"{{%- {'if' if role == 'user' else 'elif'} message['role'] == '{role}' -%}}"
        "{%- if loop.first or messages[loop.index0 - 1]['role'] != message['role'] -%}"
        f"{{{{- {_quoted(fmt.turn(role).prefix)} -}}}}{_system_in(role, fmt)}"
        f"{{%- else -%}}{{{{- {joiner} -}}}}{{%- endif -%}}"
        f"{_content(mark, kept) if role == 'assistant' and mark else _CONTENT}"
        "{%- if loop.last or messages[loop.index0 + 1]['role'] != message['role'] -%}"
        f"{{{{- {_quoted(fmt.turn(role).suffix)} -}}}}{{%- endif -%}}"
        for role in ("user", "assistant")
    )
    default = f"{{%- set found.system = {_quoted(fmt.default_system)} -%}}"
    return (
        "{%- set found = namespace(system='', any=false) -%}"
        "{%- for message in messages -%}{%- if message['role'] == 'system' -%}"
        f"{{%- if found.any -%}}{{%- set found.system = found.system + {joiner} -%}}{{%- endif -%}}"
        "{%- set found.system = found.system + message['content'] -%}{%- set found.any = true -%}"
        "{%- endif -%}{%- endfor -%}"
        + (_LAST if fmt.system_last else "")
        + ("{%- if not found.system -%}" + default + "{%- endif -%}" if fmt.default_system else "")
        + ("" if fmt.system_in_user else "{%- if found.system -%}" + _printed(fmt) + "{%- endif -%}")
        + "{%- for message in messages -%}"
        + turns
        + "{%- elif message['role'] != 'system' -%}"
        "{{- raise_exception('role ' + message['role'] + ' must be one of system, user, assistant') -}}"
        "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt and messages and messages[-1]['role'] == 'user' -%}"
        f"{{{{- {_quoted(fmt.generation)} -}}}}{{%- endif -%}}"
    )


_CONTENT = "{{- message['content'] -}}"


def _content(mark: str, kept: str) -> str:
    """An answer, of which all before its final part is dropped where it is not the conversation's last message."""
    at, before = _in_two(mark), f"{_quoted(kept)} + " if kept else ""
    return (
        f"{{%- if loop.last or {at} not in message['content'] -%}}{_CONTENT}{{%- else -%}}"
        f"{{{{- {before}(message['content'].split({at}) | last) -}}}}{{%- endif -%}}"
    )


def _in_two(mark: str) -> str:
    """Ollama takes a template that spells </think> in one for one that it knows better than ours."""
    head, found, rest = mark.partition("</think>")
    return f"({_quoted(head + '</')} + {_quoted('think>' + rest)})" if found else _quoted(mark)


_LAST = (  # where the last user's turn begins
    "{%- for message in messages -%}{%- if message['role'] == 'user' and "
    "(loop.first or messages[loop.index0 - 1]['role'] != 'user') -%}"
    "{%- set found.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
)


def _printed(fmt: ChatFormat) -> str:
    return f"{{{{- {_quoted(fmt.system.prefix)} + found.system + {_quoted(fmt.system.suffix)} -}}}}"


def _system_in(role: str, fmt: ChatFormat) -> str:
    """The system's text in the first user's turn, or in the last one's."""
    if role != "user" or not fmt.system_in_user:
        return ""
    if fmt.system_last:
        return "{%- if found.system and loop.index0 == found.last -%}" + _printed(fmt) + "{%- endif -%}"
    return "{%- if found.system -%}" + _printed(fmt) + "{%- set found.system = '' -%}{%- endif -%}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def to_json(fmt: ChatFormat) -> dict[str, Any]:
    """What is as usual about the system's message is left out."""
    usual = {"system_in_user": False, "default_system": "", "system_last": False}
    return {key: value for key, value in asdict(fmt).items() if key not in usual or value != usual[key]}


def from_json(value: dict[str, Any]) -> ChatFormat:
    turns = {role: Turn(**value[role]) for role in ("system", "user", "assistant")}
    return ChatFormat(**{**value, **turns, "stop": tuple(value["stop"]), "role_tokens": tuple(value["role_tokens"])})
