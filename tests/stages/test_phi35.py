"""Phi-3.5 as published, its role tokens swallowing white space, from a checkpoint to a Modelfile."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.formats import chat, suite, thinking
from so8t.gguf.llamacpp import Model
from tests.bases import artifacts, phi35


@pytest.fixture(scope="module")
def model() -> bytes:
    """A small tokenizer.model."""
    texts = [
        piece.text
        for conversation in suite.conversations(thinking.TAGS)
        for piece in chat.segments(suite.trained(conversation.messages, thinking.TAGS), chat.PHI3)
        if not piece.structure
    ]
    return phi35.train(texts * 3, 700)


@pytest.mark.parametrize("name", ["so8t", "Borea-Phi-3.5"])
def test_tokens_are_equal_in_all_engines_whatever_the_models_name(model: bytes, name: str, tmp_path: Path) -> None:
    phi35.build(tmp_path / "baked_model" / "model", model)
    artifacts.declare(tmp_path, chat.PHI3)

    parity, check = artifacts.convert(tmp_path, name=name)

    assert parity["conversations"] == check["conversations"] == 34
    assert parity["types"]["f16"]["kl"] < 1e-6
    with Model(tmp_path / "gguf" / "models" / f"{name}-f16.gguf", context=8) as engine:
        assert engine.metadata["general.name"] == {"so8t": "so8t (phi-3)", "Borea-Phi-3.5": "Borea-Phi-3.5"}[name]
        assert engine.metadata["tokenizer.ggml.add_bos_token"] == "false"
        assert engine.tokenize("<|user|>\n 空白", True) == engine.tokenize("<|user|>空白", True)
