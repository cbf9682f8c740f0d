"""A stage's process as doit sees it: started fresh, or on Linux born of a nursery that this process keeps."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import BinaryIO

_PYTHON = [sys.executable, "-X", "utf8", "-m"]
SPOILED = 76  # exit code of a stage's process: start a fresh one, for this one was born with what it must not have
HAS_NURSERY = sys.platform == "linux"  # elsewhere a fork is unknown or unsafe
_of_this_thread = threading.local()


class Fresh:
    """A process of its own."""

    def __init__(self, stage: list[str]) -> None:
        command = [*_PYTHON, "so8t.engine.process", *stage]
        with _deaf():
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
        assert self._child.stdin and self._child.stdout
        self.stdin, self.stdout = self._child.stdin, self._child.stdout

    def wait(self, timeout: float | None = None) -> int:
        return self._child.wait(timeout)

    def kill(self) -> None:
        self._child.kill()


class Born:
    """A process that the nursery forked; it lives as long as its stdin is open."""

    def __init__(self, pid: int, asking: socket.socket, stdin: int, stdout: int) -> None:
        self._pid, self._asking = pid, asking
        self.stdin: BinaryIO = os.fdopen(stdin, "wb", 0)
        self.stdout: BinaryIO = os.fdopen(stdout, "rb")

    def wait(self, timeout: float | None = None) -> int:
        self._asking.settimeout(timeout)
        try:
            return self._end
        except TimeoutError:
            raise subprocess.TimeoutExpired("so8t.engine.nursery", timeout or 0) from None
        finally:
            self._asking.settimeout(None)

    def kill(self) -> None:
        try:
            self.wait(0.001)
        except subprocess.TimeoutExpired:
            os.kill(self._pid, signal.SIGKILL)

    @cached_property
    def _end(self) -> int:
        return int(self._asking.recv(64) or -signal.SIGKILL)  # silence: the nursery was killed


class Nursery:
    def __init__(self) -> None:
        self.owner = os.getpid()
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, _deaf():
            number = theirs.fileno()
            command = [*_PYTHON, "so8t.engine.nursery", str(number)]
            self._mother = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=environment(), pass_fds=[number]
            )
        atexit.register(self.close)

    def bear(self, stage: list[str], packages: Iterable[str]) -> Born | None:
        """None if the nursery died of what it should import."""
        theirs, stdin = os.pipe()
        stdout, also_theirs = os.pipe()
        request = json.dumps({"stage": stage, "packages": list(packages)}).encode()
        socket.send_fds(self._asking, [request], [theirs, also_theirs])
        for handle in (theirs, also_theirs):
            os.close(handle)
        pid = self._asking.recv(64)
        if pid:
            return Born(int(pid), self._asking, stdin, stdout)
        os.close(stdin)
        os.close(stdout)
        return None

    @property
    def is_alive(self) -> bool:
        return self.owner == os.getpid() and self._mother.poll() is None

    def close(self) -> None:
        if self.owner == os.getpid():
            self._asking.close()
            self._mother.kill()  # its children live on doit's pipes, and it may be in the middle of a long import
            self._mother.wait()


def start(stage: list[str], packages: Iterable[str], fresh: bool) -> Fresh | Born:
    """The process that builds a stage; from the nursery of this thread unless it has to be `fresh`."""
    if fresh or not HAS_NURSERY:
        return Fresh(stage)
    nursery = getattr(_of_this_thread, "nursery", None)
    if nursery is None or not nursery.is_alive:
        nursery = _of_this_thread.nursery = Nursery()
    return nursery.bear(stage, packages) or Fresh(stage)


@contextmanager
def _deaf() -> Iterator[None]:
    """What is started here never hears the terminal's Ctrl-C, not even while Python starts; Windows has no such way."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def environment() -> dict[str, str]:
    """libgomp's threads spin for long while they wait, which slows training tenfold as soon as anything else runs.

    Not at all slows it by half on a quiet machine.
    """
    return {"GOMP_SPINCOUNT": "3000", **os.environ, "PYTHONHASHSEED": "0"}
