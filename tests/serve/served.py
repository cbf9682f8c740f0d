"""A served scripted model: in process or over a real socket, with its audit log in a temporary folder."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS, Final, Thinking, ThinkingFormat, compose
from so8t.serve import audit, chain, keys
from so8t.serve.app import create
from so8t.serve.backend import Backend, PromptWriter
from so8t.serve.door import Door
from so8t.serve.limits import Tokens, read_tokens
from so8t.serve.policy import Deciding, Policy, Text
from so8t.serve.scripted import Script, Scripted
from so8t.serve.server import listen, server
from so8t.serve.service import Service
from so8t.serve.settings import Limits, Policing, Serve

KEYS = keys.parse(["test " + "ab" * 32], "test")
TEXTS = {
    "ALLOW": Text("一般的な質問", ""),
    "ESCALATION": Text("人の判断が必要", "この件は担当者が確認します。担当窓口へおつなぎします。"),
    "DENY": Text("権限の範囲外", "権限の範囲を超えるため、お応えできません。"),
    "REFUSE": Text("有害な行為の依頼", "有害な行為に関わるため、お手伝いできません。"),
}
POLICY = Policy(TEXTS, Policing().declining)
SECRET = "秘密の思考"


def output(
    answer: str = "締め切りは月末です。",
    label: Any = "ALLOW",
    reason: str = "一般的な質問",
    task: str = SECRET,
    fmt: ThinkingFormat = TAGS,
) -> str:
    return compose(Thinking(task, "危険なし", "答える", Final(label, 0.97, reason, answer)), fmt)


def says(text: str | bytes, size: int = 7) -> Script:
    data = text.encode() if isinstance(text, str) else text
    return lambda prompt: (data[at : at + size] for at in range(0, len(data), size))


def in_two(folder: Path, first: str, rest: str) -> Script:
    """A model that goes on once the first text of its answer has left: then there is a note of the stream."""

    def script(prompt: str) -> Iterator[bytes]:
        yield first.encode()
        wait_for((folder / "streams.jsonl").exists)
        yield rest.encode()

    return script


def service(
    folder: Path,
    backend: Backend | Script,
    limits: Limits | None = None,
    fmt: ThinkingFormat = TAGS,
    rotate: int = 1 << 26,
    policy: Deciding = POLICY,
) -> Service:
    found = Scripted(backend, slots=4) if callable(backend) else backend
    log = audit.Log(folder, KEYS, rotate)
    return Service(found, PromptWriter(PHI3, fmt, "方針です。"), policy, limits or Limits(), log, KEYS)


def door(
    folder: Path, backend: Backend | Script, tokens: str | None = None, examples: Sequence[str] = (), **more: Any
) -> Door:
    known = None
    if tokens is not None:
        (folder.parent / "tokens").write_text(tokens, encoding="utf-8")
        known = Tokens(read_tokens(folder.parent / "tokens"), lambda: date(2026, 11, 21))
    return create(service(folder, backend, **more), known, examples=examples)


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in chain.files(folder) for line in path.read_bytes().splitlines()]


@dataclass
class Served:
    url: str
    client: httpx.Client
    folder: Path

    def think(self, prompt: str = "経費の締め切りは？", **more: Any) -> httpx.Response:
        return self.client.post("/think", json={"prompt": prompt, **more})

    def chat(self, prompt: str = "経費の締め切りは？", **more: Any) -> httpx.Response:
        body = {"model": "so8t", "messages": [{"role": "user", "content": prompt}], **more}
        return self.client.post("/v1/chat/completions", json=body)

    def records(self) -> list[dict[str, Any]]:
        return records(self.folder)


@contextlib.contextmanager
def served(folder: Path, backend: Backend | Script, **more: Any) -> Iterator[Served]:
    """A real server at a free port, in a thread."""
    settings = Serve(port=0, limits=more.get("limits") or Limits())
    app, socket = door(folder, backend, **more), listen(settings)
    uvicorn = server(app, settings)
    thread = threading.Thread(target=uvicorn.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    while not uvicorn.started:
        thread.join(0.005)
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
            yield Served(url, client, folder)
    finally:
        uvicorn.should_exit = True
        thread.join(20)


def wait_for(done: Any, seconds: float = 10.0) -> None:
    """Until something that another thread does has come true."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.002)


def sse(lines: Iterable[str]) -> list[tuple[str, Any]]:
    """The events of a stream: name (empty where it has none) and data."""
    found, name = [], ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data = line.removeprefix("data: ")
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found
