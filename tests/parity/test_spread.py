"""How a divergence is spread: the plain formulas, and sections that add up to the whole."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from so8t.parity.figures import Comparison
from so8t.parity.spread import compared, rounded, spread
from so8t.store import running
from tests.parity.test_figures import IDS, pair

SECTIONS = {"a": ["prompt", "class"], "b": ["prompt", "prompt", "thinking", "answer"]}


def parted(seed: int = 0) -> list[Comparison]:
    reference, candidate = pair(seed=seed)
    parts = [Comparison({name: ids}) for name, ids in IDS.items()]
    parts[0].add(reference[:2], candidate[:2])
    parts[1].add(reference[2:], candidate[2:])
    return parts


def test_figures_are_the_plain_formulas() -> None:
    reference, candidate = pair()
    found = spread(parted(), SECTIONS)
    p, q = reference.double().log_softmax(1), candidate.double().log_softmax(1)
    kl = (p.exp() * (p - q)).sum(1)
    rows, following = torch.tensor([0, 2, 3, 4]), torch.tensor([7, 49, 0, 20])
    change = q[rows, following].exp() - p[rows, following].exp()

    assert found["tokens"] == 6
    assert found["kl"] == {
        name: rounded(float(value))
        for name, value in {
            "mean": kl.mean(), "median": kl.quantile(0.5), "p95": kl.quantile(0.95), "p99": kl.quantile(0.99),
            "p99_9": kl.quantile(0.999), "max": kl.max(),
        }.items()
    }  # fmt: skip
    assert found["delta_p"]["mean"] == rounded(float(change.mean()))
    assert found["delta_p"]["rms"] == rounded(float(change.square().mean().sqrt()))
    assert (found["delta_p"]["min"], found["delta_p"]["max"]) == (
        rounded(float(change.min())),
        rounded(float(change.max())),
    )
    ratio = math.exp(float((p[rows, following] - q[rows, following]).mean()))
    assert found["perplexity_ratio"] == rounded(ratio)


def test_sections_add_up_to_the_whole() -> None:
    found = spread(parted(seed=3), SECTIONS)
    parts = found["sections"]

    assert {name: part["tokens"] for name, part in parts.items()} == {
        "prompt": 3, "class": 1, "thinking": 1, "answer": 1,
    }  # fmt: skip
    # each figure is rounded to four digits, half a unit of the last at most
    assert sum(part["tokens"] * part["kl"]["mean"] for part in parts.values()) / found["tokens"] == pytest.approx(
        found["kl"]["mean"], rel=1e-3
    )
    assert sum(part["tokens"] * part["top1"] for part in parts.values()) / 6 == pytest.approx(found["top1"], abs=1e-4)
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1, abs=2e-4)
    assert max(part["kl"]["max"] for part in parts.values()) == found["kl"]["max"]


def test_what_no_token_followed_has_no_change_of_a_probability() -> None:
    parts = spread(parted(), SECTIONS)["sections"]

    assert (parts["class"]["delta_p"], parts["class"]["perplexity_ratio"]) == (None, None)  # the last token of "a"
    assert parts["thinking"]["delta_p"]["mean"] == parts["thinking"]["delta_p"]["median"]  # one token


def test_equal_models_differ_by_nothing_and_noise_is_nothing() -> None:
    reference, _ = pair()
    same = Comparison(IDS)
    same.add(reference, reference.clone())
    found = spread([same], SECTIONS)

    assert set(found["kl"].values()) == {0.0} == set(found["delta_p"].values())
    assert (found["top1"], found["perplexity_ratio"], found["sections"]["answer"]["share"]) == (1.0, 1.0, 0.0)
    assert [rounded(value) for value in (0.123456, 3.3e-10, -4e-10)] == [0.1235, 0.0, 0.0]


def test_who_waits_is_told_how_many_conversations_are_compared(tmp_path: Path) -> None:
    reference = pair()[0].numpy()
    said = []

    def logits(ids: object) -> object:
        said.extend((each.part, each.unit, each.done, each.total) for each in running.read(tmp_path))
        return reference[:2] if ids == IDS["a"] else reference[2:]

    with running.during(tmp_path / "gguf.json", "gguf"):
        found = compared(logits, logits, {**IDS, "short": [1]}, "q4_k_m")  # type: ignore[arg-type]

    assert len(found) == 2
    assert said[0] == ("q4_k_m", "conversation", 0, 2)
    assert spread(found, SECTIONS)["kl"]["max"] == 0.0
