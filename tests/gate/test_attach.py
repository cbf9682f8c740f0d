"""Gates on real models of every family."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn

from so8t.errors import StageError
from so8t.gate import attach
from so8t.gate.fold import fold
from so8t.gate.kinds import KINDS
from so8t.gate.layer import Gate
from so8t.gate.orthogonality import orthogonality_loss
from tests.gate.families import DIM, FAMILIES, LAYERS, model, open_up, tokens


def implementations(family: str) -> list[str]:
    return ["eager"] if family == "gemma2" else ["sdpa", "eager"]  # its soft cap is eager's alone


EACH = [(family, how) for family in FAMILIES for how in implementations(family)]


def logits(made: Any) -> torch.Tensor:
    with torch.no_grad():
        return made(input_ids=tokens()).logits


def fold_all(made: Any) -> None:
    """The standard model: gates into their projections, then off."""
    with torch.no_grad():
        for layer, gate in attach.gates(made).items():
            weight = attach.attentions(made)[layer].o_proj.weight
            weight.copy_(fold(weight, gate.matrix(torch.float64)))
    attach.detach(made)


@pytest.mark.parametrize(("family", "how"), EACH)
def test_gates_at_identity_change_no_bit_of_the_logits(family: str, how: str) -> None:
    base = model(family, attn_implementation=how)
    before = logits(base)

    gates = attach.attach(base, "all", alpha=2.0)

    assert list(gates) == [0, 1, 2, 3] and {gate.dim for gate in gates.values()} == {DIM}
    assert torch.equal(logits(base), before)


@pytest.mark.parametrize(("family", "how"), EACH)
@pytest.mark.parametrize("kind", KINDS)
def test_fold_then_run_is_run_with_the_gate(family: str, how: str, kind: str) -> None:
    gated = model(family, attn_implementation=how)
    before = logits(gated)
    open_up(attach.attach(gated, "intermediate", kind))
    turned = logits(gated)

    fold_all(gated)

    folded, scale = logits(gated), turned.abs().max()
    assert gated.config._attn_implementation == how
    assert (folded - turned).abs().max() <= 1e-5 * scale
    assert (turned - before).abs().max() > 1e-2 * scale  # the gates do something


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_and_a_cache_see_the_same_gates(family: str) -> None:
    gated = model(family)
    open_up(attach.attach(gated))
    ids = tokens(1)
    alone = logits_of(gated, ids)

    padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], 1)
    mask = (torch.arange(padded.shape[1]) >= 3).long()[None]
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        behind = gated(input_ids=padded, attention_mask=mask, position_ids=positions).logits[:, 3:]
        step = gated(input_ids=ids[:, :6], use_cache=True)
        rest = gated(input_ids=ids[:, 6:], past_key_values=step.past_key_values).logits

    torch.testing.assert_close(behind, alone, rtol=0, atol=float(1e-5 * alone.abs().max()))
    torch.testing.assert_close(rest, alone[:, 6:], rtol=0, atol=float(1e-5 * alone.abs().max()))


def logits_of(made: Any, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return made(input_ids=ids).logits


def test_gates_computed_once_generate_the_same_and_are_let_go() -> None:
    gated = model("phi3")
    gates = attach.attach(gated)
    open_up(gates)
    options = {"max_new_tokens": 6, "do_sample": False}
    free = gated.generate(tokens(1), **options)

    with attach.computed_once(gated):
        assert torch.equal(gated.generate(tokens(1), **options), free)

    assert all(gate._kept is None for gate in gates.values())


def test_layers_are_detected_from_the_config() -> None:
    assert attach.choose("all", LAYERS, range(LAYERS)) == (0, 1, 2, 3)
    assert attach.choose("intermediate", LAYERS, range(LAYERS)) == (1, 2)
    assert attach.choose("intermediate", 2, range(2)) == ()
    assert attach.choose([3, 0, 3], LAYERS, range(LAYERS)) == (0, 3)
    assert attach.choose("intermediate", 8, [0, 3, 7]) == (3,)  # a hybrid with attention in some layers


def test_a_layer_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(StageError, match=r"^gates.layers: no attention at layer -1, 4; there is at 0, 1, 2, 3$"):
        attach.attach(model("phi3"), [4, 1, -1])


def test_a_model_without_output_projections_is_refused() -> None:
    with pytest.raises(StageError, match=r"^Linear has no attention module with an o_proj"):
        attach.attentions(nn.Linear(2, 2))


def test_a_width_that_eight_does_not_divide_names_the_layer_and_the_width() -> None:
    made = model("llama", {"head_dim": 6, "num_attention_heads": 2})

    with pytest.raises(StageError, match=r"^layer 1: a gate needs a dimension divisible by 8, .* has 12: "):
        attach.attach(made)
    assert attach.gates(made) == {}


def test_gates_are_attached_once() -> None:
    gated = model("phi3")
    attach.attach(gated)

    with pytest.raises(StageError, match=r"^Phi3ForCausalLM has gates already: detach them first$"):
        attach.attach(gated)


def test_detach_gives_the_base_back() -> None:
    gated = model("phi3")
    before, names = logits(gated), list(gated.state_dict())
    open_up(attach.attach(gated, "all"))
    assert not torch.equal(logits(gated), before)

    attach.detach(gated)

    assert torch.equal(logits(gated), before)
    assert list(gated.state_dict()) == names and gated.config._attn_implementation == "sdpa"
    assert attach.gates(gated) == {}
    assert not any(module._forward_pre_hooks for module in gated.modules())


def test_without_is_the_base_for_a_while() -> None:
    gated = model("phi3")
    before = logits(gated)
    open_up(attach.attach(gated))
    turned = logits(gated)

    with attach.without(gated):
        assert torch.equal(logits(gated), before)
    assert torch.equal(logits(gated), turned)


def test_a_change_of_attention_that_would_bypass_gates_is_refused() -> None:
    gated = model("phi3")
    attach.attach(gated)
    gated.set_attn_implementation("eager")

    with pytest.raises(StageError, match=r"^the attention implementation was changed to 'eager' after gates were"):
        logits(gated)


def test_an_attention_that_cannot_carry_gates_is_refused() -> None:
    made = model("phi3")
    made.config._attn_implementation_internal = "flash_attention_2"

    with pytest.raises(StageError) as error:
        attach.attach(made)

    assert str(error.value) == (
        "attention implementation 'flash_attention_2' cannot carry gates: load the model with "
        'attn_implementation="sdpa" or "eager"'
    )


def test_a_copy_has_gates_of_its_own() -> None:
    gated = model("phi3")
    open_up(attach.attach(gated))
    copied = copy.deepcopy(gated)

    attach.gates(copied)[1].reset()

    assert not torch.equal(logits(copied), logits(gated))


def test_the_saved_config_knows_nothing_of_gates(tmp_path: Any) -> None:
    gated = model("phi3")
    attach.attach(gated)
    gated.config.save_pretrained(tmp_path)

    assert "so8t" not in (tmp_path / "config.json").read_text(encoding="utf-8")


def learning(kind: str, checkpointing: bool, reentrant: bool = False) -> tuple[Any, dict[int, Gate]]:
    """A frozen model, and its gates on every layer, which learn."""
    made = model("phi3").train()
    gates = attach.attach(made, "all", kind)
    open_up(gates)
    made.requires_grad_(False)
    attach.train(gates)
    made.enable_input_require_grads()
    if checkpointing:
        made.gradient_checkpointing_enable({"use_reentrant": reentrant})
    return made, gates


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_checkpointing_gives_the_same_gradients(kind: str, reentrant: bool) -> None:
    def gradients(checkpointing: bool) -> dict[str, torch.Tensor]:
        made, _ = learning(kind, checkpointing, reentrant)
        made(input_ids=tokens(), labels=tokens()).loss.backward()
        return {name: p.grad for name, p in made.named_parameters() if p.grad is not None}

    plain, again = gradients(False), gradients(True)

    assert len(plain) == LAYERS * (1 if kind == "free" else 2)
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) and plain[name].abs().sum() > 0 for name in plain)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_shared_matrices_teach_the_same_and_are_taken_back(kind: str, checkpointing: bool) -> None:
    made, gates = learning(kind, checkpointing)

    def gradients() -> dict[str, torch.Tensor]:
        made.zero_grad()
        loss = made(input_ids=tokens(), labels=tokens()).loss
        (loss + orthogonality_loss(gates.values(), loss)).backward()
        return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}

    alone = gradients()
    with attach.shared(gates.values()):
        together = gradients()

    assert alone.keys() == together.keys()
    for name, gradient in alone.items():
        assert torch.allclose(together[name], gradient, rtol=1e-5, atol=1e-7 * float(gradient.abs().max())), name
    with torch.no_grad():
        before = logits(made)
        for gate in gates.values():
            next(gate.parameters()).mul_(2)
        assert not torch.equal(logits(made), before)


def test_alpha_can_be_held_while_rotations_learn() -> None:
    gates = attach.attach(model("phi3"))

    assert len(attach.train(gates, alpha=False)) == 2
    assert [gate.alpha.requires_grad for gate in gates.values()] == [False, False]
    assert len(attach.train(gates)) == 4


def test_the_model_in_sixteen_bits_keeps_its_gates_in_thirty_two() -> None:
    gated = model("phi3", dtype=torch.bfloat16)
    gates = attach.attach(gated)
    before = logits(gated)
    open_up(gates)

    assert {p.dtype for gate in gates.values() for p in gate.parameters()} == {torch.float32}
    assert logits(gated).dtype == torch.bfloat16 and not torch.equal(logits(gated), before)
