"""The stage modelfile: a Modelfile for each GGUF, its template checked token for token."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats import gotemplate
from so8t.formats.chat import PHI3, jinja_template
from so8t.formats.thinking import FORMATS, TAGS
from so8t.ollama import modelfile
from stages import modelfile as modelfile_stage
from tests.formats import untrained
from tests.ollama.profile import SYSTEM, artifacts


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    inputs = artifacts(tmp_path_factory.mktemp("profile"))
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    return inputs


def test_each_gguf_gets_a_modelfile(built: Inputs) -> None:
    folder = built["modelfile"]

    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "check.json",
        "ollama/Modelfile.f16",
        "ollama/Modelfile.q8_0",
    ]
    assert json.loads((folder / "check.json").read_text("utf-8")) == {
        "conversations": 34,
        "tags": ["<think-", "<final>"],
        "files": ["so8t-f16.gguf", "so8t-q8_0.gguf"],
    }
    assert (folder / "ollama" / "Modelfile.q8_0").read_text("utf-8") == (
        "FROM ../../gguf/models/so8t-q8_0.gguf\n"
        f'TEMPLATE """{gotemplate.template(PHI3, TAGS)}"""\n'
        "PARAMETER num_predict 2048\n"
        "# Ollama's /v1 takes temperature 1.0 where a request names none, whatever stands here; top_k 1 holds there.\n"
        "PARAMETER top_k 1\n"
        "PARAMETER temperature 0.0\n"
        "PARAMETER repeat_penalty 1.0\n"
        'PARAMETER stop "<|end|>"\n'
        'PARAMETER stop "<|endoftext|>"\n'
        'PARAMETER stop "</final>"\n'
        f'SYSTEM "{SYSTEM}"\n'
    )


def test_from_leads_to_the_gguf(built: Inputs) -> None:
    assert (built["modelfile"] / "ollama" / "../../gguf/models/so8t-q8_0.gguf").is_file()


@pytest.mark.parametrize("name", ["quadruple", "headings"])
def test_a_model_that_never_learned_direct_answers_gets_a_closed_template(tmp_path: Path, name: str) -> None:
    inputs = artifacts(tmp_path, name)
    path = inputs["chat_format"] / "chat_format.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "direct": False}), "utf-8")
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    text = (inputs["modelfile"] / "ollama" / "Modelfile.f16").read_text("utf-8")

    assert f'TEMPLATE """{gotemplate.template(PHI3, FORMATS[name], direct=False)}"""\n' in text
    assert "{{ if and $.IsThinkSet (not $.Think) }}{{ .ThisModelAlwaysThinks }}{{ end }}" in text
    assert json.loads((inputs["modelfile"] / "check.json").read_bytes())["conversations"] == 34


def test_headings_and_a_whole_answer_in_one_piece(tmp_path: Path) -> None:
    inputs = artifacts(tmp_path, "headings")
    spec = modelfile_stage.Spec(split_thinking=False, license="MIT", stop=("<|user|>",))
    modelfile_stage.build(inputs, inputs["modelfile"], spec)
    text = (inputs["modelfile"] / "ollama" / "Modelfile.f16").read_text("utf-8")

    assert gotemplate.template(PHI3, None) in text
    assert text.endswith(f'PARAMETER stop "<|user|>"\nSYSTEM "{SYSTEM}"\nLICENSE "MIT"\n')
    assert modelfile.problems(text, "Modelfile") == []


def test_a_system_text_that_ollama_would_change_stops_the_build(tmp_path: Path) -> None:
    inputs = artifacts(tmp_path, system="東京　大阪")

    with pytest.raises(StageError) as refused:
        modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())

    assert str(refused.value) == (
        "Modelfile.f16: Ollama would silently drop from SYSTEM: U+3000 IDEOGRAPHIC SPACE; take them out"
    )


def test_a_template_that_ollama_prefers_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrained.chat, "jinja_template", lambda fmt: jinja_template(fmt) + "{# tools #}")
    inputs = artifacts(tmp_path)

    with pytest.raises(StageError, match=r"the GGUF's chat template speaks of tools: Ollama would take it"):
        modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())


def test_without_a_gguf_there_is_nothing_to_name(tmp_path: Path) -> None:
    inputs = artifacts(tmp_path)
    for path in inputs["gguf"].rglob("*.gguf"):
        path.unlink()

    with pytest.raises(StageError, match=r"^modelfile: the gguf artifact holds no \.gguf file; build gguf first$"):
        modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())


@pytest.mark.parametrize("parameters", [{"temperature": -1}, {"tfs_z": 1}, {"num_ctx": 0}, {"top_p": float("nan")}])
def test_a_parameter_that_ollama_would_not_check_is_refused_in_the_spec(parameters: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        modelfile_stage.Spec.model_validate({"parameters": parameters})
