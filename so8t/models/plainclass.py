"""A tokenizer's class in a base's folder: AutoTokenizer must read tokenizer.json as it stands.

Where a class of transformers builds the tokenizer anew and texts get other tokens, the folder names the plain class.
"""

from __future__ import annotations

import json
from pathlib import Path

from so8t.formats import published, strings
from so8t.formats.thinking import TAGS
from so8t.store.atomic import write_atomic

TEXTS = 2000


def settle(folder: Path, remote_code: bool = False) -> str:
    """The class that tokenizer_config.json stood for before, or nothing where all is well."""
    if not published.stands(folder, remote_code):
        return ""
    plain, chosen = published.tokenizer(folder), published.auto(folder)
    texts = ["", *(text for _, text in strings.strings(TAGS, TEXTS, seed=0))]
    if type(plain) is type(chosen) or plain(texts)["input_ids"] == chosen(texts)["input_ids"]:
        return ""
    config = {**published.config(folder), "tokenizer_class": published.AS_IT_STANDS}
    text = json.dumps(config, ensure_ascii=False, indent=2) + "\n"
    write_atomic(folder / published.CONFIG, text.encode("utf-8"))
    return type(chosen).__name__
