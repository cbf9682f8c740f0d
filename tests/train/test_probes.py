"""Probes read what is there, count a pass once, and leave the model, its gradients and its random numbers alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch import Tensor
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from so8t.gate import attach, rotation
from so8t.gate.layer import Gate
from so8t.train.probes import Probes
from tests.gate.families import FAMILIES, LAYERS, WORDS, model, open_up, tokens

REAL = torch.tensor([[1] * 11, [1] * 6 + [0] * 5])
LEARNED = torch.zeros(2, 10, dtype=torch.bool)
LEARNED[0, 3:10], LEARNED[1, 4] = True, True
KEPT = torch.arange(3, 10)  # as training keeps them: wherever some row learns


def lora(made: Any) -> Any:
    torch.manual_seed(11)
    return get_peft_model(made, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))


def watched(made: Any, **options: Any) -> dict[str, Any]:
    probes = Probes(made, attach.gates(made))
    with probes.armed(REAL, LEARNED):
        made(input_ids=tokens(), **options)
    return probes.activity()


def hidden_states(made: Any) -> list[Tensor]:
    """What each layer gives, but for the last, whose output transformers reports after the final norm."""
    return list(made(input_ids=tokens(), output_hidden_states=True).hidden_states[1:-1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("wrapped", [False, True])
def test_activations_are_the_rms_over_real_tokens_of_every_layer(family: str, wrapped: bool) -> None:
    made = model(family)
    open_up(attach.attach(made))
    made = lora(made) if wrapped else made
    with torch.no_grad():
        seen = watched(made)
        want = [states[REAL == 1].square().mean().sqrt().item() for states in hidden_states(made)]

    assert len(seen["activations"]) == LAYERS and all(map(math.isfinite, seen["activations"]))
    assert seen["activations"][:-1] == pytest.approx(want, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"logits_to_keep": KEPT}, {"logits_to_keep": 8}])
def test_logits_are_those_that_are_learned(options: dict[str, Any]) -> None:
    made = lora(model("phi3"))
    with torch.no_grad():
        seen = watched(made, **options)
        learned = made(input_ids=tokens()).logits[:, :-1][LEARNED].double()

    assert learned.shape == (8, WORDS)
    want = [learned.mean(), learned.std(correction=0), learned.min(), learned.max()]
    names = ("logits_mean", "logits_std", "logits_min", "logits_max")
    assert [seen[name] for name in names] == pytest.approx([float(figure) for figure in want], rel=1e-4, abs=1e-6)


def test_many_rows_of_logits_are_summed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    made = model("llama")
    with torch.no_grad():
        whole = watched(made)
        monkeypatch.setattr("so8t.train.probes._ROWS_AT_ONCE", 3)
        parts = watched(made)

    assert parts == {name: pytest.approx(figure, rel=1e-5, abs=1e-6) for name, figure in whole.items()}


def test_a_pass_that_learns_nothing_has_no_logits_to_speak_of() -> None:
    made = model("phi3")
    probes = Probes(made, {})
    with torch.no_grad(), probes.armed(REAL, torch.zeros_like(LEARNED)):
        made(input_ids=tokens())

    assert math.isnan(probes.activity()["logits_std"]) and probes.activity()["activations"][0] > 0


def test_nothing_watched_is_nothing_said() -> None:
    assert Probes(model("phi3"), {}).activity() == {}


def hooks_of(made: Any) -> list[int]:
    return [number for module in made.modules() for number in module._forward_hooks]


def train(made: Any, watch: bool) -> tuple[dict[str, Tensor], Tensor, dict[str, Any]]:
    """One step's gradients, the random state after it, and what was seen."""
    probes = Probes(made, attach.gates(made))
    torch.manual_seed(3)
    made.zero_grad()
    seen = {}
    if watch:
        with probes.armed(REAL, LEARNED):
            loss = made(input_ids=tokens(), labels=tokens()).loss
            loss.backward()  # inside, so that checkpointing runs the layers again under the hooks
        seen = {**probes.activity(), **probes.gates().figures}
    else:
        made(input_ids=tokens(), labels=tokens()).loss.backward()
    gradients = {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}
    return gradients, torch.get_rng_state(), seen


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_watching_changes_no_bit_of_a_step_and_counts_each_layer_once(checkpointing: bool, dtype: torch.dtype) -> None:
    base = model("phi3", {"resid_pdrop": 0.1}, dtype=dtype)
    open_up(attach.attach(base), alpha=0.0)
    if checkpointing:
        base.enable_input_require_grads()
        base.gradient_checkpointing_enable({"use_reentrant": False})
    made = lora(base).train()
    attach.train(attach.gates(made))
    hooks = hooks_of(made)
    plain, random, _ = train(made, watch=False)
    gradients, random_watched, seen = train(made, watch=True)

    assert gradients.keys() == plain.keys() and len(gradients) > 10
    assert all(torch.equal(gradients[name], plain[name]) for name in plain)
    assert torch.equal(random, random_watched)
    assert len(seen["activations"]) == LAYERS and all(map(math.isfinite, seen["activations"]))
    assert hooks_of(made) == hooks


