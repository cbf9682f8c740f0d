"""Processes that torchrun started and that help with a training: called by a file, met on a socket.

It is one of this machine, or one of a network where the processes are on several machines.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing import current_process
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from pathlib import Path

from so8t.engine.torchrun import SEAT
from so8t.errors import StageError
from so8t.models.exchange import INTERFACES, By
from so8t.models.lanes import Helper, help_out, on_a_gpu
from so8t.store.atomic import write_atomic
from so8t.watch import machine

_PATIENCE = 180.0  # seconds until all have come: a folder on a network may show a new file after a minute
# a machine that says nothing for a minute and a half is gone
_LIVELY = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6, "TCP_USER_TIMEOUT": 90_000}


def call(folder: Path, processes: int, by: By, address: str = "") -> list[Helper]:
    """All but this process, in the order of their numbers.  Nobody else than this user's processes reads the key."""
    key = bytes(current_process().authkey)  # with which tensors are asked for, too
    file = next(path for number in count() if not (path := folder / f"call-{number}.json").exists())
    with _door(address, key) as (where, accept):
        write_atomic(file, json.dumps({"address": where, "key": key.hex()}).encode(), mode=0o600)
        met = [accept() for _ in range(1, processes)]
    ranks = {there.recv(): there for there in met}
    return [Helper(ranks[rank]) for rank in range(1, processes)]


def join(file: Path, rank: int) -> None:
    """Help until the caller is done."""
    called = json.loads(file.read_bytes())
    current_process().authkey = key = bytes.fromhex(called["key"])
    with on_a_gpu(int(os.environ.get(SEAT, rank))), _reach(called["address"], key) as there:
        there.send(rank)
        help_out(there)
    signal.signal(signal.SIGINT, signal.default_int_handler)


Where = str | tuple[str, int]  # a socket of this machine, or of a network


@contextmanager
def _door(address: str, key: bytes) -> Iterator[tuple[Where, Callable[[], Connection]]]:
    """Where others reach this process, and what waits for the next one."""
    if not address:
        with Listener(authkey=key) as listener:
            yield str(listener.address), listener.accept
        return
    number = _number(address)
    family = socket.AF_INET6 if ":" in number else socket.AF_INET
    with socket.create_server((number, 0), family=family) as server:
        server.settimeout(_PATIENCE)
        yield (number, server.getsockname()[1]), partial(_accept, server, key)


def _number(name: str) -> str:
    """The address of this machine that others know."""
    found = str(socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)[0][4][0])
    if found.startswith("127.") and name not in (found, "localhost"):
        raise StageError(
            f"lanes: other machines cannot reach {name}, for it is {found} on this one: give torchrun the address of "
            "this machine in the network with --local-addr, or --master-addr"
        )
    return found


def _accept(server: socket.socket, key: bytes) -> Connection:
    try:
        there = _between(server.accept()[0])
    except TimeoutError:
        raise StageError(
            f"lanes: not all processes that torchrun started came within {_PATIENCE:.0f} s: all machines must see the "
            "project's folder under one path, and reach this one"
        ) from None
    deliver_challenge(there, key)
    answer_challenge(there, key)
    return there


def _reach(address: str | list[str | int], key: bytes) -> Connection:
    if isinstance(address, str):
        return Client(address, authkey=key)
    host, port = address
    there = _between(socket.create_connection((str(host), int(port)), timeout=None))
    answer_challenge(there, key)
    deliver_challenge(there, key)
    return there


def _between(end: socket.socket) -> Connection:
    """Two machines; their group talks on the same network."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _LIVELY.items():
        if hasattr(socket, name):
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    number = str(end.getsockname()[0])
    network = machine.interface(number)
    if network is None:
        raise StageError(f"lanes: set GLOO_SOCKET_IFNAME to the network interface of this machine that has {number}")
    for variable in INTERFACES:
        os.environ.setdefault(variable, network)
    return Connection(end.detach())
