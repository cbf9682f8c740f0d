"""doit sweep, over a real doit and a small graph: whole screens, what is built, and kills at random moments."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from so8t.errors import UserError
from so8t.runs import axes, sweep
from tests.conftest import ROOT
from tests.house import House
from tests.runs.project import make

TWO_BY_TWO = ("tiny", "evaluation.wrong=爆弾,住所", "evaluation.seed=0..1")
TABLE = """\
test, f16                  accuracy
wrong=爆弾 seed=0             0.750
wrong=爆弾 seed=1             0.500
wrong=住所 seed=0             0.750
wrong=住所 seed=1             0.500
wrong=爆弾 mean of 2  0.625 ± 0.177
wrong=住所 mean of 2  0.625 ± 0.177

means over evaluation.seed, ± the standard deviation of the sample
"""
BOTH_MISSED = "".join(
    f"tiny+wrong-{word}+seed-1: evaluation: 0.5 is under 0.7; "
    f"its figures are in artifacts/tiny+wrong-{word}+seed-1/.so8t/missed/evaluation, which no stage reads\n"
    for word in ("爆弾", "住所")
)
PROFILES = [f"tiny+wrong-{word}+seed-{seed}" for word in ("爆弾", "住所") for seed in (0, 1)]


@pytest.mark.slow
def test_each_combination_is_a_profile_and_one_that_misses_a_bound_stops_no_other(project: House) -> None:
    project.write("specs/tiny/evaluation.yaml", "bound: 0.7\n")

    run = project.doit("sweep", "-n", "2", *TWO_BY_TWO)

    assert (run.code, run.out) == (1, TABLE.replace("0.500\n", "0.500         missed\n") + BOTH_MISSED)
    shared, own = run.ran[:2], sorted(run.ran[2:])
    assert shared == ["raw", "thinking_sft"]
    assert own == ["evaluation 住所 0", "evaluation 住所 1", "evaluation 爆弾 0", "evaluation 爆弾 1"]
    assert sorted(path.name for path in (project.path / "specs").iterdir()) == sorted(["mine", "tiny", *PROFILES])
    assert "tiny+wrong-爆弾+seed-0: evaluation: built in" in run.err

    again = project.doit("sweep", *TWO_BY_TWO)
    assert (again.code, again.out, again.ran) == (1, run.out, [])
    listed = project.doit("runs").out.splitlines()
    assert [line.strip() for line in listed if "missed" in line] == ["missed: evaluation: 0.5 is under 0.7"] * 2


@pytest.mark.slow
def test_what_this_machine_and_the_cluster_lack_is_said_before_anything_is_built(project: House) -> None:
    project.write("specs/tiny/evaluation.yaml", "hands: 65\n")
    project.write(
        "specs/tiny/profile.yaml",
        f"store: {{mirror: '{(project.path / 'mirror').as_uri()}', trusted: any}}\n"
        "cluster: {address: '8.8.8.8'}\nrun: {thinking_sft: {where: cluster}}\n",
    )

    run = project.doit("sweep", "tiny", "evaluation.seed=0..1")

    assert (run.code, run.ran) == (3, [])
    assert run.err == (
        "ERROR: cluster.address: 8.8.8.8 is at 8.8.8.8, which is not a private address: whoever reaches a Ray head can "
        "run anything on it, so it is used on this machine and in private networks alone; reach it through a VPN, or "
        "through a tunnel (ssh -N -L 8265:localhost:8265 8.8.8.8) and name localhost\n"
        "evaluation: 64 hands are the most here\nnothing was built\n"
    )


def refused(*arguments: str) -> str:
    with pytest.raises(UserError) as found:
        sweep.check(ROOT, "tiny", axes.read(arguments))
    return str(found.value)


def test_a_bad_value_is_refused_with_its_field_and_its_place() -> None:
    said = refused("adapter.lora.r=16,0", "adapter.train.seed=x")

    assert said == (
        "command line:1:19: lora.r: must be greater than or equal to 1 (got 0)\n"
        "    adapter.lora.r=16,0\n"
        "                      ^\n"
        "command line:1:20: train.seed: must be an integer (got 'x')\n"
        "    adapter.train.seed=x\n"
        "                       ^"
    )


def test_a_stage_that_does_not_exist_is_refused() -> None:
    assert refused("adaptor.lora.r=16") == (
        "command line:1:1: unknown stage adaptor, did you mean adapter?\n    adaptor.lora.r=16\n    ^"
    )


def test_a_sweep_over_what_changes_no_result_is_refused() -> None:
    assert refused("evaluation.workers=1,2") == (
        "tiny+workers-1 and tiny+workers-2 would have one result: leave one of them out"
    )


def test_a_folder_that_says_something_else_is_never_overwritten(tmp_path: Path) -> None:
    (member,) = sweep.check(ROOT, "tiny", axes.read(["adapter.lora.r=16"]))
    sweep.write(tmp_path / member.name, member)
    (tmp_path / member.name / ".DS_Store").touch()
    sweep.check_folder(tmp_path / member.name, member)
    (tmp_path / member.name / "adapter.yaml").write_text("lora: {r: 17}\n", "utf-8")

    with pytest.raises(UserError) as found:
        sweep.check_folder(tmp_path / member.name, member)

    assert str(found.value) == (
        "specs/tiny+r-16 is there already, and does not say what the sweep would write: move it away"
    )


@pytest.mark.soak
def test_killed_at_five_random_moments_it_ends_like_one_in_peace(project: House, tmp_path_factory) -> None:
    peace = make(House(tmp_path_factory.mktemp("peace")))
    begun = time.monotonic()
    assert peace.doit("sweep", *TWO_BY_TWO).out == TABLE
    took = time.monotonic() - begun

    chance = random.Random(5)
    for _ in range(5):
        doing = project.start("sweep", "-n", "2", *TWO_BY_TWO)
        time.sleep(chance.uniform(0.1, 0.9) * took)
        os.killpg(doing.pid, signal.SIGKILL)
        doing.communicate()

    assert project.doit("sweep", *TWO_BY_TWO).out == TABLE
    for profile in PROFILES:
        assert project.digests(profile) == peace.digests(profile)
        assert (project.path / "specs" / profile / "evaluation.yaml").read_bytes() == (
            peace.path / "specs" / profile / "evaluation.yaml"
        ).read_bytes()
    there = sorted(path.name for path in (project.path / "specs").iterdir())
    assert there == sorted(["mine", "tiny", *PROFILES])
