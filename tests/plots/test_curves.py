"""Pictures as a person gets them: decoded, of the right size, not blank, and the same bytes each time."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy
import pytest
from PIL import Image

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.plots import canvas, curves, lines
from so8t.plots.canvas import Look
from stages.curves import Spec, build

pytestmark = pytest.mark.slow

ALL = ["loss", "alpha", "orthogonality", "angles", "logits", "learning_rate", "gradients", "activations"]


def series(samples: int, layers: int = 4, **other: Any) -> dict[str, Any]:
    """Columns of a run as adapters leave them, with the same wiggles each time."""
    random = numpy.random.default_rng(0)
    done = numpy.linspace(0, 1, samples)
    gated = numpy.arange(1, layers - 1) if layers > 2 else numpy.arange(layers)
    each = 1 + random.normal(0, 0.3, len(gated))
    weight = numpy.select([done < 0.2, done < 0.6], [0.01, 0.05], 0.1)
    alpha = -5 + 2.8 * numpy.minimum(done / 0.1, 1)[:, None] + done[:, None] * each
    turned = numpy.abs(30 * done[:, None] * each)
    loss = 0.4 + 3 * numpy.exp(-6 * done) + 0.1 * random.random(samples)
    return {
        "gated_layers": gated,
        "decoder_layers": numpy.arange(layers),
        "step": 10 * numpy.arange(1, samples + 1),
        "loss": loss + weight,
        "task": loss,
        "pet": 1 + 0.1 * random.random(samples),
        "orthogonality": numpy.full(samples, 3e-31),
        "validation": numpy.where(numpy.arange(samples) % 5 == 0, loss + 0.1, math.nan),
        "pet_weight": weight,
        "phase": numpy.select([done < 0.2, done < 0.6], ["exploration", "transition"], "stabilisation"),
        "learning_rate": 2e-4 * (1 - done),
        "gate_learning_rate": 2e-3 * (1 - done),
        "gradient_norm": numpy.exp(random.normal(-1, 0.3, samples)),
        "gate_gradient_norm": numpy.exp(random.normal(-3, 0.3, samples)),
        "alpha": alpha,
        "g": 1 / (1 + numpy.exp(-alpha)),
        "deviation": numpy.where(numpy.arange(samples) < 2, 0.0, 1e-15)[:, None] * numpy.ones_like(each),
        "angle_mean": turned,
        "angle_max": 3 * turned,
        "logits_mean": done - 2,
        "logits_std": 2 + done,
        "logits_min": -9 - done,
        "logits_max": 12 + done,
        "activations": 0.5 * 1.1 ** numpy.arange(layers) * (1 + done[:, None]),
        **other,
    }


def of_loss(samples: int, **other: Any) -> dict[str, Any]:
    """Only the columns that the picture of the loss is drawn from."""
    kept = ("step", "loss", "task", "pet", "orthogonality", "validation", "pet_weight", "phase")
    return {name: values for name, values in series(samples, **other).items() if name in kept}


def drawn(folder: Path, columns: dict[str, Any], look: Look | None = None) -> dict[str, Any]:
    """Every picture by its name, decoded."""
    folder.mkdir(exist_ok=True)
    numpy.savez(folder / "series.npz", **{name: values for name, values in columns.items() if values is not None})
    made = curves.draw(folder / "series.npz", folder / "plots", look)
    assert sorted(made) == sorted((folder / "plots").iterdir())
    pictures = {}
    for path in made:
        with Image.open(path) as picture:
            assert (picture.format, picture.info.keys()) == ("PNG", {"dpi"})
            pictures[path.stem] = numpy.asarray(picture.convert("RGB")).astype(int)
    return pictures


def shown(picture: Any, colour: str) -> int:
    """How many points have exactly that colour."""
    return int((picture == [int(colour[at : at + 2], 16) for at in (1, 3, 5)]).all(-1).sum())


@pytest.mark.parametrize(("samples", "layers"), [(20, 2), (10_000, 32), (1, 4), (2, 1)])
@pytest.mark.filterwarnings("error")
def test_every_picture_is_there_for_short_and_long_runs_of_few_and_many_layers(
    samples: int, layers: int, tmp_path: Path
) -> None:
    pictures = drawn(tmp_path, series(samples, layers), Look(dpi=60))

    assert list(pictures) == ALL
    for name, picture in pictures.items():
        assert picture.shape[1] == 600 and 200 <= picture.shape[0] <= 640, name
        assert picture.std() > 12, name
        assert (picture[:, :3] == 255).all() and (picture[-3:] == 255).all(), name  # nothing is cut off


def test_width_and_dots_are_the_spec_s(tmp_path: Path) -> None:
    assert drawn(tmp_path, of_loss(5), Look(8, 50))["loss"].shape[1] == 400
    assert drawn(tmp_path, of_loss(5))["loss"].shape[1] == 1200


@pytest.mark.filterwarnings("error")
def test_numbers_that_are_none_leave_gaps_and_no_error(tmp_path: Path) -> None:
    columns = series(90, 5)
    for name in ("loss", "task", "gradient_norm", "logits_max"):
        columns[name][40:60] = math.nan
    columns["loss"][70] = math.inf
    columns["deviation"][:, 1] = math.nan
    columns["angle_mean"][30:, 0] = math.nan
    columns["activations"][:, 4] = math.inf

    pictures = drawn(tmp_path, columns, Look(dpi=60))

    assert list(pictures) == ALL


def test_a_run_without_gates_has_no_pictures_of_them(tmp_path: Path) -> None:
    missing = ("alpha", "g", "deviation", "angle_mean", "angle_max", "gate_learning_rate", "gate_gradient_norm")

    pictures = drawn(tmp_path, series(20, **dict.fromkeys((*missing, "validation", "phase"))), Look(dpi=60))

    assert list(pictures) == ["loss", "logits", "learning_rate", "gradients", "activations"]
    assert shown(pictures["loss"], "#dd7327") == 0  # no dot of a validation that was not
    assert shown(pictures["gradients"], "#dd7327") == 0


def test_losses_and_their_phases_are_where_they_belong(tmp_path: Path) -> None:
    picture = drawn(tmp_path, of_loss(20), Look(dpi=100))["loss"]

    assert shown(picture, "#2f6db5") > 500 and shown(picture, "#dd7327") > 100
    shades = [shown(picture, colour) for colour in ("#edf3fb", "#fdf3e8", "#ecf6f0")]
    assert [round(shade / sum(shades), 1) for shade in shades] == [0.2, 0.4, 0.4]


def test_pet_is_drawn_with_the_weight_that_it_has_in_the_loss(tmp_path: Path) -> None:
    weighted = drawn(tmp_path / "a", of_loss(100), Look(dpi=60))["loss"]
    other = drawn(tmp_path / "b", of_loss(100, pet_weight=numpy.full(100, 0.01)), Look(dpi=60))["loss"]

    assert shown(weighted, "#2f9469") > 50 and not numpy.array_equal(weighted, other)


def figure(name: str, columns: dict[str, Any], **more: Any) -> Any:
    """A picture as matplotlib holds it: panels, lines and texts."""
    with canvas.style():
        return curves.PICTURES[name][1]({key: numpy.asarray(value) for key, value in columns.items()}, Look(), **more)


def texts(drawn: Any) -> list[str]:
    return [text.get_text() for text in drawn.findobj(mpl.text.Text) if text.get_text()]


def test_two_equal_learning_rates_are_one_panel_and_two_others_are_two() -> None:
    equal, apart = series(20), series(20)
    equal["gate_learning_rate"] = equal["learning_rate"]

    assert [len(figure("learning_rate", columns).axes) for columns in (equal, apart)] == [1, 2]
    assert "of the low-rank part and of the gates" in texts(figure("learning_rate", equal))


def test_gradients_show_the_norm_that_they_are_clipped_to() -> None:
    with_clip, without = figure("gradients", series(20), clip=0.7), figure("gradients", series(20))

    assert "before they are clipped to 0.7 (dashed)" in texts(with_clip)
    levels = [line.get_ydata()[0] for line in with_clip.axes[0].lines if len(set(line.get_ydata())) == 1]
    assert 0.7 in levels
    assert "before clipping" in texts(without)


def test_gates_that_are_open_are_looked_at_more_closely_and_their_lines_fill_the_panel() -> None:
    columns = series(100)
    closer = figure("alpha", columns).axes[1]
    low, high = closer.get_ylim()
    values = columns["g"][numpy.argmax(columns["g"].mean(1) >= 0.9 * columns["g"].mean(1).max()) :]

    assert (values.max() - values.min()) / (high - low) > 0.75
    assert len(figure("alpha", series(3)).axes) == 1


def test_what_is_zero_up_to_rounding_takes_a_low_panel_and_says_so() -> None:
    rounding, real = series(50), series(50)
    real["deviation"] = real["deviation"] * 0 + 1e-3

    heights = [figure("orthogonality", columns).axes[0].get_position().height for columns in (rounding, real)]
    assert figure("orthogonality", rounding).get_figheight() < figure("orthogonality", real).get_figheight() - 1
    assert all(height > 0.4 for height in heights)
    said = "all of it is below 3.4e-07, the rounding of float32: zero as far as float32 can tell"
    assert [any(said in text for text in texts(figure("orthogonality", each))) for each in (rounding, real)] == [
        True,
        False,
    ]
    low, high = figure("orthogonality", rounding).axes[0].get_ylim()
    assert numpy.log10(high / low) < 3  # nine decades of nothing were above it


def test_angles_are_lines_so_that_the_largest_are_told_apart() -> None:
    drawn = figure("angles", series(50))

    assert [panel.get_ylabel() for panel in drawn.axes] == ["mean angle (°)", "largest angle (°)"]
    for panel, name in zip(drawn.axes, ("angle_mean", "angle_max"), strict=True):
        ends = [line.get_ydata()[-1] for line in panel.lines if len(line.get_ydata()) == 50]
        assert ends == pytest.approx(series(50)[name][-1])
        assert panel.get_ylim()[0] == 0


def test_every_picture_carries_the_stage_and_its_short_key(tmp_path: Path) -> None:
    plain = drawn(tmp_path / "a", series(5), Look(dpi=60))
    marked = drawn(tmp_path / "b", series(5), Look(dpi=60, mark="curves 4ad83f10"))

    for name, picture in marked.items():
        corner = picture[:20, -200:]
        assert (corner < 200).any() and (plain[name][:20, -200:] == 255).all(), name


def test_a_series_without_a_sample_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError) as raised:
        drawn(tmp_path, {})

    assert str(raised.value) == "curves: the adapter's series has no sample"


DRAW = "import sys; from pathlib import Path; from so8t.plots import canvas, curves; "
DRAW += "curves.draw(*map(Path, sys.argv[1:]), canvas.Look(dpi=50))"


def test_equal_series_give_equal_bytes_whatever_the_hash_seed_and_the_user_s_settings(
    tmp_path: Path, root: Path
) -> None:
    drawn(tmp_path, series(700, 14), Look(dpi=50))
    (tmp_path / "matplotlibrc").write_text("lines.linewidth: 9\nsavefig.dpi: 30\nfont.size: 20\n", encoding="utf-8")
    env = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": str(root), "MATPLOTLIBRC": str(tmp_path)}
    argv = [sys.executable, "-c", DRAW, str(tmp_path / "series.npz"), str(tmp_path / "again")]
    subprocess.run(argv, check=True, cwd=tmp_path, env=env)

    for path in sorted((tmp_path / "plots").iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_drawing_leaves_matplotlib_as_it_was(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    drawn(tmp_path, of_loss(5), Look(dpi=60))

    assert dict(mpl.rcParams) == before


def test_the_stage_draws_the_adapter_s_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    monitoring = tmp_path / "adapter" / "monitoring"
    monitoring.mkdir(parents=True)
    numpy.savez(monitoring / "series.npz", **series(3))

    build(Inputs({"adapter": tmp_path / "adapter"}), tmp_path / "out", Spec(dpi=40))

    assert sorted(path.name for path in (tmp_path / "out" / "plots").iterdir()) == sorted(f"{n}.png" for n in ALL)
    assert capsys.readouterr().err == f"curves: {', '.join(f'{name}.png' for name in ALL)}\n"


# ---- lines


def test_thinning_keeps_the_ends_and_the_mean() -> None:
    steps, values = numpy.arange(10, 10_010, 10), numpy.sin(numpy.arange(1000) / 100)
    x, y = lines.thin(steps, values, 100)

    assert len(x) == len(y) == 100
    assert (x[0], x[-1]) == (10, 10_000)
    assert y.mean() == pytest.approx(values.mean())
    assert numpy.abs(numpy.interp(x[1:-1], steps, values) - y[1:-1]).max() < 1e-3


def test_thinning_passes_over_what_is_no_number() -> None:
    values = numpy.array([1.0, math.nan, math.inf, 3.0, math.nan, math.nan])

    x, y = lines.thin(numpy.arange(1, 7), values, 3)
    assert x.tolist() == [1.0, 3.5, 6.0]
    numpy.testing.assert_equal(y, [1.0, 3.0, math.nan])


def test_a_running_mean_begins_where_its_values_begin() -> None:
    values = numpy.array([9.0, 3.0, 3.0, math.nan, 3.0, 6.0])

    assert lines.running(values, 3).tolist() == [9.0, 5.0, 3.0, 3.0, 4.5, 4.5]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.2, 0.8], [0.2, 0.8]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.0, 0.0, 0.9], [0.0, 0.1, 0.9]),
        ([1.0, 1.0, 1.0], [0.8, 0.9, 1.0]),
        ([0.40, 0.42, 0.60], [0.36, 0.46, 0.60]),
    ],
)
def test_names_stand_apart_and_near_their_lines(wanted: list[float], places: list[float]) -> None:
    assert lines.spread(wanted, 0.1) == pytest.approx(places)
