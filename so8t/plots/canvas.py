"""One style for all pictures, and the frame that each is drawn in.

No state of matplotlib's is used or left, and no setting of the user's: equal figures give equal bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

Series = Mapping[str, np.ndarray]

INK, FAINT, GRID = "#22303c", "#7b8794", "#e6e9ed"
BLUE, ORANGE, GREEN, RED = "#2f6db5", "#dd7327", "#2f9469", "#c8414b"

_LEFT, _RIGHT, _TOP, _BOTTOM, _BETWEEN = 0.95, 1.45, 1.0, 0.6, 0.35  # inches around and between panels

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.7,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}


@dataclass(frozen=True)
class Look:
    """Width in inches, and dots in one; `mark` is in each picture's corner: which result it is of."""

    width: float = 10.0
    dpi: int = 120
    mark: str = ""


@contextmanager
def style() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)  # of settings that nobody here names
        settings: Any = {k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")} | _STYLE
        with mpl.rc_context(settings):
            yield


def frame(look: Look, title: str, note: str, heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    """A figure with a title, a line of explanation and panels of the given heights in inches over one axis of steps."""
    total = _TOP + sum(heights) + _BETWEEN * (len(heights) - 1) + _BOTTOM
    figure = Figure(figsize=(look.width, total), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(_LEFT / look.width, 1 - 0.36 / total, title, fontsize=14, fontweight="bold", va="center")
    figure.text(_LEFT / look.width, 1 - 0.64 / total, note, fontsize=9, color=FAINT, va="center")
    panels: list[Axes] = []
    bottom = total - _TOP
    for height in heights:
        bottom -= height
        place = (_LEFT / look.width, bottom / total, (look.width - _LEFT - _RIGHT) / look.width, height / total)
        panels.append(figure.add_axes(place, sharex=panels[0] if panels else None))
        bottom -= _BETWEEN
    for panel in panels:
        panel.tick_params(length=3, labelbottom=panel is panels[-1])
        panel.grid(axis="x", visible=False)
    panels[-1].set_xlabel("optimiser step")
    panels[-1].xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}" if step == int(step) else ""))
    return figure, panels


def save(figure: Figure, path: Path, look: Look) -> Path:
    if look.mark:
        width, height = figure.get_size_inches()
        place = 1 - 0.35 / width, 1 - 0.2 / height
        figure.text(*place, look.mark, fontsize=7.5, color=FAINT, ha="right", va="center")
    figure.savefig(path, format="png", dpi=look.dpi, facecolor="white", metadata={"Software": None})
    return path


def reach(panel: Axes, steps: np.ndarray) -> None:
    """The axis from the first to the last step; a single one stands in the middle."""
    first, last = float(steps[0]), float(steps[-1])
    panel.set_xlim((first, last) if last > first else (first - 1, last + 1))
