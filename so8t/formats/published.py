"""A checkpoint's tokenizer as it was published: tokenizer.json as it stands.

AutoTokenizer chooses a class by the model's kind, and some of transformers' classes build the tokenizer anew by rules
of their own: Llama's puts no space before a text that begins with one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
AS_IT_STANDS = "PreTrainedTokenizerFast"  # the class that changes nothing


def tokenizer(folder: Path, remote_code: bool = False) -> Any:
    """transformers' object; where there is no tokenizer.json, or code of its own that may run, AutoTokenizer's."""
    import transformers

    if stands(folder, remote_code):
        return getattr(transformers, AS_IT_STANDS).from_pretrained(str(folder), local_files_only=True)
    return auto(folder, remote_code)


def auto(folder: Path, remote_code: bool = False) -> Any:
    """What others get, who load the model as they load every model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=remote_code)


def stands(folder: Path, remote_code: bool) -> bool:
    """Whether the file says all."""
    return (folder / FILE).is_file() and not (remote_code and "auto_map" in config(folder))


def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / CONFIG).read_bytes()) if (folder / CONFIG).is_file() else {}
    return found
