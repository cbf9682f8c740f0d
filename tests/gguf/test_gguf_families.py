"""Every family through llama.cpp: the same tokens as transformers', the same logits as PyTorch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from so8t.gguf import layout, writer
from so8t.gguf.llamacpp import Model
from so8t.gguf.metadata import Provenance
from tests.gguf import folders

SPOKEN = (
    "東京支店の営業時間は？",
    "<|user|>\n全角　空白 😢🏳️‍🌈 naïve<|end|>\n<think-task>考える</think-task>",
    " lead  two   spaces\n\n123 4567 don't 'LL  ",
    "",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(folders.FAMILIES))
def test_llama_cpp_computes_what_pytorch_computes(name: str, tmp_path: Path) -> None:
    folder = folders.build(name, tmp_path / "model")
    source = layout.open_source(folder)
    target = tmp_path / "model.gguf"
    writer.write(source, target, "f16", Provenance("pico"), layout.read_vocabulary(source, folders.MARKERS))
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    reference = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    ids = [5 + (at * 37) % 390 for at in range(45)]  # within every window

    with Model(target, 64, 1) as model, torch.inference_mode():
        for text in SPOKEN:
            assert model.tokenize(text, special=True) == tokenizer(text, add_special_tokens=False)["input_ids"]
        ours, theirs = model.logits(ids), reference(torch.tensor([ids])).logits[0].numpy()

    scale = np.abs(theirs).max()
    assert np.abs(ours - theirs).max() < 5e-3 * scale  # llama.cpp keeps keys and values in float16


def test_long_factors_are_taken_where_transformers_takes_them(tmp_path: Path) -> None:
    folder = folders.build("phi3-long", tmp_path / "model")
    source = layout.open_source(folder)
    target = tmp_path / "model.gguf"
    writer.write(source, target, "f16", Provenance("pico"), layout.read_vocabulary(source))
    reference = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    ids = [5 + (at * 37) % 390 for at in range(300)]  # beyond the original 256

    with Model(target, 512, 1) as model, torch.inference_mode():
        ours, theirs = model.logits(ids), reference(torch.tensor([ids])).logits[0].numpy()

    assert np.abs(ours - theirs).max() < 5e-3 * np.abs(theirs).max()
