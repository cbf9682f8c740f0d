"""How an order becomes a job of Slurm, and what its tables say: text in, text out, and the script in a shell."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from so8t.cluster import attempts, sbatch
from so8t.cluster import order as orders
from so8t.cluster.attempts import Again, Attach, Failed, Job
from so8t.cluster.jobs import Parcel, Taken, Unreachable, Wants
from so8t.cluster.order import Order
from so8t.cluster.sbatch import Row
from so8t.cluster.slurm import Slurm
from so8t.errors import StageError
from so8t.store.fingerprint import Fingerprint

KEY = "4a" * 32
ORDER = Order("tiny", Fingerprint("doubled", {}, {}, {}, {}), {}, "3.11")
TOLD = {"so8t": "doubled", "profile": "tiny", "key": KEY}

# Slurm 22.05.8: squeue --noheader --states=all --Format=COLUMNS, with the key for KEY
SAID = """\
4|CANCELLED|15|None|/home/jo/.so8t/jobs/so8t-KEY-4|
2|COMPLETED|0|None|/home/jo/.so8t/jobs/so8t-KEY-2|
1|FAILED|768|NonZeroExitCode|/home/jo/.so8t/jobs/so8t-KEY-1|
3|FAILED|9|JobLaunchFailure|/home/jo/.so8t/jobs/so8t-KEY-3|
6|PENDING|0|Dependency|/home/jo/.so8t/jobs/so8t-KEY-6|
5|RUNNING|0|None|/home/jo/.so8t/jobs/so8t-KEY-5|
""".replace("KEY", KEY)


def parcel(wants: Wants = Wants(), command: tuple[str, ...] = (sys.executable, "-c", "pass"), **files: Path) -> Parcel:  # noqa: B008 - frozen
    return Parcel(command, files, ORDER, {"B": "two words", "A": "1"}, wants, TOLD)


def test_the_table_of_squeue_is_what_it_says_with_the_newest_job_last() -> None:
    found = sbatch.rows(SAID + "7_3|PENDING|0|None|/home/jo/array|\nslurm is happy today\n")

    assert [(row.number, row.state, row.code) for row in found] == [
        ("1", "FAILED", 3), ("2", "COMPLETED", 0), ("3", "FAILED", -9), ("4", "CANCELLED", -15), ("5", "RUNNING", 0),
        ("6", "PENDING", 0),
    ]  # fmt: skip
    assert found[5] == Row("6", "PENDING", 0, "Dependency", Path(f"/home/jo/.so8t/jobs/so8t-{KEY}-6"))
    assert [row.number for row in found if row.is_live] == ["5", "6"]


def row(state: str, wait: int = 0, reason: str = "None") -> Row:
    return Row("7", state, wait, reason, Path("/jobs/j-1"))


@pytest.mark.parametrize(
    ("row", "code", "job"),
    [
        (row("PENDING"), None, Job("j-1", "PENDING")),
        (row("PENDING", reason="Resources"), None, Job("j-1", "PENDING", "Slurm says Resources")),
        (row("CONFIGURING"), None, Job("j-1", "PENDING")),
        (row("RUNNING"), None, Job("j-1", "RUNNING")),
        (row("RUNNING"), 0, Job("j-1", "SUCCEEDED", "", 0)),  # its result is in the store, whatever is cleaned up
        (row("COMPLETING"), 130, Job("j-1", "RUNNING", "", 130)),  # why it was stopped is told by its last state
        (row("COMPLETED"), None, Job("j-1", "SUCCEEDED")),  # a shared folder may be slow to show the code
        (row("CANCELLED", 15), 130, Job("j-1", "STOPPED", "", 130)),
        (row("FAILED", 3 << 8), 3, Job("j-1", "FAILED", "exit code 3", 3)),
        (row("FAILED", 9), None, Job("j-1", "FAILED", "exit code -9", -9)),
        (
            row("TIMEOUT", 15),
            130,
            Job("j-1", "FAILED", "its time was over; --time in cluster.options gives it more", 130),
        ),
        (row("NODE_FAIL"), None, Job("j-1", "FAILED", "its node failed")),
        (row("BOOT_FAIL"), None, Job("j-1", "FAILED", "Slurm says BOOT_FAIL")),
        (None, 0, Job("j-1", "SUCCEEDED", "", 0)),  # Slurm forgets
        (None, 137, Job("j-1", "FAILED", "exit code 137", 137)),
        (None, None, Job("j-1", "FAILED", "Slurm does not know it any more, and it left no exit code")),
    ],
)
def test_what_became_of_a_job_is_known_from_slurm_and_from_the_code_that_it_left(
    row: Row | None, code: int | None, job: Job
) -> None:
    assert sbatch.job("j-1", row, code) == job


def test_who_was_stopped_by_the_cluster_is_tried_again_and_who_was_stopped_by_somebody_is_not() -> None:
    word = {"error": "doubled: stopped", "stopped": True, "machine": "n1"}

    assert attempts.verdict("doubled", sbatch.job("j-1", row("PREEMPTED"), 130), word, "", 1) == Again(
        "job j-1 was stopped: another job took its place"
    )
    assert attempts.verdict("doubled", sbatch.job("j-1", row("CANCELLED"), 130), word, "", 1) == Failed(
        "doubled: stopped\n(on n1, job j-1)"
    )


@pytest.mark.parametrize(
    ("wants", "options"),
    [
        (Wants(), []),
        (Wants(CPU=1.0), ["--cpus-per-task=1"]),
        (Wants(CPU=8.0, GPU=2.0, memory=20 << 30), ["--cpus-per-task=8", "--mem=20480M", "--gres=gpu:2"]),
        (Wants(memory=1), ["--mem=1M"]),  # 0 would be all that the node has
        (Wants(GPU=1.0, named={"nvme": 2.0}), ["--gres=gpu:1,nvme:2"]),
        (Wants(named={"gpu:a100": 1.0}), ["--gres=gpu:a100:1"]),
    ],
)
def test_an_order_is_these_words_to_sbatch(wants: Wants, options: list[str]) -> None:
    found = sbatch.options(f"so8t-{KEY}-2", Path("/jobs/two words"), parcel(wants), ["--partition=gpu"])

    assert found == [
        "--partition=gpu",
        "--parsable",
        f"--job-name=so8t-{KEY}",
        "--dependency=singleton",
        "--no-requeue",
        "--chdir=/jobs/two words",
        "--output=/dev/null",
        "--comment=doubled of tiny",
        "--nodes=1",
        "--ntasks=1",
        *options,
    ]


def test_what_sbatch_does_not_take_is_told_with_what_was_asked_for() -> None:
    said = "Invalid generic resource (gres) specification"

    assert sbatch.refusal(said, parcel(Wants(GPU=1, memory=3 << 29, named={"spice": 1}))) == (
        "doubled: sbatch does not take the job: Invalid generic resource (gres) specification; it asks for GPU: 1, "
        "memory: 1.5 GiB, spice: 1: run.doubled.resources and cluster.options in profile.yaml say so"
    )


# ---- the script, in a shell ----------------------------------------------------------------------------------

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Slurm's nodes have a shell")


def run(folder: Path, parcel: Parcel) -> int:
    """As a node does it."""
    (folder / "work").mkdir(parents=True)
    (folder / "job.sh").write_text(sbatch.script(folder, parcel), "utf-8")
    return subprocess.run(["/bin/sh", str(folder / "job.sh")], cwd="/", timeout=30, check=False).returncode


def test_a_job_leaves_its_log_and_its_code_and_not_what_travelled(tmp_path: Path) -> None:
    folder = tmp_path / "a job's folder"
    program = (
        "import os; print(os.environ['A'], os.environ['B'], os.path.basename(os.getcwd()), flush=True); os._exit(3)"
    )

    assert run(folder, parcel(command=(sys.executable, "-S", "-c", program))) == 3
    assert sorted(path.name for path in folder.iterdir()) == ["ended", "job.sh", "log"]
    assert (folder / "log").read_text() == "1 two words work\n"
    assert (folder / "ended").read_text() == "3\n"


def test_a_killed_job_leaves_its_code_and_the_script_outlives_what_ends_the_job(tmp_path: Path) -> None:
    assert run(tmp_path / "killed", parcel(command=("/bin/sh", "-c", "kill -9 $$"))) == 137
    assert run(tmp_path / "ended", parcel(command=("/bin/sh", "-c", "kill -15 $PPID; exit 130"))) == 130
    assert (tmp_path / "ended" / "ended").read_text() == "130\n"


def test_a_node_without_the_interpreter_says_so(tmp_path: Path) -> None:
    assert run(tmp_path / "j", parcel(command=("/no/such/py'thon", "-m", "x"))) == 127
    word = orders.heard((tmp_path / "j" / "log").read_text())
    assert word["error"] == (
        "doubled: the node has no /no/such/py'thon: name an interpreter that all nodes have with cluster.python in "
        "profile.yaml"
    )
    assert word["machine"] != ""


def test_a_node_that_does_not_see_the_folder_does_nothing(tmp_path: Path) -> None:
    script = sbatch.script(tmp_path / "gone", parcel())

    assert subprocess.run(["/bin/sh", "-c", script], timeout=30, stderr=subprocess.DEVNULL).returncode == sbatch.BLIND


# ---- Slurm's commands, played by a shell ---------------------------------------------------------------------


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where programs lie that note what they are told, and answer with a file."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sbatch", "squeue", "scancel"):
        program = folder / name
        noted, answer = shlex.quote(str(folder / "noted")), shlex.quote(str(folder / f"{name}.out"))
        program.write_text(
            f'#!/bin/sh\necho "{name} $*; key=$SO8T_STORE_KEY" >>{noted}\n[ -f {answer} ] && /bin/cat {answer}\n'
            f"[ -f {answer}.err ] || exit 0\n/bin/cat {answer}.err >&2; exit 1\n"
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("SO8T_STORE_KEY", "secret")
    return folder


@pytest.fixture
def cluster(tmp_path: Path, commands: Path) -> Slurm:
    cluster = Slurm(tmp_path / "jobs", ())
    cluster.check()
    return cluster


def test_a_job_is_sent_found_again_and_stopped(cluster: Slurm, commands: Path, tmp_path: Path) -> None:
    source = tmp_path / "numbers.txt"
    source.write_text("1\n")
    first = f"so8t-{KEY}-1"

    cluster.submit(first, parcel(**{"numbers.txt": source}))
    with pytest.raises(Taken):
        cluster.submit(first, parcel())
    (commands / "squeue.out").write_text(f"12|RUNNING|0|None|{cluster.folder / first}|\n")
    cluster.stop(first)

    assert (cluster.folder / first).stat().st_mode & 0o777 == 0o700
    assert attempts.choose(KEY, cluster.of(KEY)) == Attach(first)
    assert cluster.job(first) == Job(first, "RUNNING")
    assert sorted(path.name for path in (cluster.folder / first / "work").iterdir()) == [orders.FILE, "numbers.txt"]
    told = (commands / "noted").read_text().splitlines()
    assert [line for line in told if line[:7] == "scancel"] == ["scancel 12; key="]
    assert [line for line in told if line[:6] == "sbatch" and f"{first}/job.sh; key=" in line] != []
    assert cluster.log(first) is None
    (cluster.folder / first / "ended").write_text("0\n")
    (cluster.folder / first / "log").write_text("bye\n")
    assert (cluster.job(first), cluster.log(first)) == (Job(first, "SUCCEEDED", "", 0), "bye\n")


def test_what_sbatch_refuses_leaves_no_folder_and_a_dead_controller_is_no_refusal(
    cluster: Slurm, commands: Path
) -> None:
    (commands / "sbatch.out.err").write_text("sbatch: error: invalid partition specified: x\nsbatch: error: no\n")
    with pytest.raises(StageError) as refused:
        cluster.submit(f"so8t-{KEY}-1", parcel())
    gone = "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n"
    (commands / "sbatch.out.err").write_text(gone)
    with pytest.raises(Unreachable):
        cluster.submit(f"so8t-{KEY}-1", parcel())

    assert str(refused.value).startswith("doubled: sbatch does not take the job: no; it asks for room: ")
    assert list(cluster.folder.iterdir()) == []


def test_jobs_of_a_week_ago_leave_nothing_unless_they_still_live(cluster: Slurm, commands: Path) -> None:
    for number, age in ((1, 8), (2, 8), (3, 6)):
        folder = cluster.folder / f"so8t-{'b7' * 32}-{number}"
        folder.mkdir()
        then = time.time() - age * 24 * 3600
        os.utime(folder, (then, then))
    (commands / "squeue.out").write_text(f"9|PENDING|0|None|{cluster.folder}/so8t-{'b7' * 32}-2|\n")

    cluster.submit(f"so8t-{KEY}-1", parcel())

    assert sorted(path.name[-2:] for path in cluster.folder.iterdir()) == ["-1", "-2", "-3"]
    assert not (cluster.folder / f"so8t-{'b7' * 32}-1").exists()


def test_what_stands_between_doit_and_slurm_is_told(tmp_path: Path, commands: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StageError) as unwritable:
        Slurm(tmp_path / "file" / "jobs").check()
    (commands / "squeue.out.err").write_text(
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n"
    )
    with pytest.raises(StageError) as silent:
        Slurm(tmp_path / "jobs").check()
    (commands / "sbatch").unlink()
    with pytest.raises(StageError) as missing:
        Slurm(tmp_path / "jobs").check()

    assert str(unwritable.value) == (
        f"cluster.folder: {tmp_path}/file/jobs cannot be written (Not a directory): name a folder that this "
        "machine and all nodes see, and in which you may write"
    )
    assert str(silent.value) == (
        "cluster: Slurm does not answer (Unable to contact slurm controller (connect failure)): is slurmctld running, "
        "and munged on this machine? `scontrol ping` says more"
    )
    assert str(missing.value) == (
        "cluster: sbatch is not on this machine: run doit on a login node of the Slurm cluster, or install Slurm's "
        "commands here, with the cluster's slurm.conf and munge key"
    )
