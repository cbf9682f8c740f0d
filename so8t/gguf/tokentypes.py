"""llama.cpp's kinds of tokens, and which texts are control tokens whatever their flag says."""

from __future__ import annotations

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # llama.cpp's numbers


def looks_special(token: str) -> bool:
    """Added tokens that some models forgot to mark; llama.cpp's converter has the same list."""
    return (
        token in ("<pad>", "<mask>", "<2mass>", "[@BOS@]")
        or (token.startswith("<|") and token.endswith("|>"))
        or (token.startswith("<｜") and token.endswith("｜>"))
        or (token.startswith("<unused") and token.endswith(">"))
    )
