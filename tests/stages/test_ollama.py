"""The stage ollama: the Modelfiles in a server that answers, as a stand-in plays it over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats.thinking import TAGS, Final, Thinking, compose
from so8t.ollama import client
from stages import modelfile as modelfile_stage
from stages import ollama as ollama_stage
from tests.ollama.profile import SYSTEM, artifacts
from tests.ollama.standin import StandIn
from tests.ollama.standin_http import running

SAID = Thinking(
    "営業時間の質問", "危険なし", "答える", Final("ALLOW", 0.98, "一般的な質問", "十時から二十時までです。")
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    inputs = artifacts(tmp_path_factory.mktemp("profile"))
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    return inputs


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    with running(StandIn(tmp_path, lambda prompt: compose(SAID, TAGS) + "<|end|>")) as state:
        yield state


def test_the_models_answer_in_a_server(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ollama_stage.build(built, out, ollama_stage.Spec(host=server.url))
    found = json.loads((out / "ollama.json").read_text("utf-8"))
    messages = [
        {"role": "user", "content": "営業時間を教えてください。"},
        {
            "role": "assistant",
            "thinking": "task>営業時間の質問</think-task><think-safety>危険なし</think-safety>"
            "<think-policy>答える</think-policy>",
            "content": "判定: ALLOW\n確信度: 0.98\n理由: 一般的な質問\n回答: 十時から二十時までです。",
        },
    ]

    assert found["server"] == "0.32.15"
    assert [model["name"] for model in found["models"]] == ["so8t:f16", "so8t:q8_0"]
    assert found["models"][0] == {
        "name": "so8t:f16",
        "digest": f"sha256:{server.models['so8t:f16'].digest}",
        "blob": client.digest(built["gguf"] / "models" / "so8t-f16.gguf"),
        "label": "ALLOW",
        "confidence": 0.98,
        "messages": messages,
    }
    assert server.prompts[0] == (
        f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n営業時間を教えてください。<|end|>\n<|assistant|>\n"
    )


def test_ollama_host_names_the_server(
    built: Inputs, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    ollama_stage.build(built, tmp_path, ollama_stage.Spec(quantisations=("q8_0",)))

    assert list(server.models) == ["so8t:q8_0"]


def test_a_model_that_does_not_keep_the_format_is_no_import(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    server.answer = lambda prompt: "こんにちは。"

    with pytest.raises(StageError, match=r"^ollama: the answer of so8t:f16 is not in the thinking format"):
        ollama_stage.build(built, tmp_path, ollama_stage.Spec(host=server.url))

    assert not (tmp_path / "ollama.json").exists()


def test_a_quantisation_that_is_not_there_is_named(built: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        ollama_stage.build(built, tmp_path, ollama_stage.Spec(quantisations=("q4_k_m", "q8_0")))

    assert str(refused.value) == "ollama.quantisations: no Modelfile of q4_k_m (there are: f16, q8_0)"


def test_a_modelfile_without_its_gguf_is_named(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    inputs = Inputs({**built.artifacts, "gguf": tmp_path / "empty"})

    with pytest.raises(StageError) as refused:
        ollama_stage.build(inputs, tmp_path, ollama_stage.Spec(host=server.url))

    assert str(refused.value) == (
        "Modelfile.f16: FROM names ../../gguf/models/so8t-f16.gguf, which the gguf artifact does not hold"
    )


@pytest.mark.parametrize("model", ["a b", "so8t:tag", "a/b/c", "-a", ""])
def test_a_name_that_ollama_refuses_is_refused_in_the_spec(model: str) -> None:
    with pytest.raises(ValidationError):
        ollama_stage.Spec(model=model)
