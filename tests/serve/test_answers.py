"""Both endpoints over a real socket: what they answer, and what their problems say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from so8t.serve.backend import Failed
from so8t.serve.scripted import Scripted
from tests.serve.served import SECRET, Served, in_two, output, says, served, sse

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that no test of the module brings to answer."""
    with served(tmp_path_factory.mktemp("plain") / "audit", says(output())) as here:
        yield here


def test_think_answers_with_the_final_part_and_its_record(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output())) as here:
        reply = here.think()

        record = here.records()[0]
        assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
        assert reply.json() == {
            "class": "ALLOW",
            "confidence": 0.97,
            "reason": "一般的な質問",
            "answer": "締め切りは月末です。",
            "audit_id": record["id"],
        }
        assert (record["outcome"], record["class"], record["endpoint"]) == ("answered", "ALLOW", "think")
        assert SECRET not in str(record)


def test_think_streams_verdict_deltas_and_the_whole_reply(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output())) as here:
        events = sse(here.think(stream=True).iter_lines())

        names = [name for name, _ in events]
        assert names[0] == "verdict" and names[-1] == "done" and set(names[1:-1]) == {"delta"}
        assert "".join(data["text"] for name, data in events if name == "delta") == "締め切りは月末です。"
        assert events[-1][1]["audit_id"] == here.records()[0]["id"]


def test_a_refusal_comes_in_the_profiles_own_words(tmp_path: Path) -> None:
    model = output("申し訳ありませんが、その方法はお伝えできません。", "REFUSE", "武器の製造")
    with served(tmp_path / "audit", says(model)) as here:
        reply = here.think().json()
        events = sse(here.think(stream=True).iter_lines())

        assert (reply["class"], reply["answer"]) == ("REFUSE", "有害な行為に関わるため、お手伝いできません。")
        assert [name for name, _ in events] == ["verdict", "delta", "done"]


def test_an_allow_answer_under_deny_becomes_a_refusal(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output("パスワードは 1234 です。", "DENY"))) as here:
        reply = here.think().json()

        assert (reply["class"], reply["answer"]) == ("REFUSE", "有害な行為に関わるため、お手伝いできません。")
        assert here.records()[0]["outcome"] == "disagreed"


