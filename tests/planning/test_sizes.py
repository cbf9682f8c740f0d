"""What a build will leave on the disk, against what builds left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from so8t.planning import bases, sizes
from so8t.planning.sizes import MIB, Texts

TINY = {
    "kind": "tiny",
    "hidden_size": 256,
    "intermediate_size": 256,
    "heads": 4,
    "kv_heads": 4,
    "layers": 4,
    "vocab_size": 2048,
}
SMOL = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "num_hidden_layers": 30,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "dtype": "float32",
}
PHI35 = {
    "model_type": "phi3",
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "num_hidden_layers": 32,
    "vocab_size": 32064,
    "torch_dtype": "bfloat16",
}
VALUES: dict[str, Any] = {"adapter": {"lora": {"r": 64}}, "gguf": {"types": ["f16", "q8_0", "q4_k_m"]}}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(SMOL, 134_515_008), (PHI35, 3_821_079_552)],  # as base_model and the hub count them
    ids=["smol", "phi35"],
)
def test_parameters_are_counted_from_the_configuration(config: dict[str, Any], parameters: int) -> None:
    assert bases.of_config(config).parameters == parameters


def test_a_tiny_base_is_known_before_it_is_trained(tmp_path: Path) -> None:
    base = bases.find(TINY, {}, tmp_path)

    assert base is not None and (base.parameters, base.stored) == (2_885_888, 11_543_552)
    assert bases.find({"kind": "hub"}, {}, tmp_path) is None


def test_tiny_as_it_was_built_lies_within_a_tenth_of_what_was_foretold() -> None:
    """131,003,633 bytes lay in artifacts/ after the first build, each copied file twice."""
    told = dict([*sizes.texts(Texts(2592, 866_383)), *sizes.models(bases.of_tiny(TINY), VALUES)])
    told |= {name: [size] for name, size in sizes.OTHERS.items()}
    each = {name: sum(parts) for name, parts in told.items()}

    assert each["adapter"] == pytest.approx(3_062_301, rel=0.1)
    assert each["gguf"] == pytest.approx(10_932_163, rel=0.1)
    assert each["thinking_sft"] == pytest.approx(7_643_712, rel=0.1)
    assert sum(sizes.kept(parts, 64 * MIB, False) for parts in told.values()) == pytest.approx(131_003_633, rel=0.1)


def test_large_files_lie_there_once_and_precious_ones_twice() -> None:
    assert sizes.kept([10.0, 200.0], 64, False) == 220.0
    assert sizes.kept([10.0, 200.0], 64, True) == 420.0


def test_a_k_quant_of_rows_that_are_not_of_256_is_larger() -> None:
    base = bases.of_config(SMOL)

    assert sizes.weights(base, "q4_k_m") == pytest.approx(105_454_432, rel=0.02)  # SmolLM2-135M as others ship it
