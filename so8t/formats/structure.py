"""Tokens that engines take for structure whatever the tokenizer's flag says: spelt in a message, they are text.

llama.cpp knows the ends of texts and turns, and the parts of a fill-in-the-middle prompt, by name, and its converter
adds what looks like one.  A tokenizer may still hold such a token as an ordinary one: Phi-3.5 has </s>, Gemma too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_ENDS = ["</s>", "<eos>", "[EOS]", "<EOT>", "_<EOT>", "[EOT]", "<end_of_turn>", "<end_of_utterance>", "<turn|>"]
_MIDDLES = [f"<fim{joint}{part}>" for joint in "-_" for part in ("prefix", "suffix", "middle", "pad")]
_OTHERS = [
    "<|tool_response>",
    "<PRE>",
    "<SUF>",
    "<MID>",
    "<PAD>",
    "[PAD]",
    "<REPO>",
    "<fim-repo>",
    "<reponame>",
    "<｜end▁of▁sentence｜>",
]
_NAMED = frozenset((*_ENDS, *_MIDDLES, *_OTHERS))


def looks_special(token: str) -> bool:
    """Added tokens that some models forgot to mark; llama.cpp's converter has the same list."""
    return (
        token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (token.startswith("<|") and token.endswith("|>"))
        or (token.startswith("<｜") and token.endswith("｜>"))
        or (token.startswith("<unused") and token.endswith(">"))
    )


def is_structure(token: Any) -> bool:
    """`token` is an AddedToken."""
    return bool(token.special) or str(token) in _NAMED or looks_special(str(token))


def marked(tokenizer: Any) -> Any:
    """transformers' tokenizer, or a copy in which every token of structure is special, so that it can be kept out.

    Nor does the copy read a space before a text where that is meant for the first text of all: a token stands there.
    """
    unmarked = [token for token in tokenizer.added_tokens_decoder.values() if is_structure(token) and not token.special]
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not (unmarked or prefix(tokenizer) == "first"):
        return tokenizer
    import copy

    copied = copy.deepcopy(tokenizer)
    copied.backend_tokenizer.add_special_tokens([_special(token) for token in unmarked])
    if prefix(copied) == "first":
        pre = copied.backend_tokenizer.pre_tokenizer
        pre.prepend_scheme = "never"
        copied.backend_tokenizer.pre_tokenizer = pre
    return copied


def prefix(tokenizer: Any) -> str:
    """Before which texts SentencePiece's space is read, where the pre-tokenizer says it: always, first, never."""
    found: str = getattr(getattr(tokenizer.backend_tokenizer, "pre_tokenizer", None), "prepend_scheme", "")
    return found


def names(tokens: Iterable[Any]) -> dict[str, Any]:
    """Text -> AddedToken of all that is structure."""
    return {str(token): token for token in tokens if is_structure(token)}


def _special(token: Any) -> Any:
    from tokenizers import AddedToken

    flags = {"lstrip": token.lstrip, "rstrip": token.rstrip, "single_word": token.single_word}
    return AddedToken(str(token), normalized=token.normalized, special=True, **flags)
