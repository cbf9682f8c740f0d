"""Fixtures that every room uses."""

from __future__ import annotations

import compileall
import gc
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import pytest

from so8t.engine import plan as plans
from so8t.engine import reading
from so8t.store import s3 as store_s3
from tests import buckets
from tests.house import House

ROOT = Path(__file__).resolve().parent.parent

# Containers like to set it, and then a thousand child processes compile the same modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A worker a core: two threads each would wait for each other, spinning.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "3000")  # as so8t.engine.births sets it for stages

# What a shell starts in the background ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def workers(named: Sequence[str], cores: int) -> int:
    """None for one file or one test: two take longer to import torch than most files take to run."""
    alone = len(named) == 1 and ".py" in named[0]
    return 0 if alone or cores < 2 else min(cores, 4)


def pytest_configure(config: pytest.Config) -> None:
    """Processes that tests start write no bytecode, so there must be some.

    Where tests are collected, modules and tests stay, so nobody looks for garbage in them: that took a third of the
    time.
    """
    if config.getoption("dist", "no") == "no":  # not in the process that hands tests to workers
        gc.disable()
    if not hasattr(config, "workerinput"):
        for name in ("so8t", "stages"):
            compileall.compile_dir(ROOT / name, quiet=2)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return workers(config.args, os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker begins one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks are not waited for, in this process: for tests of what is built, not of what a power cut leaves."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


_code_of, _load = cache(reading.code_of), plans.load


@lru_cache(maxsize=8)
def _plan(project: Path, profile: str, specs: tuple[bytes, ...]) -> plans.Plan:
    """What it is with these specs, since nothing else changes."""
    return _load(project, profile)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is looked at once, and the plan once for each state of the specs: for tests that edit specs alone."""

    def load(project: Path, profile: str) -> plans.Plan:
        files = sorted((project / "specs").rglob("*.yaml"))
        return _plan(project, profile, tuple(part for path in files for part in (bytes(path), path.read_bytes())))

    monkeypatch.setattr(plans, "load", load)
    monkeypatch.setattr(reading, "code_of", lambda project, module, known=None: _code_of(project, module))
    monkeypatch.setattr(reading, "drop_stale_bytecode", lambda project: None)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="session")
def built_house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy project, built once; `built` is a copy of it."""
    first = House(tmp_path_factory.mktemp("built"))
    run = first.cold()
    ran = ["numbers", "doubled", "total", "card", "parity", "parity of 1", "parity of 2", "parity of 3"]
    assert (run.code, run.ran) == (0, ran), run.err
    return first.path


@pytest.fixture
def built(built_house: Path, house: House) -> House:
    """A house in which everything is up to date."""
    shutil.copytree(built_house, house.path, dirs_exist_ok=True)
    return house


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 that keeps its conditions and loses everything in the end."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket there; the environment has its address and keys."""
    return buckets.made(s3_server, monkeypatch)


@pytest.fixture
def unknown(s3: str) -> Iterator[None]:
    """What was known of S3 is forgotten before and after: for tests with another server or other keys."""
    store_s3._client.cache_clear()
    yield
    store_s3._client.cache_clear()


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
