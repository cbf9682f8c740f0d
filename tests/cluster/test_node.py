"""What runs on a node, without a cluster around it: the job's folder, the order in it, and a store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from so8t.cluster import attempts, package
from so8t.cluster import order as orders
from so8t.cluster.order import Order
from so8t.store.cache import Store
from so8t.store.manifest import Manifest, decode
from so8t.store.mirror import Mirror
from tests.house import House


@dataclass
class Node:
    """A machine with a cache of its own."""

    folder: Path
    files: dict[str, Path]
    log: Path

    def run(self, order: Order) -> tuple[int, list[str], dict]:
        """The exit code, what it said to people, and its last word."""
        with package.packed(self.files, order) as job:
            done = subprocess.run(
                [sys.executable, "-X", "utf8", "-m", "so8t.cluster.node"], cwd=job, stdin=subprocess.DEVNULL,
                env={**os.environ, "XDG_CACHE_HOME": str(self.folder), "HOUSE_LOG": str(self.log), "PYTHONPATH": ""},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
            )  # fmt: skip
        return done.returncode, attempts.story(done.stdout), orders.heard(done.stdout)


@pytest.fixture
def mirror(s3: str) -> Mirror:
    return Mirror(s3)


@pytest.fixture
def home(built: House, mirror: Mirror) -> Iterator[House]:
    """A machine whose result `numbers` the store has, and whose profile names the store."""
    store = f"store: {{mirror: '{mirror.url}', trusted: any}}\n"
    built.write(
        "specs/tiny/profile.yaml", f"{store}cluster: {{address: localhost}}\nrun: {{doubled: {{where: cluster}}}}\n"
    )
    mirror.upload(built.artifact("numbers"), manifest(built, "numbers"))
    yield built


@pytest.fixture
def node(home: House, tmp_path: Path) -> Node:
    return Node(tmp_path / "cache", package.contents(home.path, ["tiny"], [], None), home.log)


def manifest(house: House, stage: str) -> Manifest:
    return decode((house.artifact(stage) / "manifest.json").read_bytes())


def order(house: House) -> Order:
    """For what the house has built itself."""
    inputs = {"numbers": manifest(house, "numbers").key}
    return Order("tiny", manifest(house, "doubled").fingerprint, inputs, orders.python())


def test_a_node_gives_the_store_what_this_machine_would_build(home: House, node: Node, mirror: Mirror) -> None:
    before = len(home.noted())

    code, said, word = node.run(order(home))

    assert (code, word["how"], said) == (0, "built", [f"doubled: on {os.uname().nodename}"])
    assert home.noted()[before:] == ["doubled"]
    there = mirror.manifest(order(home).wanted.key)
    assert there is not None
    assert there.encode() == (home.artifact("doubled") / "manifest.json").read_bytes()
    assert Store(home.path / "elsewhere", mirror=mirror).restore(there, home.path / "out")
    left = sorted(path.name for path in (node.folder / "so8t" / "nodes").iterdir())
    assert left == [f"{order(home).wanted.key[:32]}.{end}" for end in ("lock", "owner")]


@pytest.mark.soak
def test_a_node_takes_from_the_store_what_another_made(home: House, node: Node) -> None:
    node.run(order(home))
    before = len(home.noted())

    code, _, word = node.run(order(home))

    assert (code, word["how"], home.noted()[before:]) == (0, "restored", [])


@pytest.mark.soak
def test_a_node_that_would_compute_something_else_says_what_and_computes_nothing(home: House, node: Node) -> None:
    before, machine = len(home.noted()), os.uname().nodename
    other = replace(order(home), python="3.9")
    edited = replace(order(home).wanted, spec={"times": 3, "size": 0})

    assert node.run(other)[2]["error"] == (
        f"doubled: {machine} would compute something else: Python {orders.python()} on {machine}, 3.9 here; install "
        "the same versions on the node, or name another interpreter with cluster.python in profile.yaml"
    )
    assert node.run(replace(order(home), wanted=edited))[2]["error"] == (
        f"doubled: {machine} would compute something else: spec times: 3 -> 2"
    )
    assert node.run(replace(order(home), inputs={"numbers": "ab" * 32}))[2]["error"] == (
        "doubled: the store has no entry abababababab of numbers; run doit again to offer it"
    )
    assert home.noted()[before:] == []


@pytest.mark.parametrize(
    ("cluster", "way"),
    [
        (
            "address: localhost",
            "put the file that store.key names there, or the key itself into SO8T_STORE_KEY of `ray start`",
        ),
        pytest.param(
            "kind: slurm",
            "name a file with store.key that the nodes see, too, such as ~/.so8t/key.pem; SO8T_STORE_KEY stays behind",
            marks=pytest.mark.soak,
        ),
    ],
    ids=["ray", "slurm"],
)
@pytest.mark.slow
def test_a_node_without_a_key_computes_nothing_that_nobody_would_take(
    home: House, node: Node, cluster: str, way: str
) -> None:
    line = "ed25519:lZdtW2PM6/uSZFN0KNkbsXI5wHeFEAZ4rJpCj2aXU9E="
    home.edit("specs/tiny/profile.yaml", "trusted: any", f"trusted: ['{line}']")
    home.edit("specs/tiny/profile.yaml", "address: localhost", cluster)

    code, _, word = node.run(order(home))

    assert (code, word["error"]) == (
        1,
        f"doubled: {os.uname().nodename} has no key to sign its result with: {way}",
    )
