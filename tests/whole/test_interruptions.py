"""Signals, full disks and folders that cannot be written: a message, nothing lost, an exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.house import DOIT, House

pytestmark = pytest.mark.slow


def processes_of(house: House) -> list[str]:
    """Builders and doits that are still there."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes()
            if (folder / "cwd").resolve() == house.path and (b"so8t.engine." in command or b"doit" in command):
                found.append(folder.name)
        except OSError:
            continue  # it ended while we looked
    return found


def wait_until_quiet(house: House) -> None:
    deadline = time.monotonic() + 20
    while processes_of(house):
        assert time.monotonic() < deadline, "a builder or a worker outlived doit"
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_an_interrupt_of_the_whole_group_leaves_finished_stages_finished(house: House, number: int, code: int) -> None:
    house.hold("doubled")
    doing = house.start()
    house.wait_for("doubled")
    said = house.kill(doing, number)
    house.release("doubled")
    wait_until_quiet(house)

    assert doing.returncode != 0
    assert number != signal.SIGTERM or (doing.returncode, "finished stages are safe" in said) == (code, True)
    assert house.doit().ran[:2] == ["doubled", "total"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_a_signal_to_doit_alone_leaves_no_orphan_at_work(house: House, number: int, args: tuple[str, ...]) -> None:
    house.hold("doubled")
    with (house.path / "said").open("wb") as said:
        doing = house.start(*args, stdout=subprocess.DEVNULL, stderr=said)
    house.wait_for("doubled")
    os.kill(doing.pid, number)
    doing.wait(timeout=30)
    wait_until_quiet(house)
    house.release("doubled")

    assert doing.returncode != 0
    assert number == signal.SIGINT or "Traceback" not in house.read("said")
    assert house.doit().code == 0
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 12\n"


@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_a_stage_that_the_system_kills_fails_by_name_and_doit_does_not_hang(house: House, args) -> None:
    house.edit("stages/doubled.py", 'log.linger("doubled")', "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    run = house.doit(*args)

    assert run.code == 1
    assert (
        "doubled: killed by SIGKILL (out of memory? lower what the stage needs at once); "
        "nothing was published, run doit again to go on"
    ) in run.out + run.err


def test_a_resumable_stage_goes_on_where_it_was_killed(house: House) -> None:
    house.write("numbers.txt", "\n".join(map(str, range(8))) + "\n")
    house.doit("numbers")
    house.kill_in("parity", "parity")

    run = house.doit("parity")

    assert run.ran == ["parity", *(f"parity of {n}" for n in range(1, 8))]
    assert house.read("artifacts/tiny/parity/parity.txt") == "even\nodd\n" * 4


def doit_on(house: House, mount: str, *args: str) -> subprocess.CompletedProcess[str]:
    """doit with a file system of its own under artifacts/, which vanishes with it."""
    (house.path / "artifacts").mkdir(exist_ok=True)
    script = f'{mount} && shift && exec "$@"'
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", "--", *DOIT, *args],
        cwd=house.path, env=house.env, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_a_full_disk_is_named_and_nothing_half_written_is_published(house: House) -> None:
    house.write("specs/tiny/doubled.yaml", "size: 3000000\n")

    ran = doit_on(house, "mount -t tmpfs -o size=1m none artifacts", "doubled")

    assert ran.returncode == 1
    assert "doubled: No space left on device" in ran.stdout + ran.stderr
    assert "nothing was published; free some space (doit gc empties the store) and run doit again" in ran.stdout
    assert house.doit("doubled").code == 0


def test_a_read_only_artifacts_folder_is_named(house: House) -> None:
    house.doit("numbers")
    mount = "mount --bind artifacts artifacts && mount -o remount,ro,bind artifacts"

    built = doit_on(house, mount, "numbers")
    ran = doit_on(house, mount, "doubled")

    assert (built.returncode, built.stdout) == (0, "-- numbers\n")
    assert ran.returncode == 1
    assert "doubled: Read-only file system: " in ran.stdout + ran.stderr
    assert "nothing was published; make the folder writable and run doit again" in ran.stdout
