"""The training in charts: what is drawn, what is left out, and lines that are where their values are."""

from __future__ import annotations

import json
import re

import pytest

from so8t.report import lines, training
from so8t.report.facts import Value
from so8t.report.lines import Line, Mark
from tests.report.made import SERIES, facts, stage


def test_a_chart_for_each_thing_that_was_measured() -> None:
    assert [chart.title for chart in training.charts(facts())] == [
        *("Loss", "Smoothness (PET)", "Learning rate", "Gradients", "Opening of the gates", "Alpha"),
        *("Rotation angles, largest", "Rotation angles, mean", "Logits", "Activations"),
    ]  # every deviation is zero, which no logarithm can show


def test_two_equal_learning_rates_are_one_line_and_two_others_are_two() -> None:
    apart = [{**each, "gate_learning_rate": 2e-3} for each in SERIES]

    def names(series: list[dict]) -> list[str]:
        (chart,) = (one for one in training.charts(facts(series=series)) if one.title == "Learning rate")
        return [key.name for key in chart.keys]

    assert names(SERIES) == ["LoRA and gates"]
    assert names(apart) == ["LoRA", "gates"]


def test_gradients_show_the_norm_to_which_they_are_clipped() -> None:
    adapter = stage("adapter", values=(Value("train.max_gradient", 1.5),))
    (chart,) = (one for one in training.charts(facts(stages=(adapter,))) if one.title == "Gradients")

    assert "clipped to 1.5" in chart.picture


def test_layers_have_their_own_numbers_and_a_last_value_names_its_record() -> None:
    (chart,) = (one for one in training.charts(facts()) if one.title == "Alpha")

    assert [(key.name, key.last.text) for key in chart.keys] == [("layer 1", "-2"), ("layer 2", "-1")]
    assert (chart.keys[1].last.file, chart.keys[1].last.record) == (
        "adapter/monitoring/series.jsonl",
        "alpha[1], last line",
    )


def test_the_speed_of_each_run_is_a_line_of_its_own() -> None:
    pace = [
        {"run": run, "step": step, "tokens_per_second": 1000.0 * run} for run, step in ((1, 1), (1, 9), (2, 5), (2, 12))
    ]
    (chart,) = (one for one in training.charts(facts(pace=pace)) if one.title == "Speed")

    assert [(key.name, key.last.text, key.last.file) for key in chart.keys] == [
        ("run 1", "1,000", ""), ("run 2", "2,000", ""),
    ]  # fmt: skip


def test_a_figure_says_profile_stage_short_key_and_day() -> None:
    assert facts().mark("cleaned") == "own · cleaned 0cleaned · 2026-11-27"
    assert facts().mark("ollama") == facts().mark("nothing") == ""


def test_without_a_series_there_is_no_chart() -> None:
    assert training.charts(facts(series=())) == ()


def path_of(drawn: str) -> str:
    found = re.search(r'<path d="([^"]*)" class="line s0"', drawn)
    assert found
    return found[1]


def test_a_line_goes_through_its_values_and_a_value_that_is_missing_is_a_gap() -> None:
    drawn = str(lines.draw("t", [Line("a", [(0, 0.0), (50, 1.0), (75, float("nan")), (100, 0.5)])]))

    assert path_of(drawn) == "M52.0 194.0L210.0 12.0M368.0 103.0"
    found = re.search(r'data-lines="([^"]*)"', drawn)
    assert found
    data = json.loads(found[1].replace("&#34;", '"'))
    assert data == {"x": [52, 368, 0, 100], "lines": {"a": [[0, 0.0], [50, 1.0], [75, None], [100, 0.5]]}}


def test_a_logarithmic_axis_has_whole_powers_of_ten_and_leaves_out_what_is_not_positive() -> None:
    drawn = str(lines.draw("t", [Line("a", [(0, 0.0), (1, 0.02), (2, 5.0)])], log=True))

    assert re.findall(r'text-anchor="end" class="facts">([^<]*)<', drawn)[:4] == ["0.01", "0.1", "1", "10"]
    assert path_of(drawn).startswith("M210.0 ")


def test_a_level_is_within_the_picture_though_no_value_reaches_it() -> None:
    drawn = str(lines.draw("t", [Line("a", [(0, 1.0), (1, 2.0)])], marks=[Mark("clipped", 9.0)]))

    assert "clipped" in drawn
    assert all(float(y) >= 0 for y in re.findall(r'class="level"', drawn) and re.findall(r"M52 ([\d.-]+)H368", drawn))


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [5.0, 5.0, 5.0], [-3.0, 4e9], [1e-30, 1e-29], []])
def test_any_values_have_an_axis(values: list[float]) -> None:
    points = list(enumerate(values))

    for log in (False, True):
        assert "nan" not in str(lines.draw("t", [Line("a", points)], log=log and bool(values) and min(values) > 0))


def test_a_long_series_is_thinned_and_keeps_its_ends() -> None:
    drawn = str(lines.draw("t", [Line("a", [(at, float(at)) for at in range(10_001)])]))

    assert path_of(drawn).count("L") < 320
    assert path_of(drawn).endswith("L368.0 12.0")
