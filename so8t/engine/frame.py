"""The lines below a build on a terminal: one for each stage that runs, and one for the whole build."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from so8t.engine.outlook import LONG, duration
from so8t.engine.terminal import BLUE, GREEN, clip, pad, paint, width
from so8t.store.running import Running

_BAR, _LEAST = 20, 5  # characters
_ALL = "whole build"


def frame(
    running: Sequence[Running],
    stages: Sequence[str],
    done: Collection[str],
    expected: Mapping[str, float],
    now: float,
    columns: int,
    colours: bool = False,
) -> list[str]:
    """`stages` are those of the build, `done` the finished ones of them, `expected` what each took the last time."""
    if not any(now - each.began >= LONG for each in running):
        return []
    names = max(width(name) for name in [_ALL, *(each.stage for each in running)])
    lines = [_line(pad(each.stage, names), each, expected.get(each.stage), now, columns) for each in running]
    lines.append((pad(_ALL, names), *whole(running, stages, done, expected, now)))
    return [_painted(line, colour, columns, colours) for line, colour in zip(lines, _colours(len(lines)), strict=True)]


Line = tuple[str, float | None, str]  # a name, the share that is done, what is said of it


def _line(name: str, each: Running, expected: float | None, now: float, columns: int) -> Line:
    """With its detail if the bar has room beside it."""
    line = (name, *stage(each, expected, now))
    return line if _bar(line, columns) >= _LEAST else (name, *stage(replace(each, detail=""), expected, now))


def _bar(line: Line, columns: int) -> int:
    """Its length; the last column stays free."""
    return min(_BAR, columns - 1 - width(line[0]) - width(line[2]) - 4)


def _colours(count: int) -> list[str]:
    return [GREEN] * (count - 1) + [BLUE]


def _painted(line: Line, colour: str, columns: int, colours: bool) -> str:
    name, share, facts = line
    bar = _bar(line, columns)
    if share is None or bar < _LEAST:
        return clip(f"{name}  {facts}", columns - 1)
    full = min(int(share * bar), bar)
    return f"{name} [{paint('#' * full, colour, colours)}{'.' * (bar - full)}] {facts}"


def stage(each: Running, expected: float | None, now: float) -> tuple[float | None, str]:
    """By what it counts; else by the time that it took the last time."""
    elapsed = now - each.began
    if each.total:
        share = each.done / each.total
        counted = f"{share:4.0%}  {each.part + ' ' if each.part else ''}{each.unit} {each.done:,} of {each.total:,}"
        return share, "  ".join(filter(None, [counted, each.detail, _eta(left(each, expected, now))]))
    counted = f"{each.unit} {each.done:,}" if each.unit else duration(elapsed)
    if not expected:
        return None, "  ".join(filter(None, [counted, each.detail]))
    share = min(elapsed / expected, 0.99)
    return share, "  ".join(filter(None, [f"{share:4.0%}", counted, each.detail, _eta(left(each, expected, now))]))


def left(each: Running, expected: float | None, now: float) -> float | None:
    """Seconds to its end: at the pace of what it counts if that is all that it does, else by the last time."""
    if each.total and not each.part and each.done > each.start:
        return (now - each.since) / (each.done - each.start) * (each.total - each.done)
    return max(expected - (now - each.began), 0.0) if expected else None


def whole(
    running: Sequence[Running],
    stages: Sequence[str],
    done: Collection[str],
    expected: Mapping[str, float],
    now: float,
) -> tuple[float | None, str]:
    under_way = {each.stage: left(each, expected.get(each.stage), now) for each in running}
    rest = [under_way.get(name, expected.get(name)) for name in stages if name not in done]
    seconds = None if None in rest else sum(each for each in rest if each is not None)
    count = f"{len(set(stages) & set(done))} of {len(stages)} stages"
    taken = sum(expected.get(name, 0.0) for name in stages)
    share = len(set(stages) & set(done)) / max(len(stages), 1)
    if seconds is not None and taken:
        share = max(0.0, min(1 - seconds / taken, 1.0))
    return share, "  ".join(filter(None, [f"{share:4.0%}", count, _eta(seconds)]))


def _eta(seconds: float | None) -> str:
    return "" if seconds is None else f"ETA {duration(seconds)}"
