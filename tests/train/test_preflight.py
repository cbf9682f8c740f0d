"""One batch before the first step tells a run that would learn nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from so8t.errors import StageError
from so8t.gate import attach
from so8t.train import lora
from so8t.train.preflight import preflight
from so8t.train.settings import Lora
from tests.gate.families import model, open_up, tokens


def learner(checkpointing: bool = False) -> Any:
    made = model("phi3").requires_grad_(False)
    gates = attach.attach(made, "all")
    open_up(gates)
    wrapped = lora.add_lora(made, Lora(r=2, alpha=4, dropout=0.5), seed=0)
    attach.train(gates)
    lora.ready(wrapped, "none", checkpointing)
    return wrapped


def loss_of(made: Any) -> Callable[[], Tensor]:
    return lambda: made(input_ids=tokens(), labels=tokens()).loss


def names(made: Any) -> list[str]:
    return list(lora.trainable(made))


def test_a_model_in_order_passes_and_is_left_as_it_was() -> None:
    made = learner()
    state = torch.random.get_rng_state()

    preflight(made, names(made), loss_of(made), inputs_need_gradient=False)

    assert len(names(made)) == 4 * (4 * 2 + 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in made.parameters())


def test_a_parameter_frozen_by_mistake_is_named() -> None:
    made = learner()
    expected = names(made)
    made.base_model.model.model.layers[2].mlp.down_proj.lora_B.default.weight.requires_grad_(False)

    with pytest.raises(StageError) as caught:
        preflight(made, expected, loss_of(made), inputs_need_gradient=False)
    assert str(caught.value) == (
        "adapter: preflight: base_model.model.model.layers.2.mlp.down_proj.lora_B.default.weight "
        "is frozen, and shall learn: something froze it after it was attached"
    )


def test_a_frozen_gate_is_named() -> None:
    made = learner()
    expected = names(made)
    attach.gates(made)[1].theta.requires_grad_(False)

    with pytest.raises(StageError, match=r"layers\.1\.self_attn\.so8_gate\.theta is frozen, and shall learn"):
        preflight(made, expected, loss_of(made), inputs_need_gradient=False)


def test_a_parameter_that_learns_by_mistake_is_named() -> None:
    made = learner()
    expected = names(made)
    made.base_model.model.lm_head.weight.requires_grad_(True)

    with pytest.raises(StageError, match=r"lm_head\.weight would learn, and shall not$"):
        preflight(made, expected, loss_of(made), inputs_need_gradient=False)


def test_a_detached_hidden_state_names_what_lies_before_it() -> None:
    made = learner()
    layers = made.base_model.model.model.layers
    layers[1].register_forward_hook(lambda _m, _i, output: output.detach())

    with pytest.raises(StageError) as caught:
        preflight(made, names(made), loss_of(made), inputs_need_gradient=False)
    assert str(caught.value) == (
        "adapter: preflight: base_model.model.model.layers.0.mlp.down_proj.lora_A.default.weight, "
        "base_model.model.model.layers.0.mlp.down_proj.lora_B.default.weight, "
        "base_model.model.model.layers.0.mlp.gate_up_proj.lora_A.default.weight (and 17 more) "
        "received no gradient: the loss does not reach it"
    )


def test_a_gradient_that_is_not_finite_is_named() -> None:
    made = learner()
    gate = attach.gates(made)[2]
    gate.theta.register_hook(lambda gradient: gradient * float("inf"))

    with pytest.raises(StageError) as caught:
        preflight(made, names(made), loss_of(made), inputs_need_gradient=False)
    assert str(caught.value) == (
        "adapter: preflight: base_model.model.model.layers.2.self_attn.so8_gate.theta "
        "received a gradient that is not finite"
    )
    assert all(parameter.grad is None for parameter in made.parameters())


def test_inputs_need_a_gradient_where_layers_are_computed_again() -> None:
    made = learner(checkpointing=True)
    preflight(made, names(made), loss_of(made), inputs_need_gradient=True)

    made.get_input_embeddings()._forward_hooks.clear()
    with pytest.raises(StageError, match=r"the embeddings' output does not require a gradient"):
        preflight(made, names(made), loss_of(made), inputs_need_gradient=True)
