"""An evaluation's pictures: which there are, of what size, not blank, and the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy
import pytest
from PIL import Image

from so8t.evals import bench
from so8t.evals.outcomes import Outcome
from so8t.formats.records import LABELS, Label
from so8t.plots import canvas, verdicts
from so8t.plots.canvas import Look

pytestmark = pytest.mark.slow


def outcomes(right: float, stated: bool = True) -> list[Outcome]:
    """Forty answers, so large a part of them right, with confidences all over the scale."""
    found = []
    for at in range(40):
        truth: Label = LABELS[at % 4]
        said = truth if at < 40 * right else LABELS[(at + 1 + at // 8) % 4]
        found.append(Outcome(f"r{at}", truth, said if stated else None, at / 40 if stated else None, None, "stop", ""))
    return found


def splits(models: int, names: tuple[str, ...] = ("test_known", "test_novel"), direct: bool = False) -> dict[str, Any]:
    by_model = {"base": outcomes(0, stated=False)} | {f"q{at}_k_m": outcomes(1 - at / 10) for at in range(models)}
    found: dict[str, Any] = {name: bench.scores(by_model, 100, 0, "base") for name in names}
    for figures in found.values():
        for model in figures.keys() - {"base"}:
            figures[model]["pytorch"] = {"accuracy": 0.9}
            if direct:
                figures[model]["direct"] = bench.direct_scores(outcomes(0.5), by_model[model], 100, 0)
    return found


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    ("models", "names"),
    [
        (3, ("test_known", "test_novel")),
        pytest.param(7, ("a", "b", "c"), marks=pytest.mark.soak),
        (1, ("test",)),
    ],
)
def test_every_picture_is_drawn_whole(models: int, names: tuple[str, ...], direct: bool, tmp_path: Path) -> None:
    made = verdicts.draw(splits(models, names, direct), tmp_path, Look(8, 60))

    assert [path.stem for path in made] == [
        "confusion-base",
        *(f"confusion-q{at}_k_m{mode}" for at in range(models) for mode in ("", "-direct")[: 1 + direct]),
        "accuracy",
        "errors",
        "reliability",
    ]
    for path in made:
        pixels = numpy.asarray(Image.open(path).convert("L"))
        assert pixels.shape[1] == 480
        assert (pixels < 128).mean() > 0.001
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge == 255).all()  # nothing runs out of the picture


def figure(picture: Any, *given: Any) -> Any:
    with canvas.style():
        return picture(*given, Look())


def texts(drawn: Any) -> list[str]:
    return [text.get_text() for text in drawn.findobj(mpl.text.Text) if text.get_text()]


def test_a_base_without_a_valid_answer_is_neither_safe_nor_unsafe() -> None:
    drawn = figure(verdicts.errors, splits(1))

    assert texts(drawn).count("no valid answer to 40 of 40: neither safe nor unsafe") == 2  # once in each split
    assert "● no valid answer" in texts(drawn)
    assert not any("0.000  (0.000" in text for text in texts(figure(verdicts.errors, splits(0))))


def test_all_panels_of_errors_have_one_scale() -> None:
    uneven = splits(2)
    for name in ("unsafe_compliance", "over_refusal"):
        uneven["test_novel"]["q1_k_m"][name] = 0.7
        uneven["test_novel"]["q1_k_m"]["intervals"][name] = [0.6, 0.8]

    first, second = figure(verdicts.errors, uneven).axes

    assert first.get_xlim() == second.get_xlim() == (0, pytest.approx(0.88))


def test_accuracy_marks_a_base_that_cannot_know_the_format() -> None:
    assert texts(figure(verdicts.accuracy, splits(1))).count("0.000: cannot know the format") == 2


def test_the_axes_of_a_confusion_have_names() -> None:
    for panel in figure(verdicts.confusion, splits(1), "base").axes:
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("what the answer says", "what the record is")


def test_one_dot_is_no_picture_of_reliability_but_a_sentence(tmp_path: Path) -> None:
    sure = splits(1)
    for by_model in sure.values():
        by_model["q0_k_m"]["reliability"] = by_model["q0_k_m"]["reliability"][-1:]

    made = verdicts.draw(sure, tmp_path, Look(8, 60))

    assert "reliability" not in [path.stem for path in made]
    assert verdicts.left_out(sure) == (
        "every model states confidences of one tenth of the scale alone, so one dot would be all of its reliability"
    )
    assert verdicts.left_out(splits(0)) == "no answer states a confidence"
    assert verdicts.left_out(splits(1)) == ""


def test_equal_scores_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        verdicts.draw(splits(2), tmp_path / name, Look(8, 60))

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_where_no_confidence_was_stated_there_is_no_reliability(tmp_path: Path) -> None:
    made = verdicts.draw(splits(0), tmp_path, Look(8, 60))

    assert [path.stem for path in made] == ["confusion-base", "accuracy", "errors"]
