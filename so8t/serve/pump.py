"""From a thread that emits chunks to an asynchronous generator of them, with a deadline and a way to stop it."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor

from so8t.serve.backend import Emit, Failed
from so8t.serve.problem import Problem


class Pump:
    """`chunks()` may be left at any moment; the work is then told to stop, and `done` is called when it has."""

    def __init__(self, work: Callable[[threading.Event, Emit], None], most: int, done: Callable[[], None]) -> None:
        self._work, self._most, self._done = work, most, done
        self._cancel = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._came: deque[bytes | BaseException | None] = deque()  # None: the end
        self._wake, self._woken = asyncio.Event(), False
        self.ended = False  # everything has come, though it may not have been read

    def start(self, pool: Executor) -> None:
        pool.submit(self._run)

    def stop(self) -> None:
        self._cancel.set()

    async def chunks(self, deadline: float) -> AsyncIterator[bytes]:
        """What has come since the last time, together; asyncio.TimeoutError at the loop's time `deadline`."""
        alarm = self._loop.call_at(deadline, self._send, asyncio.TimeoutError())
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._woken = False  # before looking: what comes now wakes us again
                chunks: list[bytes] = []
                while self._came:
                    item = self._came.popleft()
                    if isinstance(item, bytes):
                        chunks.append(item)
                        continue
                    if chunks:
                        yield b"".join(chunks)
                    if item is None:
                        return
                    raise item
                yield b"".join(chunks)
        finally:
            alarm.cancel()

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            self._work(self._cancel, self._emit)
        except (Failed, Problem) as known:
            end = known
        except Exception as error:  # whatever it is, the one who waits must hear of it, but not its text
            end = Failed(error.__class__.__name__)
        finally:
            self.ended = True
            self._send(end)
            self._call(self._done)

    def _emit(self, chunk: bytes) -> None:
        self._most -= len(chunk)
        if self._most < 0:  # more than anyone will read
            self._cancel.set()
        self._send(chunk)

    def _send(self, item: bytes | BaseException | None) -> None:
        self._came.append(item)
        if not self._woken:
            self._woken = True
            self._call(self._wake.set)

    def _call(self, work: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:  # the loop has ended, and with it everyone who waited
            self._cancel.set()
