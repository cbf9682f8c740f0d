"""Stages on a real Slurm in network namespaces of its own: what holds for Ray, and what is killed besides."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.cluster.network import There, cluster_of, project_of
from tests.cluster.slurm import Slurm
from tests.cluster.story import manifests

# the same contract, and so the same tests, with the fixtures of this file
from tests.cluster.test_ray import (  # noqa: F401
    Story,
    jobs,
    test_a_closed_terminal_leaves_the_job,
    test_a_killed_doit_finds_its_job_again_log_and_all,
    test_a_killed_job_is_tried_again,
    test_a_lost_node_is_followed_by_another,
    test_behind_a_pulled_cable_nobody_goes_on_building,
    test_ctrl_c_leaves_the_job_and_a_second_one_stops_it,
    test_the_data_part_built_by_nodes_is_the_one_built_here,
    test_what_nodes_build_is_what_this_machine_builds,
    undisturbed,
)

pytestmark = pytest.mark.soak

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{kind: slurm}}
run:
  doubled: {{where: cluster, resources: {{memory: 1GiB, named: {{b: 1}}}}}}
  card: {{where: cluster}}
"""


cluster, there = cluster_of(Slurm), project_of(PROFILE)


def test_a_job_that_no_node_can_take_is_told_to_wait(there: There, tmp_path: Path) -> None:
    there.edit("specs/tiny/profile.yaml", "{b: 1}", "{b: 1}, CPU: 64")
    with Story(there, tmp_path) as doing:
        doing.wait("queue for 3")
        os.killpg(doing.process.pid, signal.SIGTERM)

    assert doing.process.returncode == 143
    assert (
        " s: Slurm says PartitionConfig, and it asks for CPU: 64, memory: 1 GiB, b: 1; it goes on waiting (lower "
        "run.doubled.resources in profile.yaml if no node has as much)\n"
    ) in doing.said


def test_what_slurm_refuses_ends_the_run_and_leaves_nothing(there: There, cluster: Slurm) -> None:
    there.edit("specs/tiny/profile.yaml", "{b: 1}", "{spice: 1}")

    run = there.doit()

    assert (run.code, run.ran) == (1, ["numbers"])
    assert (
        "doubled: sbatch does not take the job: Invalid generic resource (gres) specification; it asks for CPU: 1, "
        "memory: 1 GiB, spice: 1: run.doubled.resources and cluster.options in profile.yaml say so\n"
    ) in run.out + run.err


def test_a_killed_slurmd_leaves_the_job(there: There, cluster: Slurm, tmp_path: Path) -> None:
    before = there.noted().count("doubled")
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        cluster.kill_node("b")
        cluster.start_node()
        there.release("doubled")

    assert doing.process.returncode == 0, doing.said
    assert "trying again" not in doing.said
    assert there.noted().count("doubled") == before + 1
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_killed_slurmctld_is_waited_for_and_knows_its_jobs(there: There, cluster: Slurm, tmp_path: Path) -> None:
    before = there.noted().count("doubled")
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        cluster.kill_head()
        doing.wait("does not answer")
        cluster.start_head()
        doing.wait("the cluster answers again")
        there.release("doubled")

    assert doing.process.returncode == 0, doing.said
    assert "trying again" not in doing.said
    assert there.noted().count("doubled") == before + 1
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_without_slurmctld_nothing_is_built(there: There, cluster: Slurm) -> None:
    cluster.kill_head()
    run = there.doit()
    cluster.start_head()

    assert (run.code, run.ran) == (1, [])
    assert (
        "cluster: Slurm does not answer (Unable to contact slurm controller (connect failure)): is slurmctld running, "
        "and munged on this machine? `scontrol ping` says more\nnothing was built\n"
    ) in run.out + run.err


def test_a_job_that_slurm_has_forgotten_is_known_by_what_it_left(there: There, cluster: Slurm, tmp_path: Path) -> None:
    there.hold("doubled")
    doing = there.start()
    there.wait_for("doubled")
    there.kill(doing)
    there.release("doubled")
    cluster.wait(lambda: cluster.ask("squeue", "--noheader", "--states=all") == "", "oblivion", 120)
    before = len(there.noted())

    run = there.doit()

    assert (run.code, "doubled" in there.noted()[before:]) == (0, False), run.err
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_node_that_does_not_see_the_folder_is_told(there: There, cluster: Slurm) -> None:
    """The folder goes while the job waits, which to the node is the same."""
    cluster.ask("scontrol", "update", "NodeName=node-b", "State=DRAIN", "Reason=test")
    doing = there.start()
    folder = cluster.home / ".so8t" / "jobs"
    cluster.wait(lambda: any(line for line in cluster.ask("squeue", "--noheader").splitlines()), "the job")
    shutil.move(folder, folder.with_name("elsewhere"))
    folder.mkdir()
    cluster.ask("scontrol", "update", "NodeName=node-b", "State=RESUME")
    out, err = doing.communicate(timeout=120)

    assert doing.returncode == 1
    assert "cluster.folder: the node of job so8t-" in out + err
    assert ": name a folder that this machine and all nodes see\n" in out + err


def test_a_job_at_the_end_of_its_time_is_tried_again(there: There, cluster: Slurm, tmp_path: Path) -> None:
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        (number,) = cluster.ask("squeue", "--noheader", "--format=%i").split()
        cluster.ask("scontrol", "update", f"JobId={number}", "TimeLimit=0-00:00:01")
        doing.wait("trying again")
        there.release("doubled")

    assert doing.process.returncode == 0, doing.said
    assert " was stopped: its time was over; --time in cluster.options gives it more; trying again\n" in doing.said
    assert manifests(there) == undisturbed(there, tmp_path / "alone")
