"""A figure of equal panels in rows, placed in inches, under a title and a line of explanation."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from so8t.plots.canvas import FAINT, Look

_TITLES = 0.8  # inches for title and explanation
_EDGE = 0.35


@dataclass(frozen=True)
class Margins:
    """Inches around each panel: names at its left, a title above, numbers below; and how wide it may be."""

    left: float
    top: float
    bottom: float
    right: float = 0.0
    between: float = 0.3
    widest: float | None = None


def grid(
    look: Look, title: str, note: str, count: int, columns: int, height: float | None, margins: Margins
) -> tuple[Figure, list[Axes]]:
    """`count` panels, row by row, of a height in inches; None: square."""
    columns = min(columns, count)
    rows = -(-count // columns)
    share = (look.width - 2 * _EDGE - margins.between * (columns - 1)) / columns
    width = min(share - margins.left - margins.right, margins.widest or look.width)
    tall = width if height is None else height
    each = margins.top + tall + margins.bottom
    total = _TITLES + rows * each + _EDGE / 2
    figure = Figure(figsize=(look.width, total), facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(_EDGE / look.width, 1 - 0.36 / total, title, fontsize=14, fontweight="bold", va="center")
    figure.text(_EDGE / look.width, 1 - 0.64 / total, note, fontsize=9, color=FAINT, va="center")
    panels = []
    for number in range(count):
        row, column = divmod(number, columns)
        left = _EDGE + column * (margins.left + width + margins.right + margins.between) + margins.left
        bottom = total - _TITLES - row * each - margins.top - tall
        place = (left / look.width, bottom / total, width / look.width, tall / total)
        panels.append(figure.add_axes(place))
    return figure, panels
