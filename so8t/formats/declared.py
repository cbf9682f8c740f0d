"""What thinking_sft declared for everything behind it: the chat format, the thinking format, the system message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from so8t.formats import chat, thinking
from so8t.formats.chat import ChatFormat
from so8t.formats.thinking import ThinkingFormat

FILE = "chat_format.json"
TAKEN = f"thinking_sft/{FILE}"  # how a stage that reads it says so


@dataclass(frozen=True)
class Declared:
    chat: ChatFormat
    thinking: ThinkingFormat
    system: str
    jinja: str  # the chat format as a tokenizer's template


def read(sft: Path) -> Declared:
    """From the folder of thinking_sft."""
    return from_json(load(sft))


def load(sft: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((sft / FILE).read_bytes())
    return found


def from_json(value: Mapping[str, Any]) -> Declared:
    chat_format, thinking_format = chat.from_json(value["chat"]), thinking.from_json(value["thinking"])
    return Declared(chat_format, thinking_format, value["system"], value["jinja"])
