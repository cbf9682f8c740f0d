"""What gates were worth where it was measured stands in the report of every model that has gates, and in no other."""

from __future__ import annotations

from so8t.report import page, worth
from tests.conftest import ROOT
from tests.report.made import documents, facts


def test_the_table_is_the_benchmarks() -> None:
    found = worth.measured()

    assert found.heads == ("budget", "what learns", "parameters", "held-out loss", "mean angle, degrees")
    assert (found.profile, found.steps, found.seeds, found.held_out) == ("smol", 40, 3, 96)
    assert [row[:2] for row in found.rows] == [
        ("full", "LoRA"),
        ("full", "LoRA + gates (geodesic to 0.1)"),
        ("full", "LoRA + gates (geodesic to 0.9)"),
        ("full", "OFT"),
        ("few", "LoRA"),
        ("few", "gates (geodesic to 0.1)"),
        ("few", "gates (geodesic to 0.9)"),
        ("few", "gates (free)"),
        ("few", "OFT"),
    ]


def test_the_page_of_stages_has_the_same_table() -> None:
    page_of_stages = (ROOT / "docs" / "stages.md").read_text("utf-8")

    for row in worth.measured().rows:
        assert f"| {' | '.join(row)} |\n".replace("|  |", "| |") in page_of_stages


def test_it_stands_where_gates_are_and_says_that_it_is_of_another_model() -> None:
    told = page.render(facts())
    gateless = {name: each for name, each in documents().items() if name != "so8t_model/so8t.json"}
    without = page.render(facts(documents=gateless))

    assert "What gates were worth where they were measured" in told
    assert "of the profile smol and not of this model: 40 steps on the same data for all, 3 seeds" in told
    assert "What gates were worth" not in without
