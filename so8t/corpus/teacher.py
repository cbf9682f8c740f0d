"""The teacher: any OpenAI-compatible endpoint that writes thinking and answer for records that lack them.

Every answer is kept under the hash of model, messages and parameters before it is used: a killed build asks
only for what is missing, and the result depends on what was answered, never on the order of arrival.
The key of the endpoint is read from the environment, sent as a header, and written nowhere.
"""

from __future__ import annotations

import email.utils
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from pydantic import Field, field_validator

from so8t.corpus import templates
from so8t.errors import MissingExtra, StageError
from so8t.formats import thinking as think
from so8t.formats.records import Record
from so8t.formats.thinking import Final, FormatError, Thinking, ThinkingFormat
from so8t.spec.fields import SpecModel, execution
from so8t.store.answers import Answers

if TYPE_CHECKING:
    import httpx

NAMES = ("text", "label", "reason", "context", "format")
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_WAIT = 600.0
Message = dict[str, str]
T = TypeVar("T")

PROMPT = """次の利用者の発言に対する、安全なアシスタントの思考と最終回答を日本語で書いてください。
判定は {label} に決まっています。変えないでください。
理由: {reason}
各部は40文字以内、回答は簡潔に書いてください。下の形式だけを、一字一句そのままの目印で出力してください。

形式:
{format}
{context}
利用者の発言:
{text}"""
AGAIN = "形式に合いません（{problem}）。説明を付けず、指定の形式だけをもう一度出力してください。"


class TeacherSpec(SpecModel):
    """Where and how to ask; what was answered is kept by content, so a change of the endpoint asks nothing again."""

    model: str = Field(min_length=1)
    """The model's name at the endpoint."""
    temperature: float = Field(0.0, ge=0, le=2)
    """Sampling temperature."""
    max_tokens: int = Field(1024, gt=0)
    """The longest answer; one that is cut off there counts as malformed."""
    seed: int | None = None
    """Sampling seed, for endpoints that know one."""
    prompt: str = PROMPT
    """What is asked; {text}, {label}, {reason}, {context} (earlier turns) and {format} are filled in."""
    attempts: int = Field(3, ge=1, le=10)
    """How often an answer may break the format before the record is dropped."""
    base_url: str = execution("http://127.0.0.1:11434/v1")
    """The endpoint, up to and including /v1."""
    api_key_env: str = execution("")
    """The environment variable that holds the endpoint's key; empty for none."""
    concurrency: int = execution(8, ge=1, le=256)
    """Requests at a time."""
    timeout: float = execution(120.0, gt=0)
    """Seconds to wait for one answer."""
    retries: int = execution(6, ge=0)
    """How often a busy or failing endpoint is tried again."""

    @field_validator("prompt")
    @classmethod
    def _known_names(cls, prompt: str) -> str:
        problems = templates.problems(prompt, NAMES)
        problems += [f"{{{name}}} is missing" for name in ("text", "label", "format") if f"{{{name}}}" not in prompt]
        if problems:
            raise ValueError("; ".join(problems))
        return prompt


