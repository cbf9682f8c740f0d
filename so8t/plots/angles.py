"""Pictures of the gates: how far they are open, how far from rotations, by what angles they turn."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from so8t.plots import canvas, lines
from so8t.plots.canvas import FAINT, Look, Series

FLOOR = 3.4e-7  # of ||MᵀM - I||_F in float32: a rotation's eight ones, each rounded
_SETTLED = 0.9  # of the largest opening: from there on the gates are looked at more closely
_FEW = 4  # samples that are not worth a closer look


def alpha(series: Series, look: Look) -> Figure:
    """The whole course, and where the gates are open, their differences more closely: they would be one line."""
    numbers = lines.numbers(series, "alpha", "gated_layers")
    since = _settled(series["g"])
    note = f"g = sigmoid(alpha), from 0 (identity) to 1; alpha went from {_range(series['alpha'])}"
    heights = (1.3, lines.tall(numbers, 1.9)) if since else (lines.tall(numbers, 1.9),)
    figure, panels = canvas.frame(look, "Opening of the gates", note, heights)
    for panel in panels:
        canvas.reach(panel, series["step"])
        if panel is not panels[0]:
            _closer(panel, series["g"][since:])
        from_here = since if panel is not panels[0] else 0
        lines.layers(figure, panel, series["step"][from_here:], series["g"][from_here:], numbers)
        panel.set_ylabel("g" if panel is panels[0] else f"g from step {series['step'][since]:,}")
    return figure


def _settled(openings: np.ndarray) -> int:
    """The first sample in which the gates are nearly as open as they get; 0 where little comes after it."""
    mean = lines.mean(openings)
    if not np.isfinite(mean).any():
        return 0
    at = int(np.argmax(mean >= _SETTLED * np.nanmax(mean)))
    return at if len(mean) - at > _FEW else 0


def _range(values: np.ndarray) -> str:
    mean = lines.mean(values)
    sound = mean[np.isfinite(mean)]
    return f"{sound[0]:.2f} to {sound[-1]:.2f}" if len(sound) else "nowhere"


def _closer(panel: Axes, values: np.ndarray) -> None:
    """The axis over these values alone."""
    sound = values[np.isfinite(values)]
    low, high = float(sound.min()), float(sound.max())
    room = 0.12 * (high - low) or abs(high) / 10 or 0.1
    panel.set_ylim(low - room, high + room)


def orthogonality(series: Series, look: Look) -> Figure:
    numbers = lines.numbers(series, "deviation", "gated_layers")
    values = series["deviation"]
    sound = values[np.isfinite(values)]
    positive = sound[sound > 0]
    nothing = bool((sound <= 0).any())
    low, high = float(positive.min(initial=FLOOR)), float(positive.max(initial=0.0)) or FLOOR
    rounding = high < FLOOR
    note = "the largest ||MᵀM - I|| of each layer's blocks (Frobenius norm); a rotation has zero"
    note += (
        f"\nall of it is below {FLOOR:.1e}, the rounding of float32: zero as far as float32 can tell"
        if rounding
        else ""
    )
    figure, (panel,) = canvas.frame(
        look, "Distance from a rotation", note, (lines.tall(numbers, 1.9 if rounding else 3.0),)
    )
    zero = low / 8
    panel.set_yscale("log")
    panel.set_ylim(zero / 2 if nothing else low / 3, high * 4)
    canvas.reach(panel, series["step"])
    if not rounding:
        _rounding(panel)
    _decades(panel, zero if nothing else None)
    lines.layers(figure, panel, series["step"], np.where(values <= 0, zero, values), numbers)
    panel.set_ylabel("||MᵀM - I||  (log)")
    return figure


def _rounding(panel: Axes) -> None:
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, FLOOR / 2), high)
    panel.axhspan(panel.get_ylim()[0], FLOOR, color="#eef1f4", zorder=0)
    panel.axhline(FLOOR, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    text = "float32 rounding: below, zero as far as float32 can tell"
    panel.text(0.01, FLOOR * 1.15, text, transform=panel.get_yaxis_transform(), fontsize=8.5, color=FAINT)


def _decades(panel: Axes, zero: float | None) -> None:
    """Whole powers of ten, and a mark of its own for zero, which a logarithm does not have."""
    low, high = panel.get_ylim()
    first, last = int(np.ceil(np.log10(low if zero is None else zero * 2))), int(np.floor(np.log10(high)))
    every = max(1, -(-(last - first + 1) // 6))
    ticks = [10.0**each for each in range(first, last + 1, every)]
    panel.yaxis.set_major_locator(FixedLocator(ticks if zero is None else [zero, *ticks]))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "0" if y == zero else f"{y:.0e}"))
    panel.minorticks_off()


def angles(series: Series, look: Look) -> Figure:
    """Lines, for a scale of colours is dark where most of a run is, and then shows no difference."""
    numbers = lines.numbers(series, "angle_mean", "gated_layers")
    note = "rotation angles of the blocks of eight, four in each, by layer, in degrees"
    height = lines.tall(numbers, 1.9)
    figure, panels = canvas.frame(look, "Rotation angles", note, (height, height))
    for panel, name, label in zip(panels, ("angle_mean", "angle_max"), ("mean", "largest"), strict=True):
        canvas.reach(panel, series["step"])
        lines.layers(figure, panel, series["step"], series[name], numbers)
        panel.set_ylim(bottom=0)
        panel.set_ylabel(f"{label} angle (°)")
    return figure
