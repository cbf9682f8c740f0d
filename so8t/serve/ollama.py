"""A running Ollama server as the backend: raw prompts, so that neither its template nor its thinking parser has a say.

Ollama reads a prompt as one text, in which a role token would be structure; contents therefore carry a backslash in
every role token and tag (`backend.Conversation` puts it there).  It gives no tokenizer: characters stand for tokens.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from so8t.errors import UserError
from so8t.formats.chat import ChatFormat, Segment
from so8t.serve.backend import Emit, Failed, Prompt
from so8t.serve.settings import Ollama

_SPECIAL = re.compile(r"<\|(?=[A-Za-z0-9_]+\|>)")  # a vocabulary may have more special tokens than the chat format


class OllamaBackend:
    def __init__(self, settings: Ollama, name: str, chat: ChatFormat, seconds: float) -> None:
        self.name, self.slots, self.context = name, settings.slots, settings.context
        self._settings, self._stop, self._seconds = settings, list(chat.stop), seconds
        self.digest = self._find()

    def prepare(self, pieces: Sequence[Segment]) -> Prompt:
        text = "".join(piece.text if piece.structure else _SPECIAL.sub(r"<\\|", piece.text) for piece in pieces)
        return Prompt(len(text), text)

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> None:
        options = {"num_predict": most, "num_ctx": self.context, "temperature": 0, "stop": self._stop}
        body = {"model": self._settings.model, "prompt": prompt.content, "raw": True, "stream": True, "think": False}
        connection, answer = self._ask("POST", "/api/generate", {**body, "truncate": False, "options": options})
        try:
            for line in answer:
                if cancel.is_set():
                    return  # closing the connection stops Ollama
                part = _parse(line)
                if part.get("thinking") or "error" in part:
                    raise Failed(
                        "ollama: " + ("an error while it answered" if "error" in part else "it parsed thinking")
                    )
                emit(str(part.get("response", "")).encode("utf-8", "surrogatepass"))
                if part.get("done"):
                    return
            raise Failed("ollama: the connection ended before the answer did")
        except (OSError, HTTPException) as error:
            raise Failed(f"ollama: {error.__class__.__name__}") from None
        finally:
            connection.close()

    def count(self, text: str) -> int | None:
        return None

    def close(self) -> None:
        pass

    def _find(self) -> str:
        """The model's digest, which names exactly what answers."""
        connection, answer = self._ask("GET", "/api/tags", None)
        with closing(connection):
            models = _parse(answer.read()).get("models", [])
        wanted = self._settings.model if ":" in self._settings.model else f"{self._settings.model}:latest"
        for model in models:
            if model.get("name") == wanted:
                return f"sha256:{model.get('digest', '')}"
        there_are = ", ".join(sorted(str(model.get("name")) for model in models)) or "none"
        raise UserError(f"serve.backend.model: Ollama at {self._settings.url} has no {wanted} (there are: {there_are})")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[HTTPConnection, HTTPResponse]:
        where = urlsplit(self._settings.url)
        kind = HTTPSConnection if where.scheme == "https" else HTTPConnection
        connection = kind(where.hostname or "127.0.0.1", where.port, timeout=self._seconds)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, where.path.rstrip("/") + path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
        except (OSError, HTTPException) as error:
            connection.close()
            raise Failed(f"ollama at {self._settings.url}: {error.__class__.__name__}") from None
        if answer.status != 200:
            connection.close()
            raise Failed(f"ollama: status {answer.status} for {path}")
        return connection, answer


def _parse(line: bytes) -> dict[str, Any]:
    try:
        part = json.loads(line)
    except ValueError:
        raise Failed("ollama: an answer that is not JSON") from None
    if not isinstance(part, dict):
        raise Failed("ollama: an answer that is no object")
    return part
