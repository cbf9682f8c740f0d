"""The teacher against a real HTTP server on this machine: busy, malformed, killed, out of order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from so8t.corpus.teacher import Teacher, TeacherSpec, backoff, judged, question, retry_after
from so8t.errors import DataError, MissingExtra, StageError
from so8t.formats.records import Record
from so8t.formats.thinking import HEADINGS, TAGS, Final, FormatError, Thinking, compose
from so8t.store.answers import Answers

ROOT = Path(__file__).resolve().parents[2]
Reply = Callable[[dict[str, Any], int], tuple[int, dict[str, str], str]]


class Endpoint:
    """A chat-completions server; `reply` gets the request and its number, and says what to send."""

    def __init__(self, reply: Reply) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        lock, endpoint = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    endpoint.requests.append({"path": self.path, **body})
                    endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
                    number = len(endpoint.requests)
                status, headers, content = reply(body, number)
                sent = content.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/v1"

    @property
    def asked(self) -> list[str]:
        """The users' texts, without their prompt, as they were asked for."""
        return [request["messages"][0]["content"].rsplit("\n", 1)[1] for request in self.requests]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], Endpoint]]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    started: list[Endpoint] = []

    def start(reply: Reply) -> Endpoint:
        started.append(Endpoint(reply))
        return started[-1]

    yield start
    for endpoint in started:
        endpoint.server.shutdown()
        endpoint.server.server_close()


def completion(content: str, finish: str = "stop") -> tuple[int, dict[str, str], str]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return 200, {"content-type": "application/json"}, json.dumps({"choices": [choice]}, ensure_ascii=False)


def thought(answer: str, label: str = "ALLOW") -> str:
    return compose(Thinking("課題", "安全", "方針", Final(label, 0.5, "理由", answer)), TAGS)


def good(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], str]:
    return completion(thought("答え:" + body["messages"][0]["content"].rsplit("\n", 1)[1]))


def record(text: str, **changes: Any) -> Record:
    return {"id": text, "text": text, "label": "ALLOW", "confidence": 0.9, "reason": "通常の質問", **changes}


def spec(endpoint: Endpoint | None = None, **changes: Any) -> TeacherSpec:
    return TeacherSpec(**{"model": "sensei", "base_url": endpoint.url if endpoint else "http://127.0.0.1:9", **changes})


def answers(tmp_path: Path, teacher: TeacherSpec, *texts: str, **options: Any) -> list[Thinking | FormatError | None]:
    with Answers(tmp_path / "teacher.jsonl") as kept:
        asked = Teacher(teacher, TAGS, kept, **options).along((record(text), None) for text in texts)
        return [found for _, found in asked]


def said(found: object) -> str:
    assert isinstance(found, Thinking)
    return found.final.answer


def test_it_asks_and_gives_the_records_own_confidence(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    endpoint = serve(good)

    assert answers(tmp_path, spec(endpoint), "俳句を一つ") == [
        Thinking("課題", "安全", "方針", Final("ALLOW", 0.9, "理由", "答え:俳句を一つ"))
    ]
    assert endpoint.requests[0]["path"] == "/v1/chat/completions"
    assert (endpoint.requests[0]["model"], endpoint.requests[0]["temperature"]) == ("sensei", 0.0)


def test_records_that_have_their_target_pass_through_in_order(
    tmp_path: Path, serve: Callable[[Reply], Endpoint]
) -> None:
    endpoint = serve(good)
    pairs = [(record("一"), "もう在る"), (record("二"), None), (record("三"), "もう在る")]
    with Answers(tmp_path / "teacher.jsonl") as kept:
        found = list(Teacher(spec(endpoint), TAGS, kept).along(pairs))

    assert [entry["text"] for entry, _ in found] == ["一", "二", "三"]
    assert (found[0][1], found[2][1], endpoint.asked) == ("もう在る", "もう在る", ["二"])


def test_answers_keep_the_records_order_whatever_the_order_of_arrival(
    tmp_path: Path, serve: Callable[[Reply], Endpoint]
) -> None:
    others = threading.Event()

    def last_first(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], str]:
        if body["messages"][0]["content"].endswith("\n0"):
            others.wait(10)
        elif number >= 4:
            others.set()
        return good(body, number)

    found = answers(tmp_path, spec(serve(last_first), concurrency=4), *map(str, range(6)))

    assert [said(thinking) for thinking in found] == [f"答え:{number}" for number in range(6)]


