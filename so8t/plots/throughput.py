"""The picture of a run's speed and memory, from the lines of its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from so8t.plots import canvas, lines
from so8t.plots.canvas import BLUE, GREEN, ORANGE, Look

_MEASURES = (
    ("tokens_per_second", "tokens per second", "speed", BLUE, 1.0),
    ("resident", "GiB", "resident", GREEN, 2.0**30),
    ("device_peak", "GiB", "GPU peak", ORANGE, 2.0**30),
)


def draw(log: Sequence[Mapping[str, Any]], path: Path, look: Look | None = None) -> Path:
    """One line for each run: a resumed one begins before the end of the one that was killed."""
    look = look or Look()
    there = [measure for measure in _MEASURES if any(line.get(measure[0]) is not None for line in log)]
    with canvas.style():
        figure, panels = canvas.frame(look, "Speed and memory", _note(log), (2.4, *(1.5,) * (len(there) - 1)))
        for panel, (name, unit, label, colour, scale) in zip(panels, there, strict=True):
            canvas.reach(panel, np.array(sorted(line["step"] for line in log)))
            for run in sorted({line["run"] for line in log}):
                own = [line for line in log if line["run"] == run and line.get(name) is not None]
                steps, values = (np.array([line[key] for line in own], dtype=float) for key in ("step", name))
                if own:
                    mean = lines.noisy(panel, steps, values / scale, colour)
            panel.set_ylim(bottom=0)
            panel.set_ylabel(unit)
            lines.name_ends(panel, [(label, mean, colour)])
        return canvas.save(figure, path, look)


def _note(log: Sequence[Mapping[str, Any]]) -> str:
    runs = len({line["run"] for line in log})
    return "by interval" if runs == 1 else f"by interval; {runs} runs, each from its last checkpoint on"
