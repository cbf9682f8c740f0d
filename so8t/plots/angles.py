"""Pictures of the gates: how far they are open, how far from rotations, by what angles they turn."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from so8t.plots import canvas, lines
from so8t.plots.canvas import FAINT, Look, Series

FLOOR = 3.4e-7  # of ||MᵀM - I||_F in float32: a rotation's eight ones, each rounded
_ZERO = 1e-17  # where a logarithmic axis shows zero
_COLUMNS = 400  # of a heat map


def alpha(series: Series, look: Look) -> Figure:
    numbers = lines.numbers(series, "alpha", "gated_layers")
    height = lines.tall(numbers, 2.1)
    note = "how far each gate is open: g = sigmoid(alpha), from 0 (identity) to 1"
    figure, panels = canvas.frame(look, "Opening of the gates", note, (height, height))
    for panel, name in zip(panels, ("alpha", "g"), strict=True):
        canvas.reach(panel, series["step"])
        lines.layers(figure, panel, series["step"], series[name], numbers)
        panel.set_ylabel(name)
    return figure


def orthogonality(series: Series, look: Look) -> Figure:
    numbers = lines.numbers(series, "deviation", "gated_layers")
    note = "the largest ||MᵀM - I|| of each layer's blocks (Frobenius norm); a rotation has zero"
    figure, (panel,) = canvas.frame(look, "Distance from a rotation", note, (lines.tall(numbers, 3.6),))
    values = series["deviation"]
    sound = values[np.isfinite(values)]
    nothing = bool((sound <= 0).any())
    shown = np.where(values <= 0, _ZERO, values)
    panel.set_yscale("log")
    positive = sound[sound > 0]
    lowest = _ZERO if nothing else float(positive.min(initial=FLOOR))
    panel.set_ylim(lowest / 4, max(float(positive.max(initial=0.0)), FLOOR) * 8)
    canvas.reach(panel, series["step"])
    panel.axhspan(lowest / 4, FLOOR, color="#eef1f4", zorder=0)
    panel.axhline(FLOOR, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    panel.text(
        0.01,
        FLOOR * 1.35,
        "float32 rounding: below, zero as far as float32 can tell",
        transform=panel.get_yaxis_transform(),
        fontsize=8.5,
        color=FAINT,
    )
    if nothing:
        whole = panel.yaxis.get_major_locator().tick_values(_ZERO * 10, panel.get_ylim()[1])
        panel.yaxis.set_major_locator(FixedLocator([_ZERO, *(tick for tick in whole if tick > _ZERO * 5)]))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: "0" if nothing and y <= _ZERO else f"{y:.0e}"))
    panel.minorticks_off()
    lines.layers(figure, panel, series["step"], shown, numbers)
    panel.set_ylabel("||MᵀM - I||  (log)")
    return figure


def angles(series: Series, look: Look) -> Figure:
    numbers = lines.numbers(series, "angle_mean", "gated_layers")
    height = max(1.3, min(4.2, 0.13 * len(numbers) + 0.5))
    note = "rotation angles of the blocks of eight, four in each, by layer"
    figure, panels = canvas.frame(look, "Rotation angles", note, (height, height))
    for panel, name, label in zip(panels, ("angle_mean", "angle_max"), ("mean", "largest"), strict=True):
        _heat(figure, panel, series["step"], series[name], numbers)
        panel.set_ylabel(f"layer ({label})")
    return figure


def _heat(figure: Figure, panel: Axes, steps: np.ndarray, values: np.ndarray, numbers: Sequence[int]) -> None:
    x, y = lines.thin(steps, values, _COLUMNS)
    top = float(np.nanmax(y, initial=0.0)) or 1.0
    between = (x[1:] + x[:-1]) / 2
    edges = np.concatenate([[x[0]], between, [x[-1]]]) if len(x) > 1 else np.array([x[0] - 1, x[0] + 1])
    colours = mpl.colormaps["magma_r"].with_extremes(bad="#c9ced4")
    mesh = panel.pcolormesh(edges, np.arange(len(numbers) + 1), y.T, cmap=colours, norm=Normalize(0, top))
    panel.grid(False)
    panel.set_xlim(edges[0], edges[-1])
    every = -(-len(numbers) // 12)
    panel.set_yticks([at + 0.5 for at in range(0, len(numbers), every)], [str(n) for n in numbers[::every]])
    box = panel.get_position()
    bar = figure.colorbar(mesh, cax=figure.add_axes((box.x1 + 0.015, box.y0, 0.014, box.height)))
    lines.plain(bar, "degrees")
