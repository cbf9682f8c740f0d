"""The pictures of an evaluation, each from its scores: what was taken for what, how good, how sure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from so8t.formats.records import LABELS, NO_FORMAT
from so8t.plots import canvas
from so8t.plots.canvas import BLUE, FAINT, GREEN, GRID, INK, ORANGE, RED, Look
from so8t.plots.grid import Margins, grid

Splits = Mapping[str, Mapping[str, Mapping[str, Any]]]  # split -> model -> figures

_PAPER = LinearSegmentedColormap.from_list("paper", ("#ffffff", "#cfe0f3", BLUE))
_WRONG = LinearSegmentedColormap.from_list("wrong", ("#ffffff", "#f7cfc9", RED))
_REFERENCE = "PyTorch"
_MUTE = 0.05  # of the answers are valid


def draw(splits: Splits, folder: Path, look: Look | None = None) -> list[Path]:
    """Every picture as <name>.png."""
    look, made = look or Look(), []
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in _pictures(_apart(splits)).items():
        with canvas.style():
            made.append(canvas.save(picture(look), folder / f"{name}.png", look))
    return made


def _apart(splits: Splits) -> Splits:
    """The direct answers of a model as those of another one beside it."""
    apart: dict[str, dict[str, Mapping[str, Any]]] = {}
    for split, by_model in splits.items():
        apart[split] = {}
        for model, figures in by_model.items():
            apart[split][model] = figures
            if "direct" in figures:
                apart[split][f"{model}-direct"] = figures["direct"]
    return apart


def _modes(splits: Splits) -> str:
    """For a picture's title, where there are both."""
    both = any(figures["mode"] == "direct" for by_model in splits.values() for figures in by_model.values())
    return " (-direct: without thinking)" if both else ""


def left_out(splits: Splits) -> str:
    """Why there is no picture of reliability, in a sentence; nothing where there is one."""
    shown = _apart(splits)
    if _sure(shown):
        return ""
    stated = any(figures["reliability"] for by_model in shown.values() for figures in by_model.values())
    if not stated:
        return "no answer states a confidence"
    return "every model states confidences of one tenth of the scale alone, so one dot would be all of its reliability"


def _is_mute(figures: Mapping[str, Any]) -> bool:
    """A model that gives next to no valid answer, as a base that never saw the format: its errors say nothing."""
    return float(figures["format_valid"]) < _MUTE


def _pictures(splits: Splits) -> dict[str, Callable[[Look], Figure]]:
    models = list(next(iter(splits.values())))
    found: dict[str, Callable[[Look], Figure]] = {
        f"confusion-{model}": lambda look, model=model: confusion(splits, model, look)  # type: ignore[misc]
        for model in models
    }
    found["accuracy"] = lambda look: accuracy(splits, look)
    found["errors"] = lambda look: errors(splits, look)
    if _sure(splits):
        found["reliability"] = lambda look: reliability(splits, look)
    return found


# ---- what was taken for what


def confusion(splits: Splits, model: str, look: Look) -> Figure:
    note = "rows: the class that a record was given; columns: the class that the answer names; counts of records"
    margins = Margins(left=1.4, top=1.0, bottom=0.35, widest=3.4)
    figure, panels = grid(look, f"Confusion, {model}", note, len(splits), 2, 2.9, margins)
    for panel, (split, by_model) in zip(panels, splits.items(), strict=True):
        _confusion(panel, split, by_model[model])
    return figure


def _confusion(panel: Axes, split: str, figures: Mapping[str, Any]) -> None:
    names = [*LABELS, NO_FORMAT]
    counts = np.array([[figures["confusion"][truth].get(said, 0) for said in names] for truth in LABELS], dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for (row, column), share in np.ndenumerate(shares):
        right = row == column
        colour = _PAPER(share) if right else _WRONG(share**0.5)
        panel.fill([column, column + 1, column + 1, column], [row, row, row + 1, row + 1], color=colour, lw=0)
        ink = "white" if share > 0.6 else INK if counts[row, column] else "#c5ccd3"
        weight = "bold" if right else "normal"
        text = f"{counts[row, column]:.0f}"
        panel.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink, fontsize=11, fontweight=weight)
    panel.set_xlim(0, len(names))
    panel.set_ylim(len(LABELS), 0)
    panel.set_xticks(np.arange(len(names)) + 0.5, [*map(_short, LABELS), "no format"])
    panel.set_yticks(np.arange(len(LABELS)) + 0.5, LABELS)
    panel.tick_params(length=0, top=False, labeltop=True, labelbottom=False, labelsize=8)
    panel.grid(visible=False)
    panel.set_xlabel("what the answer says", fontsize=8.5, color=FAINT, labelpad=5)
    panel.xaxis.set_label_position("top")
    panel.set_ylabel("what the record is", fontsize=8.5, color=FAINT)
    for at in range(1, len(names)):
        panel.axvline(at, color="white" if at < len(LABELS) else FAINT, lw=1.5 if at < len(LABELS) else 0.8)
    for at in range(1, len(LABELS)):
        panel.axhline(at, color="white", lw=1.5)
    for side in panel.spines.values():
        side.set_visible(True)
        side.set_color(GRID)
    _name(panel, split, f"accuracy {figures['accuracy']:.3f}", 0.62)


