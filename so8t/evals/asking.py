"""The answers of a GGUF through llama.cpp: always the likeliest token, each prompt alone, as a user is served.

Together in a batch, the same prompts would be rounded otherwise, and answers would depend on their neighbours.
An answer is kept under all that made it, so what was asked before a kill, or before an edit of bounds, is not asked
again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import orjson

from so8t.errors import StageError
from so8t.formats import chat, lent
from so8t.formats.chat import ChatFormat, Message
from so8t.gguf import llamacpp
from so8t.gguf.llamacpp import Model
from so8t.store import code
from so8t.store.answers import Answers
from so8t.store.digest import Signature, blake3_of, signature
from so8t.watch.count import Count

_LEAST = 256  # tokens of a context: llama.cpp gives no less
# An edit of how models are asked asks them again.  Taken here, so that it is the code that was imported.
_CODE = code.closure(__name__, {"so8t": code.SO8T})


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
    path: Path,
    prompts: Sequence[Sequence[Message]],
    fmt: ChatFormat,
    way: Way,
    kept: Answers,
    grammar: str | None = None,
    prefill: str = "",
) -> list[Answer]:
    """The answers in the prompts' order; the same ones whatever the number of workers.

    `prefill` begins every answer, as the end of its prompt; the answers go on from there.
    """
    with Model(path, _LEAST, 1) as words:
        encoded = [encode(words, prompt, fmt, prefill) for prompt in prompts]
        stop = words.ends.union(_single(words, token) for token in fmt.stop)
        context = _context(words, max(map(len, encoded)), way.longest)
    made_by = [_CODE, llamacpp.version(), _digest(path, signature(path)), sorted(stop), way.longest, grammar]
    keys = [blake2b(orjson.dumps([*made_by, ids]), digest_size=16).hexdigest() for ids in encoded]
    missing = [at for at, key in enumerate(keys) if key not in kept]
    idle: SimpleQueue[Model] = SimpleQueue()

    def one(at: int) -> None:
        model = idle.get()
        try:
            kept.put(keys[at], asdict(_answer(model, encoded[at], stop, way.longest, grammar)))
        finally:
            idle.put(model)

    count = Count(f"evaluation: {path.name}", len(keys), len(keys) - len(missing))
    with ExitStack() as stack:
        for _ in range(min(way.workers, len(missing))):
            idle.put(stack.enter_context(Model(path, context, way.threads, gpu_layers=way.gpu_layers)))
        pool = stack.enter_context(ThreadPoolExecutor(way.workers))
        for _ in pool.map(one, missing):
            count.add()
    return [_parsed(kept[key]) for key in keys]


def encode(model: Model, prompt: Sequence[Message], fmt: ChatFormat, prefill: str = "") -> list[int]:
    """Structure with its special tokens, contents as plain text, as in training."""
    return lent.encoder(model, fmt)(chat.segments(prompt, fmt, generation_prompt=True, prefill=prefill)).ids


@lru_cache
def _digest(path: Path, _sig: Signature | None) -> str:
    """A file is asked freely and under the grammar, and hashed once."""
    return blake3_of(path)


def _parsed(line: dict[str, Any]) -> Answer:
    return Answer(**{name: value for name, value in line.items() if name != "key"})


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
        raise StageError(f"{model.path.name}: the stop token {token} is not a token of this model")
    return ids[0]
