from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from so8t.corpus import workers
from so8t.errors import StageError
from tests.stream.test_ranges import TEXTS


def upper(mark: bytes) -> Callable[[Iterable[bytes]], bytes]:
    return lambda lines: b"".join(mark + line.upper() for line in lines)


def fatal(mark: bytes) -> Callable[[Iterable[bytes]], bytes]:
    def work(lines: Iterable[bytes]) -> bytes:
        os._exit(9)

    return work


def slow(folder: str) -> Callable[[Iterable[bytes]], None]:
    def work(lines: Iterable[bytes]) -> None:
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(60)

    return work


@pytest.mark.slow
@pytest.mark.parametrize(("hands", "size"), [(1, 2_000), (2, 50_000), (3, 2_000)])
def test_results_come_in_the_files_order_whatever_the_workers_and_ranges(hands: int, size: int, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"\n".join(TEXTS.values()))

    (alone,) = workers.map_lines(upper, b">", path, 1)
    assert b"".join(workers.map_lines(upper, b">", path, hands, size)) == alone


def test_small_files_stay_in_one_process_and_large_ones_take_every_core(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"x" * 1000)
    monkeypatch.setattr(workers, "_cores", lambda: 5)

    assert (workers.hands(None, path), workers.hands(3, path)) == (1, 3)
    monkeypatch.setattr(workers, "WORTH", 1000)
    assert (workers.hands(None, path), workers.hands(1, path)) == (5, 1)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "raw.jsonl"
    path.write_bytes(b"{}\n")

    with pytest.raises(StageError) as caught:
        list(workers.map_lines(fatal, b"", path, 2))

    assert str(caught.value) == (
        "a process that worked on raw.jsonl was ended from outside, perhaps because memory ran out; "
        "build again, or set `workers` to a smaller number"
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no process is killed there by a signal")
def test_no_worker_outlives_a_killed_parent(tmp_path: Path, root: Path) -> None:
    path, seen = tmp_path / "lines", tmp_path / "seen"
    path.write_bytes(b"a\n" * 10)
    seen.mkdir()
    code = (
        "from pathlib import Path\nfrom so8t.corpus import workers\nfrom tests.corpus.test_workers import slow\n"
        f"list(workers.map_lines(slow, {str(seen)!r}, Path({str(path)!r}), 2, 4))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    until(lambda: len(list(seen.iterdir())) == 2)

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    until(lambda: not any(alive(int(each.name)) for each in seen.iterdir()))


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


def until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.02)
