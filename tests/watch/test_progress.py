"""What a person sees of a run, character for character, with a clock that the test turns."""

from __future__ import annotations

import io

import pytest

from so8t.watch.progress import Progress, clock_face


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    """A terminal that was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_file_gets_a_line_each_tenth_or_each_ten_seconds_and_a_summary() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("adapter", 40, stream=stream, clock=clock) as progress:
        for step in range(1, 13):
            clock.now += 1.0
            progress.update(step, 100, 2 / step)
        clock.now += 11.0
        progress.update(13, 100, 0.15)
        for step in range(14, 41):
            progress.update(step, 100, 0.125)

    assert stream.getvalue() == (
        "adapter: step 1/40 (2 %)  loss 2.0000  100 tokens/s  ETA 0:39\n"
        "adapter: step 4/40 (10 %)  loss 0.5000  100 tokens/s  ETA 0:36\n"
        "adapter: step 8/40 (20 %)  loss 0.2500  100 tokens/s  ETA 0:32\n"
        "adapter: step 12/40 (30 %)  loss 0.1667  100 tokens/s  ETA 0:28\n"
        "adapter: step 13/40 (32 %)  loss 0.1500  57 tokens/s  ETA 0:48\n"
        "adapter: step 16/40 (40 %)  loss 0.1250  70 tokens/s  ETA 0:34\n"
        "adapter: step 20/40 (50 %)  loss 0.1250  87 tokens/s  ETA 0:23\n"
        "adapter: step 24/40 (60 %)  loss 0.1250  104 tokens/s  ETA 0:15\n"
        "adapter: step 28/40 (70 %)  loss 0.1250  122 tokens/s  ETA 0:10\n"
        "adapter: step 32/40 (80 %)  loss 0.1250  139 tokens/s  ETA 0:06\n"
        "adapter: step 36/40 (90 %)  loss 0.1250  157 tokens/s  ETA 0:03\n"
        "adapter: step 40/40 (100 %)  loss 0.1250  174 tokens/s  took 0:23\n"
        "adapter: 40 steps in 0:23, 174 tokens/s\n"
    )


def test_a_terminal_has_one_line_that_is_redrawn_whole() -> None:
    clock, stream = Clock(), Terminal()
    progress = Progress("adapter", 1200, stream=stream, clock=clock, width=lambda: 100)
    for step, loss in ((1, 12.5), (2, 11.0), (900, 2.25), (1200, 2.0)):
        clock.now += 30.0 if step > 2 else 0.1
        progress.update(step, 3000, loss)
    progress.close()

    assert stream.getvalue().split("\r") == [
        "",
        "adapter [....................] step 1/1,200 (0 %)  loss 12.5000  30,000 tokens/s  ETA 2:00",
        # step 2 came too soon to be drawn
        "adapter [###############.....] step 900/1,200 (75 %)  loss 2.2500  100 tokens/s  ETA 0:10 ",
        "adapter [####################] step 1,200/1,200 (100 %)  loss 2.0000  100 tokens/s  took 1:00\n"
        "adapter: 1,200 steps in 1:00, 199 tokens/s\n",
    ]


def test_a_narrow_terminal_never_wraps() -> None:
    clock, stream = Clock(), Terminal()
    progress = Progress("adapter", 10, stream=stream, clock=clock, width=lambda: 30)
    for step in (1, 10):
        clock.now += 1
        progress.update(step, 10, 1.0)

    assert stream.getvalue().split("\r")[1:] == ["adapter step 1/10 (10 %)  los", "adapter step 10/10 (100 %)  l"]


def test_a_resumed_run_judges_by_its_own_speed() -> None:
    clock, stream = Clock(), io.StringIO()
    with Progress("adapter", 1000, start=900, stream=stream, clock=clock) as progress:
        for step in (901, 910):
            clock.now += 10.0
            progress.update(step, 5000, 0.5)

    assert stream.getvalue() == (
        "adapter: step 901/1,000 (90 %)  loss 0.5000  500 tokens/s  ETA 16:30\n"
        "adapter: step 910/1,000 (91 %)  loss 0.5000  500 tokens/s  ETA 3:00\n"
        "adapter: 10 steps after 900 earlier ones in 0:20, 500 tokens/s, stopped at 910 of 1,000\n"
    )


def test_speed_is_that_of_the_last_half_minute() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress("adapter", 1000, stream=stream, clock=clock)
    for step in range(1, 21):
        clock.now += 10.0
        progress.update(step, 1000 if step <= 10 else 4000, 1.0)

    assert "  100 tokens/s  ETA 2:45:00\n" in stream.getvalue()
    assert stream.getvalue().splitlines()[-1] == "adapter: step 20/1,000 (2 %)  loss 1.0000  400 tokens/s  ETA 2:43:20"


def test_what_is_said_stands_above_the_line() -> None:
    clock, stream = Clock(), Terminal()
    progress = Progress("adapter", 10, stream=stream, clock=clock, width=lambda: 60)
    clock.now += 1
    progress.update(1, 10, 1.0)
    progress.say("validation 0.5")

    line = "adapter step 1/10 (10 %)  loss 1.0000  10 tokens/s  ETA 0:0"
    assert stream.getvalue() == f"\r{line}\r{' ' * 59}\radapter: validation 0.5\n\r{line}"


def test_a_loss_that_is_no_number_is_shown_as_it_is() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress("adapter", 10, stream=stream, clock=clock)
    clock.now += 1
    progress.update(1, 10, float("nan"))

    assert stream.getvalue() == "adapter: step 1/10 (10 %)  loss nan  10 tokens/s  ETA 0:09\n"


def test_a_run_without_a_step_leaves_no_line() -> None:
    stream = io.StringIO()
    with Progress("adapter", 10, start=10, stream=stream):
        pass

    assert stream.getvalue() == ""


@pytest.mark.parametrize("closed", [False, True])
def test_a_stream_that_goes_away_does_not_end_the_run(closed: bool) -> None:
    stream = Gone()
    progress = Progress("adapter", 10, stream=stream, width=lambda: 80)
    if closed:
        stream.close()

    progress.update(1, 10, 1.0)
    progress.say("still here")
    progress.close()


@pytest.mark.parametrize(
    ("seconds", "face"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (155, "2:35"), (3755, "1:02:35"), (274_200, "3 d 04:10")],
)
def test_clock_faces(seconds: float, face: str) -> None:
    assert clock_face(seconds) == face
