"""A process that bakes and publishes in children, and kills each at a seeded random moment until it has killed enough.

    python -m tests.weights.killed FOLDER SEED KILLS

FOLDER holds base, adapter and merged. Children are forks, so that torch is imported once, and go the engine's own way:
private work folder, seal, one rename. After each kill what is published is whole and the same as ever, or is not there.
It prints how many were killed, how many of them had published, how often a bake came through, and its seconds.
"""

from __future__ import annotations

import filecmp
import os
import random
import shutil
import signal
import sys
import time
import traceback
from contextlib import closing
from dataclasses import astuple
from pathlib import Path

import torch

from so8t.engine.bring import Target, bring
from so8t.store.cache import Store
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import Layout
from so8t.store.manifest import File
from so8t.weights import bake, gatefiles, lora, merge, reader

STAGE = "baked_model"
KEY = Fingerprint(STAGE, {}, {}, {}, {})


class Bakery:
    def __init__(self, folder: Path, shard: int) -> None:
        self.folder, self.shard = folder, shard
        self.layout = Layout(folder, folder / "artifacts", "tiny")
        self.store = Store(self.layout.artifacts)
        self.published, self.good = self.layout.folder(STAGE), folder / "good"

    def run(self) -> None:
        bring(Target(self.layout, self.store, KEY, ("model/",), ("model/*",)), self.bake)

    def bake(self, out: Path) -> dict[str, File]:
        source, trained = self.folder / "merged", self.folder / "adapter"
        with (
            reader.open_folder(self.folder / "base", "base_model") as base,
            reader.open_folder(source, "merged_model") as merged,
            closing(lora.read(trained, base)) as adapter,
        ):
            exact, gates = merge.Merging(base, adapter), gatefiles.read(trained).matrices()
            written = bake.bake(source, merged, exact, gates, out / "model", self.shard, workers=2)
        paths = {name: f"model/{name}" for name in written}
        return {paths[name]: File(paths[name], *astuple(file)) for name, file in written.items()}

    def is_there(self) -> bool:
        """Whether something is published; if so, every byte is as it was."""
        if not self.published.exists():
            return False
        found, good = (
            sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
            for folder in (self.published, self.good)
        )
        assert found == good
        files = [name for name in good if (self.good / name).is_file()]
        assert filecmp.cmpfiles(self.good, self.published, files, shallow=False)[1:] == ([], [])
        return True

    def clear(self) -> None:
        """As if it had never been baked: the store would restore it."""
        shutil.rmtree(self.layout.artifacts)


def start(bakery: Bakery) -> int:
    child = os.fork()
    if child == 0:
        try:
            bakery.run()
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int, seconds: float) -> bool:
    """Whether the child came through in time; else it is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert status == 0, f"a bake ended with {status}"
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(folder: str, seed: str, kills: str, shard: str = "400000") -> None:
    torch.set_num_threads(1)
    bakery, dice = Bakery(Path(folder), int(shard)), random.Random(seed)
    began = time.monotonic()
    assert ended(start(bakery), 600)
    length = time.monotonic() - began
    bakery.published.rename(bakery.good)
    bakery.clear()
    killed = survived = whole = 0
    while killed < int(kills):
        through = ended(start(bakery), dice.uniform(0, length))
        killed, whole = killed + (not through), whole + through
        there = bakery.is_there()
        assert there or not through
        survived += there and not through
        if there:
            bakery.clear()
    assert ended(start(bakery), 600)
    assert bakery.is_there()
    print(killed, survived, whole, f"{length:.2f}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
