"""A running Ollama server as the backend: raw prompts, so that neither its template nor its thinking parser has a say.

Ollama reads a prompt as one text, in which a role token would be structure; contents therefore carry a backslash in
every role token and tag (`backend.PromptWriter` puts it there).  It counts no tokens for us: the profile's own
tokenizer does, or else characters stand for them; and Ollama, told not to cut a prompt, has the last word.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError, UserError
from so8t.formats.chat import ChatFormat, Segment
from so8t.ollama.client import Client, Refused, Unreachable, tagged
from so8t.serve.backend import Emit, Ended, Failed, Prompt, TooLong
from so8t.serve.settings import Ollama

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")  # a vocabulary may have more special tokens than the chat format
GLANCE = 2.0  # seconds that a look at the server's health may take


class OllamaBackend:
    def __init__(
        self, settings: Ollama, name: str, chat: ChatFormat, seconds: float, words: Tokenizer | None = None
    ) -> None:
        self.name, self.slots = name, settings.slots
        self._settings, self._stop, self._words = settings, list(chat.stop), words
        self._wanted = tagged(settings.model)
        self._server, self._glance = Client(settings.url, seconds), Client(settings.url, min(seconds, GLANCE))
        self.digest = self._find()
        self.context = min(settings.context, _trained(self._server.show(settings.model), settings.context))

    def check(self) -> None:
        with _failures():
            self._seen(self._glance)

    def prepare(self, pieces: Sequence[Segment]) -> Prompt:
        text = "".join(piece.text if piece.structure else _SPECIAL.sub(r"<\\|", piece.text) for piece in pieces)
        return Prompt(len(text) if self._words is None else len(self._words.encode(text).ids), text)

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> Ended:
        """The model is looked up before and after: one that is replaced under its name does not answer unnoticed."""
        options = {"num_predict": most, "num_ctx": self.context, "temperature": 0, "stop": self._stop}
        body = {"model": self._settings.model, "prompt": prompt.content, "raw": True, "stream": True, "think": False}
        whole = {**body, "truncate": False, "shift": False, "options": options}
        with _failures():
            before = self._seen(self._server)
            reason = self._stream(whole, cancel, emit)
            if not cancel.is_set() and self._seen(self._server) != before:
                raise Failed("ollama: the model was replaced while it answered")
        return Ended("length" if reason == "length" else "stop", before)

    def _stream(self, body: dict[str, Any], cancel: threading.Event, emit: Emit) -> str:
        """Until it is done, and what it calls that."""
        with closing(self._server.parts("/api/generate", body)) as parts:
            for part in parts:
                if cancel.is_set():
                    return "cancelled"  # closing the connection stops Ollama
                if part.get("thinking"):
                    raise Failed("ollama: it parsed thinking")
                emit(str(part.get("response", "")).encode("utf-8", "surrogatepass"))
                if part.get("done"):
                    return str(part.get("done_reason", ""))
        raise Failed("ollama: the connection ended before the answer did")

    def count(self, text: str) -> int | None:
        return None if self._words is None else len(self._words.encode(text, add_special_tokens=False).ids)

    def close(self) -> None:
        self._server.close()
        self._glance.close()

    def _seen(self, server: Client) -> str:
        """The digest of what has the model's name now; another one than before is told to the operator."""
        now = server.models().get(self._wanted)
        if now is None:
            raise Failed(f"ollama: {self._wanted} is not there any more")
        if now != self.digest:
            print(f"serve: {self._wanted} was replaced: {now} answers, not {self.digest}", file=sys.stderr, flush=True)
            self.digest = now
        return now

    def _find(self) -> str:
        """The model's digest, which names exactly what answers."""
        wanted, url = self._wanted, self._settings.url
        try:
            models = self._server.models()
        except Unreachable:
            raise UserError(
                f"serve.backend: no Ollama answers at {url}: start one with `ollama serve`, or change serve.backend.url"
            ) from None
        if wanted not in models:
            there_are = ", ".join(sorted(models)) or "none"
            raise UserError(f"serve.backend.model: Ollama at {url} has no {wanted} (there are: {there_are})")
        return models[wanted]


@contextmanager
def _failures() -> Iterator[None]:
    """What the server says may quote a prompt or an answer: the operator reads what kind of failure it was."""
    try:
        yield
    except Refused as refused:
        if refused.status == 400 and "exceed" in refused.reason:
            raise TooLong from None
        what = "an error while it answered" if refused.status is None else f"status {refused.status}"
        raise Failed(f"ollama: {what}") from None
    except Unreachable:
        raise Failed("ollama: it cannot be reached") from None
    except StageError as error:
        raise Failed(f"ollama: {error.__cause__.__class__.__name__ if error.__cause__ else 'not an answer'}") from None


def _trained(shown: dict[str, Any], otherwise: int) -> int:
    """Ollama keeps to the context that the model was trained with, whatever a request says."""
    known = shown.get("model_info") or {}
    return int(known.get(f"{known.get('general.architecture')}.context_length", otherwise))
