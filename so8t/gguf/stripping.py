"""Role tokens that swallow the white space behind them, as Phi-3's do, and how a GGUF says so.

A GGUF keeps no such mark.  llama.cpp, and Ollama with it, gives it to the special tokens of every model whose
general.name contains phi-3 or phi3, but for three; so that name must say what the tokenizer does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NEVER = ("<unk>", "<s>", "<|endoftext|>")  # these keep the space, whatever the name
_SAYS_SO = re.compile("(phi)-?(3)", re.IGNORECASE)


def needed(stripping: Iterable[str]) -> bool:
    """`stripping` are the tokens that the tokenizer marks so."""
    return any(may_strip(token) for token in stripping)


def may_strip(token: str) -> bool:
    return token not in _NEVER


def says_so(title: str) -> bool:
    """Whether llama.cpp takes a model of this name for one whose special tokens swallow white space."""
    return bool(_SAYS_SO.search(title))


def title(name: str, strips: bool) -> str:
    """general.name: the model's name, changed only where llama.cpp would misread its tokenizer."""
    if strips:
        return name if _SAYS_SO.search(name) else f"{name} (phi-3)"
    return _SAYS_SO.sub(r"\1 \2", name)
