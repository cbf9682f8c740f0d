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


SAID = "{}: finished stages and checkpoints are kept; `doit{}` goes on\n"

WORKERS = pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["one by one", "workers"])
SOME = pytest.mark.parametrize(
    "args",
    [pytest.param((), marks=pytest.mark.soak), pytest.param(("-n", "2"))],
    ids=["one by one", "workers"],
)


@pytest.mark.parametrize(
    ("args", "number", "word", "code"),
    [
        ((), 2, "interrupted", 130),
        (("-n", "2"), 2, "interrupted", 130),
        pytest.param((), 15, "terminated", 143, marks=pytest.mark.soak),
        pytest.param(("-n", "2"), 15, "terminated", 143, marks=pytest.mark.soak),
    ],
)
def test_a_signal_to_the_whole_group_is_answered_by_one_sentence(
    house: House, args: tuple[str, ...], number: int, word: str, code: int
) -> None:
    house.hold("doubled")
    doing = house.start(*args, "card")
    house.wait_for("doubled")
    said = house.kill(doing, number)
    house.release("doubled")
    wait_until_quiet(house)

    how = SAID.format(word, f" {' '.join(args)} card" if args else " card")
    assert (doing.returncode, [line for line in said.splitlines(True) if ": built in" not in line]) == (code, [how])
    assert house.doit().ran[:2] == ["doubled", "total"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@WORKERS
def test_a_signal_to_doit_alone_leaves_no_orphan_at_work(house: House, number: int, args: tuple[str, ...]) -> None:
    house.hold("doubled")
    with (house.path / "said").open("wb") as said:
        doing = house.start(*args, stdout=subprocess.DEVNULL, stderr=said)
    house.wait_for("doubled")
    os.kill(doing.pid, number)
    doing.wait(timeout=30)
    wait_until_quiet(house)
    house.release("doubled")

    assert doing.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130}[number]
    assert "Traceback" not in house.read("said")
    assert house.doit().code == 0
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 12\n"


def test_ctrl_c_while_the_graph_is_loaded_is_answered_by_the_same_sentence(house: House) -> None:
    house.edit("stages/__init__.py", "STAGES =", 'from stages import log\n\nlog.linger("loading")\nSTAGES =')
    house.hold("loading")
    doing = house.start("why")
    house.wait_for("loading")

    said = house.kill(doing, signal.SIGINT)

    assert (doing.returncode, said) == (130, SAID.format("interrupted", " why"))


STEPS = """
from so8t.train.checkpoints import Stop


def build(inputs, out: Path, spec: Spec) -> None:
    kept, stop = out / "parity.txt", Stop()
    done = int(kept.read_text()) if kept.exists() else 0
    with stop.listening():
        for step in range(done + 1, 6):
            log.note(f"step {step}")
            if step == 3:
                work(stop)
            kept.write_text(str(step))
            if stop.asked:
                raise KeyboardInterrupt


def work(stop):
    door = Path(os.environ["HOUSE_LOG"]).with_name("hold-parity")
    if door.exists():
        door.with_name("reached-parity").touch()
        while not (stop.asked and door.with_name("go-on").exists()):
            time.sleep(0.005)
        time.sleep(0.2)  # in which a second signal would end the step


STAGE = Stage("parity", Spec, build, takes=("numbers",), gives=("parity.txt",), resumable=True)
"""


def training(house: House) -> None:
    """A stage of five steps that hears signals as a training does, and works on its third until it was told to end."""
    text = house.read("stages/parity.py")
    house.write("stages/parity.py", f"import os\nimport time\n{text[: text.index('def build')]}{STEPS}")
    house.hold("parity")


def by_timeout(house: House, *args: str) -> subprocess.Popen[str]:
    """coreutils' timeout, whose time has come as soon as somebody says so."""
    return subprocess.Popen(
        ["timeout", "-s", "INT", "1000", *DOIT, *args], cwd=house.path, env=house.env, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@SOME
def test_timeout_loses_no_step_though_it_sends_its_signal_twice(house: House, args: tuple[str, ...]) -> None:
    training(house)
    doing = by_timeout(house, *args, "parity")
    house.wait_for("parity")
    house.write("go-on", "")
    os.kill(doing.pid, signal.SIGALRM)
    said = doing.communicate(timeout=30)[1]
    house.release("parity")
    wait_until_quiet(house)

    assert doing.returncode == 124  # timeout's own
    assert said.splitlines(True)[1:] == [SAID.format("interrupted", f" {' '.join((*args, 'parity'))}")]
    assert house.doit("parity").ran == ["step 4", "step 5"]


@pytest.mark.soak
@WORKERS
def test_a_second_ctrl_c_waits_for_nobody(house: House, args: tuple[str, ...]) -> None:
    training(house)
    doing = house.start(*args, "parity")
    house.wait_for("parity")
    os.killpg(doing.pid, signal.SIGINT)
    time.sleep(1.2)
    assert doing.poll() is None
    said = house.kill(doing, signal.SIGINT)
    house.release("parity")
    wait_until_quiet(house)

    assert doing.returncode == 130
    assert said.splitlines(True)[1:] == [SAID.format("interrupted", f" {' '.join((*args, 'parity'))}")]
    assert house.doit("parity").ran[-3:] == ["step 3", "step 4", "step 5"]


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
