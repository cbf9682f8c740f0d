"""doit for tests of what is built: forked from a process that has imported it, and so is its nursery.

    python -X utf8 -m tests.warm [data|models]

Half of the CPU of a doit in a toy house is imports, its own and those of the process that bears stages.
Whoever watches a doit, interrupts it, or asks how processes are born starts a real one.
The fork gets the folder, the environment and the outputs of a real one and runs `python -m doit` in them.  Until then
it has imported other people's packages and so8t, and nothing of a project.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from so8t.engine import births, nursery, reading

IS_POSSIBLE = births.HAS_NURSERY
ROOT = Path(__file__).resolve().parent.parent
IMPORTED = ("doit.doit_cmd", "doit.cmd_run", "doit.cmd_list", "filelock", "so8t.commands.why")
_SKLEARN = ("sklearn.feature_extraction.text", "sklearn.linear_model")
_MATPLOTLIB = ("matplotlib.figure", "matplotlib.backends.backend_agg")
AHEAD = {"": (), "data": _SKLEARN, "models": (*_SKLEARN, *_MATPLOTLIB)}
_LONGEST = 1 << 18  # bytes of a request: arguments and an environment


# ---- who asks ------------------------------------------------------------------------------------------------


class Doit:
    """`python -m doit` in a process group of its own, told of as by subprocess; what is written goes into files.

    `of`: it and its stages find imported what those of `data` or `models` wait for.  `merged`: all goes to stdout.
    """

    def __init__(
        self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], of: str = "", merged: bool = False
    ) -> None:
        self.returncode: int | None = None
        self._out = os.memfd_create("stdout")
        self._err = self._out if merged else os.memfd_create("stderr")
        request = {"what": "doit", "argv": [*arguments], "cwd": str(cwd), "env": {**env}}
        self._answers = _ask(_server(of), request, [self._out, self._err])
        self.pid = int(self._answers.recv(16))

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._answers.settimeout(timeout)
            self.returncode = int(self._answers.recv(16) or -signal.SIGKILL)  # silence: it was killed
            self._answers.close()
        return self.returncode

    def poll(self) -> int | None:
        with suppress(BlockingIOError):
            return self.wait(0)
        return None

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        try:
            self.wait(timeout)
        except TimeoutError:
            os.killpg(self.pid, signal.SIGKILL)
            raise
        out, err = [_read(handle) for handle in (self._out, self._err)]
        for handle in {self._out, self._err}:
            os.close(handle)
        return out, "" if self._err == self._out else err


def _ask(server: str, request: Mapping[str, Any], handles: Sequence[int]) -> socket.socket:
    """A socket on which a fork says its pid, and then its exit code."""
    answers = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    answers.connect(f"\0{server}")
    socket.send_fds(answers, [json.dumps(request).encode()], handles)
    return answers


def _read(handle: int) -> str:
    return os.pread(handle, os.fstat(handle).st_size, 0).decode()


@cache
def _server(of: str) -> str:
    """The name of the socket of a server; it ends with this process."""
    began = subprocess.Popen(
        [sys.executable, "-X", "utf8", "-m", "tests.warm", of],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": "0"}, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    assert began.stdin and began.stdout
    atexit.register(began.communicate)
    return began.stdout.readline().strip()


# ---- the server ----------------------------------------------------------------------------------------------


def serve(of: str) -> None:
    for name in (*IMPORTED, *AHEAD[of]):
        importlib.import_module(name)
    if of:
        _look_at_stages()
    if of == "models":
        nursery._share(nursery.SHARED, {})
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, _reap)
    os.fsync = lambda handle: None  # for tests of what is built, not of what a power cut leaves
    name = f"so8t-warm-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(f"\0{name}")
        listening.listen(64)
        print(name, flush=True)
        while sys.stdin not in (ready := select.select([listening, sys.stdin], [], [])[0]):
            assert ready
            answers, _ = listening.accept()
            request, handles, _, _ = socket.recv_fds(answers, _LONGEST, 3)
            if not os.fork():
                listening.close()
                _live(name, json.loads(request), handles, answers)
            for handle in (answers.detach(), *handles):
                os.close(handle)


def _look_at_stages() -> None:
    """Read and import what so8t's own stages import of so8t; a project has its own stages."""
    for name in importlib.import_module("stages").STAGES:
        reading.code_of(ROOT, f"stages.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "stages"]:
        del sys.modules[name]


def _reap(*_: object) -> None:
    """A fork says itself how it ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _live(server: str, request: dict[str, Any], handles: list[int], answers: socket.socket) -> NoReturn:
    """A fork: becomes what was asked for, and says how it ended."""
    answers.send(str(os.getpid()).encode())
    code: Any = 1
    try:
        os.setpgid(0, request.get("group", 0))
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _move(request)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for place, handle in zip((1, 2), handles, strict=False):
            os.dup2(handle, place)
            os.close(handle)
        code = _doit(server, request["argv"]) if request["what"] == "doit" else nursery.main([str(handles[2])])
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    answers.send(str(int(bool(code)) if isinstance(code, str) else code or 0).encode())
    os._exit(0)


def _move(request: dict[str, Any]) -> None:
    """Into the folder and the environment, as Python begins in them."""
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    sys.path[0] = request["cwd"]
    sys.stdout.reconfigure(write_through=bool(os.environ.get("PYTHONUNBUFFERED")))  # type: ignore[union-attr]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))


def _doit(server: str, argv: list[str]) -> None:
    births.subprocess = _Subprocess(server)  # type: ignore[attr-defined]
    sys.argv = ["doit", *argv]
    runpy.run_module("doit", run_name="__main__", alter_sys=True)


class _Subprocess(SimpleNamespace):
    """subprocess, but for the nursery."""

    def __init__(self, server: str) -> None:
        super().__init__(**{**vars(subprocess), "Popen": self._start})
        self._server = server

    def _start(self, command: list[str], **options: Any) -> Any:
        if "so8t.engine.nursery" not in command:
            return subprocess.Popen(command, **options)
        return _Mother(self._server, options["env"], options["pass_fds"][0])


class _Mother:
    """A nursery that the server forked."""

    def __init__(self, server: str, env: Mapping[str, str], number: int) -> None:
        request = {"what": "nursery", "cwd": str(Path.cwd()), "env": {**env}, "group": os.getpgrp()}
        with Path(os.devnull).open("wb") as nothing:
            self._answers = _ask(server, request, [nothing.fileno(), 2, number])
        self._pid = int(self._answers.recv(16))

    def poll(self) -> int | None:
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return -signal.SIGKILL
        return None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> None:
        """The server does."""


if __name__ == "__main__":
    serve(sys.argv[1])
