"""What the model learns from a conversation as it is: its turns, with thinking where they bring it, and no class.

An answer brings its thinking in front, as reasoning models write it: `<think>...</think>` and then what is shown; or a
record brings it beside.  Where the thinking format has a place for thinking, an answer without any is learned as a
direct answer; where it has none, the thinking is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from so8t.corpus.direct import Choice
from so8t.formats import chat
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat
from so8t.formats.records import THOUGHTLESS, Record
from so8t.formats.thinking import Plain, ThinkingFormat

Learn = Literal["last", "every"]
_BROUGHT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)


@dataclass(frozen=True)
class Turn:
    """An assistant's turn: what was thought, if anything, and what was said."""

    thought: str
    answer: str


def brought(content: str) -> Turn:
    """With the thinking that it brings in front, if it does."""
    found = _BROUGHT.match(content)
    return Turn(found[1].strip(), content[found.end() :]) if found else Turn("", content)


def last(record: Record) -> Turn | None:
    """The answer that ends a record, or None where it has none."""
    turn, beside = brought(record.get("answer") or ""), record.get("thinking")
    if not turn.answer.strip():
        return None
    given = "\n".join(beside.values()) if isinstance(beside, Mapping) else beside
    return Turn(given, turn.answer) if given else turn


class TalkWriter:
    """From a record to the line of thinking_sft.jsonl; `learn` says which of its answers carry the loss."""

    def __init__(
        self, chat_format: ChatFormat, thinking_format: ThinkingFormat, system: str, learn: Learn, direct: float = 0.0
    ) -> None:
        self._chat, self._thinking, self._learn = chat_format, thinking_format, learn
        self._system = [{"role": "system", "content": system}] if system else []
        self._chosen = Choice(direct)
        self.left_out = 0  # answers whose thinking has no place in the format
        self.thought = 0  # answers with thinking

    def __call__(self, record: Record, turn: Turn) -> Record:
        opening = [*self._system, *self._own_system(record)]
        earlier = [self._earlier(message) for message in record.get("history") or ()]
        answer = self._composed(self._kept(turn))
        messages = [*opening, *(message for message, _ in earlier), {"role": "user", "content": record["text"]}]
        messages.append({"role": "assistant", "content": answer})
        also = [len(opening) + at for at, (_, learned) in enumerate(earlier) if learned]
        example: dict[str, Any] = {
            "id": record["id"],
            "messages": messages,
            "text": chat.render(messages, self._chat),
            "split": record["split"],
            "made_from": "given",
        }
        if also:
            example["learn"] = also
        if record.get("rejected"):
            example["rejected"] = self._composed(Turn(turn.thought, record["rejected"]))
        if self._thinking.thinks and not turn.thought:
            example["direct"] = THOUGHTLESS
        elif self._thinking.thinks and self._chosen(record["id"], record["split"]):
            example["direct"] = True
        return example | {key: record[key] for key in ("tags", "source") if key in record}

    def _own_system(self, record: Record) -> Sequence[dict[str, str]]:
        return [{"role": "system", "content": record["system"]}] if record.get("system") else []

    def _earlier(self, message: Mapping[str, str]) -> tuple[dict[str, str], bool]:
        """An earlier turn as the model sees it, and whether it is learned: only what the model is to write itself."""
        if message["role"] != "assistant":
            return {"role": message["role"], "content": message["content"]}, False
        turn, fmt = self._kept(brought(message["content"])), self._thinking
        whole = not fmt.thinks or (fmt.history and bool(turn.thought))
        content = self._composed(turn) if whole else think.wrap_final(think.inert(turn.answer, fmt), fmt)
        return {"role": "assistant", "content": content}, whole and self._learn == "every"

    def _kept(self, turn: Turn) -> Turn:
        if turn.thought and not self._thinking.thinks:
            self.left_out += 1
            return Turn("", turn.answer)
        self.thought += bool(turn.thought)
        return turn

    def _composed(self, turn: Turn) -> str:
        inner = (turn.thought,) * (len(self._thinking.parts) - 1)
        return think.compose(Plain(inner, turn.answer), self._thinking)
