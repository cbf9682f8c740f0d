"""Two machines of a cluster on this one: network namespaces joined by a cable, and Ray in both.

Ray listens on every interface, so it is never started outside of a namespace.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest

from tests.house import DOIT, House

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT = 8265
_numbers = itertools.count()


class NoRight(Exception):
    """Whoever runs the tests may not make network namespaces."""


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise NoRight(f"ip {' '.join(words)}: {done.stderr.strip()}: run these tests as root")
    return done.stdout


class Network:
    """`a` and `b`, each with an address and a loopback of its own."""

    def __init__(self) -> None:
        number = f"{os.getpid()}{next(_numbers)}"
        self.names = {"a": f"so8t-{number}-a", "b": f"so8t-{number}-b"}
        self._cable = {"a": f"so{number}a"[-15:], "b": f"so{number}b"[-15:]}
        a, b = self.names.values()
        for name in (a, b):
            _ip("netns", "add", name)
        _ip("link", "add", self._cable["a"], "netns", a, "type", "veth", "peer", "name", self._cable["b"], "netns", b)
        for which, address in (("a", HEAD), ("b", OTHER)):
            _ip("-n", self.names[which], "addr", "add", f"{address}/24", "dev", self._cable[which])
            _ip("-n", self.names[which], "link", "set", self._cable[which], "up")
            _ip("-n", self.names[which], "link", "set", "lo", "up")

    def into(self, which: str, host: str = "") -> list[str]:
        """The words before a command that runs there, under a host's name of its own."""
        name = ["unshare", "--uts", "sh", "-c", f'hostname {host} && exec "$@"', "sh"] if host else []
        return ["ip", "netns", "exec", self.names[which], *name]

    is_pulled = False

    def pull(self) -> None:
        self.is_pulled = True
        _ip("-n", self.names["b"], "link", "set", self._cable["b"], "down")

    def mend(self) -> None:
        self.is_pulled = False
        _ip("-n", self.names["b"], "link", "set", self._cable["b"], "up")

    def pids(self, which: str) -> list[int]:
        return [int(word) for word in _ip("netns", "pids", self.names[which]).split()]

    def empty(self, which: str) -> None:
        """Everything that runs there is killed; nothing else can be in a namespace of ours."""
        _kill_all(lambda: self.pids(which))

    def close(self) -> None:
        for which, name in self.names.items():
            self.empty(which)
            _ip("netns", "delete", name)


def _kill_all(alive: Callable[[], list[int]]) -> None:
    """Also those that they start meanwhile."""
    for _ in range(100):
        found = alive()
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _host(pid: int) -> str:
    """Of a process that lives."""
    try:
        return str(Path(f"/proc/{pid}/ns/uts").readlink())
    except OSError:
        return ""


