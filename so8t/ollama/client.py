"""A running Ollama, over its HTTP API: blobs by digest, create, show, and answers part by part.

The import and the server ask through it; `asking` puts questions in each of the ways that users have.
A blob cannot be continued half-way; one that has arrived is never sent again.  httpx is imported with the first client.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, StageError

if TYPE_CHECKING:
    import httpx

OLDEST = (0, 9, 0)  # the first that parts thinking from content
CHUNK = 1 << 20
Progress = Callable[[str, int, int], None]  # what is under way, bytes done, bytes in all


class Unreachable(StageError):
    """Nothing answers at the address."""


class Refused(StageError):
    """What the server said instead of an answer; `status` is None where it had begun one."""

    def __init__(self, message: str, status: int | None, reason: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


def tagged(model: str) -> str:
    """The name as the server lists it."""
    return model if ":" in model.rsplit("/", 1)[-1] else f"{model}:latest"


def served_blob(shown: dict[str, Any]) -> str | None:
    """The digest of the weights that the server keeps, from the answer of /api/show; it rewrites some files."""
    found = re.search(r"^FROM .*sha256-([0-9a-f]{64})$", str(shown.get("modelfile", "")), re.MULTILINE)
    return f"sha256:{found[1]}" if found else None


def digest(path: Path) -> str:
    """`sha256:...` of a file, read in pieces."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return f"sha256:{found.hexdigest()}"


class Client:
    """`seconds` is how long one answer may take to begin: loading a model and reading a prompt lie in it.

    Threads may share one.
    """

    def __init__(self, url: str, seconds: float) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra("httpx", "ollama", "asking an Ollama server") from None
        self.url = url
        self._httpx = httpx
        wait = httpx.Timeout(seconds, connect=min(seconds, 10))
        encrypted = url.startswith("https:")  # only then the certificates are read, which takes longer than a question
        self._client = httpx.Client(base_url=url, timeout=wait, trust_env=False, verify=encrypted)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
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
        return self.asked("/api/show", {"model": model})

    def models(self) -> dict[str, str]:
        """By name, the digest of the manifest that the server made, which names every part of the model."""
        found = self._json("GET", "/api/tags").get("models") or []
        return {str(each.get("name")): f"sha256:{each.get('digest', '')}" for each in found}

    def model_digest(self, model: str) -> str:
        models, wanted = self.models(), tagged(model)
        if wanted not in models:
            raise StageError(f"ollama: the server reports success, but does not list {wanted}")
        return models[wanted]

    def asked(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One whole answer."""
        return self._json("POST", path, json=body)

    def parts(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """An answer as it comes; closing the iterator stops the server."""
        with self._ask("POST", path, json=body) as answer:
            yield from self._parts(answer)

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
                    reason = _reason(answer.content)
                    status = answer.status_code
                    raise Refused(f"ollama: {method} {path}: {status}: {reason}", status, reason)
                yield answer
        except (self._httpx.ConnectError, self._httpx.ConnectTimeout) as error:
            raise Unreachable(
                f"ollama: no server answers at {self.url}; start one with `ollama serve`, or set OLLAMA_HOST"
            ) from error
        except (self._httpx.TransportError, self._httpx.InvalidURL) as error:
            what = str(error) or error.__class__.__name__
            raise StageError(f"ollama: {method} {self.url}{path} failed: {what}") from error

    def _parts(self, answer: httpx.Response) -> Iterator[dict[str, Any]]:
        """JSON objects, one a line (an event of /v1 is one behind `data: `, and [DONE] is its end); only LF ends a
        line, whatever else a text holds."""
        rest = b""
        for piece in answer.iter_bytes():
            *lines, rest = (rest + piece).split(b"\n")
            yield from self._objects(lines)
        yield from self._objects([rest])

    def _objects(self, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        for line in lines:
            text = line.removeprefix(b"data: ").strip()
            if not text or text == b"[DONE]":
                continue
            part = _object(text, self.url)
            if "error" in part:
                reason = _reason(text)
                raise Refused(f"ollama: {reason}", None, reason)
            yield part


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
    """Ollama says a text; its /v1 says an object with one."""
    try:
        error = json.loads(text)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return text[:200].decode("utf-8", "replace").strip() or "no reason given"
