"""The name in a GGUF says whether role tokens swallow white space: llama.cpp knows it from nowhere else."""

from __future__ import annotations

import pytest

from so8t.gguf import stripping


@pytest.mark.parametrize(
    ("name", "strips", "title"),
    [
        ("so8t", False, "so8t"),
        ("so8t", True, "so8t (phi-3)"),
        ("Borea-Phi-3.5-mini", True, "Borea-Phi-3.5-mini"),
        ("my_PHI3", True, "my_PHI3"),
        ("Borea-Phi-3.5-mini", False, "Borea-Phi 3.5-mini"),
        ("phi3-phi-3", False, "phi 3-phi 3"),
    ],
)
def test_a_name_changes_only_where_llama_cpp_would_misread_it(name: str, strips: bool, title: str) -> None:
    assert stripping.title(name, strips) == title


def test_three_tokens_keep_the_space_whatever_the_name() -> None:
    assert not stripping.needed(["<unk>", "<s>", "<|endoftext|>"])
    assert stripping.needed(["<|end|>"])
