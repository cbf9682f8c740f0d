"""Whether a tokenizer has what a chat format and a thinking format stand on."""

from __future__ import annotations

from typing import Any

from so8t.errors import StageError
from so8t.formats import chat
from so8t.formats.chat import ChatFormat
from so8t.formats.thinking import ThinkingFormat


def stops(tokenizer: Any, fmt: ChatFormat) -> list[int]:
    """The ids of the tokens that end an answer: one that is missing is never the unknown token."""
    vocabulary = tokenizer.get_vocab()
    missing = [token for token in fmt.stop if token not in vocabulary]
    if missing:
        raise StageError(
            f"chat format {fmt.name}: {', '.join(missing)} should end an answer and is not a token of this base; "
            "take the base's own format (chat: auto in thinking_sft.yaml), or declare one that ends with its tokens"
        )
    return [vocabulary[token] for token in fmt.stop]


def check(tokenizer: Any, fmt: ChatFormat, thinking: ThinkingFormat) -> None:
    """transformers' tokenizer: role tokens are single tokens, stop tokens exist, markers come back as they were."""
    stops(tokenizer, fmt)
    if not chat.ending(fmt.assistant.suffix, fmt.stop):
        raise StageError(
            f"chat format {fmt.name}: what stands behind an answer, {fmt.assistant.suffix!r}, has none of its stop "
            f"tokens ({', '.join(fmt.stop)}), so that no answer would learn to end; name the token that ends a turn"
        )
    vocabulary = tokenizer.get_vocab()
    for token in fmt.role_tokens:
        ids = tokenizer(token, add_special_tokens=False)["input_ids"]
        if ids != [vocabulary.get(token)]:
            raise StageError(
                f"chat format {fmt.name}: {token} is {len(ids)} tokens of this base, not one; take the base's own "
                "format (chat: auto in thinking_sft.yaml), or declare one that leaves it out of role_tokens"
            )
    for marker in thinking.markers:
        back = tokenizer.decode(tokenizer(marker, add_special_tokens=False)["input_ids"], skip_special_tokens=True)
        if back.removeprefix(" ") != marker:
            raise StageError(
                f"chat format: {marker} comes back from the tokenizer as {back!r}; "
                "add the markers to the tokenizer with special=False, or not at all"
            )
