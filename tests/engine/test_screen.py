"""A whole build on a terminal, as a person sees it: a real pseudo-terminal, and an emulator that draws what it gets."""

from __future__ import annotations

import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.house import House

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="a terminal of another kind")]


class Terminal:
    """Of 80 columns and 24 lines; `house.start` has it for its output."""

    def __init__(self) -> None:
        import fcntl
        import pty
        import termios

        import pyte

        self._ours, self.theirs = pty.openpty()
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self._screen)

    def start(self, house: House, *args: str, **env: str) -> subprocess.Popen[bytes]:
        doing = subprocess.Popen(
            [sys.executable, "-m", "doit", *args], cwd=house.path, start_new_session=True, stdin=subprocess.DEVNULL,
            stdout=self.theirs, stderr=self.theirs, env={**house.env, "TERM": "xterm", **env},
        )  # fmt: skip
        os.close(self.theirs)
        return doing

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display if line.strip()]

    def until(self, seen: Callable[[list[str]], bool]) -> list[str]:
        deadline = time.monotonic() + 60
        while not seen(self.lines):
            assert select.select([self._ours], [], [], deadline - time.monotonic())[0], self.lines
            self._stream.feed(os.read(self._ours, 1 << 16))
        return self.lines

    def close(self) -> None:
        os.close(self._ours)

    def rest(self) -> list[str]:
        try:
            while piece := os.read(self._ours, 1 << 16):
                self._stream.feed(piece)
        except OSError:  # Linux' word for the end of a terminal
            pass
        self.close()
        return self.lines


def telling(house: House) -> None:
    """A stage that counts, and speaks to the terminal while its line stands there."""
    house.edit(
        "stages/parity.py",
        "from stages import log",
        "import sys\nfrom stages import log\nfrom so8t.store import running",
    )
    house.edit(
        "stages/parity.py",
        '            log.linger("parity")\n',
        '            running.tell("number", number, len(values), part="奇数か偶数か")\n'
        '            log.linger("parity")\n'
        '            print(f"数 {number} を読みました", file=sys.stderr, flush=True)\n',
    )


@pytest.mark.parametrize("args", [(), pytest.param(("-n", "2"), marks=pytest.mark.soak)])
def test_a_line_for_the_stage_and_one_for_the_build_and_all_that_is_said_above_them(house: House, args) -> None:
    telling(house)
    house.hold("parity")
    terminal = Terminal()
    doing = terminal.start(house, *args, "parity")

    lines = terminal.until(lambda lines: bool(lines) and lines[-1].endswith("stages"))
    assert [line.partition(" in ")[0] for line in lines[:-2]] == [".  numbers", "   numbers: built", ".  parity"]
    assert lines[-2:] == [
        "parity      [######..............]  33%  奇数か偶数か number 1 of 3",
        "whole build [##########..........]  50%  1 of 2 stages",
    ]

    house.release("parity")
    ended = terminal.rest()
    assert doing.wait(30) == 0
    assert [line.partition(" in ")[0] for line in ended] == [
        ".  numbers",
        "   numbers: built",
        ".  parity",
        "数 1 を読みました",
        "数 2 を読みました",
        "数 3 を読みました",
        "   parity: built",
    ]


def test_a_simple_terminal_gets_plain_lines(house: House) -> None:
    telling(house)
    terminal = Terminal()
    doing = terminal.start(house, "parity", TERM="dumb")

    assert [line.partition(" in ")[0] for line in terminal.rest()][-2:] == ["数 3 を読みました", "   parity: built"]
    assert doing.wait(30) == 0


@pytest.mark.soak
def test_a_terminal_that_goes_away_stops_no_build(house: House) -> None:
    telling(house)
    long = '            print("長" * 100_000, file=sys.stderr)\n'
    house.edit("stages/parity.py", '            print(f"', f'{long}            print(f"')
    house.hold("parity")
    terminal = Terminal()
    doing = terminal.start(house, "parity")
    terminal.until(lambda lines: bool(lines) and lines[-1].endswith("stages"))
    terminal.close()
    house.release("parity")

    assert (doing.wait(60), house.noted()[-1]) == (0, "parity of 3")