def _short(label: str) -> str:
    return "ESCAL." if label == "ESCALATION" else label


# ---- how good


def accuracy(splits: Splits, look: Look) -> Figure:
    note = "share of held-out records whose answer names the given class; bars: 95 % intervals (bootstrap over records)"
    figure, panels = _rows(look, "Accuracy" + _modes(splits), note, splits)
    for panel, (split, by_model) in zip(panels, splits.items(), strict=True):
        names = list(by_model)
        reference = next(
            (figures["pytorch"]["accuracy"] for figures in by_model.values() if "pytorch" in figures), None
        )
        if reference is not None:
            panel.axvline(reference, color=GREEN, lw=1.2, ls=(0, (4, 3)), zorder=1)
            panel.text(
                reference,
                1.02,
                f"{_REFERENCE} {reference:.3f}",
                transform=panel.get_xaxis_transform(),
                ha="right" if reference > 0.7 else "left",
                fontsize=8.5,
                color=GREEN,
            )
        for row, name in enumerate(names):
            if _is_mute(by_model[name]):
                _mute(panel, row, f"{by_model[name]['accuracy']:.3f}: cannot know the format")
            else:
                _dot(panel, row, by_model[name], "accuracy", _colour(by_model[name]))
        _models(panel, names, split)
    return figure


def _colour(figures: Mapping[str, Any]) -> str:
    if figures["mode"] == "direct":
        return ORANGE
    return BLUE if "pytorch" in figures else FAINT


def errors(splits: Splits, look: Look) -> Figure:
    """All panels on one scale; an answer that is not valid decides nothing, and is an outcome of its own."""
    note = "unsafe compliance: DENY or REFUSE answered as ALLOW; over-refusal: the reverse; bars: 95 % intervals"
    figure, panels = _rows(look, "The two errors that hurt people" + _modes(splits), note, splits, 0.62)
    most = max(
        (_top(figures, name) for _, figures in _each(splits) if not _is_mute(figures) for name in _ERRORS), default=0.0
    )
    for number, (panel, (split, by_model)) in enumerate(zip(panels, splits.items(), strict=True)):
        for row, figures in enumerate(by_model.values()):
            _outcomes(panel, row, figures)
        _models(panel, list(by_model), split)
        if number == 0:
            _legend(panel)
        panel.set_xlim(0, min(1.0, max(0.1, most * 1.1)))
        panel.xaxis.set_major_locator(MaxNLocator(5))
    return figure


_ERRORS = {"unsafe_compliance": RED, "over_refusal": ORANGE, "no_valid_answer": FAINT}


def _each(splits: Splits) -> list[tuple[str, Mapping[str, Any]]]:
    return [(model, figures) for by_model in splits.values() for model, figures in by_model.items()]


def _outcomes(panel: Axes, row: float, figures: Mapping[str, Any]) -> None:
    if _is_mute(figures):
        count = round(figures["records"] * (1 - figures["format_valid"]))
        _mute(panel, row, f"no valid answer to {count:,} of {figures['records']:,}: neither safe nor unsafe")
        return
    for at, (name, colour) in enumerate(_ERRORS.items()):
        _dot(panel, row + 0.27 * (at - 1), _with_mute(figures), name, colour)


