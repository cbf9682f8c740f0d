"""The one door to llama.cpp, through cyllama's prebuilt wheels: nothing is compiled on the user's machine.

Two lines of cyllama are served: 0.2 on Python 3.10 and 3.11, 0.4 and later above.
llama.cpp aborts the process on a batch longer than its own limit and on a grammar that it cannot read,
so both are checked here; what it logs is kept and shown with an error.
A Model is for one thread at a time.
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from so8t.errors import MissingExtra, StageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 512  # tokens at once: bounds the memory for activations and for full logits
_WARNING = 3  # ggml's log levels: 3 and 4 are what an error message wants
_HIDDEN, _NORMAL, _BYTE = 1 | 8, 4, 32  # llama.cpp's attributes of a token: unknown or control, ordinary, a byte

_log: deque[tuple[int, str]] = deque(maxlen=400)


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; at temperature 0 the likeliest is taken."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0


GREEDY = Sampling()


@dataclass(frozen=True)
class Generated:
    """The ids, without the one that ended them, and what ended them."""

    ids: tuple[int, ...]
    ended: Literal["stop", "length", "context", "cancelled"]


def version() -> str:
    """`cyllama 0.2.18 (llama.cpp b9190, ggml 0.12.0)`."""
    llama = _library()
    import cyllama
    from cyllama._internal import build_config

    built = build_config.get()["versions"].get("llama_cpp_version", "unknown")
    return f"cyllama {cyllama.__version__} (llama.cpp {built}, ggml {llama.ggml_version()})"


def quantize(source: Path, target: Path, ftype: int, threads: int) -> None:
    """What `llama-quantize` does, bit for bit; `ftype` is llama.cpp's number of the type."""
    llama = _library()
    params = llama.LlamaModelQuantizeParams()
    params.ftype, params.nthread = ftype, threads
    _log.clear()
    try:
        llama.model_quantize(str(source), str(target), params)
    except RuntimeError as error:
        target.unlink(missing_ok=True)
        raise StageError(f"llama.cpp cannot quantise {source.name}: {_said(error)}") from error


