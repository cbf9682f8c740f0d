"""A kind of gate is one object: the spec names those there are, and one that only this test knows goes all the way."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import Tensor

from so8t.gate import attach, rotation
from so8t.gate.integration import integrate
from so8t.gate.kinds import KINDS, Kind, identity, turned
from so8t.train.probes import Probes
from so8t.weights import gatefiles
from stages import so8t_model
from tests.gate.families import LAYERS, model, open_up, tokens
from tests.gate.test_training import learn
from tests.weights import workshop


def cayley(twist: Tensor, g: Tensor) -> Tensor:
    """(I - gA/2)⁻¹ (I + gA/2): a rotation without an exponential."""
    half = g * rotation.skew(twist) / 2
    return torch.linalg.solve(identity(half) - half, identity(half) + half)


CAYLEY = Kind("cayley", "twist", (rotation.NUMBERS,), True, cayley, lambda blocks, g: turned(blocks - identity(blocks)))


@pytest.fixture(autouse=True)
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "cayley", CAYLEY)


def test_the_spec_names_every_kind_that_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "cayley")

    assert list(get_args(so8t_model.Spec.model_fields["kind"].annotation)) == list(KINDS)
    described = so8t_model.Spec.model_json_schema()["properties"]["kind"]["description"]
    assert [part.split(":")[0] for part in described.split("; ")] == list(KINDS)


def test_an_added_kind_is_attached_and_proven_like_the_others() -> None:
    made = model("phi3")
    attach.attach(made, "all", "cayley")
    report = integrate(made, tokens())

    assert (report.identity_bit_equal, report.acts_before_o_proj, report.layers) == (True, True, (0, 1, 2, 3))
    assert report.parameters == LAYERS * (8 * 28 + 1)


def test_an_added_kind_is_measured() -> None:
    found = attach.attach(model("phi3"), "all", "cayley")
    open_up(found)
    seen = Probes(model("phi3"), found).gates()

    assert seen.figures["g"] == pytest.approx([0.7310585786] * LAYERS)
    assert max(seen.figures["deviation"]) < 1e-12
    for at, gate in enumerate(found.values()):
        want = torch.rad2deg(rotation.angles(gate.matrix(torch.float64).detach()))
        torch.testing.assert_close(seen.angles[at], want, atol=1e-4, rtol=0)


def test_an_added_kind_learns_and_is_kept_and_read_again(tmp_path: Path) -> None:
    made = model("phi3")
    open_up(attach.attach(made, "all", "cayley"), alpha=0.0)
    losses = learn(made)
    gatefiles.save(made, tmp_path, {})
    again = gatefiles.load(model("phi3"), tmp_path)

    assert losses[-1] < losses[0]
    assert sorted(gatefiles.read(tmp_path).tensors)[:2] == [
        "model.layers.0.self_attn.so8_gate.alpha",
        "model.layers.0.self_attn.so8_gate.twist",
    ]
    for layer, gate in attach.gates(made).items():
        assert torch.equal(gate.matrix(), again[layer].matrix())


def test_an_added_kind_is_baked_and_stays_the_same_function(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, kind="cayley")
    workshop.merge_it(trained)
    baked = workshop.bake_it(trained)

    assert workshop.apart(workshop.logits(trained.model), workshop.logits(workshop.plain(baked))) < 1e-5
