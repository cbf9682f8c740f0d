"""Lines in a panel: thinned to what the eye can tell apart, smoothed where they jump, named where they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from so8t.plots.canvas import FAINT, Series

DEPTH = "viridis"  # colours of layers, the first one dark
_POINTS = 600  # along the steps; more than the eye tells apart at any usual width
_SMOOTH = 60  # so many samples are shown as they are; more of them get a running mean
_MOST_NAMES = 12  # beside a panel; of more layers, those with room have names and a scale shows the colours of all
_NAME = 9.0  # points


def numbers(series: Series, name: str, layers: str) -> list[int]:
    """The layers that a column's lists are about, in their order."""
    count = series[name].shape[1]
    return [int(number) for number in series.get(layers, range(count))][:count]


def tall(numbers: Sequence[int], least: float) -> float:
    """Inches for a panel whose layers are named at the right."""
    return max(least, min(4.6, 0.115 * len(numbers)))


def thin(steps: np.ndarray, values: np.ndarray, most: int = _POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most so many points, each the mean of its neighbours, what is not finite left out; the ends stay in place."""
    if len(steps) <= most:
        return steps.astype(float), np.where(np.isfinite(values), values, np.nan)
    edges = np.linspace(0, len(steps), most + 1).astype(int)[:-1]
    sound = np.isfinite(values)
    sums = np.add.reduceat(np.where(sound, values, 0.0), edges, axis=0)
    counts = np.add.reduceat(sound.astype(float), edges, axis=0)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    at = np.add.reduceat(steps.astype(float), edges) / np.diff([*edges, len(steps)])
    at[0], at[-1] = steps[0], steps[-1]
    return at, means


def line(panel: Axes, steps: np.ndarray, values: np.ndarray, colour: Any, **options: Any) -> None:
    """A quantity that moves smoothly; few samples are dots, too."""
    x, y = thin(steps, values)
    panel.plot(x, y, color=colour, marker="o" if len(x) <= 2 else None, markersize=4, **options)


def noisy(panel: Axes, steps: np.ndarray, values: np.ndarray, colour: str, scale: Any = 1.0) -> np.ndarray:
    """A quantity that jumps: the samples (many: their range) faint, a running mean over them bold.  The mean.

    `scale` may change by steps: it is applied after the mean, which would blur it.
    """
    values = np.where(np.isfinite(values), values, np.nan)
    if len(steps) <= _SMOOTH:
        panel.plot(steps, values * scale, color=colour, marker="o", markersize=3)
        return values * scale
    mean = running(values, max(5, len(values) // 40)) * scale
    values = values * scale
    if len(steps) <= _POINTS:
        panel.plot(steps, values, color=colour, linewidth=0.8, alpha=0.35)
    else:
        edges = np.linspace(0, len(steps), _POINTS + 1).astype(int)[:-1]
        low, high = np.fmin.reduceat(values, edges), np.fmax.reduceat(values, edges)
        panel.fill_between(thin(steps, values)[0], low, high, color=colour, alpha=0.22, linewidth=0)
    line(panel, steps, mean, colour, zorder=4)
    return mean


def running(values: np.ndarray, width: int) -> np.ndarray:
    """The mean over a window around each value, which shrinks at the start, so that a steep one stays steep."""
    sound = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(sound, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(sound)])
    at = np.arange(len(values))
    half = np.minimum(width // 2, at)
    low, high = at - half, np.minimum(at + half + 1, len(values))
    inside = counts[high] - counts[low]
    return np.divide(sums[high] - sums[low], inside, out=np.full(len(values), np.nan), where=inside > 0)


def mean(columns: np.ndarray) -> np.ndarray:
    """Of all layers, by sample; NaN where no layer has a number."""
    sound = np.isfinite(columns)
    counts = sound.sum(axis=1)
    sums = np.where(sound, columns, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(columns), np.nan), where=counts > 0)


def logarithmic(panel: Axes) -> None:
    """A logarithmic axis with plain numbers on it."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def decades(panel: Axes) -> None:
    """Only whole powers of ten, where there are several to see."""
    low, high = panel.get_ylim()
    if high / low > 300:
        panel.yaxis.set_major_locator(LogLocator(numticks=7))


def layers(figure: Figure, panel: Axes, steps: np.ndarray, values: np.ndarray, numbers: Sequence[int]) -> None:
    """A line for each layer, dark to light from the first to the last, named where it ends."""
    shades = mpl.colormaps[DEPTH](np.linspace(0, 0.82, 256))
    colours = [shades[round(255 * at / max(len(numbers) - 1, 1))] for at in range(len(numbers))]
    for column, colour in zip(values.T, colours, strict=True):
        line(panel, steps, column, colour, linewidth=1.8 if len(numbers) <= _MOST_NAMES else 1.1)
    ends = [(f"layer {number}", values[:, at], colours[at]) for at, number in enumerate(numbers)]
    if len(numbers) <= _MOST_NAMES:
        name_ends(panel, ends)
        return
    name_ends(panel, apart(panel, ends))
    box = panel.get_position()
    scale = figure.add_axes((box.x1 + 1.0 / figure.get_figwidth(), box.y0, 0.012, box.height))
    norm = BoundaryNorm([*(number - 0.5 for number in numbers), numbers[-1] + 0.5], len(numbers))
    bar = figure.colorbar(ScalarMappable(norm, ListedColormap(colours)), cax=scale, spacing="uniform")
    plain(bar, "layer")
    every = -(-len(numbers) // 10)
    bar.set_ticks(list(numbers[::every]), labels=[str(number) for number in numbers[::every]])


def plain(bar: Colorbar, label: str) -> None:
    bar.ax.set_title(label, fontsize=8.5, color=FAINT)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8.5)
    bar.ax.minorticks_off()


def name_ends(panel: Axes, lines: Sequence[tuple[str, np.ndarray, Any]]) -> None:
    """Each line's name at its right end; those that would overlap are moved apart, and joined to their lines."""
    at = sorted((here, name, colour) for name, here, colour in _heights(panel, lines))
    places = spread([here for here, _, _ in at], _gap(panel))
    for (here, name, colour), place in zip(at, places, strict=True):
        joint = {"transform": panel.transAxes, "clip_on": False, "color": colour, "linewidth": 0.7}
        panel.plot([1.003, 1.01, 1.02, 1.026], [here, here, place, place], **joint)
        panel.text(1.031, place, name, transform=panel.transAxes, fontsize=_NAME, color=colour, va="center")


def apart(panel: Axes, lines: Sequence[tuple[str, np.ndarray, Any]]) -> list[tuple[str, np.ndarray, Any]]:
    """The highest, the lowest, and of those between as many as have room beside one another."""
    at = sorted((here, number) for number, (_, here, _) in enumerate(_heights(panel, lines)))
    chosen = at[-1:] + (at[:1] if len(at) > 1 and at[-1][0] - at[0][0] >= _gap(panel) else [])
    for here, number in at:
        if all(abs(here - other) >= _gap(panel) for other, _ in chosen):
            chosen.append((here, number))
    sound = [entry for entry in lines if np.isfinite(entry[1]).any()]
    return [sound[number] for _, number in chosen]


def _heights(panel: Axes, lines: Sequence[tuple[str, np.ndarray, Any]]) -> list[tuple[str, float, Any]]:
    """Where each line ends, from 0 at a panel's bottom to 1 at its top; a line without a number ends nowhere."""
    panel.set_ylim(panel.get_ylim())  # final, for places are taken from it
    to_panel = panel.transData + panel.transAxes.inverted()
    found = []
    for name, values, colour in lines:
        if np.isfinite(values).any():
            end = values[np.isfinite(values)][-1]
            found.append((name, float(np.clip(to_panel.transform((0, end))[1], 0, 1)), tuple(to_rgb(colour))))
    return found


def _gap(panel: Axes) -> float:
    """A name's height in a panel's."""
    figure: Any = panel.get_figure()
    return 1.25 * _NAME / 72 / (panel.get_position().height * figure.get_figheight())


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places at least `gap` apart, in order and near what is wanted (ascending), within 0 to 1 where all fit."""
    pools: list[list[float]] = []  # neighbours that touch: sum and count of their wishes, less what lies below in steps
    for number, wish in enumerate(wanted):
        pools.append([wish - number * gap, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] >= pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + count]
    levels = [total / count for total, count in pools for _ in range(int(count))]
    highest = 1 - (len(wanted) - 1) * gap
    return [max(0.0, min(level, highest)) + number * gap for number, level in enumerate(levels)]