def test_what_was_answered_is_not_asked_again(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    endpoint = serve(good)
    first = answers(tmp_path, spec(endpoint), "一", "二")

    assert answers(tmp_path, spec(endpoint, concurrency=2, timeout=5), "二", "三", "一") == [
        first[1],
        Thinking("課題", "安全", "方針", Final("ALLOW", 0.9, "理由", "答え:三")),
        first[0],
    ]
    assert sorted(endpoint.asked) == ["一", "三", "二"]


@pytest.mark.parametrize("change", [{"model": "other"}, {"temperature": 0.7}, {"seed": 1}, {"max_tokens": 99}])
def test_another_model_or_parameter_asks_again(
    tmp_path: Path, serve: Callable[[Reply], Endpoint], change: dict[str, Any]
) -> None:
    endpoint = serve(good)
    answers(tmp_path, spec(endpoint), "一")
    answers(tmp_path, spec(endpoint, **change), "一")

    assert len(endpoint.asked) == 2


def test_a_busy_endpoint_is_asked_again_after_the_time_it_names(
    tmp_path: Path, serve: Callable[[Reply], Endpoint]
) -> None:
    refusals = [(429, {"retry-after": "7"}, ""), (503, {}, ""), (500, {"retry-after": "0"}, "")]
    endpoint = serve(lambda body, number: refusals[number - 1] if number <= 3 else good(body, number))
    waits: list[float] = []

    found = answers(tmp_path, spec(endpoint), "一", sleep=waits.append)

    assert (said(found[0]), waits) == ("答え:一", [7.0, 1.0, 0.0])


def test_a_real_wait_of_no_time_works_too(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    endpoint = serve(lambda body, number: (429, {"retry-after": "0.01"}, "") if number == 1 else good(body, number))

    assert said(answers(tmp_path, spec(endpoint), "一")[0]) == "答え:一"


def test_an_endpoint_that_stays_busy_stops_the_build_but_loses_nothing(
    tmp_path: Path, serve: Callable[[Reply], Endpoint]
) -> None:
    endpoint = serve(lambda body, number: good(body, number) if number == 1 else (503, {}, "満員"))
    with pytest.raises(StageError) as caught:
        answers(tmp_path, spec(endpoint, retries=2, concurrency=1), "一", "二", sleep=lambda _: None)

    assert str(caught.value) == (
        f"teacher sensei at {endpoint.url}: no answer after 3 tries, last HTTP 503: 満員; "
        "the answers so far are kept, so the next run goes on from here"
    )
    with Answers(tmp_path / "teacher.jsonl") as kept:
        assert len(kept) == 1


def test_nobody_at_the_address_is_a_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(
        StageError, match=r"teacher sensei at http://127\.0\.0\.1:9: no answer after 2 tries, last ConnectError"
    ):
        answers(tmp_path, spec(retries=1), "一", sleep=lambda _: None)


def test_a_refusal_is_not_tried_again_and_shows_no_key(
    tmp_path: Path, serve: Callable[[Reply], Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSEI_KEY", "sk-himitsu")
    endpoint = serve(lambda body, number: (401, {}, "bad key sk-himitsu"))
    with pytest.raises(StageError) as caught:
        answers(tmp_path, spec(endpoint, api_key_env="SENSEI_KEY"), "一")

    assert str(caught.value) == f"teacher sensei at {endpoint.url}: HTTP 401: bad key ***"
    assert (len(endpoint.asked), endpoint.headers[0]["authorization"]) == (1, "Bearer sk-himitsu")


def test_the_key_is_written_nowhere(
    tmp_path: Path,
    serve: Callable[[Reply], Endpoint],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SENSEI_KEY", "sk-himitsu")
    answers(tmp_path, spec(serve(good), api_key_env="SENSEI_KEY"), "一")

    assert b"himitsu" not in (tmp_path / "teacher.jsonl").read_bytes()
    assert "himitsu" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "reply",
    ["no JSON but sk-himitsu", '{"error": "sk-himitsu"}', "x" * 195 + "sk-himitsu", '{"choices": ["sk-himitsu"]}'],
)
def test_a_reply_that_repeats_the_key_is_shown_without_it(
    tmp_path: Path, serve: Callable[[Reply], Endpoint], monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    monkeypatch.setenv("SENSEI_KEY", "sk-himitsu")
    with pytest.raises(StageError, match="the reply is not a chat completion: ") as caught:
        answers(tmp_path, spec(serve(lambda body, number: (200, {}, reply)), api_key_env="SENSEI_KEY"), "一")

    assert "sk-hi" not in str(caught.value)


@pytest.mark.parametrize("key", ["sk-himi\ntsu", "sk-秘密", "sk-himi\x7ftsu"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SENSEI_KEY", key)
    with pytest.raises(StageError) as caught:
        answers(tmp_path, spec(api_key_env="SENSEI_KEY", retries=0), "一")

    assert str(caught.value) == "teacher.api_key_env: SENSEI_KEY holds characters that no key has"


def test_the_line_end_of_a_key_that_came_from_a_file_is_no_part_of_it(
    tmp_path: Path, serve: Callable[[Reply], Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENSEI_KEY", "sk-himitsu\r\n")
    endpoint = serve(good)
    answers(tmp_path, spec(endpoint, api_key_env="SENSEI_KEY"), "一")

    assert endpoint.headers[0]["authorization"] == "Bearer sk-himitsu"


def test_a_login_in_the_address_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(StageError, match=r"^teacher sensei at http://127\.0\.0\.1:9: no answer"):
        answers(tmp_path, spec(base_url="http://taro:himitsu@127.0.0.1:9", retries=0), "一")


def test_an_address_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"^teacher\.base_url: no address: http://\[::1$"):
        answers(tmp_path, spec(base_url="http://[::1", retries=0), "一")


def test_a_content_that_is_no_text_stops_the_build(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    parts = json.dumps({"choices": [{"message": {"content": [{"type": "text", "text": "はい"}]}}]})
    with pytest.raises(StageError, match="the reply's content is not text but list"):
        answers(tmp_path, spec(serve(lambda body, number: (200, {}, parts))), "一")


def test_without_httpx_the_line_that_installs_it_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra) as caught:
        answers(tmp_path, spec(), "一")

    assert str(caught.value) == "a teacher needs httpx: pip install 'so8t[collect]'"


def test_an_unset_key_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SENSEI_KEY", raising=False)
    with pytest.raises(StageError, match=r"teacher\.api_key_env: the environment variable SENSEI_KEY is not set"):
        answers(tmp_path, spec(api_key_env="SENSEI_KEY"), "一")


def test_a_malformed_answer_is_asked_for_again_and_told_why(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    endpoint = serve(lambda body, number: completion("はい、晴れです。") if number == 1 else good(body, number))

    assert said(answers(tmp_path, spec(endpoint), "一")[0]) == "答え:一"
    assert endpoint.requests[1]["messages"][1:] == [
        {"role": "assistant", "content": "はい、晴れです。"},
        {
            "role": "user",
            "content": "形式に合いません（character 0: expected <think-task>, found 'はい、晴れです。'）。"
            "説明を付けず、指定の形式だけをもう一度出力してください。",
        },
    ]


def test_after_the_last_attempt_the_way_it_was_malformed_comes_back(
    tmp_path: Path, serve: Callable[[Reply], Endpoint]
) -> None:
    endpoint = serve(lambda body, number: completion(thought("答え", label="DENY")))
    found = answers(tmp_path, spec(endpoint, attempts=2), "一")

    assert [str(problem) for problem in found] == ["character 100: expected ALLOW, found DENY"]
    answers(tmp_path, spec(endpoint, attempts=2), "一")
    assert len(endpoint.asked) == 2  # malformed answers are kept too


@pytest.mark.parametrize(
    ("content", "finish", "message"),
    [
        (thought("途中まで"), "length", "expected </final>, found an answer cut off at max_tokens"),
        (thought("途中まで").removesuffix("</final>"), "stop", "expected </final>, found the end of the text"),
        (thought("　\n"), "stop", "expected a text for answer, found an empty one"),
        ("", "stop", "expected <think-task>, found the end of the text"),
    ],
)
def test_half_an_answer_is_no_answer(content: str, finish: str, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        judged({"content": content, "finish_reason": finish}, record("一"), TAGS)

    assert str(caught.value).split(": ", 1)[1] == message


def test_white_space_between_parts_does_no_harm() -> None:
    loose = "\n" + thought("答え").replace("><", ">\n\n<") + "\n"

    assert judged({"content": loose, "finish_reason": "stop"}, record("一"), TAGS).final.answer == "答え"


def test_headings_are_judged_alike() -> None:
    text = compose(Thinking("課題", "安全", "方針", Final("ALLOW", 0.5, "理由", "答え")), HEADINGS).replace(
        "\n## ", "\n\n## "
    )

    assert judged({"content": text, "finish_reason": "stop"}, record("一"), HEADINGS).safety == "安全"


def test_the_question_names_class_reason_format_and_earlier_turns() -> None:
    history = [{"role": "user", "content": "こんにちは"}, {"role": "assistant", "content": "はい。"}]
    entry = record("{label}と<final>は？", label="DENY", system="敬語で。", history=history)

    assert question(entry, "{label}|{reason}|{format}|{context}|{text}", TAGS) == (
        "DENY|通常の質問|<think-task>依頼の要点</think-task><think-safety>危険の有無</think-safety>"
        "<think-policy>取るべき方針</think-policy>"
        "<final>判定: DENY\n確信度: 0.90\n理由: 判定の理由\n回答: 利用者への回答</final>|"
        "\nこれまでの会話:\nsystem: 敬語で。\nuser: こんにちは\nassistant: はい。\n|{label}と<final>は？"
    )


def test_a_prompt_must_name_text_label_and_format() -> None:
    with pytest.raises(
        ValidationError, match=r"unknown placeholder \{txt\}, did you mean \{text\}\?; \{text\} is missing"
    ):
        TeacherSpec(model="sensei", prompt="{txt} {label} {format}")


def test_a_reply_that_is_no_completion_stops_the_build(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    endpoint = serve(lambda body, number: (200, {}, "<html>"))
    with pytest.raises(StageError, match="the reply is not a chat completion: <html>"):
        answers(tmp_path, spec(endpoint), "一")


def test_retry_after_speaks_seconds_and_dates() -> None:
    assert [retry_after(header, 0) for header in ("3", "0", "-1", "1e9", "nan", "soon", "")] == [
        *(3.0, 0.0, 0.0, 600.0, None, None, None)
    ]
    assert retry_after(formatdate(1_000_030, usegmt=True), 1_000_000) == 30.0
    assert [backoff(attempt) for attempt in (0, 1, 5, 9)] == [0.5, 1.0, 16.0, 30.0]


KILLED = """
import sys
from pathlib import Path
from so8t.store.answers import Answers
from so8t.corpus.teacher import Teacher, TeacherSpec
from so8t.formats.thinking import TAGS
if __name__ == "__main__":
    url, folder = sys.argv[1:]
    records = [{"id": str(n), "text": str(n), "label": "ALLOW", "confidence": 0.9} for n in range(8)]
    with Answers(Path(folder) / "teacher.jsonl") as kept:
        spec = TeacherSpec(model="sensei", base_url=url, concurrency=1)
        for record, found in Teacher(spec, TAGS, kept).along((record, None) for record in records):
            print(record["id"], found.final.answer)
"""


def test_a_killed_run_asks_only_for_what_is_missing(tmp_path: Path, serve: Callable[[Reply], Endpoint]) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def hold_the_fifth(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], str]:
        if number == 5:
            reached.set()
            go_on.wait(20)
        return good(body, number)

    endpoint = serve(hold_the_fifth)
    script = tmp_path / "ask.py"
    script.write_text(KILLED, encoding="utf-8")
    command = [sys.executable, str(script), endpoint.url, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    assert reached.wait(20)
    killed.kill()
    killed.wait()
    go_on.set()
    with (tmp_path / "teacher.jsonl").open("ab") as file:
        file.write(b'{"key":"torn')  # what a power cut leaves

    second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)

    assert second.stdout.decode().splitlines() == [f"{number} 答え:{number}" for number in range(8)]
    assert endpoint.asked == ["0", "1", "2", "3", "4", "4", "5", "6", "7"]  # the fifth was never answered
    assert (tmp_path / "teacher.jsonl").read_bytes().count(b"\n") == 8


def test_a_broken_line_among_the_kept_answers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "teacher.jsonl"
    path.write_bytes(b'{"key":"a"}\nrubbish\n{"key":"b"}\n')
    with pytest.raises(DataError) as caught:
        Answers(path)

    assert str(caught.value) == f"{path}:2: not an answer; correct or remove that line, or remove the file"


def test_the_first_answer_for_a_key_stays(tmp_path: Path) -> None:
    with Answers(tmp_path / "teacher.jsonl") as kept:
        kept.put("k", {"content": "先"})

        assert kept.put("k", {"content": "後"}) == {"key": "k", "content": "先"} == kept.get("k")
