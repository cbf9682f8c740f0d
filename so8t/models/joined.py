"""Processes that torchrun started and that help with a training: called by a file, met on a socket of this machine."""

from __future__ import annotations

import json
import os
import signal
from itertools import count
from multiprocessing import current_process
from multiprocessing.connection import Client, Listener
from pathlib import Path

from so8t.models.exchange import By
from so8t.models.lanes import Helper, help_out, visible
from so8t.store.atomic import write_atomic


def call(folder: Path, processes: int, by: By) -> list[Helper]:
    """All but this process, in the order of their numbers.  Only who can read the project's files knows the key."""
    key = bytes(current_process().authkey)  # with which tensors are asked for, too
    file = next(path for number in count() if not (path := folder / f"call-{number}.json").exists())
    with Listener(authkey=key) as listener:
        write_atomic(file, json.dumps({"address": listener.address, "key": key.hex()}).encode())
        met = [listener.accept() for _ in range(1, processes)]
    ranks = {there.recv(): there for there in met}
    return [Helper(ranks[rank]) for rank in range(1, processes)]


def join(file: Path, rank: int) -> None:
    """Help until the caller is done."""
    os.environ["CUDA_VISIBLE_DEVICES"] = visible(rank, os.environ.get("CUDA_VISIBLE_DEVICES"))
    called = json.loads(file.read_bytes())
    current_process().authkey = key = bytes.fromhex(called["key"])
    with Client(called["address"], authkey=key) as there:
        there.send(rank)
        help_out(there)
    signal.signal(signal.SIGINT, signal.default_int_handler)
