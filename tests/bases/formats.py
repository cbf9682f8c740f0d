"""The artifact chat_format, as the stage leaves it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from so8t.formats import chat
from so8t.formats.chat import PHI3, ChatFormat
from so8t.formats.thinking import TAGS, ThinkingFormat, to_json


def declare(
    root: Path,
    fmt: ChatFormat = PHI3,
    thinking: ThinkingFormat = TAGS,
    system: str = "",
    accept: Sequence[str] = (),
    direct: bool = True,
) -> Path:
    """The folder, in `root`."""
    folder = root / "chat_format"
    folder.mkdir(parents=True)
    declared = {
        "system": system,
        "direct": direct,
        "chat": chat.to_json(fmt),
        "thinking": to_json(thinking),
        "jinja": chat.jinja_template(fmt),
    }
    (folder / "chat_format.json").write_text(json.dumps(declared, ensure_ascii=False), "utf-8")
    (folder / "vocabulary.json").write_text(json.dumps({"pre_tokenizer": "", "accept": list(accept)}), "utf-8")
    return folder
