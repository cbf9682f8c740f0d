"""What everything behind the base stands on: the chat format, the thinking format, the system message.

thinking_sft declares it before a base is known; chat_format settles it with the base's tokenizer.
"""

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
DRAFT = f"thinking_sft/{FILE}"
TAKEN = f"chat_format/{FILE}"  # how a stage that reads it says so
VOCABULARY = "chat_format/vocabulary.json"  # how llama.cpp reads the base's tokenizer


@dataclass(frozen=True)
class Declared:
    chat: ChatFormat
    thinking: ThinkingFormat
    system: str
    direct: bool  # whether answers without thinking are learned, too
    jinja: str  # the chat format as a tokenizer's template


@dataclass(frozen=True)
class VocabularySettings:
    pre_tokenizer: str | None  # llama.cpp's name, where it is not recognised
    accept: tuple[str, ...]  # kinds of text that engines may read in two ways


def read(folder: Path) -> Declared:
    """From the folder of chat_format."""
    return from_json(load(folder))


def load(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / FILE).read_bytes())
    return found


def thinking_of(folder: Path) -> ThinkingFormat:
    """From the folder of thinking_sft or of chat_format."""
    return thinking.from_json(load(folder)["thinking"])


def vocabulary(folder: Path) -> VocabularySettings:
    """From the folder of chat_format."""
    found = orjson.loads((folder / "vocabulary.json").read_bytes())
    return VocabularySettings(found["pre_tokenizer"] or None, tuple(found["accept"]))


def from_json(value: Mapping[str, Any]) -> Declared:
    chat_format, thinking_format = chat.from_json(value["chat"]), thinking.from_json(value["thinking"])
    return Declared(chat_format, thinking_format, value["system"], value["direct"], value["jinja"])
