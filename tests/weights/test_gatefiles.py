"""Gates on disk, and the report beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from so8t.errors import StageError
from so8t.gate import attach
from so8t.gate.fold import fold
from so8t.gate.integration import check, integrate
from so8t.gate.kinds import KINDS
from so8t.weights import gatefiles
from tests.gate.families import model, open_up, tokens


def gated(kind: str = "geodesic") -> Any:
    made = model("phi3")
    open_up(attach.attach(made, "intermediate", kind), spread=0.1)
    return made


def logits(made: Any) -> torch.Tensor:
    with torch.no_grad():
        return made(input_ids=tokens()).logits


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_gates_give_the_same_bits(kind: str, tmp_path: Path) -> None:
    made = gated(kind)
    gatefiles.save(made, tmp_path, {})
    fresh = model("phi3")

    gates = gatefiles.load(fresh, tmp_path)

    assert list(gates) == [1, 2] and {gate.kind.name for gate in gates.values()} == {kind}
    assert torch.equal(logits(fresh), logits(made))
    gatefiles.load(made, tmp_path)  # into gates that are there


def test_the_file_holds_the_gates_alone_and_the_json_says_what_they_are(tmp_path: Path) -> None:
    made = gated()
    report = integrate(made, tokens())
    gatefiles.save(made, tmp_path, report.as_json())

    tensors = load_file(tmp_path / "gates.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "model.layers.1.self_attn.so8_gate.alpha": (),
        "model.layers.1.self_attn.so8_gate.theta": (8, 28),
        "model.layers.2.self_attn.so8_gate.alpha": (),
        "model.layers.2.self_attn.so8_gate.theta": (8, 28),
    }
    described = json.loads((tmp_path / "so8t.json").read_text(encoding="utf-8"))
    assert described.pop("orthogonality_error") < 1e-6
    assert described.pop("norm_preservation_error") < 1e-6
    assert described == {
        "kind": "geodesic",
        "attentions": {"1": "model.layers.1.self_attn", "2": "model.layers.2.self_attn"},
        "layers": [1, 2],
        "blocks": 16,
        "parameters": 2 * (8 * 28 + 1),
        "identity_bit_equal": True,
        "acts_before_o_proj": True,
    }


def test_equal_gates_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        gatefiles.save(gated(), tmp_path / name, {})

    for name in ("gates.safetensors", "so8t.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("kind", ["geodesic", "blend"])
def test_matrices_by_projection_name_bake_without_a_model(kind: str, tmp_path: Path) -> None:
    made = gated(kind)
    gatefiles.save(made, tmp_path, {})
    turned, base = logits(made), model("phi3")

    state = base.state_dict()
    for name, matrix in gatefiles.read(tmp_path).matrices().items():
        state[name] = fold(state[name], matrix)
    base.load_state_dict(state)

    assert (logits(base) - turned).abs().max() <= 1e-5 * turned.abs().max()


def test_free_matrices_are_projected(tmp_path: Path) -> None:
    gatefiles.save(gated("free"), tmp_path, {})

    for matrix in gatefiles.read(tmp_path).matrices().values():
        assert (matrix.mT @ matrix - torch.eye(8)).abs().max() < 1e-6


def test_names_do_not_know_of_peft(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(gated(), LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    gatefiles.save(wrapped, tmp_path, {})

    assert sorted(gatefiles.read(tmp_path).matrices()) == [
        "model.layers.1.self_attn.o_proj.weight",
        "model.layers.2.self_attn.o_proj.weight",
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError) as error:
        gatefiles.read(tmp_path)

    assert str(error.value) == (
        f"{tmp_path / 'so8t.json'} is missing: a folder of gates holds so8t.json and gates.safetensors"
    )


def test_other_shapes_are_named_on_both_sides(tmp_path: Path) -> None:
    gatefiles.save(gated(), tmp_path, {})
    tensors = load_file(tmp_path / "gates.safetensors")
    tensors["model.layers.1.self_attn.so8_gate.theta"] = torch.zeros(8, 21)
    save_file(tensors, tmp_path / "gates.safetensors")

    with pytest.raises(StageError) as error:
        gatefiles.load(model("phi3"), tmp_path)

    assert str(error.value) == (
        "gates.safetensors: model.layers.1.self_attn: a geodesic gate of 64 holds "
        "{'theta': (8, 28), 'alpha': ()}, the file {'alpha': (), 'theta': (8, 21)}"
    )


def test_a_tensor_too_many_and_a_gate_too_few_are_named(tmp_path: Path) -> None:
    gatefiles.save(gated(), tmp_path, {})
    tensors = load_file(tmp_path / "gates.safetensors")
    save_file({**tensors, "model.layers.9.self_attn.so8_gate.theta": torch.zeros(8, 28)}, tmp_path / gatefiles.TENSORS)
    with pytest.raises(StageError, match=r"model.layers.9.self_attn.so8_gate.theta belongs to no layer that so8t.json"):
        gatefiles.read(tmp_path)

    save_file({name: t for name, t in tensors.items() if ".1." in name}, tmp_path / gatefiles.TENSORS)
    with pytest.raises(StageError, match=r"no gate for model.layers.2.self_attn, which so8t.json lists$"):
        gatefiles.read(tmp_path).matrices()


def test_gates_at_other_layers_are_refused(tmp_path: Path) -> None:
    gatefiles.save(gated(), tmp_path, {})
    other = model("phi3")
    attach.attach(other, "all")

    with pytest.raises(StageError, match=r"gates for layers \[1, 2\], the model has them at \[0, 1, 2, 3\]$"):
        gatefiles.load(other, tmp_path)


def test_the_check_leaves_the_gates_as_they_were() -> None:
    made = gated()
    before = logits(made)

    check(integrate(made, tokens()))

    assert torch.equal(logits(made), before)


def test_blend_reports_what_it_shrinks() -> None:
    report = integrate(gated("blend"), tokens())

    assert report.orthogonality_error > 1e-3 and report.norm_preservation_error > 1e-3


def test_something_between_gate_and_projection_is_found() -> None:
    made = gated()
    attach.attentions(made)[2].o_proj.register_forward_pre_hook(lambda _m, inputs: (2 * inputs[0],), prepend=True)

    report = integrate(made, tokens())

    assert report.identity_bit_equal and not report.acts_before_o_proj
    with pytest.raises(StageError, match=r"^something lies between a gate and its output projection"):
        check(report)