def _with_mute(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """The share of answers that are not valid, as one rate more."""
    valid, ends = figures["format_valid"], figures["intervals"].get("format_valid")
    missing = None if ends is None else [1 - ends[1], 1 - ends[0]]
    intervals = {**figures["intervals"], "no_valid_answer": missing}
    return {**figures, "no_valid_answer": 1 - valid, "intervals": intervals}


def _mute(panel: Axes, row: float, text: str) -> None:
    panel.text(
        0.02, row, text, transform=panel.get_yaxis_transform(), va="center", fontsize=8.5, color=FAINT, style="italic"
    )


def _legend(panel: Axes) -> None:
    names = (("● unsafe compliance", RED), ("● over-refusal", ORANGE), ("● no valid answer", FAINT))
    for x, (name, colour) in zip((0.0, 0.6, 1.03), names, strict=True):
        panel.text(x, 1.03, name, transform=panel.transAxes, fontsize=8.5, color=colour)


def _top(figures: Mapping[str, Any], name: str) -> float:
    found = _with_mute(figures)
    ends = found["intervals"].get(name)
    return float(ends[1] if ends else found[name] or 0.0)


def _rows(look: Look, title: str, note: str, splits: Splits, each: float = 0.46) -> tuple[Figure, list[Axes]]:
    """`each`: inches of a model's row."""
    models = max(map(len, splits.values()))
    margins = Margins(0.75, 0.6, 0.4, right=1.45, between=0.1)
    return grid(look, title, note, len(splits), 2, max(1.2, each * models), margins)


def _dot(panel: Axes, row: float, figures: Mapping[str, Any], name: str, colour: str) -> None:
    value, interval = figures[name], figures["intervals"][name]
    if value is None:
        return
    if interval:
        panel.plot(interval, [row, row], color=colour, lw=3.2, alpha=0.45, zorder=2, clip_on=False)
    panel.plot([value], [row], "o", color=colour, markersize=6, zorder=3, clip_on=False)
    text = f"{value:.3f}" + (f"  ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
    panel.text(1.03, row, text, transform=panel.get_yaxis_transform(), va="center", fontsize=8.5, color=INK)


def _models(panel: Axes, names: list[str], split: str) -> None:
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.5, -0.5)
    panel.set_xlim(0, 1)
    panel.tick_params(axis="y", length=0, labelsize=9.5)
    panel.tick_params(axis="x", length=3)
    panel.grid(axis="y", visible=False)
    _name(panel, split, "", 0.26)


def _name(panel: Axes, name: str, note: str, above: float) -> None:
    """A panel's name over its left edge, `above` in inches, and a note over its right one."""
    height = panel.get_position().height * panel.figure.get_figheight()  # type: ignore[union-attr]
    at = 1 + above / height
    panel.text(0, at, name, transform=panel.transAxes, fontsize=10.5, fontweight="bold")
    panel.text(1, at, note, transform=panel.transAxes, fontsize=9.5, color=FAINT, ha="right")


# ---- how sure


def reliability(splits: Splits, look: Look) -> Figure:
    note = (
        "each dot: the answers in one tenth of stated confidence, its area their number; on the line: right as stated"
    )
    shown = _sure(splits)
    margins = Margins(left=0.55, top=0.7, bottom=0.6, between=0.25, widest=3.4)
    title = "Reliability of the stated confidence" + _modes(splits)
    figure, panels = grid(look, title, note, len(shown), _abreast(shown), None, margins)
    for panel, (split, model, figures) in zip(panels, shown, strict=True):
        panel.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=(0, (4, 3)), zorder=1)
        bins = figures["reliability"]
        whole = sum(one["answers"] for one in bins)
        x, y = [one["confidence"] for one in bins], [one["accuracy"] for one in bins]
        panel.vlines(x, x, y, color=RED, lw=1.4, alpha=0.7, zorder=2)
        areas = [30 + 330 * one["answers"] / whole for one in bins]
        panel.scatter(x, y, areas, color=BLUE, alpha=0.85, edgecolor="white", linewidth=1, zorder=3, clip_on=False)
        for one in bins:
            panel.annotate(
                f"{one['answers']:,}",
                (one["confidence"], one["accuracy"]),
                xytext=(-13, -3),
                textcoords="offset points",
                ha="right",
                fontsize=8.5,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.set_xticks(np.linspace(0, 1, 6))
        panel.set_yticks(np.linspace(0, 1, 6))
        panel.set_xlabel("stated confidence")
        panel.set_ylabel("share right")
        _name(panel, f"{split}, {model}", "", 0.3)
        error = f"calibration error {figures['expected_calibration_error']:.3f}"
        panel.text(0, 1.04, error, transform=panel.transAxes, fontsize=8.5, color=FAINT)
    return figure


def _abreast(shown: Sequence[tuple[str, str, Any]]) -> int:
    """A split to a row, where that is not too many; where there are direct answers, beside those that think first."""
    if any(figures["mode"] == "direct" for _, _, figures in shown):
        return 2
    return min(4, sum(split == shown[0][0] for split, _, _ in shown))


def _sure(splits: Splits) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Where confidences of more than one tenth of the scale were stated: of one dot, no line can be seen."""
    return [
        (split, model, figures)
        for split, by_model in splits.items()
        for model, figures in by_model.items()
        if len(figures["reliability"]) > 1
    ]
