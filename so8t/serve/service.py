"""From a question to what may leave: prompt, slot, model, splitter, policy, audit record, reply.

Nothing here knows HTTP.  Every way out of `answer` after the model was asked leaves one audit record, and no reply is
handed on before its record is on the disk.
"""

from __future__ import annotations

import asyncio
import codecs
import secrets
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from so8t.formats.chat import Message
from so8t.serve import audit
from so8t.serve.audit import Log, Unavailable
from so8t.serve.backend import Backend, Emit, Ended, Failed, PromptWriter, TooLong
from so8t.serve.keys import Keys
from so8t.serve.limits import Slots
from so8t.serve.metrics import Metrics
from so8t.serve.policy import Deciding, Reply
from so8t.serve.problem import Problem
from so8t.serve.pump import Pump
from so8t.serve.settings import Limits
from so8t.serve.splitter import Broken, Splitter

BYTES_PER_CHARACTER = 4
SECONDS_TO_RECORD = 5.0


@dataclass(frozen=True)
class Ask:
    messages: Sequence[Message]
    endpoint: str
    stream: bool
    most: int | None = None  # tokens of output, if fewer than the server's own limit
    owner: str | None = None  # of the bearer token


@dataclass(frozen=True)
class Opened:
    """The verdict stands and text may leave; the reply's answer is what has come of it so far."""

    reply: Reply
    audit_id: str


@dataclass(frozen=True)
class Delta:
    text: str


@dataclass(frozen=True)
class Done:
    """The whole reply; its record is on the disk.  Of a stream, `rest` is what the deltas have not said yet.

    `cut`: the most tokens ended the output; the reply holds what could leave by then, and is None if nothing could.
    """

    reply: Reply | None
    audit_id: str
    rest: str
    prompt_tokens: int
    answer_tokens: int | None
    cut: bool = False


@dataclass
class _Course:
    """What is known of one request, for its record."""

    id: str
    started: float
    splitter: Splitter
    prompt_tokens: int = 0
    waited: float = 0.0
    first: float | None = None
    answer: list[str] = field(default_factory=list)
    sent: int = 0  # characters
    reply: Reply | None = None
    ended: Ended | None = None
    recorded: bool = False


