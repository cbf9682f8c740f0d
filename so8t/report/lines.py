"""Line charts as SVG: static to look at, with their points beside them for a script that shows values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from so8t.report import svg, words

WIDE, HIGH = 380, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 26
_POINTS = 300  # of a line, at most: more than there are pixels
_DECADES = 6  # a logarithmic axis has marks at every power of ten up to so many, then at every other one
Point = tuple[float, float | None]


@dataclass(frozen=True)
class Line:
    """Points from left to right; where one has no value, the line has a gap."""

    name: str
    points: Sequence[Point]
    look: str = "s0"  # a class of the style


@dataclass(frozen=True)
class Mark:
    """A level that means something, such as the norm to which gradients are clipped."""

    name: str
    value: float


@dataclass(frozen=True)
class Axis:
    """From values to the height in the picture; `ticks` are values that get a line."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        low, high, at = (math.log10(each) if self.log else each for each in (self.low, self.high, value))
        part = (at - low) / (high - low)
        return _TOP + (1 - part) * (HIGH - _TOP - _BOTTOM)


def draw(
    title: str, lines: Sequence[Line], log: bool = False, marks: Sequence[Mark] = (), zero: bool = False
) -> Markup:
    """`zero`: the axis begins at nought."""
    thin = [Line(line.name, _thin(line.points), line.look) for line in lines]
    steps = [x for line in thin for x, _ in line.points]
    values = [y for line in thin for _, y in line.points if y is not None and math.isfinite(y) and (y > 0 or not log)]
    levels = [mark.value for mark in marks]
    axis = _axis([*values, *levels, *([0.0] if zero else [])] or [0.0, 1.0], log)
    first, last = min(steps, default=0.0), max(steps, default=1.0)
    right = last if last > first else first + 1

    def x(step: float) -> float:
        return _LEFT + (step - first) / (right - first) * (WIDE - _LEFT - _RIGHT)

    paths = [svg.element("path", d=_path(line.points, x, axis), class_=f"line {line.look}") for line in thin]
    parts = [*_rules(axis), *_steps(first, right, x), *_levels(marks, axis), *paths]
    data = {
        "x": [_LEFT, WIDE - _RIGHT, first, right],
        "lines": {line.name: [list(each) for each in line.points] for line in thin},
    }
    return svg.picture(WIDE, HIGH, title, *parts, class_="chart", data_lines=json.dumps(data, separators=(",", ":")))


def _thin(points: Sequence[Point]) -> list[Point]:
    """So many points at most, the first and the last among them; values to four digits."""
    every = max(1, math.ceil(len(points) / _POINTS))
    kept = [point for at, point in enumerate(points) if at % every == 0 or at == len(points) - 1]
    return [(x, None if y is None or not math.isfinite(y) else float(f"{y:.4g}")) for x, y in kept]


def _axis(values: Sequence[float], log: bool) -> Axis:
    low, high = min(values), max(values)
    if log:
        below, above = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
        above = max(above, below + 1)
        every = 1 if above - below <= _DECADES else math.ceil((above - below) / _DECADES)
        return Axis(10.0**below, 10.0**above, True, tuple(10.0**each for each in range(below, above + 1, every)))
    step = _nice((high - low) / 4 or abs(high) / 4 or 0.25)
    below, above = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    above = max(above, below + 1)
    return Axis(below * step, above * step, False, tuple(each * step for each in range(below, above + 1)))


def _nice(step: float) -> float:
    """The next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    scale = 10.0 ** math.floor(math.log10(step))
    return next(each * scale for each in (1.0, 2.0, 2.5, 5.0, 10.0) if each * scale >= step * (1 - 1e-9))


def _path(points: Sequence[Point], x, axis: Axis) -> str:  # type: ignore[no-untyped-def]
    parts, pen = [], "M"
    for step, value in points:
        if value is None or (axis.log and value <= 0):
            pen = "M"
            continue
        parts.append(f"{pen}{x(step):.1f} {axis.place(min(max(value, axis.low), axis.high)):.1f}")
        pen = "L"
    return "".join(parts)


def _rules(axis: Axis) -> Iterator[Markup]:
    for tick in axis.ticks:
        y = axis.place(tick)
        yield svg.element("path", d=f"M{_LEFT} {y:.1f}H{WIDE - _RIGHT}", class_="rule")
        yield svg.element("text", _tick(tick, axis), x=_LEFT - 7, y=y + 4, text_anchor="end", class_="facts")


def _tick(value: float, axis: Axis) -> str:
    if axis.log:
        return f"{value:g}" if 1e-3 <= value < 1e4 else words.power(value)
    return "0" if abs(value) < 1e-12 else words.number(float(f"{value:.4g}"))


def _steps(first: float, last: float, x) -> Iterator[Markup]:  # type: ignore[no-untyped-def]
    step = _nice((last - first) / 5)
    for each in range(math.ceil(first / step), math.floor(last / step + 1e-9) + 1):
        anchor = "end" if each * step > last - step / 3 else "middle"
        yield svg.element(
            "text", f"{each * step:,.6g}", x=x(each * step), y=HIGH - 8, text_anchor=anchor, class_="facts"
        )


def _levels(marks: Sequence[Mark], axis: Axis) -> Iterator[Markup]:
    for mark in marks:
        y = axis.place(mark.value)
        yield svg.element("path", d=f"M{_LEFT} {y:.1f}H{WIDE - _RIGHT}", class_="level")
        yield svg.element("text", mark.name, x=WIDE - _RIGHT, y=y - 5, text_anchor="end", class_="facts")
