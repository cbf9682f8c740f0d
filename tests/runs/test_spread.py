"""What a sweep found: groups over seeds, means, deviations, and runs without scores."""

from __future__ import annotations

from typing import Any

from so8t.runs import axes, grid, spread, text


def result(*arguments: str, accuracies: list[float | None]) -> spread.Result:
    along = axes.read(arguments)
    rows = [
        spread.Row(member, "k", {"test": {"base": {}, "f16": {"accuracy": accuracy}}}, None, None)
        if accuracy is not None
        else spread.Row(member, None, {}, None, "adapter: no memory")
        for member, accuracy in zip(grid.members("tiny", along), accuracies, strict=True)
    ]
    return spread.Result("tiny", along, tuple(rows))


def test_means_are_taken_over_seeds_wherever_they_stand() -> None:
    found = result("a.train.seed=0..1", "a.lora.r=16,64", accuracies=[0.5, 0.9, 0.75, 0.9])

    assert found.as_json()["seeds"] == ["a.train.seed"]
    assert [(each["values"], each["runs"], each["figures"]) for each in found.as_json()["groups"]] == [
        ({"a.lora.r": 16}, 2, {"test.f16.accuracy": figure(0.625, 0.176777, 0.5, 0.75)}),
        ({"a.lora.r": 64}, 2, {"test.f16.accuracy": figure(0.9, 0.0, 0.9, 0.9)}),
    ]


def test_a_run_without_scores_enters_no_mean_and_says_why() -> None:
    found = result("a.seed=0..2", accuracies=[0.5, None, 0.75])

    assert list(text.sweep(found)) == [
        "test, f16                accuracy",
        "seed=0                      0.500",
        "seed=1                          –",
        "seed=2                      0.750",
        "all mean of 2 of 3  0.625 ± 0.177",
        "",
        "means over a.seed, ± the standard deviation of the sample",
        "tiny+seed-1: adapter: no memory",
    ]
    assert not found.is_whole
    assert found.as_json()["runs"][1] == {
        "profile": "tiny+seed-1",
        "values": {"a.seed": 1},
        "key": None,
        "missed": None,
        "failed": "adapter: no memory",
        "figures": {},
    }


def test_without_a_seed_nothing_is_averaged() -> None:
    found = result("a.lora.r=16,64", accuracies=[0.5, 0.75])

    assert found.as_json()["groups"] == []
    assert list(text.sweep(found)) == [
        "test, f16       accuracy",
        "r=16               0.500",
        "r=64               0.750",
        "",
    ]


def test_a_loss_has_its_column_where_scores_have_one() -> None:
    along = axes.read(["a.lora.r=16"])
    scores = {"test": {"base": {"loss": 6.1}, "adapter": {"loss": 1.0877, "accuracy": 0.8875, "macro_f1": 0.88}}}
    rows = [spread.Row(member, "k", scores, None, None) for member in grid.members("tiny", along)]

    assert list(text.sweep(spread.Result("tiny", along, tuple(rows)))) == [
        "test, adapter       accuracy           loss",
        "r=16                   0.887          1.088",
        "",
    ]


def test_profiles_without_any_scores_are_told_how_to_get_some() -> None:
    assert list(text.sweep(result("a.seed=0..1", accuracies=[None, None]))) == [
        "no scores yet of the 2 profiles; doit sweep without the names of tasks makes them",
        "tiny+seed-0: adapter: no memory",
        "tiny+seed-1: adapter: no memory",
    ]


def test_a_mean_of_one_has_no_deviation() -> None:
    (group,) = result("a.seed=3", accuracies=[0.5]).groups

    assert group.figures == {"test.f16.accuracy": spread.Spread(0.5, None, 0.5, 0.5)}


def figure(mean: float, deviation: float, lowest: float, highest: float) -> dict[str, Any]:
    return {"mean": mean, "deviation": deviation, "lowest": lowest, "highest": highest}