class Model:
    """A GGUF in memory, with room for `context` tokens."""

    def __init__(self, path: Path, context: int, threads: int = 2, gpu_layers: int = 0) -> None:
        llama = _library()
        _log.clear()
        how = llama.LlamaModelParams()
        how.n_gpu_layers = gpu_layers
        size = llama.LlamaContextParams()
        size.n_ctx, size.n_batch, size.n_ubatch = context, BATCH, BATCH
        size.n_threads = size.n_threads_batch = threads
        try:
            self._model = _model_class()(path_model=str(path), params=how, verbose=False)
            self._context = llama.LlamaContext(self._model, size, verbose=False)
        except (ValueError, RuntimeError, OSError) as error:
            raise StageError(f"llama.cpp cannot load {path.name}: {_said(error)}") from error
        self._vocab = self._model.get_vocab()
        self._batch = llama.LlamaBatch(n_tokens=BATCH, embd=0, n_seq_max=1, verbose=False)
        self.path, self.context = path, context
        self.vocab_size: int = self._vocab.n_vocab
        self.metadata: dict[str, str] = dict(self._model.metadata())

    def close(self) -> None:
        """Release the memory now; the order matters to llama.cpp."""
        self._batch.close()
        self._context.close()
        self._model.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---- text ------------------------------------------------------------------------------------------------

    @cached_property
    def ends(self) -> frozenset[int]:
        """The tokens at which every server of llama.cpp's ends an answer, and which a grammar lets follow it."""
        return frozenset(number for number in range(self.vocab_size) if self._vocab.is_eog(number))

    @property
    def template(self) -> str:
        """The embedded Jinja template, or nothing."""
        return self.metadata.get("tokenizer.chat_template", "")

    def tokenize(self, text: str, special: bool) -> list[int]:
        """Ids of a text, without BOS or EOS; `special`: role tokens in it are structure, else they are text."""
        return list(self._vocab.tokenize(text, False, special))

    def detokenize(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of ids; `special`: role tokens are printed too."""
        return b"".join(self.piece(number, special) for number in ids).decode("utf-8", "replace")

    def piece(self, number: int, special: bool = False) -> bytes:
        """The bytes of one token: half a character, perhaps."""
        attributes = self._vocab.get_attr(number)
        text: str = self._vocab.get_text(number)
        if attributes & _HIDDEN and not special:
            return b""
        if attributes & _BYTE:
            return bytes([int(text[3:5], 16)])  # <0xE3>
        if not attributes & _NORMAL:  # only ordinary pieces are spelt in the vocabulary's own letters
            return text.encode("utf-8")
        if self.metadata.get("tokenizer.ggml.model") == "gpt2":
            return bytes(map(_letters().__getitem__, text))
        return text.replace("▁", " ").encode("utf-8")

    # ---- numbers ---------------------------------------------------------------------------------------------

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Of the next token after every prefix of `ids`: (len(ids), vocabulary)."""
        import numpy as np

        self._check_fits(len(ids))
        found = np.empty((len(ids), self.vocab_size), dtype=np.float32)
        self._context.kv_cache_clear()
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            self._decode(part, start, every=True)
            for row in range(len(part)):
                found[start + row] = self._context.get_logits_ith(row)
        return found

    def generate(
        self,
        ids: Sequence[int],
        max_tokens: int,
        stop_ids: Collection[int],
        grammar: str | None = None,
        sampling: Sampling = GREEDY,
        on_token: Callable[[int], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Generated:
        """Continue `ids`; `cancel` is asked between operations, so it also ends a long prompt."""
        if not ids:
            raise ValueError("nothing to continue: ids is empty")
        self._check_fits(len(ids))
        sampler = self._sampler(grammar, sampling)
        made: list[int] = []
        self._context.kv_cache_clear()
        if cancel is not None:
            self._context.set_abort_callback(cancel)
        try:
            for start in range(0, len(ids), BATCH):
                self._decode(ids[start : start + BATCH], start, every=False)
            while len(made) < max_tokens:
                if cancel is not None and cancel():
                    return Generated(tuple(made), "cancelled")
                number: int = sampler.sample(self._context, -1)
                if number in stop_ids:
                    return Generated(tuple(made), "stop")
                made.append(number)
                if on_token is not None:
                    on_token(number)
                if len(ids) + len(made) > self.context:
                    return Generated(tuple(made), "context")
                if len(made) < max_tokens:
                    self._decode([number], len(ids) + len(made) - 1, every=False)
        except InterruptedError:
            return Generated(tuple(made), "cancelled")
        finally:
            self._context.install_cancel_callback()  # in its place: one that needs no Python and never cancels
        return Generated(tuple(made), "length")

    def _check_fits(self, count: int) -> None:
        if count > self.context:
            raise StageError(f"{self.path.name}: {count} tokens do not fit into a context of {self.context}")

    def _decode(self, ids: Sequence[int], start: int, every: bool) -> None:
        self._batch.set_batch(list(ids), start, every)
        try:
            self._context.decode(self._batch)
        except (ValueError, RuntimeError) as error:
            raise StageError(f"{self.path.name}: llama.cpp cannot compute: {_said(error)}") from error

    def _sampler(self, grammar: str | None, sampling: Sampling) -> Any:
        llama = _library()
        sampler = llama.LlamaSampler(llama.LlamaSamplerChainParams())
        if grammar is not None:
            _log.clear()
            sampler.add_grammar(self._vocab, grammar, "root")
            if any("failed to parse grammar" in text for _, text in _log):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(sampler))  # freeing its missing link would crash
                raise StageError("llama.cpp cannot read the grammar; it says above where, on stderr")
        if sampling.temperature <= 0:
            sampler.add_greedy()
            return sampler
        if sampling.top_k > 0:
            sampler.add_top_k(sampling.top_k)
        if sampling.top_p < 1:
            sampler.add_top_p(sampling.top_p, 1)
        sampler.add_temp(sampling.temperature)
        sampler.add_dist(sampling.seed)
        return sampler


@cache
def _library() -> Any:
    """cyllama's module, its log turned to our buffer."""
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort calls gdb and stands there
    try:
        from cyllama.llama import llama_cpp
    except ImportError:
        raise MissingExtra("cyllama", "gguf", "llama.cpp") from None
    llama_cpp.set_log_callback(lambda level, text: _log.append((level, text)))
    llama_cpp.llama_backend_init()
    return llama_cpp


@cache
def _model_class() -> Any:
    class Loaded(_library().LlamaModel):  # type: ignore[misc]
        @property
        def n_vocab(self) -> int:  # cyllama before 0.4 looks for it here when asked for logits
            count: int = self.get_vocab().n_vocab
            return count

    return Loaded


@cache
def _letters() -> dict[str, int]:
    """The letters in which byte-level vocabularies spell bytes: printable ones as they are, the rest from U+0100."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + at): byte for at, byte in enumerate(rest)}


def _said(error: Exception) -> str:
    """What llama.cpp logged last, which says more than the exception."""
    warnings = [text.strip() for level, text in _log if level >= _WARNING and text.strip()]
    return "; ".join(warnings[-3:]) or str(error)
