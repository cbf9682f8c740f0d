"""The graph as a picture: what it waits for, what it leaves out, and no box over another."""

from __future__ import annotations

import re
from itertools import combinations

from so8t.report import graph
from tests.report.made import STAGES, stage


def test_the_longest_chain_is_the_one_that_takes_the_most_time() -> None:
    assert graph.critical(STAGES) == ("raw", "model", "gguf")
    assert graph.critical(()) == ()


def test_a_line_that_follows_from_others_is_left_out() -> None:
    assert graph.direct(STAGES) == {
        ("raw", "cleaned"), ("raw", "model"), ("cleaned", "gguf"), ("model", "gguf"), ("gguf", "ollama"),
    }  # fmt: skip


def test_every_stage_is_a_link_to_its_panel_with_state_time_and_size() -> None:
    drawn = str(graph.draw(STAGES))

    assert re.findall(r'<a href="#stage-(\w+)">', drawn) == ["raw", "cleaned", "model", "gguf", "ollama"]
    assert "built · 30.0 s · 1.5 MB" in drawn
    assert ">on request<" in drawn
    assert drawn.count('class="edge slow"') == 2


def boxes(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<rect x="([\d.-]+)" y="([\d.-]+)" width="172"', drawn)]


def test_no_box_lies_over_another_whatever_the_graph() -> None:
    names = [f"s{at}" for at in range(40)]
    stages = [stage(name, *{names[at // 2], names[at // 3]} if at else ()) for at, name in enumerate(names)]

    found = boxes(str(graph.draw(stages)))

    assert len(found) == 40
    for (x, y), (other_x, other_y) in combinations(found, 2):
        assert abs(x - other_x) >= graph.WIDE or abs(y - other_y) >= graph.HIGH


def test_a_thousand_stages_are_drawn_in_a_moment() -> None:
    import time

    names = [f"s{at}" for at in range(1000)]
    stages = [stage(name, *(names[max(0, at - 5) : at : 2] if at else ())) for at, name in enumerate(names)]

    begun = time.process_time()
    drawn = str(graph.draw(stages))

    assert drawn.count("#stage-") == 1000
    assert time.process_time() - begun < 5  # took 0.2 s
