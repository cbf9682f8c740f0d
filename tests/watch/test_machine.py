"""doit doctor: what the machine has, and which stage lacks what."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from so8t.watch import machine
from so8t.watch.machine import Torch
from tests.house import House


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (None, ["torch: not installed"]),
        (
            Torch("2.13.0+cpu", None, ()),
            [
                "torch 2.13.0+cpu",
                "  a build without CUDA; with an NVIDIA card, take the wheel that PyTorch's Get Started page names "
                "for it",
            ],
        ),
        (
            Torch("2.13.0+cu130", "13.0", ()),
            [
                "torch 2.13.0+cu130",
                "  built for CUDA 13.0, and no device answers: look at what nvidia-smi says of the driver",
            ],
        ),
        (
            Torch("2.13.0+cu130", "13.0", ("cuda:0: NVIDIA GeForce RTX 3060, 10.9 of 12.0 GiB free",)),
            ["torch 2.13.0+cu130", "  cuda:0: NVIDIA GeForce RTX 3060, 10.9 of 12.0 GiB free"],
        ),
    ],
)
def test_a_gpu_or_why_there_is_none(found: Torch | None, lines: list[str]) -> None:
    assert list(machine.gpu(found)) == lines


def test_the_host_is_told_in_two_lines(tmp_path: Path) -> None:
    first, second = machine.host(tmp_path)

    assert re.fullmatch(r"Python 3\.\d+\.\d+ on \w+ \w+, \d+ cores, \d+ of \d+ GiB of memory free", first)
    assert re.fullmatch(r"disk: \d+ GiB free where the artifacts lie", second)


def test_each_package_knows_the_extra_that_installs_it() -> None:
    found = machine.extras("so8t")

    wanted = {"torch": "train", "peft": "train", "cyllama": "gguf", "fastapi": "serve", "datasets": "collect"}
    assert {package: found[package] for package in wanted} == wanted
    assert "pydantic" not in found  # it is always there


@pytest.mark.slow
def test_a_stage_that_lacks_something_is_named_with_the_line_that_installs_it(house: House) -> None:
    sound = house.doit("doctor")
    house.edit("stages/total.py", "gives=", 'packages=("torch", "nowhere-to-be-had"), gives=')

    lacking = house.doit("doctor")

    assert (sound.code, sound.out.splitlines()[-1]) == (0, "every stage of tiny finds its packages")
    assert (lacking.code, lacking.out.splitlines()[-1]) == (1, "total lacks nowhere-to-be-had")
