"""The answers of a GGUF through llama.cpp: always the likeliest token, each prompt alone, as a user is served.

Together in a batch, the same prompts would be rounded otherwise, and answers would depend on their neighbours.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from so8t.data import chat
from so8t.data.chat import ChatFormat, Message
from so8t.errors import StageError
from so8t.gguf.llamacpp import Model

_LEAST = 256  # tokens of a context: llama.cpp gives no less


@dataclass(frozen=True)
class Way:
    """How to ask: tokens of an answer at most, models side by side, threads and layers on the GPU of each."""

    longest: int
    workers: int = 1
    threads: int = 1
    gpu_layers: int = 0


@dataclass(frozen=True)
class Answer:
    """The text, what ended it, and the time that it took."""

    text: str
    ended: str
    prompt_tokens: int
    tokens: int
    first: float  # seconds to the first token, or to the end if there is none
    seconds: float


def ask(
    path: Path, prompts: Sequence[Sequence[Message]], fmt: ChatFormat, way: Way, grammar: str | None = None
) -> list[Answer]:
    """The answers in the prompts' order; the same ones whatever the number of workers."""
    with Model(path, _LEAST, 1) as words:
        encoded = [encode(words, prompt, fmt) for prompt in prompts]
        stop = words.ends.union(_single(words, token) for token in fmt.stop)
        context = _context(words, max(map(len, encoded)), way.longest)
    workers = min(way.workers, len(encoded))
    with ExitStack() as stack:
        models = [
            stack.enter_context(Model(path, context, way.threads, gpu_layers=way.gpu_layers)) for _ in range(workers)
        ]
        pool = stack.enter_context(ThreadPoolExecutor(workers))

        def some(number: int) -> list[Answer]:
            return [_answer(models[number], ids, stop, way.longest, grammar) for ids in encoded[number::workers]]

        shares = list(pool.map(some, range(workers)))
    return [shares[number % workers][number // workers] for number in range(len(encoded))]


def encode(model: Model, prompt: Sequence[Message], fmt: ChatFormat) -> list[int]:
    """Structure with its special tokens, contents as plain text."""
    known = model.metadata
    ids = [int(known["tokenizer.ggml.bos_token_id"])] if known.get("tokenizer.ggml.add_bos_token") == "true" else []
    for piece in chat.segments(prompt, fmt, generation_prompt=True):
        ids += model.tokenize(piece.text, special=piece.structure)
    return ids


def _answer(model: Model, ids: Sequence[int], stop: frozenset[int], longest: int, grammar: str | None) -> Answer:
    begun = time.perf_counter()
    first: list[float] = []

    def heard(_: int) -> None:
        if not first:
            first.append(time.perf_counter() - begun)

    made = model.generate(ids, longest, stop, grammar, on_token=heard)
    seconds = time.perf_counter() - begun
    text = model.detokenize(made.ids, special=True)
    return Answer(text, made.ended, len(ids), len(made.ids), (*first, seconds)[0], seconds)


def _context(model: Model, prompt: int, longest: int) -> int:
    """Room for the longest prompt and answer, but not beyond what the model was made for."""
    limit = int(model.metadata[f"{model.metadata['general.architecture']}.context_length"])
    if prompt >= limit:
        raise StageError(f"{model.path.name}: a prompt has {prompt} tokens, and the model's context is {limit}")
    return min(limit, prompt + longest)


def _single(model: Model, token: str) -> int:
    ids = model.tokenize(token, special=True)
    if len(ids) != 1:
        raise StageError(f"{model.path.name}: the stop token {token} is no token of this model")
    return ids[0]
