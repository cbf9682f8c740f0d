"""The stand-in does what was recorded of the real server (0.32.15): traps that the proof and the server must see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from so8t.formats import gotemplate
from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS, Final, Thinking, compose
from so8t.ollama import asking, client
from so8t.ollama.asking import Door, Reply, Way
from so8t.ollama.client import Client, Refused
from tests.ollama.standin import GUESSED, StandIn
from tests.ollama.standin_http import running

DOORS: tuple[Door, ...] = ("/api/chat", "/api/generate", "/v1/chat/completions")
TEMPLATE = gotemplate.template(PHI3, TAGS)
DIRECT = "{{ if and $.IsThinkSet (not $.Think) }}"
CLOSED = TEMPLATE.replace(f"{DIRECT}<final>", DIRECT + "{{ .NoSuchField }}")
OUTPUT = compose(Thinking("課題", "危険なし", "答える", Final("ALLOW", 0.9, "理由", "はい。")), TAGS)
THINKING = "task>課題</think-task><think-safety>危険なし</think-safety><think-policy>答える</think-policy>"
CONTENT = "判定: ALLOW\n確信度: 0.90\n理由: 理由\n回答: はい。"
STOPS = {"stop": ["<|end|>", "</final>"]}
QUESTION = [{"role": "user", "content": "営業時間は？"}]
SYSTEM = "判定します。"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with running(StandIn(tmp_path, lambda prompt: OUTPUT + "<|end|>", sampled=lambda prompt: "くじ")) as state:
        state.have("so8t", template=TEMPLATE, system=SYSTEM, parameters={"temperature": 0.0, "top_k": 1, **STOPS})
        yield state


@pytest.fixture
def ollama(server: StandIn) -> Iterator[Client]:
    with Client(server.url, 10) as found:
        yield found


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("think", [True, None])
@pytest.mark.parametrize("door", DOORS)
def test_every_door_parts_thinking_from_content(
    server: StandIn, ollama: Client, door: Door, think: bool | None, stream: bool
) -> None:
    reply = asking.ask(ollama, "so8t", QUESTION, Way(door, think, stream))

    assert reply == Reply(THINKING, CONTENT, "stop")
    assert server.prompts == [f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n営業時間は？<|end|>\n<|assistant|>\n"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("door", DOORS)
def test_think_false_starts_the_final_part_and_parses_nothing(
    server: StandIn, ollama: Client, door: Door, stream: bool
) -> None:
    reply = asking.ask(ollama, "so8t", QUESTION, Way(door, False, stream))

    assert server.prompts[0].endswith("<|assistant|>\n<final>")
    assert reply == Reply("", OUTPUT.removesuffix("</final>"), "stop")  # it thinks on, in the content


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("door", DOORS)
def test_a_template_that_names_an_unknown_field_fails_closed(
    server: StandIn, ollama: Client, door: Door, stream: bool
) -> None:
    server.have("closed", template=CLOSED, parameters={"top_k": 1, **STOPS})

    with pytest.raises(Refused) as refused:
        asking.ask(ollama, "closed", QUESTION, Way(door, False, stream))

    assert (refused.value.status, "課題" in str(refused.value)) == (500, False)
    assert asking.ask(ollama, "closed", QUESTION, Way(door, None, stream)).content == CONTENT


@pytest.mark.parametrize(
    ("parameters", "request_", "said"),
    [
        ({"temperature": 0.0}, {}, "くじ"),
        ({"temperature": 0.0}, {"temperature": 0}, CONTENT),
        ({"temperature": 0.0, "top_k": 1}, {}, CONTENT),
    ],
    ids=["the Modelfile's temperature does not hold", "the request's does", "top_k 1 does"],
)
def test_v1_samples_at_one_unless_top_k_is_one(
    server: StandIn, parameters: dict[str, float], request_: dict[str, float], said: str
) -> None:
    server.have("so8t", template=TEMPLATE, parameters={**parameters, **STOPS})
    body = {"model": "so8t", "messages": QUESTION, **request_}
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=body, trust_env=False).json()

    assert reply["choices"][0]["message"]["content"] == said
    assert asking.ask(Client(server.url, 5), "so8t", QUESTION, Way("/api/chat", None, False)).content == CONTENT


def test_a_runner_is_shared_by_blob_until_the_server_restarts(server: StandIn, ollama: Client) -> None:
    server.have("bare", parameters=STOPS)
    asking.ask(ollama, "so8t", QUESTION, Way("/api/chat", None, False))
    asking.ask(ollama, "bare", QUESTION, Way("/api/chat", None, False))
    server.restart()
    asking.ask(ollama, "bare", QUESTION, Way("/api/chat", None, False))

    assert [prompt.rsplit("<|end|>\n")[-1] for prompt in server.prompts] == [
        "<|assistant|>\n",
        "<|assistant|>\n",
        "<|guessed|>\n",
    ]
    assert ollama.show("bare")["template"] == GUESSED


def test_a_long_prompt_is_cut_in_silence_unless_truncate_is_false(server: StandIn, ollama: Client) -> None:
    long = [{"role": "user", "content": "長" * 24_000}]

    assert asking.ask(ollama, "so8t", long, Way("/api/chat", None, False)) == Reply("", "", "stop")
    with pytest.raises(Refused) as refused:
        ollama.asked("/api/chat", {"model": "so8t", "messages": long, "truncate": False})
    assert (refused.value.status, refused.value.reason) == (400, "the input length exceeds the context length")


def test_an_empty_system_message_replaces_the_models_own(server: StandIn, ollama: Client) -> None:
    asking.ask(ollama, "so8t", [{"role": "system", "content": ""}, *QUESTION], Way("/api/chat", None, False))

    assert server.prompts == ["<|user|>\n営業時間は？<|end|>\n<|assistant|>\n"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_thirty_equal_tokens_end_an_answer_without_a_reason(server: StandIn, ollama: Client, stream: bool) -> None:
    server.answer = lambda prompt: "あ" * 50 + "<|end|>"

    with pytest.raises(Exception, match=r"^ollama: the answer of so8t broke off before it was done$"):
        asking.ask(ollama, "so8t", QUESTION, Way("/api/chat", None, stream))


@pytest.mark.parametrize(("kind", "kept"), [("MOSTLY_F16", False), ("MOSTLY_Q8_0", False), ("MOSTLY_Q4_K_M", True)])
def test_f16_and_q8_0_are_rewritten_at_import_and_others_are_kept(
    ollama: Client, tmp_path: Path, kind: str, kept: bool
) -> None:
    from gguf import GGUFWriter, LlamaFileType

    path = tmp_path / "m.gguf"
    writer = GGUFWriter(path, "phi3")
    writer.add_file_type(LlamaFileType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    sent = client.digest(path)
    ollama.upload(path, sent, lambda *step: None)
    ollama.create({"model": "m", "files": {path.name: sent}}, lambda *step: None)

    assert (client.served_blob(ollama.show("m")) == sent) is kept


def test_a_model_that_was_removed_is_not_listed(server: StandIn, ollama: Client) -> None:
    server.remove("so8t")

    assert ollama.models() == {}
    with pytest.raises(Refused, match="404: model 'so8t' not found"):
        asking.ask(ollama, "so8t", QUESTION, Way("/api/chat", None, False))
