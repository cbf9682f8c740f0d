"""One rule for a last line that a kill tore, and every log that keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from so8t.errors import DataError
from so8t.serve import keys
from so8t.serve.audit import Log as AuditLog
from so8t.store import appendlog, journal
from so8t.store.answers import Answers
from so8t.store.appendlog import Log
from so8t.store.layout import Layout
from so8t.train.series import Series
from so8t.watch.pace import LINES, Pace


def answers(path: Path, number: int) -> None:
    with Answers(path) as kept:
        kept.put(f"鍵{number}", {"content": "答え"})


def series(path: Path, number: int) -> None:
    with Series(path) as growing:
        growing.append({"step": number, "phase": "転移"})


def pace(path: Path, number: int) -> None:
    Pace(path.parent).sample(number, 4000)


def build_journal(path: Path, number: int) -> None:
    layout = Layout(path.parents[2], path.parents[1], "tiny")
    journal.append(layout, f"段階{number}", "key", "built", 1.0)


def audit(path: Path, number: int) -> None:
    log = AuditLog(path.parent, keys.parse(["test " + "ab" * 32], "test"), 1 << 20)
    log.append({"id": f"番号{number}", "outcome": "answered"}).result(10)
    log.close()


WRITERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "answers": ("answers.jsonl", answers),
    "series": ("series.jsonl", series),
    "pace": (LINES, pace),
    "journal": ("artifacts/.so8t/journal.jsonl", build_journal),
    "audit": ("audit-000001.jsonl", audit),
}


@pytest.mark.parametrize("log", WRITERS)
def test_a_line_torn_at_any_byte_is_cut_off_and_the_log_goes_on(log: str, tmp_path: Path) -> None:
    name, write = WRITERS[log]
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in (1, 2):
        write(path, number)
    whole = path.read_bytes()
    kept = whole[: whole.index(b"\n") + 1]

    for end in range(len(kept), len(whole)):
        path.write_bytes(whole[:end])
        write(path, 3)

        lines = path.read_bytes().splitlines(keepends=True)
        assert len(lines) == 2 and lines[0] == kept, end
        assert lines[1].endswith(b"\n") and isinstance(orjson.loads(lines[1]), dict), end


def number(line: bytes) -> int | None:
    try:
        return int(line)
    except ValueError:
        return None


def numbers(log: Log[int]) -> list[int]:
    return [entry for _, entry in log.entries()]


@pytest.mark.parametrize("torn", [b"", b"3", b"dre\n", b"\x00" * 20])
def test_readers_leave_a_torn_line_out(torn: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\n2\n" + torn)

    assert list(appendlog.read(path, number, "not a number")) == [1, 2]
    assert path.read_bytes() == b"1\n2\n" + torn


def test_a_line_before_others_that_does_not_count_is_damage_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"1\nzwei\n3\n")

    with pytest.raises(DataError) as raised:
        list(appendlog.read(path, number, "not a number; mend that line"))

    assert str(raised.value) == f"{path}:2: not a number; mend that line"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (b"1", b""),
        (b"1\n", b"1\n"),
        (b"1\n2", b"1\n"),
        (b"1\n" + b"x" * 200_000, b"1\n"),
        (b"x" * 200_000 + b"\ny", b"x" * 200_000 + b"\n"),
    ],
)
def test_mending_cuts_after_the_last_line_end(before: bytes, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(before)

    assert appendlog.mend(path) == len(after)
    assert path.read_bytes() == after


def test_a_log_that_is_not_there_needs_no_mending(tmp_path: Path) -> None:
    assert appendlog.mend(tmp_path / "log") == 0
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_read_and_cut_and_goes_on(tmp_path: Path) -> None:
    log = Log(tmp_path / "logs" / "log", number, "not a number")
    places: list[Any] = [log.append(b"1\n"), log.append(b"22\n"), log.append(b"3\n")]

    assert (places, numbers(log), log.line(2)) == ([0, 2, 5], [1, 22, 3], b"22\n")
    log.cut(5)
    assert (log.append(b"4\n"), numbers(log)) == (5, [1, 22, 4])
    log.close()
    assert log.path.read_bytes() == b"1\n22\n4\n"
