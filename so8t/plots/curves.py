"""The pictures of a training run, each from the columns of its series of samples."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from so8t.errors import StageError
from so8t.plots import angles, canvas, lines
from so8t.plots.canvas import BLUE, FAINT, GREEN, INK, ORANGE, RED, Look, Series

_SHADES = ("#edf3fb", "#fdf3e8", "#ecf6f0")
_NOTHING = 1e-10  # a part of the loss that never gets there is zero up to rounding


def load(npz: Path) -> dict[str, np.ndarray]:
    with np.load(npz, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def draw(npz: Path, folder: Path, look: Look | None = None, clip: float | None = None) -> list[Path]:
    """Every picture that the series has columns for, as <name>.png; `clip`: the norm to which gradients are clipped."""
    series, look = load(npz), look or Look()
    if not len(series.get("step", ())):
        raise StageError("curves: the adapter's series has no sample")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, (needed, picture) in PICTURES.items():
        if needed in series:
            with canvas.style():
                figure = gradients(series, look, clip) if picture is gradients else picture(series, look)
                made.append(canvas.save(figure, folder / f"{name}.png", look))
    return made


# ---- the pictures


def loss(series: Series, look: Look) -> Figure:
    note = "cross-entropy of the learned tokens with all penalties"
    note += "; dots: validation, cross-entropy alone" if _any(series, "validation") else ""
    figure, (top, parts) = canvas.frame(look, "Loss", note, (3.2, 1.8))
    steps = series["step"]
    canvas.reach(top, steps)
    mean = lines.noisy(top, steps, series["loss"], BLUE)
    ends = [("total", mean, BLUE)]
    if _any(series, "validation"):
        seen = np.isfinite(series["validation"])
        top.plot(steps[seen], series["validation"][seen], "o", color=ORANGE, markersize=5, zorder=5, clip_on=False)
        ends.append(("validation", series["validation"], ORANGE))
    top.set_ylabel("nats per token" + _steep(top, series["loss"]))
    _phases(top, series, names=True)
    lines.name_ends(top, ends)
    _loss_parts(parts, series)
    return figure


def _loss_parts(panel: Axes, series: Series) -> None:
    """On one logarithmic axis; a part that is zero up to rounding is said, not drawn."""
    lines.logarithmic(panel)
    named, quiet = [], []
    parts = (
        ("cross-entropy", "task", BLUE, 1.0),
        ("λ · PET", "pet", GREEN, series.get("pet_weight", 1.0)),
        ("orthogonality", "orthogonality", RED, 1.0),
    )
    for label, name, colour, weight in parts:
        values = series.get(name, np.zeros(0))
        if np.nanmax(np.where(np.isfinite(values), values * weight, 0.0), initial=0.0) < _NOTHING:
            quiet += [label] if len(values) else []
            continue
        positive = np.where(values > 0, values, np.nan)
        named.append((label, lines.noisy(panel, series["step"], positive, colour, weight), colour))
    lines.decades(panel)
    panel.set_ylabel("parts (log)")
    _phases(panel, series)
    if quiet:
        text = f"{' and '.join(quiet)}: below {_NOTHING:.0e} throughout"
        panel.text(0.99, 0.05, text, transform=panel.transAxes, ha="right", fontsize=8.5, color=FAINT)
    lines.name_ends(panel, named)


def logits(series: Series, look: Look) -> Figure:
    note = "where something is learned, one pass of each sampled step: mean, one standard deviation around it, extremes"
    figure, (panel,) = canvas.frame(look, "Logits", note, (3.6,))
    steps, mean, std = series["step"], series["logits_mean"], series["logits_std"]
    canvas.reach(panel, steps)
    rows = {
        "max": (series["logits_max"], FAINT),
        "+ std": (mean + std, BLUE),
        "mean": (mean, INK),
        "- std": (mean - std, BLUE),
        "min": (series["logits_min"], FAINT),
    }
    drawn = {name: lines.thin(steps, values) for name, (values, _) in rows.items()}
    for outer, inner, opacity in (("max", "min", 0.14), ("+ std", "- std", 0.3)):
        panel.fill_between(drawn[outer][0], drawn[inner][1], drawn[outer][1], color=BLUE, alpha=opacity, lw=0)
    lines.line(panel, steps, mean, INK)
    panel.set_ylabel("logit")
    lines.name_ends(panel, [(name, drawn[name][1], colour) for name, (_, colour) in rows.items()])
    return figure


def learning_rate(series: Series, look: Look) -> Figure:
    groups = {"low-rank part": ("learning_rate", BLUE), "gates": ("gate_learning_rate", ORANGE)}
    there = {label: entry for label, entry in groups.items() if entry[0] in series}
    rates = [series[name] for name, _ in there.values()]
    if len(rates) == 2 and np.array_equal(rates[0], rates[1], equal_nan=True):
        there = {"all": groups["low-rank part"]}  # two equal panels would ask for a difference
    note = "of the low-rank part and of the gates" if "all" in there else "of each group of parameters"
    figure, panels = canvas.frame(look, "Learning rate", note, (1.7,) * len(there))
    for panel, (label, (name, colour)) in zip(panels, there.items(), strict=True):
        canvas.reach(panel, series["step"])
        lines.line(panel, series["step"], series[name], colour)
        panel.set_ylim(bottom=0)
        panel.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        panel.set_ylabel("learning rate")
        lines.name_ends(panel, [(label, series[name], colour)])
    return figure


def gradients(series: Series, look: Look, clip: float | None = None) -> Figure:
    note = f"before they are clipped to {clip:g} (dashed)" if clip else "before clipping"
    figure, (panel,) = canvas.frame(look, "Gradient norms", note, (3.2,))
    canvas.reach(panel, series["step"])
    lines.logarithmic(panel)
    named = []
    for label, name, colour in (("all", "gradient_norm", BLUE), ("gates", "gate_gradient_norm", ORANGE)):
        if name in series:
            values = np.where(series[name] > 0, series[name], np.nan)
            named.append((label, lines.noisy(panel, series["step"], values, colour), colour))
    if clip:
        panel.axhline(clip, color=RED, linewidth=1.1, linestyle=(0, (4, 3)), zorder=2)
    panel.set_ylabel("norm (log)")
    lines.name_ends(panel, named)
    return figure


def activations(series: Series, look: Look) -> Figure:
    numbers = lines.numbers(series, "activations", "decoder_layers")
    note = "root mean square of each decoder layer's output over real tokens"
    figure, (panel,) = canvas.frame(look, "Activations", note, (lines.tall(numbers, 3.6),))
    canvas.reach(panel, series["step"])
    lines.logarithmic(panel)
    lines.layers(figure, panel, series["step"], series["activations"], numbers)
    panel.set_ylabel("RMS (log)")
    return figure


def _phases(panel: Axes, series: Series, names: bool = False) -> None:
    """The phases of PET as shades behind a panel, with their names and weights where there is room."""
    if "phase" not in series:
        return
    steps, phase = series["step"], series["phase"]
    first, last = panel.get_xlim()
    starts = [0, *(np.flatnonzero(phase[1:] != phase[:-1]) + 1).tolist()]
    borders = [first, *(float(steps[at - 1] + steps[at]) / 2 for at in starts[1:]), last]
    for number, (at, (begin, end)) in enumerate(zip(starts, pairwise(borders), strict=True)):
        panel.axvspan(begin, end, color=_SHADES[number % len(_SHADES)], zorder=0, linewidth=0)
        if names and end - begin > 0.16 * (last - first):
            text = f"{phase[at]}  λ = {series['pet_weight'][at]:g}"
            panel.text(
                (begin + end) / 2,
                1.025,
                text,
                transform=panel.get_xaxis_transform(),
                ha="center",
                fontsize=8.5,
                color=FAINT,
            )


def _steep(panel: Axes, values: np.ndarray) -> str:
    """A loss that fell to a small part of what it was is read on a logarithmic axis; a word for its label."""
    sound = values[np.isfinite(values)]
    if not len(sound) or sound.min() <= 0 or sound.max() < 8 * np.median(sound[-max(1, len(sound) // 4) :]):
        return ""
    lines.logarithmic(panel)
    return " (log)"


def _any(series: Series, name: str) -> bool:
    return name in series and bool(np.isfinite(series[name]).any())


PICTURES: dict[str, tuple[str, Callable[[Series, Look], Figure]]] = {
    "loss": ("loss", loss),
    "alpha": ("alpha", angles.alpha),
    "orthogonality": ("deviation", angles.orthogonality),
    "angles": ("angle_mean", angles.angles),
    "logits": ("logits_mean", logits),
    "learning_rate": ("learning_rate", learning_rate),
    "gradients": ("gradient_norm", gradients),
    "activations": ("activations", activations),
}
