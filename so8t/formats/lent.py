"""llama.cpp's tokenizer in the place of transformers': conversations by the rules of the training, in its tokens.

Asked for each piece of a conversation by itself it would read a space before every piece, and would not see that a role
token swallows the white space behind it, for that stands in the next piece.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from so8t.errors import StageError
from so8t.formats.chat import ChatFormat
from so8t.formats.encoding import Encoder


class Engine(Protocol):
    """What is asked of so8t.gguf.llamacpp.Model."""

    metadata: dict[str, str]

    def tokenize(self, text: str, special: bool) -> list[int]: ...


@dataclass(frozen=True)
class RoleToken:
    """A token of the format's structure, as transformers' AddedToken is one."""

    text: str
    rstrip: bool  # it swallows the white space behind it
    lstrip: bool = False
    special: bool = True

    def __str__(self) -> str:
        return self.text


def encoder(engine: Engine, fmt: ChatFormat) -> Encoder:
    """For conversations of this format."""
    return Encoder(_Lent(engine, fmt))


class _Lent:
    def __init__(self, engine: Engine, fmt: ChatFormat) -> None:
        self._engine = engine
        self._numbers = {token: engine.tokenize(token, True) for token in dict.fromkeys(fmt.tokens)}
        there = {token: ids[0] for token, ids in self._numbers.items() if len(ids) == 1}
        self.added_tokens_decoder = {number: self._token(token, number) for token, number in there.items()}
        known = engine.metadata.get("tokenizer.ggml.bos_token_id")
        begins = engine.metadata.get("tokenizer.ggml.add_bos_token") == "true"
        self.bos_token_id = int(known) if known is not None and begins else None

    def _token(self, text: str, number: int) -> RoleToken:
        return RoleToken(text, self._engine.tokenize(f"{text}\n", True) == [number])

    def __call__(self, texts: str | Iterable[str], **options: Any) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": [] if self.bos_token_id is None else [self.bos_token_id]}
        return {"input_ids": [self._engine.tokenize(text, False) for text in texts]}

    def convert_tokens_to_ids(self, token: str) -> int:
        ids = self._numbers[token]
        if len(ids) != 1:
            raise StageError(f"chat format: {token} is {len(ids)} tokens in the GGUF, but one in the training")
        return ids[0]
