"""A running Ollama, over its HTTP API: blobs by digest, create, show, chat.  httpx is imported with the first client.

A blob cannot be continued half-way; one that has arrived is never sent again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, StageError

if TYPE_CHECKING:
    import httpx

OLDEST = (0, 9, 0)  # the first that parts thinking from content
CHUNK = 1 << 20
Progress = Callable[[str, int, int], None]  # what is under way, bytes done, bytes in all


@dataclass(frozen=True)
class Reply:
    thinking: str
    content: str
    done_reason: str


def digest(path: Path) -> str:
    """`sha256:...` of a file, read in pieces."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return f"sha256:{found.hexdigest()}"


class Client:
    """`seconds` is how long one answer may take to begin: loading a model and reading a prompt lie in it."""

    def __init__(self, url: str, seconds: float) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "ollama", "the import into Ollama") from None
        self.url = url
        self._httpx = httpx
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(seconds, connect=10), trust_env=False)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def version(self) -> str:
        """Of the server; one that is too old is refused."""
        found = str(self._json("GET", "/api/version").get("version", ""))
        numbers = tuple(int(number) for number in re.findall(r"\d+", found.split("-", maxsplit=1)[0])[:3])
        if numbers != (0, 0, 0) and numbers < OLDEST:  # a build of one's own calls itself 0.0.0
            oldest = ".".join(map(str, OLDEST))
            raise StageError(f"ollama: the server at {self.url} is {found or 'no Ollama'}; {oldest} or later is needed")
        return found

    def has_blob(self, digest: str) -> bool:
        with self._ask("HEAD", f"/api/blobs/{digest}", accepted=(200, 404)) as answer:
            return answer.status_code == 200

    def upload(self, path: Path, digest: str, progress: Progress) -> bool:
        """Send a file unless the server has it; whether it was sent."""
        if self.has_blob(digest):
            return False
        size = path.stat().st_size
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        pieces = _pieces(path, size, progress)
        with self._ask("POST", f"/api/blobs/{digest}", accepted=(200, 201), content=pieces, headers=headers):
            return True

    def create(self, body: dict[str, Any], progress: Progress) -> None:
        last = ""
        with self._ask("POST", "/api/create", json=body) as answer:
            for part in self._parts(answer):
                last = str(part.get("status", last))
                progress(last, int(part.get("completed", 0)), int(part.get("total", 0)))
        if last != "success":
            raise StageError(f"ollama: creating {body['model']} ended with {last!r}, not with success")

    def show(self, model: str) -> dict[str, Any]:
        return self._json("POST", "/api/show", json={"model": model})

    def model_digest(self, model: str) -> str:
        """Of the manifest that the server made, which names every part of the model."""
        wanted = model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"
        for found in self._json("GET", "/api/tags").get("models", []):
            if found.get("name") == wanted:
                return f"sha256:{found['digest']}"
        raise StageError(f"ollama: the server reports success, but does not list {wanted}")

    def chat(self, model: str, messages: Sequence[dict[str, str]]) -> Reply:
        """One answer with thinking; the model's own parameters hold."""
        thinking, content, reason = [], [], ""
        body = {"model": model, "messages": list(messages), "think": True, "stream": True}
        with self._ask("POST", "/api/chat", json=body) as answer:
            for part in self._parts(answer):
                message = part.get("message", {})
                thinking.append(str(message.get("thinking", "")))
                content.append(str(message.get("content", "")))
                reason = str(part.get("done_reason", reason))
        if not reason:
            raise StageError(f"ollama: the answer of {model} broke off before it was done")
        return Reply("".join(thinking), "".join(content), reason)

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        with self._ask(method, path, **request) as answer:
            answer.read()
            return _object(answer.content, self.url)

    @contextmanager
    def _ask(
        self, method: str, path: str, accepted: Sequence[int] = (200,), **request: Any
    ) -> Iterator[httpx.Response]:
        """An answer whose body is still to come; every failure on the way is a message that says where."""
        try:
            with self._client.stream(method, path, **request) as answer:
                if answer.status_code not in accepted:
                    answer.read()
                    raise StageError(f"ollama: {method} {path}: {answer.status_code}: {_reason(answer.content)}")
                yield answer
        except self._httpx.ConnectError as error:
            raise StageError(
                f"ollama: no server answers at {self.url}; start one with `ollama serve`, or set OLLAMA_HOST"
            ) from error
        except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
            what = str(error) or error.__class__.__name__
            raise StageError(f"ollama: {method} {self.url}{path} failed: {what}") from error

    def _parts(self, answer: httpx.Response) -> Iterator[dict[str, Any]]:
        """JSON objects, one a line; only LF ends a line, whatever else a text holds."""
        rest = b""
        for piece in answer.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield self._part(line)
        if rest:
            yield self._part(rest)

    def _part(self, line: bytes) -> dict[str, Any]:
        part = _object(line, self.url)
        if "error" in part:
            raise StageError(f"ollama: {part['error']}")
        return part


def _pieces(path: Path, size: int, progress: Progress) -> Iterator[bytes]:
    done = 0
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            done += len(piece)
            yield piece
            progress(f"sending {path.name}", done, size)


def _object(text: bytes, url: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StageError(f"ollama: {url} answers {text[:60]!r}, which no Ollama says; is OLLAMA_HOST right?")
    return value


def _reason(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode("utf-8", "replace").strip() or "no reason given"
