"""Clients that were not written for us: the official openai package, and schemathesis reading the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS

from so8t.serve.scripted import Scripted
from tests.serve.served import SECRET, Served, in_two, output, says, served

pytestmark = pytest.mark.slow

ANSWER = "締め切りは月末です。🏠"
ASKED = [{"role": "system", "content": "簡潔に"}, {"role": "user", "content": "経費の締め切りは？"}]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("clients") / "audit", Scripted(says(output(ANSWER)), slots=4)) as found:
        yield found


@pytest.fixture(scope="module")
def client(here: Served) -> Iterator[openai.OpenAI]:
    with client_of(here) as found:
        yield found


def client_of(server: Served) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def test_openai_lists_the_model(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["so8t"]
    assert client.models.retrieve("so8t").owned_by == "so8t"


def test_openai_gets_an_answer_and_nothing_else(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="so8t", messages=ASKED, temperature=0.2, max_tokens=200)  # type: ignore[arg-type]

    assert reply.choices[0].message.content == ANSWER
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None and reply.usage.completion_tokens == len(ANSWER.encode())
    assert (reply.model_extra or {})["so8t"]["class"] == "ALLOW"
    assert SECRET not in reply.model_dump_json()


def test_openai_streams(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="so8t",
            messages=ASKED,  # type: ignore[arg-type]
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == ANSWER
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0


def test_openai_knows_our_problems(client: openai.OpenAI, tmp_path: Path) -> None:
    with pytest.raises(openai.NotFoundError, match="GET /v1/models lists the models") as missing:
        client.chat.completions.create(model="gpt-4o", messages=ASKED)  # type: ignore[arg-type]
    assert missing.value.code == "unknown_model"
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="so8t", messages=ASKED, n=3)  # type: ignore[arg-type]


def test_openai_hears_of_output_that_broke_its_format(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(f"<think-task>{SECRET}")) as found, client_of(found) as asked:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as refused:
                asked.chat.completions.create(model="so8t", messages=ASKED, stream=stream)  # type: ignore[call-overload]

            assert (refused.value.status_code, refused.value.code) == (502, "broken_format")
            assert SECRET not in str(refused.value)


def test_openai_hears_of_a_stream_that_broke_after_it_began(tmp_path: Path) -> None:
    begun = output("前半です。").partition("</final>")[0]
    model = in_two(tmp_path / "audit", begun, f"<think-task>{SECRET}")
    with served(tmp_path / "audit", model) as found, client_of(found) as asked:
        chunks = asked.chat.completions.create(model="so8t", messages=ASKED, stream=True)  # type: ignore[arg-type]
        with pytest.raises(openai.APIError, match="did not keep its format") as broke:
            list(chunks)

    assert SECRET not in str(broke.value)


SETTINGS = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
NAMES = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")


def test_schemathesis_finds_no_server_error_and_no_breach_of_the_schema(here: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{here.url}/openapi.json")
    checks, tried = CHECKS.get_by_names(NAMES), 0
    for found in schema.get_all_operations():
        operation = found.ok()
        cases = st.one_of(
            operation.as_strategy(generation_mode=mode) for mode in schemathesis.GenerationMode if mode.value
        )

        @given(case=cases)
        @SETTINGS
        def run(case: schemathesis.Case) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(base_url=here.url, checks=checks, timeout=10)

        run()

    assert tried >= 60  # an operation without parameters has one case