def test_chat_completions_are_openais(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output())) as here:
        body = here.chat(max_tokens=100, temperature=0.2).json()

        assert (body["object"], body["model"]) == ("chat.completion", "so8t")
        assert body["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "締め切りは月末です。", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ]
        assert body["usage"]["completion_tokens"] == len("締め切りは月末です。".encode())
        assert body["so8t"]["class"] == "ALLOW"


@pytest.mark.parametrize("stream", [False, True])
def test_output_that_breaks_the_format_is_a_502_and_a_record(tmp_path: Path, stream: bool) -> None:
    with served(tmp_path / "audit", says(f"<think-task>{SECRET}")) as here:
        for reply in (here.think(stream=stream), here.chat(stream=stream)):
            assert (reply.status_code, reply.headers["content-type"]) == (502, "application/problem+json")
            assert reply.json()["type"] == "urn:so8t:problem:broken-format"
            assert SECRET not in reply.text

        assert [each["outcome"] for each in here.records()] == ["broken: unfinished"] * 2
        assert reply.json()["audit_id"] == here.records()[1]["id"]


@pytest.mark.parametrize("endpoint", ["think", "chat"])
def test_a_stream_that_breaks_after_it_began_ends_with_the_problem(tmp_path: Path, endpoint: str) -> None:
    whole = output("前半です。").partition("</final>")[0]
    model = in_two(tmp_path / "audit", whole, f"<think-task>{SECRET}</think-task>")
    with served(tmp_path / "audit", model) as here:
        reply = getattr(here, endpoint)(stream=True)

        events = sse(reply.iter_lines())
        assert events[-1][1]["error"]["code"] == "broken_format"
        assert "前半です。" in reply.text and SECRET not in reply.text
        assert [each["outcome"] for each in here.records()] == ["broken: structure"]


def test_a_model_that_fails_is_a_502_that_says_nothing_of_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def fails(prompt: str) -> list[bytes]:
        raise RuntimeError(SECRET)

    with served(tmp_path / "audit", fails) as here:
        reply = here.think()

        assert (reply.status_code, reply.json()["type"]) == (502, "urn:so8t:problem:backend")
        assert here.records()[0]["outcome"] == "failed"
    assert SECRET not in "".join(capfd.readouterr())


TOKENS = f"""# name, SHA-256, last day
anna {hashlib.sha256(b"good").hexdigest()}
bert {hashlib.sha256(b"old").hexdigest()} 2026-11-21
"""
CHAT = {"model": "so8t", "messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({}, "no-token"),
        ({"Authorization": "Basic Z29vZA=="}, "no-token"),
        ({"Authorization": "Bearer bad"}, "unknown-token"),
        ({"Authorization": "Bearer good\xff"}, "unknown-token"),
        ({"Authorization": "Bearer old"}, "expired-token"),
    ],
)
def test_without_a_token_that_holds_nothing_is_answered(tmp_path: Path, headers: dict[str, str], kind: str) -> None:
    with served(tmp_path / "audit", says(output()), tokens=TOKENS) as here:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        for reply in (
            here.client.post("/think", json={"prompt": "x"}, headers=raw),
            here.client.get("/v1/models", headers=raw),
        ):
            assert (reply.status_code, reply.json()["type"]) == (401, f"urn:so8t:problem:{kind}")
            assert reply.headers["www-authenticate"].startswith("Bearer")
        assert here.client.get("/healthz").status_code == 200
        assert here.client.post("/think", json={"prompt": "x"}, headers={"Authorization": "Bearer good"}).json()[
            "class"
        ]
        assert here.records()[0]["owner"] == "anna"


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        ("/think", b"{", "malformed", 400),
        ("/think", b"", "invalid", 422),
        ("/think", b'{"prompt": "\xff\xfe"}', "malformed", 400),
        ("/think", b"[" * 100_000, "malformed", 400),
        ("/think", b"null", "invalid", 422),
        ("/think", b"{}", "invalid", 422),
        ("/think", b'{"prompt": 7}', "invalid", 422),
        ("/think", b'{"prompt": ""}', "invalid", 422),
        ("/think", b'{"prompt": "\\ud800"}', "invalid", 422),
        ("/think", b'{"prompt": "x", "secret-key": 1}', "invalid", 422),
        ("/think", b'{"prompt": "x", "max_tokens": 0}', "invalid", 422),
        ("/think", b'{"prompt": "x", "max_tokens": NaN}', "invalid", 422),
        ("/think", b'{"messages": []}', "invalid", 422),
        ("/think", b'{"messages": [{"role": "assistant", "content": "x"}]}', "invalid", 422),
        ("/think", b'{"messages": [{"role": "root", "content": "x"}]}', "invalid", 422),
        ("/think", b'{"prompt": "' + b"x" * 3000 + b'"}', "prompt-too-long", 400),
        ("/think", b'{"prompt": "' + b"x" * 10_000_000 + b'"}', "body-too-large", 413),
        (
            "/v1/chat/completions",
            b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "x"}]}',
            "unknown-model",
            404,
        ),
        (
            "/v1/chat/completions",
            b'{"model": "so8t", "messages": [{"role": "user", "content": "x"}], "n": 2}',
            "invalid",
            422,
        ),
        ("/v1/chat/completions", b'{"model": "so8t", "messages": [{"role": "tool", "content": "x"}]}', "invalid", 422),
        ("/nowhere", b"{}", "not-found", 404),
        ("/healthz", b"{}", "method-not-allowed", 405),
    ],
)
def test_each_bad_input_has_its_status_and_says_nothing_of_the_inside(
    plain: Served, path: str, body: bytes, kind: str, status: int
) -> None:
    reply = plain.client.post(path, content=body, headers={"Content-Type": "application/json"})

    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    found = reply.json()
    assert (found["type"], found["status"]) == (f"urn:so8t:problem:{kind}", status)
    for inside in ("secret-key", "pydantic", "Traceback", "so8t/serve", "xxx", "gpt-4o"):
        assert inside not in reply.text
    assert plain.records() == []


