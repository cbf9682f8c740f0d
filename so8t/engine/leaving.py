"""Ctrl-C and SIGTERM end doit with one sentence and an exit code, whatever it is doing.

The processes of stages do not hear Ctrl-C: a stage ends when doit, or doit's worker, closes its pipe, and takes the
time that it needs to keep its work.  A second Ctrl-C does not wait for it.
"""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

_WORDS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_SAME = 1.0  # seconds in which a second signal is the first one again: coreutils' timeout sends two


class Left(SystemExit):
    """doit makes a worker's exception anew from its text, and the code must stay a number."""

    def __init__(self, code: object) -> None:
        super().__init__(int(str(code)))


class Leaving:
    """How this doit ends when it is told to; `sentence` is what it says then."""

    def __init__(self, arguments: Sequence[str]) -> None:
        again = shlex.join(["doit", *arguments])
        self.sentence = f"finished stages and checkpoints are kept; `{again}` goes on"
        self._word, self._last = "", 0.0  # of the first signal; when the last one came
        self._exits = False  # Python is on its way out, where nobody would catch an exception

    def listen(self) -> None:
        """From here on.  A handler that is not Python's own stays, and so does what a shell wants ignored."""
        if threading.current_thread() is not threading.main_thread():
            return
        if boss := multiprocessing.parent_process():  # a worker that was spawned loads dodo.py itself
            self._work(boss.is_alive)
            return
        for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            if signal.getsignal(number) == usual:
                signal.signal(number, self._hear)
        _wake_the_main_thread()
        doit = os.getpid()
        atexit.register(self._say, doit)
        if hasattr(os, "register_at_fork"):
            # the parent's number tells: a sibling may hold the pipe behind multiprocessing's is_alive open for ever
            os.register_at_fork(after_in_child=lambda: self._work(lambda: os.getppid() == doit))

    @property
    def was_asked(self) -> bool:
        return bool(self._word)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now, again = time.monotonic(), self._word != ""
        if again and now - self._last < _SAME:
            return
        self._last = now
        if not again:
            self._word = _WORDS[number]
            atexit.register(self._end_workers)
        if self._exits:
            self._end_workers()
        else:
            raise Left(128 + number)

    def _end_workers(self) -> None:
        self._exits = True
        for worker in multiprocessing.active_children():
            worker.terminate()

    def _say(self, doit: int) -> None:
        if self._word and os.getpid() == doit:
            with contextlib.suppress(OSError):  # the terminal is gone
                print(f"{self._word}: {self.sentence}", file=sys.stderr, flush=True)

    def _work(self, doit_lives: Callable[[], bool]) -> None:
        """This is a worker of doit -n: it ends when doit says so or ends, however that does, and says nothing."""
        self._word, self._exits = "", False
        for number in _WORDS:
            signal.signal(number, self._hear)
        _wake_the_main_thread()
        threading.Thread(target=_follow, args=(doit_lives,), daemon=True, name="doit watch").start()


def _follow(doit_lives: Callable[[], bool]) -> None:
    while doit_lives():
        time.sleep(0.5)
    os._exit(1)


def _wake_the_main_thread() -> None:
    """The system may give a signal to any thread, and then the main one, which handles it, sleeps on."""
    if os.name == "nt":
        return
    told, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGURG, lambda number, frame: None)  # it wakes, and means nothing
    main = threading.main_thread().ident or 0

    def relay() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, _WORDS)
        while number := os.read(told, 1):
            if number[0] in _WORDS:
                signal.pthread_kill(main, signal.SIGURG)

    threading.Thread(target=relay, daemon=True, name="signals").start()
