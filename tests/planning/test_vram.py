"""What training takes on a CUDA device: the formula's values, its screen, and what PyTorch keeps beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from so8t.planning import bases, vram
from so8t.planning.vram import GIB, Training
from so8t.watch import cuda
from tests.planning.test_sizes import PHI35, TINY

PHI = bases.of_config(PHI35)
RTX3060 = Training("int8", "bfloat16", 64, 30, rows=1, sequence=2048, checkpointing=True)


def test_phi35_in_8_bits_with_checkpointing_fits_12_gib() -> None:
    assert vram.parts(PHI, RTX3060) == {
        "base": 3_623_878_656 + 4 * 32 * (9216 + 3072 + 16384 + 3072) + 2 * (3_821_079_552 - 3_623_878_656),
        "LoRA and gates": 4 * (100_663_296 + 30 * 384 * 29),
        "gradients": 4 * (100_663_296 + 30 * 384 * 29),
        "moments": 2.03125 * 100_663_296 + 8 * 30 * 384 * 29,
        "activations": 32 * 2048 * 3072 * 2 + 2048 * 3072 * 6 + 2048 * 181_248,
        "logits": 2048 * 32064 * 16,
        "CUDA": 858_993_459.2,
    }
    assert vram.problem(PHI, RTX3060, 12 * GIB) == ""


def test_a_tiny_base_in_full() -> None:
    tiny = Training("none", "float32", 8, 2, rows=4, sequence=256, checkpointing=False, optimizer="adamw")

    assert vram.parts(bases.of_tiny(TINY), tiny) == {
        "base": 11_543_552,
        "LoRA and gates": 4 * (90_112 + 2 * 32 * 29),
        "gradients": 4 * (90_112 + 2 * 32 * 29),
        "moments": 8 * (90_112 + 2 * 32 * 29),
        "activations": 4 * 1024 * 15_488 + 1024 * 256 * 8,
        "logits": 1024 * 2048 * 20,
        "CUDA": 858_993_459.2,
    }


def test_the_values_come_from_the_specs() -> None:
    train = {"micro_batch": 2, "sequence": 512, "gradient_checkpointing": True, "attention": "eager"}
    train |= {"lanes": 1, "processes": "auto", "shard": "none", "pad_to_multiple_of": 1}
    values: dict[str, Any] = {
        "quantise": "nf4",
        "precision": "float16",
        "lora": {"r": 16},
        "gates": {"train": True},
        "train": {**train, "optimizer": "adamw8bit", "matmul": "medium"},
    }
    expected = Training("nf4", "float16", 16, 30, 2, 512, True, "eager", "adamw8bit", "medium")

    assert vram.training(values, "intermediate", PHI) == expected
    assert vram.training(values, [3, 4], PHI) == replace(expected, gated=2)
    assert vram.training({**values, "gates": {"train": False}}, "all", PHI) == replace(expected, gated=0)


@pytest.mark.parametrize(
    ("processes", "cards", "devices"), [("auto", 2, 2), ("auto", 3, 2), ("auto", None, 4), ("auto", 1, 1), (4, 1, 4)]
)
def test_a_base_is_divided_among_the_devices_that_the_lanes_take(
    processes: Any, cards: int | None, devices: int
) -> None:
    train = {"micro_batch": 2, "sequence": 512, "gradient_checkpointing": True, "attention": "eager"}
    train |= {"lanes": 4, "processes": processes, "shard": "full", "optimizer": "auto", "matmul": "high"}
    train |= {"pad_to_multiple_of": 8}
    values = {"quantise": "nf4", "precision": "bfloat16", "lora": {"r": 16}, "gates": {"train": True}, "train": train}

    found = vram.training(values, "intermediate", PHI, cards)

    assert (found.lanes, found.devices, found.divided, found.unit) == (4, devices, True, 8)


def test_phi35_in_full_on_two_devices() -> None:
    """Each has half of the base, two layers and the embeddings whole, and the gradients of two lanes of four."""
    run = replace(RTX3060, quantise="none", lanes=4, devices=2, divided=True)
    learned = 100_663_296 + 30 * 384 * 29
    others = 3_821_079_552 - 3_623_878_656

    found = vram.parts(PHI, run)

    assert found["base"] == 3_821_079_552
    assert found["whole layers"] == 2 * 2 * 3_623_878_656 / 32 + 2 * others
    assert found["lanes"] == 4 * 4 * learned
    assert list(vram.lines(PHI, run, None))[1:4] == [
        "base in bfloat16, divided among 2 devices, 1 x 2,048 tokens, with gradient checkpointing",
        "  base                3.6 GiB",
        "  whole layers        808 MiB",
    ]


def test_the_screen() -> None:
    assert list(vram.lines(PHI, RTX3060, 12 * GIB)) == [
        "adapter on a CUDA device, by its shapes and not measured:",
        "base in int8, 1 x 2,048 tokens, with gradient checkpointing",
        "  base                3.7 GiB",
        "  LoRA and gates      385 MiB",
        "  gradients           385 MiB",
        "  moments             198 MiB",
        "  activations         774 MiB",
        "  logits            1,002 MiB",
        "  CUDA                819 MiB",
        "  in all              7.2 GiB",
        "  there is           12.0 GiB",
    ]


@pytest.mark.parametrize(
    ("run", "card", "said"),
    [
        (
            replace(RTX3060, checkpointing=False),
            12,
            "17.6 GiB of VRAM are needed by estimate, and the card has 12.0 GiB: "
            "set train.gradient_checkpointing: true, then it is 7.2 GiB",
        ),
        (
            replace(RTX3060, quantise="none", rows=4, checkpointing=False),
            8,
            "57.2 GiB of VRAM are needed by estimate, and the card has 8.0 GiB: set "
            "train.gradient_checkpointing: true, train.micro_batch: 1, quantise: int8, then it is 7.2 GiB",
        ),
        (
            RTX3060,
            4,
            "7.2 GiB of VRAM are needed by estimate, and the card has 4.0 GiB: "
            "no setting of adapter.yaml makes it fit; take a smaller base or a larger card",
        ),
    ],
)
def test_what_does_not_fit_is_told_what_would(run: Training, card: int, said: str) -> None:
    assert vram.problem(PHI, run, card * GIB) == f"train.micro_batch: {said}"


def test_a_device_that_is_not_there_has_no_memory() -> None:
    assert cuda.memory(99) is None


@pytest.mark.soak
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_activations_are_what_pytorch_keeps(precision: str, attention: str) -> None:
    """Within 2 %: the rest are numbers of a token, such as the norms' own, that the formula leaves out."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4, "num_key_value_heads": 4}
    shape |= {"num_hidden_layers": 3, "vocab_size": 512}
    run = Training("none", precision, 8, 1, rows=2, sequence=128, checkpointing=False, attention=attention)

    told = vram.parts(bases.of_config({**shape, "model_type": "phi3"}), run)["activations"]

    assert told == pytest.approx(kept_by_pytorch(shape, run), rel=0.02)


def kept_by_pytorch(shape: dict[str, int], run: Training) -> int:
    """The bytes that autograd holds after a pass through a decoder with LoRA and a gate, parameters aside."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Phi3Config, Phi3ForCausalLM

    from so8t.gate import attach

    config = Phi3Config(**shape, pad_token_id=0, eos_token_id=1, attn_implementation=run.attention)
    model: Any = Phi3ForCausalLM(config).to(getattr(torch, run.precision)).requires_grad_(False)
    attach.attach(model, "intermediate", "geodesic", -5.0)
    projections = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=run.rank, target_modules=projections, task_type="CAUSAL_LM")).train()
    for parameter in filter(lambda each: each.requires_grad, model.parameters()):
        parameter.data = parameter.data.float()
    model.enable_input_require_grads()
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    seen: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.get_base_model().model(torch.full((run.rows, run.sequence), 7), use_cache=False)
    assert hidden.last_hidden_state.requires_grad
    return sum(seen.values())