AWS = {
    "AWS_ENDPOINT_URL": f"http://{HEAD}:5555",
    "AWS_ACCESS_KEY_ID": "S3RVER",
    "AWS_SECRET_ACCESS_KEY": "S3RVER",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_STAY = {"moto.server", "tests.cluster.cables", "doit", "so8t.engine.nursery", "so8t.engine.process"}
_ROLES = {"c": "b"}  # a node that takes the place of another
_BUCKET = """
import sys
from so8t.store import s3
s3.open_fs("s3://")[0].call_s3("create_bucket", Bucket=sys.argv[1])
"""
_ANSWERS = """
import sys, urllib.error, urllib.request as u
asked = u.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[-1]})
try:
    u.build_opener(u.ProxyHandler({})).open(asked, timeout=5)
    print("answers")
except urllib.error.HTTPError:
    print("refuses")
"""


class Cluster:
    """Ray on `a`, its head, and on `b`: node-a and node-b, with a home of its own each."""

    settings: ClassVar[dict[str, str]] = {"address": HEAD}
    store = 5555  # its port; AWS_ENDPOINT_URL names what leads there

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder, self.log = folder, log
        self.token = secrets.token_hex(32)
        self.network = Network()
        self.temporary = Path("/tmp", f"so8t-ray-{secrets.token_hex(4)}")  # a socket's path has 107 letters at most
        self._started: list[subprocess.Popen[bytes]] = []
        self._port = 6378 + os.getpid() % 2000  # another run of these tests may have a head of its own
        self.head: subprocess.Popen[bytes] | None = None
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self._start_store()
        self.start_head()
        self.start_node()

    def _start_store(self) -> None:
        """An S3 beside the head, which both nodes reach."""
        command = [*self.network.into("a"), sys.executable, "-m", "moto.server", "-H", HEAD, "-p", str(self.store)]
        with (self.folder / "store.log").open("ab") as told:
            self._started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told))
        self.wait(lambda: "answers" in self.run("a", _ANSWERS, f"http://{HEAD}:5555/"), "the store")

    def bucket(self) -> str:
        """The URL of a new store."""
        name = f"b{secrets.token_hex(6)}"
        self.run("a", _BUCKET, name)
        return f"s3://{name}/so8t"

    def run(self, which: str, program: str, *words: str) -> str:
        """What a few lines of Python say there."""
        command = [*self.network.into(which), sys.executable, "-c", program, *words]
        return subprocess.run(command, env=self.environment(which), capture_output=True, text=True, timeout=60).stdout

    @property
    def own(self) -> dict[str, str]:
        """What doit must have in its environment."""
        return {"RAY_AUTH_TOKEN": self.token, **AWS}

    def environment(self, which: str) -> dict[str, str]:
        home = self.folder / f"home-{which}"
        home.mkdir(exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "HOUSE_LOG": str(self.log),
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONDONTWRITEBYTECODE": "1", **AWS,
        }  # fmt: skip

    def _ray(self, which: str, *words: str, name: str = "") -> subprocess.Popen[bytes]:
        name = name or which
        has = json.dumps({name: 1, _ROLES.get(name, name): 1})
        (self.folder / f"ray-{name}.log").unlink(missing_ok=True)
        command = [
            *self.network.into(which, f"node-{name}"), sys.executable, "-m", "ray.scripts.scripts", "start", "--block",
            "--num-cpus=1", "--object-store-memory=80000000", f"--resources={has}", *words,
        ]  # fmt: skip
        with (self.folder / f"ray-{name}.log").open("ab") as told:
            started = subprocess.Popen(
                command, env=self.environment(name), stdin=subprocess.DEVNULL, stdout=told, stderr=told,
                cwd=self.folder,
            )  # fmt: skip
        self._started.append(started)
        return started

    def start_head(self) -> None:
        self._port += 1  # Ray finds nodes of a head before it by their command lines, in whatever namespace
        self.head = self._until_up(self._start_head, "a")
        url = f"http://{HEAD}:{PORT}/api/jobs/"
        self.wait(lambda: "answers" in self.run("a", _ANSWERS, url, self.token), "the dashboard", 180)

    def _until_up(self, start: Callable[[], subprocess.Popen[bytes]], name: str) -> subprocess.Popen[bytes]:
        """Ray gives itself 30 s, which a busy machine does not always have."""
        for _ in range(3):
            started = start()
            while started.poll() is None and not self._is_up(name):
                time.sleep(0.2)
            if started.poll() is None:
                return started
        raise AssertionError(self._said(name))

    def _start_head(self) -> subprocess.Popen[bytes]:
        return self._ray(
            "a", "--head", f"--node-ip-address={HEAD}", f"--port={self._port}", f"--dashboard-host={HEAD}",
            f"--temp-dir={self.temporary}", "--disable-usage-stats", "--include-dashboard=true",
        )  # fmt: skip

    def start_node(self, which: str = "b", name: str = "b") -> None:
        """A node on one of the two machines."""
        address = {"a": HEAD, "b": OTHER}[which]
        words = [f"--address={HEAD}:{self._port}", f"--node-ip-address={address}"]
        if which == "a":  # beside the head, whose agent has the usual port
            words.append("--dashboard-agent-listen-port=52366")
        self.nodes[name] = self._until_up(lambda: self._ray(which, *words, name=name), name)

    def lose(self, name: str) -> None:
        """All that runs on a node, which is known by the host's name that it has for itself."""
        if name not in self.nodes or not (own := _host(self.nodes[name].pid)):
            return
        _kill_all(lambda: [pid for which in "ab" for pid in self.network.pids(which) if _host(pid) == own])
        self.nodes.pop(name).wait(timeout=30)

    def _is_up(self, name: str) -> bool:
        """Whether `ray start` has come to its end and waits."""
        return "--block" in self._said(name)

    def _said(self, name: str) -> str:
        path = self.folder / f"ray-{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def kill_head(self) -> None:
        """All that runs beside the store and doit on the head's machine."""
        assert self.head
        for pid in self.network.pids("a"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if not _STAY & set(process.cmdline()):
                    process.kill()
        self.head.wait(timeout=30)

    def calm(self) -> None:
        """Between two tests."""

    @staticmethod
    def wait(until: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"{what} did not come about in {seconds:.0f} s"
            time.sleep(0.2)

    def close(self) -> None:
        self.network.close()
        for process in self._started:
            process.wait(timeout=30)
        subprocess.run(["rm", "-rf", str(self.temporary)], check=True)


class There(House):
    """A house whose doit runs beside the head, and that sends stages to the nodes; all note in one log."""

    def __init__(self, folder: Path, cluster: Cluster, mirror: str = "") -> None:
        self.cluster, self.mirror = cluster, mirror
        super().__init__(folder)

    @property
    def log(self) -> Path:
        return self.cluster.log

    @property
    def env(self) -> dict[str, str]:
        return {**super().env, **self.cluster.own}

    @property
    def command(self) -> list[str]:
        return [*self.cluster.network.into("a"), *DOIT]


def cluster_of(kind: Callable[[Path, Path], Cluster]) -> Any:
    """The fixture `cluster` of a file of tests."""

    @pytest.fixture(scope="module")
    def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
        folder = tmp_path_factory.mktemp("cluster")
        made = kind(folder, folder / "log.txt")
        try:
            made.start()
            yield made
        finally:
            made.close()

    return cluster


def project_of(profile: str) -> Any:
    """The fixture `there`: a project with a store of its own; each asks for other values, and so for other keys."""

    @pytest.fixture
    def there(cluster: Cluster, tmp_path: Path) -> Iterator[There]:
        house = There(tmp_path / "project", cluster, cluster.bucket())
        house.write("specs/tiny/profile.yaml", profile.format(mirror=house.mirror))
        house.write("specs/tiny/numbers.yaml", f"path: numbers.txt\noffset: {len(house.noted())}\n")
        yield house
        for door in cluster.folder.glob("hold-*"):
            door.unlink()
        cluster.calm()

    return there
