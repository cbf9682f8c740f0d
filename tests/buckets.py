"""Buckets of a local S3, for tests in this process and in those that it starts."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from so8t.store import s3


def made(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket; what speaks S3 from now on speaks to this server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "S3RVER")  # the keys that npm's s3rver knows; moto takes any
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3RVER")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"b{secrets.token_hex(6)}"
    s3.open_fs("s3://")[0].call_s3("create_bucket", Bucket=bucket)
    return f"s3://{bucket}/so8t"


@contextmanager
def served(answer: Callable[..., Any]) -> Iterator[str]:
    """The address at which a WSGI application answers."""
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def careless() -> Callable[..., Any]:
    """Moto, as nanio 0.1.7 and npm's s3rver 3.7 are: both conditions are ignored."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    app = DomainDispatcherApplication(create_backend_app)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        for condition in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"):
            environ.pop(condition, None)
        return app(environ, start)

    return answer


def refusing(verb: str, status: str, code: str, message: str) -> Callable[..., Any]:
    """An empty S3 that says this to every request of one kind."""

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        asked = environ["REQUEST_METHOD"]
        said = (status, code, message) if asked == verb else ("404 Not Found", "NoSuchKey", "no such key")
        start(said[0], [("Content-Type", "application/xml")])
        return (
            [] if asked == "HEAD" else [f"<Error><Code>{said[1]}</Code><Message>{said[2]}</Message></Error>".encode()]
        )

    return answer
