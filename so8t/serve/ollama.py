"""A running Ollama server as the backend: raw prompts, so that neither its template nor its thinking parser has a say.

Ollama reads a prompt as one text, in which a role token would be structure; contents therefore carry a backslash in
every role token and tag (`backend.Conversation` puts it there).  It gives no tokenizer: characters stand for tokens.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from so8t.errors import StageError, UserError
from so8t.formats.chat import ChatFormat, Segment
from so8t.ollama.client import Client, Refused, Unreachable, tagged
from so8t.serve.backend import Emit, Failed, Prompt
from so8t.serve.settings import Ollama

_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")  # a vocabulary may have more special tokens than the chat format


class OllamaBackend:
    def __init__(self, settings: Ollama, name: str, chat: ChatFormat, seconds: float) -> None:
        self.name, self.slots, self.context = name, settings.slots, settings.context
        self._settings, self._stop = settings, list(chat.stop)
        self._server = Client(settings.url, seconds)
        self.digest = self._find()

    def prepare(self, pieces: Sequence[Segment]) -> Prompt:
        text = "".join(piece.text if piece.structure else _SPECIAL.sub(r"<\\|", piece.text) for piece in pieces)
        return Prompt(len(text), text)

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> None:
        options = {"num_predict": most, "num_ctx": self.context, "temperature": 0, "stop": self._stop}
        body = {"model": self._settings.model, "prompt": prompt.content, "raw": True, "stream": True, "think": False}
        whole = {**body, "truncate": False, "options": options}
        with _failures(), closing(self._server.parts("/api/generate", whole)) as parts:
            for part in parts:
                if cancel.is_set():
                    return  # closing the connection stops Ollama
                if part.get("thinking"):
                    raise Failed("ollama: it parsed thinking")
                emit(str(part.get("response", "")).encode("utf-8", "surrogatepass"))
                if part.get("done"):
                    return
        raise Failed("ollama: the connection ended before the answer did")

    def count(self, text: str) -> int | None:
        return None

    def close(self) -> None:
        self._server.close()

    def _find(self) -> str:
        """The model's digest, which names exactly what answers."""
        wanted, url = tagged(self._settings.model), self._settings.url
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
        what = "an error while it answered" if refused.status is None else f"status {refused.status}"
        raise Failed(f"ollama: {what}") from None
    except Unreachable:
        raise Failed("ollama: it cannot be reached") from None
    except StageError as error:
        raise Failed(f"ollama: {error.__cause__.__class__.__name__ if error.__cause__ else 'not an answer'}") from None
