"""Where the processes of stages are born on Linux: a process that has imported what they share, and forks each.

    python -m so8t.engine.nursery <socket>

Importing torch, transformers and peft takes longer than many stages work, so it is done once a run, before the first
stage that needs them.  The nursery computes nothing, starts no thread, and imports no module of a stage: an edit of
those is seen by the next stage as ever.  A process that should not have been forked says SPOILED and a fresh one is
started.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata

from so8t.engine import process
from so8t.engine.births import SPOILED
from so8t.engine.ensure import importing

SHARED = {  # by distribution, what takes so long
    "torch": "torch",
    "transformers": "transformers.modeling_utils",
    "peft": "peft",  # with bitsandbytes
}
_LOOKS_FOR_GPUS = ("peft",)  # as it is imported; no fork survives that where there may be one


def main(argv: list[str]) -> int:
    """A request is a stage's arguments and packages, with its stdin and stdout; the answers are its pid and its end."""
    asking = socket.socket(fileno=int(argv[0]))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the stage's process and doit know what to do; then the socket closes
    versions: dict[str, str] = {}
    while True:
        try:
            request, handles, _, _ = socket.recv_fds(asking, 1 << 16, 2)
        except ConnectionResetError:  # doit ended before it heard how the last one did
            return 0
        if not request:
            return 0
        asked = json.loads(request)
        _share(asked["packages"], versions)
        child = os.fork()
        if not child:
            asking.close()
            return _live(asked["stage"], handles, versions)
        for handle in handles:
            os.close(handle)
        try:
            asking.send(str(child).encode())
            asking.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        except BrokenPipeError:  # doit was killed; the stage's process notices it by itself
            return 0


def _share(packages: Iterable[str], versions: dict[str, str]) -> None:
    for package in packages:
        if package in SHARED and package not in versions and not (package in _LOOKS_FOR_GPUS and _may_have_gpus()):
            try:
                versions[package] = metadata.version(package)
                with importing():
                    importlib.import_module(SHARED[package])
            except ImportError:
                versions[package] = ""  # the stage finds out and says so


def _may_have_gpus() -> bool:
    torch = sys.modules.get("torch")
    return torch is None or bool(torch.version.cuda or torch.version.hip)


def _live(stage: list[str], handles: list[int], versions: Mapping[str, str]) -> int:
    for place, handle in enumerate(handles):
        os.dup2(handle, place)
        os.close(handle)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    return SPOILED if _is_spoiled(versions) else process.main(stage)


def _is_spoiled(versions: Mapping[str, str]) -> bool:
    """Whether a package was replaced since its import, or something asked for CUDA, which no fork survives."""
    for package, version in versions.items():
        try:
            now = metadata.version(package)
        except metadata.PackageNotFoundError:
            now = ""
        if now != version:
            return True
    torch = sys.modules.get("torch")
    return bool(torch and torch.cuda._is_in_bad_fork())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
