"""Tasks of lm-evaluation-harness on a GGUF: its questions through the door to llama.cpp."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.errors import MissingExtra, StageError
from so8t.gguf.llamacpp import Model

CONTEXT = 4096  # tokens, or as many as the model was made for; of longer texts, the end counts
_ANSWER = 256  # tokens, where a task does not say


class Reader:
    """What a language model is to the harness: likelihoods of texts, and texts."""

    def __init__(self, model: Model) -> None:
        self._model = model
        known = model.metadata
        bos = [int(known["tokenizer.ggml.bos_token_id"])] if "tokenizer.ggml.bos_token_id" in known else []
        self._first = bos if known.get("tokenizer.ggml.add_bos_token") == "true" else []
        self._before = bos or [int(known["tokenizer.ggml.eos_token_id"])]  # what a text without a context follows
        self._ends = model.ends

    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """The logarithm of the continuation's, and whether it is what the model itself would say."""
        bare = context.rstrip()  # a space belongs to the token behind it
        whole = self._model.tokenize(context + continuation, special=False)
        start = len(self._model.tokenize(bare, special=False))
        prefix = self._first if start else self._before
        ids = [*prefix, *whole]
        return self._likelihood(ids, len(prefix) + start)

    def rolling(self, text: str) -> float:
        """The logarithm of a whole text's likelihood, in windows of the context."""
        ids = [*self._before, *self._model.tokenize(text, special=False)]
        room, total = self._model.context, 0.0
        for start in range(1, len(ids), room - 1):
            window = ids[max(0, min(start - 1, len(ids) - room)) : start + room - 1]
            total += self._likelihood(window, len(window) - len(ids[start : start + room - 1]))[0]
        return total

    def complete(self, context: str, until: Sequence[str], most: int) -> str:
        """The likeliest text, up to the first of these."""
        room = self._model.context - most
        if room < 1:
            raise StageError(f"evaluation: harness: an answer of {most} tokens leaves no room in {self._model.context}")
        ids = [*self._first, *self._model.tokenize(context, special=False)][-room:] or self._before
        made: list[int] = []

        def ended() -> bool:
            text = self._model.detokenize(made)
            return any(stop in text for stop in until if stop)

        self._model.generate(ids, most, self._ends, on_token=made.append, cancel=ended if any(until) else None)
        text = self._model.detokenize(made)
        return text[: min((text.find(stop) for stop in until if stop and stop in text), default=len(text))]

    def _likelihood(self, ids: list[int], start: int) -> tuple[float, bool]:
        import numpy as np

        cut = max(0, len(ids) - self._model.context)
        ids, start = ids[cut:], max(1, start - cut)
        if start >= len(ids):
            return 0.0, True
        logits = self._model.logits(ids[:-1])[start - 1 :].astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = np.asarray(ids[start:])
        each = logits[np.arange(len(chosen)), chosen] - np.log(np.exp(logits).sum(axis=1))
        return float(each.sum()), bool((logits.argmax(axis=1) == chosen).all())


@dataclass(frozen=True)
class Tasks:
    """Tasks that are known to the harness."""

    names: tuple[str, ...]
    manager: Any
    shots: int | None
    limit: int | None

    def run(self, path: Path, threads: int, gpu_layers: int = 0) -> dict[str, Any]:
        """Every figure of every task; what differs from run to run is left out."""
        import lm_eval

        with Model(path, 1, 1) as known:
            made_for = int(known.metadata[f"{known.metadata['general.architecture']}.context_length"])
        with Model(path, min(CONTEXT, made_for), threads, gpu_layers) as model:
            try:
                found = lm_eval.simple_evaluate(
                    model=_language_model(Reader(model)),
                    tasks=list(self.names),
                    task_manager=self.manager,
                    num_fewshot=self.shots,
                    limit=self.limit,
                    log_samples=False,
                    random_seed=0,
                    numpy_random_seed=0,
                    torch_random_seed=0,
                    fewshot_random_seed=0,
                )
            except OSError as error:  # a data set that is not there, or no network
                raise StageError(f"evaluation: harness: a task's data cannot be read: {error}") from error
        versions, results = found["versions"], found["results"]
        return {name: {"version": versions.get(name), **_plain(results[name])} for name in sorted(results)}


def open_tasks(version: str, tasks: Sequence[str], folder: str, shots: int | None, limit: int | None) -> Tasks:
    """Looked up before anything is computed: another version, or a task that is not known, is a StageError."""
    try:
        import lm_eval
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise MissingExtra("lm_eval", "harness", "evaluation: harness") from None
    if lm_eval.__version__ != version:
        raise StageError(
            f"evaluation: harness: lm_eval is {lm_eval.__version__}, not {version}: "
            f"pip install lm_eval=={version}, or correct harness.version"
        )
    manager = TaskManager(include_path=folder or None)
    if unknown := sorted(set(tasks) - set(manager.all_tasks)):
        raise StageError(f"evaluation: harness: lm_eval does not know the task {unknown[0]}; see `lm-eval ls tasks`")
    return Tasks(tuple(tasks), manager, shots, limit)


def _language_model(reader: Reader) -> Any:
    from lm_eval.api.model import LM

    class Door(LM):
        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return [reader.likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            return [reader.rolling(*request.args) for request in requests]

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            return [reader.complete(request.args[0], *_wishes(request.args[1])) for request in requests]

    return Door()


def _wishes(options: Mapping[str, Any]) -> tuple[list[str], int]:
    until = options.get("until") or []
    return [until] if isinstance(until, str) else list(until), int(options.get("max_gen_toks") or _ANSWER)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    """`acc,none` and the like: numbers rounded to what does not depend on the order of sums."""
    return {
        key: round(float(value), 6)
        for key, value in sorted(found.items())
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