def test_only_the_first_pass_counts() -> None:
    made = model("phi3")
    probes = Probes(made, {})
    with torch.no_grad():
        with probes.armed(REAL, LEARNED):
            made(input_ids=tokens())
            first = probes.activity()
            made(input_ids=tokens() * 0 + 5)
        assert probes.activity() == first


def test_hooks_are_gone_after_a_pass_that_failed() -> None:
    made = model("phi3")
    with pytest.raises(RuntimeError), Probes(made, {}).armed(REAL, LEARNED):
        made(input_ids=torch.full((1, 4), 10, dtype=torch.float64))

    assert not hooks_of(made)


def test_a_quantised_base_is_watched_like_any_other(tmp_path: Path) -> None:
    model("phi3", {"hidden_size": 128, "intermediate_size": 192}).save_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=BitsAndBytesConfig(load_in_8bit=True))
    base = prepare_model_for_kbit_training(base, gradient_checkpointing_kwargs={"use_reentrant": False})
    attach.attach(base, "all", alpha=0.0)
    made = lora(base).train()
    _, _, seen = train(made, watch=True)

    assert len(seen["activations"]) == LAYERS and len(seen["alpha"]) == LAYERS
    assert all(map(math.isfinite, [*seen["activations"], seen["logits_std"]]))


# ---- gates


def gated(kind: str, alpha: float = 1.0) -> dict[int, Gate]:
    found = attach.attach(model("phi3"), "all", kind, alpha)
    open_up(found, alpha, spread=0.05 if kind == "free" else 0.4)
    return found


@pytest.mark.parametrize("kind", ["geodesic", "blend", "free"])
def test_angles_are_those_of_the_eigenvalues(kind: str) -> None:
    found = gated(kind)
    seen = Probes(model("phi3"), found).gates()

    for at, gate in enumerate(found.values()):
        with torch.no_grad():
            matrix = gate.matrix(torch.float64)
            turned = rotation.polar(matrix) if kind == "free" else matrix
            want = torch.rad2deg(rotation.angles(turned))
        torch.testing.assert_close(seen.angles[at], want, atol=1e-4, rtol=0)
        assert seen.figures["angle_mean"][at] == pytest.approx(want.mean().item(), abs=1e-4)
        assert seen.figures["angle_max"][at] == pytest.approx(want.max().item(), abs=1e-4)
        deviation = rotation.deviation(gate.matrix(torch.float64).detach())
        assert seen.figures["deviation"][at] == pytest.approx(deviation.max().item(), rel=1e-3, abs=1e-13)
        assert seen.figures["deviation_mean"][at] == pytest.approx(deviation.mean().item(), rel=1e-3, abs=1e-13)


def test_small_angles_keep_their_digits() -> None:
    found = gated("geodesic")
    for gate in found.values():
        with torch.no_grad():
            gate.reset()
            gate.set_alpha(0.0)
            gate.theta[:, 0] = 1e-6
    seen = Probes(model("phi3"), found).gates()

    assert seen.figures["angle_max"] == pytest.approx([math.degrees(0.5e-6)] * LAYERS, rel=1e-6)


def test_a_gate_at_identity_has_turned_by_nothing() -> None:
    found = attach.attach(model("phi3"))
    seen = Probes(model("phi3"), found).gates()

    assert seen.layers == (1, 2)
    assert seen.figures["alpha"] == [-5.0, -5.0]
    assert seen.figures["g"] == pytest.approx([0.0066928509] * 2)
    assert {name: seen.figures[name] for name in ("deviation", "deviation_mean", "angle_mean", "angle_max")} == {
        "deviation": [0.0, 0.0],
        "deviation_mean": [0.0, 0.0],
        "angle_mean": [0.0, 0.0],
        "angle_max": [0.0, 0.0],
    }


def test_free_gates_have_no_alpha_and_a_model_without_gates_no_figures() -> None:
    assert list(Probes(model("phi3"), gated("free")).gates().figures) == [
        "deviation",
        "deviation_mean",
        "angle_mean",
        "angle_max",
    ]
    assert Probes(model("phi3"), {}).gates().figures == {}


def test_a_gate_that_is_no_number_any_more_says_so_and_the_others_are_read() -> None:
    found = gated("geodesic")
    with torch.no_grad():
        found[2].theta[5, 3] = math.nan
    figures = Probes(model("phi3"), found).gates().figures

    assert [math.isnan(angle) for angle in figures["angle_max"]] == [False, False, True, False]
    assert [math.isnan(far) for far in figures["deviation"]] == [False, False, True, False]


def test_constants_name_the_layers() -> None:
    made = model("phi3")
    gates = attach.attach(made, [0, 2])

    assert Probes(lora(made), gates).constants == {"gated_layers": [0, 2], "decoder_layers": [0, 1, 2, 3]}
