"""Slots, queue, time, clients that leave, and a server that is told to stop."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from so8t.serve.limits import Slots
from so8t.serve.problem import Problem
from so8t.serve.scripted import Scripted
from so8t.serve.service import Ask
from so8t.serve.settings import Limits
from tests.serve.served import SECRET, output, records, served, service, sse, wait_for

pytestmark = pytest.mark.slow


class Gate:
    """A model that thinks at once and answers when it is let."""

    def __init__(self, answer: str = "締め切りは月末です。") -> None:
        self.open, self.asked, self.left = threading.Event(), 0, 0
        self.before, self.after = output(answer).split("</final>")[0].encode(), b"</final>"

    def __call__(self, prompt: str) -> Iterator[bytes]:
        self.asked += 1
        try:
            yield self.before
            while not self.open.wait(0.005):
                yield b""
            yield self.after
        finally:
            self.left += 1


def test_slots_go_to_those_who_wait_in_turn_and_the_rest_is_told_when_to_come_back() -> None:
    async def story() -> list[str]:
        slots, order = Slots(1, 2, 5.0), list[str]()
        await slots.take()

        async def wait(name: str) -> None:
            await slots.take()
            order.append(name)
            slots.give()

        first, second = asyncio.create_task(wait("first")), asyncio.create_task(wait("second"))
        await asyncio.sleep(0)
        with pytest.raises(Problem, match="busy") as busy:
            await slots.take()
        assert busy.value.headers == {"Retry-After": "1"}
        first.cancel()
        await asyncio.wait({first})
        third = asyncio.create_task(wait("third"))
        await asyncio.sleep(0)
        slots.give()
        await asyncio.gather(second, third)
        assert (slots.free, slots.waiting) == (1, 0)
        return order

    assert asyncio.run(story()) == ["second", "third"]


def test_a_wait_that_is_too_long_ends_in_busy_and_loses_no_slot() -> None:
    async def story() -> None:
        slots = Slots(1, 1, 0.01)
        await slots.take()
        with pytest.raises(Problem, match="busy"):
            await slots.take()
        slots.give()
        assert (slots.free, slots.waiting) == (1, 0)

    asyncio.run(story())


def test_a_full_queue_is_429_with_retry_after_and_the_others_are_answered(tmp_path: Path) -> None:
    gate = Gate()
    with (
        served(tmp_path / "audit", Scripted(gate, slots=1), limits=Limits(queue=1)) as here,
        ThreadPoolExecutor(2) as pool,
    ):
        first, second = pool.submit(here.think), pool.submit(here.think)
        wait_for(lambda: "so8t_queue_waiting 1" in here.client.get("/metrics").text)
        reply = here.think()
        gate.open.set()

        assert (reply.status_code, reply.headers["retry-after"], reply.json()["type"]) == (
            429,
            "3",
            "urn:so8t:problem:busy",
        )
        assert [first.result().status_code, second.result().status_code] == [200, 200]
        assert len(here.records()) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_takes_too_long_is_stopped(tmp_path: Path, stream: bool) -> None:
    gate = Gate("お応えできません。")
    with served(tmp_path / "audit", Scripted(gate), limits=Limits(seconds=0.05)) as here:
        reply = here.think(stream=stream)

        if stream:
            assert [name for name, _ in sse(reply.iter_lines())] == ["verdict", "delta", "problem"]
        else:
            assert (reply.status_code, reply.json()["type"]) == (504, "urn:so8t:problem:timeout")
        wait_for(lambda: gate.left == 1)
        assert here.records()[0]["outcome"] == "timeout"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_slot(tmp_path: Path, stream: bool) -> None:
    gate = Gate()
    with served(tmp_path / "audit", Scripted(gate, slots=1)) as here:
        with socket.create_connection(("127.0.0.1", httpx.URL(here.url).port or 0)) as client:
            body = b'{"prompt": "x", "stream": %s}' % str(stream).lower().encode()
            head = b"POST /think HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)
            wait_for(lambda: gate.asked == 1)
        wait_for(lambda: gate.left == 1)
        gate.open.set()

        assert here.think().status_code == 200
        wait_for(lambda: len(here.records()) == 2)
        assert sorted(each["outcome"] for each in here.records()) == ["answered", "left"]


def test_the_first_answer_text_leaves_before_the_model_goes_on(tmp_path: Path) -> None:
    gate = Gate()
    asked = {"prompt": "x", "stream": True}
    with served(tmp_path / "audit", Scripted(gate)) as here, here.client.stream("POST", "/think", json=asked) as reply:
        lines = reply.iter_lines()
        seen = [next(lines) for _ in range(5)]
        gate.open.set()
        rest = list(lines)

    assert seen[3:] == ["event: delta", 'data: {"text":"締め切りは月末です。"}']
    assert "event: done" in rest


def test_stopping_finishes_what_runs(tmp_path: Path) -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        with served(tmp_path / "audit", Scripted(gate)) as here:
            running = pool.submit(httpx.post, f"{here.url}/think", json={"prompt": "x"}, timeout=20)
            wait_for(lambda: gate.asked == 1)
            threading.Timer(0.2, gate.open.set).start()
        assert running.result().json()["answer"] == "締め切りは月末です。"
    assert [each["outcome"] for each in here.records()] == ["answered"]


def test_stopping_cancels_what_runs_too_long(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        with served(tmp_path / "audit", Scripted(gate), limits=Limits(shutdown_seconds=0.1)) as here:
            running = pool.submit(httpx.post, f"{here.url}/think", json={"prompt": "x"}, timeout=20)
            wait_for(lambda: gate.asked == 1)
        assert running.result().json()["type"] == "urn:so8t:problem:stopping"
    assert (gate.left, [each["outcome"] for each in here.records()]) == (1, ["left"])
    assert SECRET not in "".join(capfd.readouterr())


def test_the_log_stays_open_until_every_answer_has_left_its_record(tmp_path: Path) -> None:
    """A server that cancels what runs too long closes at once, maybe before the cancelled ones have heard of it."""

    async def story() -> bool:
        here = service(tmp_path / "audit", Gate())
        events = here.answer(Ask([{"role": "user", "content": "x"}], "think", stream=True))
        await anext(events)
        closing = asyncio.get_running_loop().run_in_executor(None, here.close)
        done, _ = await asyncio.wait([closing], timeout=0.5)
        await events.aclose()  # type: ignore[attr-defined]
        await closing
        return bool(done)

    assert asyncio.run(story()) is False
    assert [each["outcome"] for each in records(tmp_path / "audit")] == ["left"]
