"""The training in charts: losses, speed of learning, gradients, gates; each from the series of measurements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from so8t.report import lines, words
from so8t.report.facts import Facts, Figure
from so8t.report.lines import Line, Mark, Point

FILE = "adapter/monitoring/series.jsonl"
_LOOKS = 6  # classes of lines, from the first layer to the last


@dataclass(frozen=True)
class Key:
    """A line's name and its last value."""

    name: str
    look: str
    last: Figure


@dataclass(frozen=True)
class Chart:
    title: str
    note: str
    picture: Markup
    keys: tuple[Key, ...]


def charts(facts: Facts) -> tuple[Chart, ...]:
    if not facts.series:
        return ()
    layers = facts.find("so8t_model/so8t.json", "layers") or ()
    found = [*_charts(facts.series, [str(each) for each in layers], _clip(facts)), _speed(facts.pace)]
    return tuple(chart for chart in found if chart)


def _speed(pace: Sequence[Mapping[str, Any]]) -> Chart | None:
    """A line for each run: one that was killed and went on has two."""
    rows = [each for each in pace if each.get("tokens_per_second") is not None]
    runs = sorted({each["run"] for each in rows})
    if not rows:
        return None
    drawn = [
        Line(
            f"run {run}",
            [(each["step"], each["tokens_per_second"]) for each in rows if each["run"] == run],
            f"s{at % 3}",
        )
        for at, run in enumerate(runs)
    ]
    keys = [Key(line.name, line.look, Figure(words.number(line.points[-1][1]))) for line in drawn[:_LOOKS]]
    note = "tokens a second, on the machine that trained; in no artifact"
    return Chart("Speed", note, lines.draw("Speed", drawn, zero=True), tuple(keys))


def _charts(series: Sequence[Mapping[str, Any]], gated: Sequence[str], clip: float | None) -> Iterator[Chart | None]:
    yield _chart(
        series,
        "Loss",
        "nats a token; what is learned, and held-out conversations",
        {"task": "training", "validation": "validation"},
        log=True,
    )
    yield _chart(
        series,
        "Smoothness (PET)",
        "the penalty before its weight: second differences of the inner states",
        {"pet": "PET"},
        zero=True,
    )
    yield _rates(series)
    marks = [Mark(f"clipped to {clip:g}", clip)] if clip else []
    names = {"gradient_norm": "all", "gate_gradient_norm": "gates"}
    yield _chart(series, "Gradients", "their norm before it is clipped", names, log=True, marks=marks)
    yield _layers(series, "Opening of the gates", "g = sigmoid(alpha); at nought a gate does nothing", "g", gated)
    yield _layers(series, "Alpha", "what is learned; the opening is its sigmoid", "alpha", gated)
    yield _layers(series, "Rotation angles, largest", "degrees, by gated layer", "angle_max", gated, zero=True)
    yield _layers(series, "Rotation angles, mean", "degrees, by gated layer", "angle_mean", gated, zero=True)
    yield _layers(
        series,
        "Distance from a rotation",
        "the largest ‖RᵀR − I‖ of a layer's blocks; float32 rounds at 3 × 10⁻⁷",
        "deviation",
        gated,
        log=True,
    )
    yield _chart(
        series,
        "Logits",
        "mean, smallest and largest",
        {"logits_max": "largest", "logits_mean": "mean", "logits_min": "smallest"},
    )
    yield _layers(series, "Activations", "their norm, by layer of the model", "activations", (), zero=True)


def _clip(facts: Facts) -> float | None:
    adapter = next((stage for stage in facts.stages if stage.name == "adapter"), None)
    found = [value.value for value in adapter.values if value.name == "train.max_gradient"] if adapter else []
    return float(found[0]) if found else None


def _rates(series: Sequence[Mapping[str, Any]]) -> Chart | None:
    """One line where gates and LoRA learn equally fast."""
    alike = all(each.get("learning_rate") == each.get("gate_learning_rate") for each in series)
    names = {"learning_rate": "LoRA and gates"} if alike else {"learning_rate": "LoRA", "gate_learning_rate": "gates"}
    return _chart(series, "Learning rate", "of the optimiser", names, zero=True)


def _chart(
    series: Sequence[Mapping[str, Any]], title: str, note: str, names: Mapping[str, str],
    log: bool = False, zero: bool = False, marks: Sequence[Mark] = (),
) -> Chart | None:  # fmt: skip
    """One line for each field that the series has."""
    there = [name for name in names if any(name in each for each in series)]
    drawn = [
        Line(names[name], [(each["step"], each[name]) for each in series if name in each], f"s{at}")
        for at, name in enumerate(there)
    ]
    records = [f"{name}, last line" for name in there]
    return _finish(title, note, drawn, records, log, zero, marks) if drawn else None


def _layers(
    series: Sequence[Mapping[str, Any]], title: str, note: str, field: str, numbers: Sequence[str],
    log: bool = False, zero: bool = False,
) -> Chart | None:  # fmt: skip
    """One line for each layer, from light to dark."""
    count = max((len(each[field]) for each in series if field in each), default=0)
    if not count or (log and not _positive(series, field)):
        return None
    names = [f"layer {number}" for number in (numbers if len(numbers) == count else range(count))]
    drawn = [
        Line(name, _points(series, field, at), f"l{at * (_LOOKS - 1) // max(count - 1, 1)}")
        for at, name in enumerate(names)
    ]
    return _finish(title, note, drawn, [f"{field}[{at}], last line" for at in range(count)], log, zero, ())


def _positive(series: Sequence[Mapping[str, Any]], field: str) -> bool:
    return any(value > 0 for each in series for value in each.get(field, ()))


def _points(series: Sequence[Mapping[str, Any]], field: str, at: int) -> list[Point]:
    return [(each["step"], each[field][at]) for each in series if field in each]


def _finish(
    title: str, note: str, drawn: Sequence[Line], records: Sequence[str], log: bool, zero: bool, marks: Sequence[Mark]
) -> Chart:
    keys = [
        Key(line.name, line.look, Figure(words.number(line.points[-1][1]), FILE, record))
        for line, record in zip(drawn, records, strict=True)
    ]
    shown = keys if len(keys) <= _LOOKS else [keys[0], keys[-1]]
    return Chart(title, note, lines.draw(title, drawn, log, marks, zero), tuple(shown))
