"""Answers counted for a person: what came from an earlier run, a line now and then, none for what is quick."""

from __future__ import annotations

import io

from so8t.watch.count import Count


def test_a_line_every_ten_seconds_says_how_many_are_left() -> None:
    said, now = io.StringIO(), [0.0]
    count = Count("evaluation: f16.gguf", 1240, before=1000, stream=said, clock=lambda: now[0])
    for _ in range(240):
        now[0] += 0.25
        count.add()

    assert said.getvalue() == (
        "evaluation: f16.gguf: 1,000 of 1,240 answers are kept from an earlier run\n"
        "evaluation: f16.gguf: 1,040 of 1,240 answers, ETA 0:50\n"
        "evaluation: f16.gguf: 1,080 of 1,240 answers, ETA 0:40\n"
        "evaluation: f16.gguf: 1,120 of 1,240 answers, ETA 0:30\n"
        "evaluation: f16.gguf: 1,160 of 1,240 answers, ETA 0:20\n"
        "evaluation: f16.gguf: 1,200 of 1,240 answers, ETA 0:10\n"
    )


def test_what_is_quick_says_nothing() -> None:
    said = io.StringIO()
    count = Count("evaluation: f16.gguf", 3, stream=said, clock=lambda: 0.0)
    for _ in range(3):
        count.add()

    assert said.getvalue() == ""
