"""llama.cpp in this process as the backend, kept to the thinking format by its grammar."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from so8t.errors import UserError
from so8t.formats import lent
from so8t.formats.chat import ChatFormat, Segment
from so8t.gguf.llamacpp import Model
from so8t.serve.backend import Emit, Ended, Failed, Prompt
from so8t.serve.settings import LlamaCpp


class LocalBackend:
    """A model per slot: each has one conversation at a time, and their weights share the file's pages."""

    def __init__(self, settings: LlamaCpp, name: str, chat: ChatFormat, path: Path, grammar: str | None) -> None:
        self.name, self.slots = name, settings.slots
        self.digest = f"sha256:{_sha256(path)}"
        threads = settings.threads or max(1, (os.cpu_count() or 1) // settings.slots)
        self._all = [Model(path, settings.context, threads) for _ in range(settings.slots)]
        self._idle: queue.SimpleQueue[Model] = queue.SimpleQueue()
        for model in self._all:
            self._idle.put(model)
        self.context = min(settings.context, _trained(self._all[0].metadata, settings.context))
        self._grammar = grammar
        self._stop = self._all[0].ends.union(self._single(token) for token in chat.stop)
        self._encoder = lent.encoder(self._all[0], chat)

    def check(self) -> None:
        pass  # it is in this process

    def prepare(self, pieces: Sequence[Segment]) -> Prompt:
        """Structure with its special tokens, contents as plain text, as in training."""
        ids = self._encoder(pieces).ids  # the vocabulary alone is read, which any number of threads may
        return Prompt(len(ids), ids)

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> Ended:
        model = self._idle.get()
        try:
            made = model.generate(
                prompt.content,
                most,
                self._stop,
                self._grammar,
                on_token=lambda number: emit(model.piece(number)),
                cancel=cancel.is_set,
            )
        except Exception as error:
            raise Failed(f"llama.cpp: {error.__class__.__name__}") from None
        finally:
            self._idle.put(model)
        if made.ended == "cancelled" and not cancel.is_set():
            raise Failed("llama.cpp: stopped by itself")
        return Ended("stop" if made.ended == "stop" else "length", self.digest)

    def count(self, text: str) -> int | None:
        return len(self._all[0].tokenize(text, special=False))

    def close(self) -> None:
        for model in self._all:
            model.close()

    def _single(self, token: str) -> int:
        ids = self._all[0].tokenize(token, special=True)
        if len(ids) != 1:
            raise UserError(f"{self._all[0].path.name}: the stop token {token} is not a token of this model")
        return ids[0]


def _trained(metadata: Mapping[str, str], otherwise: int) -> int:
    """Beyond the context that it was trained with, a model writes noise."""
    return int(metadata.get(f"{metadata.get('general.architecture')}.context_length", otherwise))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