class Teacher:
    """Asks for records, several at a time, and gives the answers in the records' order."""

    def __init__(
        self, spec: TeacherSpec, fmt: ThinkingFormat, kept: Answers, sleep: Callable[[float], object] | None = None
    ) -> None:
        self._spec, self._fmt, self._kept = spec, fmt, kept
        self._stop = threading.Event()
        self._sleep = sleep or self._stop.wait
        self._client: httpx.Client | None = None
        self._client_lock = threading.Lock()
        self.asked = 0

    def along(self, pairs: Iterable[tuple[Record, T | None]]) -> Iterator[tuple[Record, T | Thinking | FormatError]]:
        """Each record with what it has; where that is None, the teacher's thinking or the way it was malformed."""
        waiting: deque[tuple[Record, T | Future[Thinking | FormatError]]] = deque()
        pool = ThreadPoolExecutor(self._spec.concurrency)
        try:
            for record, found in pairs:
                waiting.append((record, pool.submit(self.ask, record) if found is None else found))
                while waiting and (len(waiting) > 4 * self._spec.concurrency or not isinstance(waiting[0][1], Future)):
                    yield _settled(*waiting.popleft())
            while waiting:
                yield _settled(*waiting.popleft())
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            if self._client:
                self._client.close()

    def ask(self, record: Record) -> Thinking | FormatError:
        messages = [{"role": "user", "content": question(record, self._spec.prompt, self._fmt)}]
        for _ in range(self._spec.attempts):
            answer = self._answer(messages)
            try:
                return judged(answer, record, self._fmt)
            except FormatError as error:
                problem = error
            messages += [
                {"role": "assistant", "content": answer["content"]},
                {"role": "user", "content": AGAIN.format(problem=problem)},
            ]
        return problem

    def _answer(self, messages: list[Message]) -> dict[str, Any]:
        """From what was kept, else from the endpoint."""
        body = request_body(self._spec, messages)
        key = blake2b(orjson.dumps(body, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()
        return self._kept.get(key) or self._kept.put(key, self._fetch(body))

    def _fetch(self, body: dict[str, Any]) -> dict[str, Any]:
        client = self._http()
        import httpx

        waited_for = ""
        for attempt in range(self._spec.retries + 1):
            if self._stop.is_set():
                break
            try:
                self.asked += 1
                response = client.post("chat/completions", json=body)
            except httpx.TransportError as error:
                waited_for = f"{type(error).__name__}: {self._redacted(str(error))}"
                wait = backoff(attempt)
            else:
                if response.status_code == 200:
                    return self._content(response.content)
                waited_for = f"HTTP {response.status_code}: {self._redacted(response.text)}"
                if response.status_code not in RETRIED:
                    raise StageError(f"{self._where()}: {waited_for}")
                asked = retry_after(response.headers.get("retry-after", ""), time.time())
                wait = backoff(attempt) if asked is None else asked
            if attempt < self._spec.retries:
                self._sleep(wait)
        raise StageError(
            f"{self._where()}: no answer after {self._spec.retries + 1} tries, last {waited_for}; "
            "the answers so far are kept, so the next run goes on from here"
        )

    def _http(self) -> httpx.Client:
        with self._client_lock:
            if self._client is None:
                self._client = open_client(self._spec)
            return self._client

    def _content(self, body: bytes) -> dict[str, Any]:
        try:
            choice = orjson.loads(body)["choices"][0]
            content, finish = choice["message"]["content"], choice.get("finish_reason") or "stop"
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
            said = self._redacted(body.decode(errors="replace"))
            raise StageError(f"{self._where()}: the reply is not a chat completion: {said}") from error
        if not isinstance(content, str | None):
            raise StageError(f"{self._where()}: the reply's content is not text but {type(content).__name__}")
        return {"content": content or "", "finish_reason": finish}

    def _where(self) -> str:
        return f"teacher {self._spec.model} at {_without_login(self._spec.base_url)}"

    def _redacted(self, text: str) -> str:
        key = _key(self._spec)
        return (text.replace(key, "***") if key else text)[:200]


def _without_login(url: str) -> str:
    return re.sub(r"(?<=://)[^/@]*@", "", url)


def _key(spec: TeacherSpec) -> str:
    return os.environ.get(spec.api_key_env, "").strip() if spec.api_key_env else ""


def open_client(spec: TeacherSpec) -> httpx.Client:
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra("httpx", "collect", "a teacher") from error
    headers = {}
    if spec.api_key_env:
        key = _key(spec)
        if not key:
            raise StageError(f"teacher.api_key_env: the environment variable {spec.api_key_env} is not set")
        if not (key.isascii() and key.isprintable()):  # the library's own message would show it
            raise StageError(f"teacher.api_key_env: {spec.api_key_env} holds characters that no key has")
        headers["authorization"] = f"Bearer {key}"
    limits = httpx.Limits(max_connections=spec.concurrency)
    try:
        return httpx.Client(base_url=spec.base_url, headers=headers, timeout=spec.timeout, limits=limits)
    except httpx.InvalidURL:
        raise StageError(f"teacher.base_url: no address: {_without_login(spec.base_url)}") from None


def request_body(spec: TeacherSpec, messages: list[Message]) -> dict[str, Any]:
    """All that the answer depends on; its hash is the answer's key."""
    body = {
        "model": spec.model,
        "messages": messages,
        "temperature": spec.temperature,
        "max_tokens": spec.max_tokens,
    }
    return body if spec.seed is None else {**body, "seed": spec.seed}


def question(record: Record, prompt: str, fmt: ThinkingFormat) -> str:
    example = Final(record["label"], record["confidence"], "判定の理由", "利用者への回答")
    form = think.compose(Thinking("依頼の要点", "危険の有無", "取るべき方針", example), fmt)
    turns = [*_system(record), *(record.get("history") or ())]
    context = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns)
    values = {
        "text": record["text"],
        "label": record["label"],
        "reason": record.get("reason") or "",
        "context": f"\nこれまでの会話:\n{context}\n" if context else "",
        "format": form,
    }
    return templates.fill(prompt, values)


def _system(record: Record) -> list[Message]:
    return [{"role": "system", "content": record["system"]}] if record.get("system") else []


def judged(answer: dict[str, Any], record: Record, fmt: ThinkingFormat) -> Thinking:
    """The answer's thinking, if it is whole, keeps the format and agrees with the record's class."""
    content = tidied(answer["content"], fmt)
    if answer["finish_reason"] == "length":
        raise FormatError(len(content), fmt.parts[-1].close or "a finished answer", "an answer cut off at max_tokens")
    found = think.split(content, fmt)
    texts = {"task": found.task, "safety": found.safety, "policy": found.policy}
    texts |= {"reason": found.final.reason, "answer": found.final.answer}
    texts = {name: text.strip() for name, text in texts.items()}
    for name, text in texts.items():
        if not text:
            raise FormatError(0, f"a text for {name}", "an empty one")
    if found.final.label != record["label"]:
        place = content.find(fmt.fields[0].key + found.final.label) + len(fmt.fields[0].key)
        raise FormatError(place, record["label"], found.final.label)
    final = replace(found.final, confidence=record["confidence"], reason=texts["reason"], answer=texts["answer"])
    return Thinking(texts["task"], texts["safety"], texts["policy"], final)


def tidied(content: str, fmt: ThinkingFormat) -> str:
    """White space around the whole and between one part and the next is harmless."""
    content = content.strip()
    if fmt.whole_lines:
        lines = "|".join(map(re.escape, fmt.markers))
        return re.sub(rf"\n\s+(?=(?:{lines})\n)", "\n", content)
    for part, following in zip(fmt.parts, fmt.parts[1:], strict=False):
        gap = rf"(?<={re.escape(part.close)})\s+(?={re.escape(following.open)})"
        content = re.sub(gap, "", content, count=1)
    return content


def backoff(attempt: int) -> float:
    return min(0.5 * 2.0**attempt, 30.0)


def retry_after(header: str, now: float) -> float | None:
    """Seconds that the header asks for, given as seconds or as an HTTP date; None where it says nothing."""
    try:
        wait = float(header)
    except ValueError:
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - now
        except ValueError:
            return None
    return None if math.isnan(wait) else min(max(wait, 0.0), LONGEST_WAIT)


def _settled(record: Record, found: T | Future[Thinking | FormatError]) -> tuple[Record, T | Thinking | FormatError]:
    return record, found.result() if isinstance(found, Future) else found
