"""What a stage said is kept as it stood on the terminal in the end."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from so8t.store import said
from so8t.store.layout import Layout

KEY = "ab" * 32


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path / "artifacts", "tiny")


def test_both_streams_are_kept_and_go_on_to_where_they_went(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with said.kept(layout, KEY, goes_on=False):
        print("経理", file=sys.stderr)
        print("二", end="")
        print("行目")
        assert not sys.stderr.isatty()

    assert (sys.stdout, sys.stderr) == before
    assert said.tail(layout, KEY, 9) == ("経理", "二行目")
    assert capsys.readouterr() == ("二行目\n", "経理\n")


def test_a_line_that_is_redrawn_in_place_is_kept_once_and_without_colours(layout: Layout) -> None:
    with said.kept(layout, KEY, goes_on=False):
        sys.stderr.write("\rstep 1")
        sys.stderr.write("\rstep 2")
        sys.stderr.write("\r      \radapter: \x1b[32mgates closed\x1b[0m\n\rstep 3")

    assert said.tail(layout, KEY, 9) == ("adapter: gates closed", "step 3")


def test_a_build_that_goes_on_adds_and_another_begins_anew(layout: Layout) -> None:
    for goes_on, text in ((False, "one"), (True, "two"), (True, "three")):
        with said.kept(layout, KEY, goes_on):
            print(text)
    assert said.tail(layout, KEY, 2) == ("two", "three")

    with said.kept(layout, KEY, goes_on=False):
        print("four")
    assert said.tail(layout, KEY, 9) == ("four",)


def test_two_who_tell_at_once_in_one_process_are_kept_apart(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    """As two profiles of a sweep, whose stages are on a cluster."""
    before = sys.stdout, sys.stderr
    with said.telling(layout, KEY) as one:
        with said.telling(layout, "cd" * 32) as two:
            one("raw: on node-a")
            two("cleaned: on node-b")
        one("raw: 49 in")
    print("built")

    assert (sys.stdout, sys.stderr) == before
    assert said.tail(layout, KEY, 9) == ("raw: on node-a", "raw: 49 in")
    assert said.tail(layout, "cd" * 32, 9) == ("cleaned: on node-b",)
    assert capsys.readouterr() == ("built\n", "raw: on node-a\ncleaned: on node-b\nraw: 49 in\n")


def test_what_was_said_before_a_failure_is_kept(layout: Layout) -> None:
    with pytest.raises(ValueError, match="no"), said.kept(layout, KEY, goes_on=False):
        print("before")
        raise ValueError("no")

    assert said.tail(layout, KEY, 9) == ("before",)


def test_where_nothing_can_be_written_the_build_goes_on_with_a_warning(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.shared.mkdir(parents=True)
    (layout.shared / "said").write_text("a file", "utf-8")

    with said.kept(layout, KEY, goes_on=False):
        print("so")

    assert capsys.readouterr().out == "so\n"
    assert said.tail(layout, KEY, 9) == ()


def test_what_belongs_to_no_result_is_forgotten_after_a_day(layout: Layout) -> None:
    for key in ("known", "old", "new"):
        with said.kept(layout, key, goes_on=False):
            print(key)
    long_ago = time.time() - 100_000
    for key in ("known", "old"):
        os.utime(layout.said(key), (long_ago, long_ago))

    said.forget(layout, {"known"})

    assert [bool(said.tail(layout, key, 1)) for key in ("known", "old", "new")] == [True, False, True]