def test_a_body_that_is_not_called_json_is_not_read(plain: Served) -> None:
    reply = plain.client.post("/think", content=b'{"prompt": "x"}', headers={"Content-Type": "text/plain"})

    assert (reply.status_code, reply.json()["type"]) == (415, "urn:so8t:problem:not-json")


def test_a_body_without_a_length_is_counted_while_it_arrives(plain: Served) -> None:
    reply = plain.client.post(
        "/think", content=iter([b'{"prompt": "', *[b"x" * 65536] * 9]), headers={"Content-Type": "application/json"}
    )

    assert (reply.status_code, reply.json()["type"]) == (413, "urn:so8t:problem:body-too-large")


def test_no_other_origin_is_let_in_by_the_browser(plain: Served) -> None:
    asked = {"Origin": "https://elsewplain.example", "Access-Control-Request-Method": "POST"}
    reply = plain.client.request("OPTIONS", "/think", headers=asked)

    assert reply.status_code == 405
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_metrics_count_and_name_nothing_that_was_said(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output())) as here:
        here.think("質問です")
        here.client.get("/some/where")
        text = here.client.get("/metrics").text

        samples = {(s.name, *sorted(s.labels.items())): s.value for family in parsed(text) for s in family.samples}
        assert samples["so8t_responses_total", ("endpoint", "/think"), ("status", "200")] == 1
        assert samples["so8t_responses_total", ("endpoint", "other"), ("status", "404")] == 1
        assert samples["so8t_replies_total", ("class", "ALLOW"), ("outcome", "answered")] == 1
        assert "/some" not in text


def test_models_lists_the_one_there_is(plain: Served) -> None:
    assert [each["id"] for each in plain.client.get("/v1/models").json()["data"]] == ["so8t"]
    assert plain.client.get("/v1/models/so8t").json()["object"] == "model"
    assert plain.client.get("/v1/models/other").json()["error"]["code"] == "unknown_model"


# ---- problems that name what is wrong --------------------------------------------------------------------------------


def test_a_long_prompt_is_told_the_limit(plain: Served) -> None:
    reply = plain.think("長" * 3000)

    assert (reply.status_code, reply.json()["limit"]) == (400, 2048)
    assert reply.json()["detail"] == "The prompt has more tokens than this server takes: 2048."
    assert reply.json()["error"]["message"] == reply.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [{"type": "function"}]),
        ("response_format", {"type": "json_object"}),
        ("stop", ["x"]),
        ("logprobs", True),
    ],
)
def test_a_field_that_is_not_supported_is_named(plain: Served, field: str, value: object) -> None:
    reply = plain.chat(**{field: value})

    assert (reply.status_code, reply.json()["error"]["param"]) == (422, field)
    assert reply.json()["detail"] == f"{field} is not supported."
    assert reply.json()["problems"] == [{"where": f"body.{field}", "what": "extra_forbidden"}]


def test_a_wrong_value_is_named_by_its_field_and_an_unknown_key_is_not_said_back(plain: Served) -> None:
    assert plain.chat(max_tokens=0).json()["error"]["param"] == "max_tokens"
    unknown = plain.chat(**{"secret-key": 1}).json()
    assert (unknown["error"]["param"], "secret-key" in str(unknown)) == (None, False)


# ---- health ----------------------------------------------------------------------------------------------------------


class Ailing(Scripted):
    """A model that cannot be reached for a while."""

    def __init__(self) -> None:
        super().__init__(says(output()))
        self.ails = False

    def check(self) -> None:
        if self.ails:
            raise Failed("nobody there")


def test_health_looks_at_the_backend(tmp_path: Path) -> None:
    backend = Ailing()
    with served(tmp_path / "audit", backend) as here:
        well = here.client.get("/healthz")
        backend.ails = True
        ill = here.client.get("/healthz")

    assert (well.status_code, well.json()) == (200, {"status": "ok"})
    assert (ill.status_code, ill.json()) == (503, {"status": "failing", "problem": "backend"})
