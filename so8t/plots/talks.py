"""The pictures of an evaluation without classes: each figure of every model, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from so8t.plots import canvas
from so8t.plots.canvas import BLUE, FAINT, INK, Look
from so8t.plots.grid import Margins, grid

Splits = Mapping[str, Mapping[str, Mapping[str, Any]]]  # split -> model -> figures
PICTURES = {
    "loss": (
        "Loss",
        "of the answers that held-out records have, in nats a token; less is better; bars: 95 % intervals",
    ),
    "format_valid": ("In the format", "share of answers that keep the thinking format; bars: 95 % intervals"),
    "exact": ("Word for word", "share of answers that are the record's own; bars: 95 % intervals"),
}


def draw(splits: Splits, folder: Path, look: Look) -> list[Path]:
    """Every picture as <name>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, (title, note) in PICTURES.items():
        with canvas.style():
            made.append(canvas.save(_picture(splits, name, title, note, look), folder / f"{name}.png", look))
    return made


def _picture(splits: Splits, name: str, title: str, note: str, look: Look) -> Figure:
    height = max(1.2, 0.46 * max(map(len, splits.values())))
    figure, panels = grid(look, title, note, len(splits), 2, height, Margins(0.75, 0.6, 0.4, right=1.45, between=0.1))
    for panel, (split, by_model) in zip(panels, splits.items(), strict=True):
        for row, figures in enumerate(by_model.values()):
            _dot(panel, row, figures[name], figures["intervals"][name], BLUE if "pytorch" in figures else FAINT)
        panel.set_yticks(range(len(by_model)), list(by_model))
        panel.set_ylim(len(by_model) - 0.5, -0.5)
        panel.set_xlim(0, 1 if name != "loss" else None)
        panel.set_title(split, fontsize=10.5, fontweight="bold", loc="left")
        panel.grid(axis="y", visible=False)
    return figure


def _dot(panel: Axes, row: float, value: float | None, interval: list[float] | None, colour: str) -> None:
    if value is None:
        return
    if interval:
        panel.plot(interval, [row, row], color=colour, lw=3.2, alpha=0.45, zorder=2, clip_on=False)
    panel.plot([value], [row], "o", color=colour, markersize=6, zorder=3, clip_on=False)
    panel.text(1.03, row, f"{value:.3f}", transform=panel.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)
