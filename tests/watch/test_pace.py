"""Speed and memory by interval, over runs that follow one another."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy
import orjson
import pytest
from PIL import Image

from so8t.watch.pace import LINES, PICTURE, Pace, memory, read


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def lines(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / LINES).read_bytes().splitlines()]


def run(folder: Path, steps: range, seconds: float = 2.0) -> None:
    clock = Clock()
    pace = Pace(folder, clock)
    for step in steps:
        clock.now += seconds
        pace.sample(step, 4000)
    pace.close()


def test_an_interval_is_a_line(tmp_path: Path) -> None:
    run(tmp_path / "logs", range(10, 30, 10))

    first, second = lines(tmp_path / "logs")
    assert list(first) == ["run", "step", "seconds", "tokens", "tokens_per_second", "resident"]
    assert [first[name] for name in list(first)[:5]] == [1, 10, 2.0, 4000, 2000.0]
    assert [second[name] for name in list(second)[:5]] == [1, 20, 4.0, 4000, 2000.0]
    assert first["resident"] > 1 << 24


def test_a_resumed_run_is_the_next_one_even_after_a_torn_line(tmp_path: Path) -> None:
    run(tmp_path, range(10, 30, 10))
    with (tmp_path / LINES).open("ab") as log:
        log.write(b'{"run":1,"ste')
    run(tmp_path, range(20, 40, 10), seconds=1.0)

    assert [(line["run"], line["step"]) for line in read(tmp_path / LINES)] == [(1, 10), (1, 20), (2, 20), (2, 30)]


def test_the_end_leaves_a_picture(tmp_path: Path) -> None:
    run(tmp_path, range(10, 200, 10))
    run(tmp_path, range(150, 300, 10), seconds=1.5)

    with Image.open(tmp_path / PICTURE) as picture:
        assert picture.size == (1200, 702)
        assert numpy.asarray(picture.convert("L")).std() > 10


def test_no_interval_leaves_no_picture(tmp_path: Path) -> None:
    Pace(tmp_path).close()

    assert list(tmp_path.iterdir()) == []


def test_logs_that_cannot_be_written_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("a file", encoding="utf-8")

    run(tmp_path / "logs", range(10, 40, 10))

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("speed and memory are not logged any more: ")


def test_memory_is_this_process_s() -> None:
    before = memory()["resident"]
    with mmap.mmap(-1, 40 << 20) as held:  # new pages, whatever this process has freed and not given back
        for page in range(0, len(held), mmap.PAGESIZE):
            held[page] = 1

        assert memory()["resident"] - before > 30 << 20