class Service:
    def __init__(
        self, backend: Backend, writer: PromptWriter, policy: Deciding, limits: Limits, log: Log, keys: Keys
    ) -> None:
        self.backend, self.policy, self.limits = backend, policy, limits
        self.metrics = Metrics()
        self.slots = Slots(backend.slots, limits.queue, limits.queue_seconds)
        self.stopping = False
        self._writer, self._log, self._keys = writer, log, keys
        self._pool = ThreadPoolExecutor(backend.slots, thread_name_prefix="answer")
        self._pumps: set[Pump] = set()
        self._open, self._ended = 0, threading.Condition()

    @property
    def classed(self) -> bool:
        """Whether the model names a class."""
        return self._writer.thinking.classed

    async def trouble(self) -> str | None:
        """What keeps this server from answering; None where nothing does."""
        if self.stopping:
            return "stopping"
        if self._log.failing:
            return "audit"
        try:
            await asyncio.get_running_loop().run_in_executor(None, self.backend.check)
        except Failed as failed:
            print(f"serve: the backend fails: {failed}", file=sys.stderr, flush=True)
            return "backend"
        return None

    def close(self) -> None:
        self.stopping = True
        for pump in self._pumps:
            pump.stop()
        self._pool.shutdown(wait=True)
        with self._ended:  # each has its record still to leave; one that nobody finishes must not hold the server
            self._ended.wait_for(lambda: not self._open, SECONDS_TO_RECORD)
        self._log.close()
        self.backend.close()

    async def answer(self, ask: Ask) -> AsyncIterator[Opened | Delta | Done]:
        """Opened and Deltas of a stream, and in any case one Done at the end; or a Problem at any point."""
        loop = asyncio.get_running_loop()
        splitter = Splitter(self._writer.thinking, self.limits.output_characters)
        course = _Course(secrets.token_hex(16), loop.time(), splitter)
        if self.stopping:
            raise Problem("stopping")
        await self.slots.take()
        course.waited = loop.time() - course.started
        self.metrics.wait.observe(course.waited)
        pump = self._pump(ask, course)
        self._count(1)
        try:
            async for event in self._events(ask, course, pump):
                yield event
        except (Broken, UnicodeDecodeError) as broken:
            why = str(broken) if isinstance(broken, Broken) else "not UTF-8"
            raise await self._refuse(ask, course, "broken-format", f"broken: {why}") from None
        except asyncio.TimeoutError:
            raise await self._refuse(ask, course, "timeout", "timeout") from None
        except Unavailable:
            raise Problem("audit") from None
        except Problem:
            course.recorded = True  # the model was not asked
            raise
        except Failed as failed:
            print(f"serve: {course.id}: the backend failed: {failed}", file=sys.stderr, flush=True)
            raise await self._refuse(ask, course, "backend", "failed") from None
        finally:
            pump.stop()
            if not course.recorded:
                self._log.append(self._record(ask, course, "left"))  # by the client, or stopped with the server
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._ended:
            self._open += change
            self._ended.notify_all()

    def _pump(self, ask: Ask, course: _Course) -> Pump:
        """The slot is free again when the thread has ended, not when the client has left."""

        def work(cancel: threading.Event, emit: Emit) -> None:
            prompt = self.backend.prepare(self._writer.pieces(ask.messages))
            room, limit = self.backend.context - prompt.tokens, self._most_of_a_prompt()
            if prompt.tokens > limit:
                raise _too_long(limit)
            course.prompt_tokens = prompt.tokens
            most = min(ask.most or self.limits.output_tokens, self.limits.output_tokens, room)
            try:
                course.ended = self.backend.generate(prompt, most, cancel, emit)
            except TooLong:
                raise _too_long(limit) from None

        def done() -> None:
            self._pumps.discard(pump)
            self.slots.give()

        pump = Pump(work, BYTES_PER_CHARACTER * self.limits.output_characters, done)
        self._pumps.add(pump)
        pump.start(self._pool)
        return pump

    def _most_of_a_prompt(self) -> int:
        return min(self.limits.prompt_tokens, self.backend.context - 1)

    async def _events(self, ask: Ask, course: _Course, pump: Pump) -> AsyncIterator[Opened | Delta | Done]:
        loop, splitter = asyncio.get_running_loop(), course.splitter
        decode = codecs.getincrementaldecoder("utf-8")().decode
        async for chunk in pump.chunks(loop.time() + self.limits.seconds):
            course.answer.append(splitter.feed(decode(chunk)))
            if ask.stream and course.answer[-1] and not pump.ended:  # what is whole needs no note of a stream
                async for event in self._stream(ask, course):
                    yield event
        if course.ended and course.ended.reason == "length" and not splitter.closed:
            yield await self._cut(ask, course)
            return
        course.answer.append(splitter.feed(decode(b"", True)) + splitter.end())
        if splitter.verdict is None:
            raise Broken("unfinished")
        answer = "".join(course.answer)
        course.reply = self.policy.decide(splitter.verdict, answer)
        await self._write(self._record(ask, course, "answered" if course.reply.agreed else "disagreed"), course)
        text = course.reply.answer
        yield Done(course.reply, course.id, text[course.sent :], course.prompt_tokens, self.backend.count(text))

    async def _cut(self, ask: Ask, course: _Course) -> Done:
        """The output ended in the midst: what may leave of it is what a stream would have sent by now, and no more."""
        verdict, whole = course.splitter.verdict, "".join(course.answer)
        if verdict is not None and self.policy.may_leave(verdict.label, whole):
            course.reply = self.policy.decide(verdict, whole)
        await self._write(self._record(ask, course, "length"), course)
        text = course.reply.answer if course.reply else ""
        tokens = self.backend.count(text)
        return Done(course.reply, course.id, text[course.sent :], course.prompt_tokens, tokens, cut=True)

    async def _stream(self, ask: Ask, course: _Course) -> AsyncIterator[Opened | Delta]:
        """What of the answer can leave by now."""
        verdict = course.splitter.verdict
        if course.sent == 0:
            whole = "".join(course.answer)
            if verdict is None or not self.policy.may_leave(verdict.label, whole):
                return
            course.first = asyncio.get_running_loop().time() - course.started
            await asyncio.wrap_future(self._log.begin(self._record(ask, course, "begun")))
            yield Opened(self.policy.decide(verdict, whole), course.id)
        else:
            whole = course.answer[-1]
        course.sent += len(whole)
        yield Delta(whole)

    # ---- records ---------------------------------------------------------------------------------------------------

    async def _refuse(self, ask: Ask, course: _Course, kind: str, outcome: str) -> Problem:
        try:
            await self._write(self._record(ask, course, outcome), course)
        except Unavailable:
            return Problem("audit")
        return Problem(kind, audit_id=course.id)

    async def _write(self, record: audit.Record, course: _Course) -> None:
        course.recorded = True  # or tried: a log that fails now would fail again
        await asyncio.shield(asyncio.wrap_future(self._log.append(record)))

    def _record(self, ask: Ask, course: _Course, outcome: str) -> audit.Record:
        spent = asyncio.get_running_loop().time() - course.started
        reply, verdict = course.reply, course.splitter.verdict
        label = reply.label if reply else verdict.label if verdict else None
        if outcome != "begun":
            self.metrics.replied(outcome.partition(":")[0], label)
            self.metrics.answer.observe(spent)
        thinking = course.splitter.thinking
        prompt = "\0".join(f"{message['role']}\0{message['content']}" for message in ask.messages)
        return {
            "id": course.id,
            "time": audit.now(),
            "endpoint": ask.endpoint,
            "stream": ask.stream,
            "owner": ask.owner,
            "model": course.ended.digest if course.ended else self.backend.digest,
            "policy": self.policy.version,
            "outcome": outcome,
            "class": label or None,
            "prompt_hmac": self._keys.hash(prompt),
            "prompt_characters": len(prompt),
            "prompt_tokens": course.prompt_tokens,
            "thinking_hmac": self._keys.hash(thinking),
            "thinking_characters": len(thinking),
            "answer_characters": len(reply.answer) if reply else course.sent,
            "wait_ms": round(course.waited * 1000, 1),
            "first_ms": None if course.first is None else round(course.first * 1000, 1),
            "total_ms": round(spent * 1000, 1),
        }


def _too_long(limit: int) -> Problem:
    return Problem("prompt-too-long", f"The prompt has more tokens than this server takes: {limit}.", limit=limit)
