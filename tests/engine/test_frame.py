"""The lines below a build: what runs, how far it is, how long it will take; whole at any width."""

from __future__ import annotations

from so8t.engine.frame import frame
from so8t.engine.terminal import clip, has_colours, is_live, width
from so8t.store.running import Running

STAGES = ("cleaned", "base_model", "adapter", "evaluation")
EXPECTED = {"cleaned": 1.0, "base_model": 64.0, "adapter": 100.0, "evaluation": 35.0}


def adapter(**more: object) -> Running:
    told = {"part": "", "unit": "step", "done": 240, "total": 600, "since": 1010.0, "detail": "loss 0.4321"}
    return Running(**{"stage": "adapter", "build": "7", "process": 8, "began": 1000.0, **told, **more})  # type: ignore[arg-type]


def test_a_stage_that_counts_has_its_own_pace_and_the_build_the_last_times() -> None:
    assert frame([adapter()], STAGES, {"cleaned", "base_model"}, EXPECTED, 1050.0, 100) == [
        "adapter     [########............]  40%  step 240 of 600  loss 0.4321  ETA 1:00",
        "whole build [##########..........]  52%  2 of 4 stages  ETA 1:35",
    ]


def test_a_stage_that_counts_nothing_goes_by_the_time_that_it_took_the_last_time() -> None:
    silent = adapter(unit="", done=0, total=0, detail="")
    assert frame([silent], STAGES, {"cleaned", "base_model"}, EXPECTED, 1025.0, 100) == [
        "adapter     [#####...............]  25%  0:25  ETA 1:15",
        "whole build [#########...........]  45%  2 of 4 stages  ETA 1:50",
    ]
    assert frame([silent], STAGES, {"cleaned", "base_model"}, {}, 1025.0, 100) == [
        "adapter      0:25",
        "whole build [##########..........]  50%  2 of 4 stages",
    ]


def test_of_several_counts_none_is_taken_for_the_whole_stage() -> None:
    asked = adapter(stage="evaluation", part="so8t-q8_0.gguf", unit="answer", done=30, total=60, detail="")
    assert frame([asked], STAGES, set(STAGES[:3]), EXPECTED, 1014.0, 100)[0] == (
        "evaluation  [##########..........]  50%  so8t-q8_0.gguf answer 30 of 60  ETA 0:21"
    )


def test_a_bar_is_shorter_where_room_is_scarce_and_comes_before_details() -> None:
    training = adapter(detail="loss 0.4321  6,499 tokens/s")
    assert [frame([training], STAGES, set(), {}, 1050.0, columns)[0] for columns in (100, 84, 80, 54, 40)] == [
        "adapter     [########............]  40%  step 240 of 600  loss 0.4321  6,499 tokens/s  ETA 1:00",
        "adapter     [###.....]  40%  step 240 of 600  loss 0.4321  6,499 tokens/s  ETA 1:00",
        "adapter     [########............]  40%  step 240 of 600  ETA 1:00",
        "adapter     [##.....]  40%  step 240 of 600  ETA 1:00",
        "adapter       40%  step 240 of 600  ET…",
    ]


def test_two_seconds_pass_before_a_line_is_drawn() -> None:
    assert frame([adapter()], STAGES, set(), EXPECTED, 1001.9, 100) == []


def test_japanese_names_and_narrow_terminals_break_no_line() -> None:
    wide = adapter(stage="思考の学習", part="検証用の会話", detail="損失 0.4321")
    for columns in (20, 40, 60, 80, 120):
        lines = frame([wide, adapter()], STAGES, set(), {}, 1050.0, columns)
        assert all(width(line) < columns for line in lines), lines
    assert [frame([wide], (), set(), {}, 1050.0, columns)[0] for columns in (60, 40)] == [
        "思考の学習  [####......]  40%  検証用の会話 step 240 of 600",
        "思考の学習    40%  検証用の会話 step 2…",
    ]


def test_the_width_of_a_text_is_what_a_terminal_makes_of_it() -> None:
    texts = ("adapter", "思考", "ｶﾅ", "e\u0301", "が", "か\u3099")
    assert [width(text) for text in texts] == [7, 4, 2, 1, 2, 2]
    assert (clip("思考の学習", 10), clip("思考の学習", 9), clip("思考の学習", 4)) == ("思考の学習", "思考の学…", "思…")


class Stream:
    def __init__(self, live: bool) -> None:
        self.isatty = lambda: live


def test_colours_follow_the_terminal_and_the_variables_that_speak_of_them() -> None:
    terminal, pipe = Stream(True), Stream(False)
    asked = [
        (terminal, {"TERM": "xterm"}, True),
        (terminal, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (terminal, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (terminal, {"TERM": "dumb"}, False),
        (terminal, {}, False),
        (pipe, {"TERM": "xterm"}, False),
        (pipe, {"FORCE_COLOR": "1"}, True),
        (pipe, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, True),
    ]
    assert [has_colours(stream, env) for stream, env, _ in asked] == [wanted for *_, wanted in asked]  # type: ignore[arg-type]
    assert is_live(terminal, {"TERM": "xterm"})  # type: ignore[arg-type]
    assert not is_live(terminal, {"TERM": "dumb"})  # type: ignore[arg-type]
    coloured = frame([adapter()], STAGES, set(), {}, 1050.0, 100, colours=True)
    assert coloured[0].startswith("adapter     [\x1b[32m########\x1b[0m............]  40%")
