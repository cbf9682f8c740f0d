"""The process that a stage is built in: so8t.engine.births starts it, and it says how it went.

    python -m so8t.engine.process <profile> <stage> [force | again <folder>]

It runs in the project's folder, and its last word on stdout is a JSON object.

A process of its own: a stage that is killed takes nothing else along, and memory goes back when it ends.
It ends when doit does: doit holds the other end of its stdin.  Ctrl-C is for doit, and it is born deaf to that.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from so8t.engine.bring import AGAIN, LONGEST
from so8t.engine.ensure import CodeChanged, again, ensure
from so8t.engine.fence import interrupt
from so8t.errors import UserError

_UNWIND = 10.0  # seconds from the interrupt to the end of all but what hears it by itself


def main(argv: list[str]) -> int:
    profile, name, *how = argv
    result = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints, prints to the story; stdout carries the result alone
    answer: dict[str, Any]
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        _die_with_parent()
        if how[:1] == ["again"]:
            outcome = again(Path.cwd(), profile, name, Path(how[1]))
        else:
            outcome = ensure(Path.cwd(), profile, name, force=bool(how))
        answer, code = {"how": outcome.how, "key": outcome.key, "seconds": outcome.seconds}, 0
    except CodeChanged:
        return AGAIN
    except KeyboardInterrupt:
        answer, code = {"error": f"{name}: interrupted; nothing was published, run doit again to go on"}, 130
    except Exception as error:
        message = str(error) if isinstance(error, UserError) else explain(name, error)
        answer, code = ({"error": message}, 1) if message else ({"bug": traceback.format_exc()}, 2)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # what is done cannot be interrupted
    with suppress(BrokenPipeError):  # doit was killed: nobody hears, and nothing is lost
        result.write(json.dumps(answer))
        result.close()
    return code


_HINTS = {
    errno.ENOSPC: "free some space (doit gc empties the store)",
    errno.EROFS: "make the folder writable",
    errno.EACCES: "make it accessible",
    errno.EPERM: "make it accessible",
    errno.EFBIG: "raise the file size limit",
    errno.EMFILE: "raise the limit of open files",
}


def explain(name: str, error: Exception) -> str | None:
    """What the machine refused, as the user's message; None for anything that is a bug."""
    if not isinstance(error, OSError) or error.errno not in _HINTS:
        return None
    where = f": {error.filename}" if error.filename else ""
    return f"{name}: {error.strerror}{where}; nothing was published; {_HINTS[error.errno]} and run doit again"


def _die_with_parent() -> None:
    heard = _Heard() if os.name != "nt" else lambda: False

    def watch() -> None:
        while os.read(0, 1):
            pass  # the pipe ends when the parent does, however it does
        if not heard():  # a second time would tell a trainer to leave its checkpoint, too
            interrupt()
        _outstay()

    threading.Thread(target=watch, daemon=True, name="parent watch").start()


class _Heard:
    """Whether a signal has reached this process, whoever handles it."""

    def __init__(self) -> None:
        self._told, writing = os.pipe()
        for handle in (self._told, writing):
            os.set_blocking(handle, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

    def __call__(self) -> bool:
        try:
            return bool(os.read(self._told, 1))
        except BlockingIOError:
            return False


def _outstay() -> None:
    """End a process that does not end by itself; one that hears signals itself has time for a step of its own."""
    last = time.monotonic() + LONGEST
    until = time.monotonic() + _UNWIND
    while time.monotonic() < until:
        time.sleep(0.1)
        if signal.getsignal(signal.SIGTERM) not in (signal.default_int_handler, signal.SIG_IGN):
            until = min(last, time.monotonic() + _UNWIND)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
