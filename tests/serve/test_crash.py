"""A server process under load, stopped in every way: what a client received has its record, and the chain is whole."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from so8t.serve import chain
from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """The benchmark is the load: its server process, its clients."""
    spec = importlib.util.spec_from_file_location("serve_benchmark", ROOT / "benchmarks" / "serve.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["serve_benchmark"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("after", [0.05, 0.4, 1.0])
def test_killed_under_load_every_received_answer_has_its_record(
    bench: ModuleType, tmp_path: Path, after: float
) -> None:
    server, port = bench.start(tmp_path / "audit")
    seen = bench.Seen()
    killer = threading.Timer(after, server.kill)
    killer.start()
    asyncio.run(bench.load(port, 32, after + 0.5, seen))
    killer.join()
    server.wait(10)

    assert seen.answers <= set(bench.records(tmp_path / "audit"))
    again, port = bench.start(tmp_path / "audit")  # cuts off what was half written, records what had begun
    fresh = bench.Seen()
    asyncio.run(bench.load(port, 1, 0.2, fresh))
    again.terminate()
    again.wait(20)
    found = chain.verify(tmp_path / "audit", bench.KEYS)
    assert found.broken is None and found.head.seq >= len(seen.answers) + len(fresh.answers)
    assert fresh.answers and fresh.answers | seen.answers <= set(bench.records(tmp_path / "audit"))


def test_a_load_ends_in_answers_and_429s_alone_and_each_answer_is_logged(bench: ModuleType, tmp_path: Path) -> None:
    server, port = bench.start(tmp_path / "audit", 4, 24)
    seen = bench.Seen()
    asyncio.run(bench.load(port, 64, 3.0, seen))
    server.terminate()
    server.wait(20)

    assert set(seen.statuses) == {200, 429} and seen.broken == 0
    logged = bench.records(tmp_path / "audit")
    assert set(logged) == seen.answers and len(logged) == len(seen.answers) == seen.statuses[200]
    assert chain.verify(tmp_path / "audit", bench.KEYS).broken is None


def test_every_text_that_left_a_killed_stream_has_a_record_after_the_restart(bench: ModuleType, tmp_path: Path) -> None:
    """The server is killed the moment that a client holds the first text of its answer."""
    server, port = bench.start(tmp_path / "audit")

    async def first_text() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        body = bench.BODIES[True]
        head = b"POST /think HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await reader.readuntil(b"event: delta\n")
        server.kill()
        return b"audit_id" in await reader.read()

    whole = asyncio.run(first_text())
    server.wait(10)
    again, _ = bench.start(tmp_path / "audit")
    again.terminate()
    again.wait(20)

    lines = [json.loads(line) for path in chain.files(tmp_path / "audit") for line in path.read_bytes().splitlines()]
    assert len(lines) == 1 and lines[0]["outcome"] in ("answered", "interrupted")
    assert lines[0]["outcome"] == "answered" or not whole
