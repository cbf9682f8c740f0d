"""What this machine has not is said before the first stage is built, not by the stage that needs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.train import lora
from so8t.train.settings import Train
from so8t.watch import cuda
from tests.house import House

NEEDY = '''
"""a card that needs a press"""
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel, execution
from so8t.engine.stage import Stage


class Spec(SpecModel):
    press: str = execution("press")
    """The file that stands for a press."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("print")
    (out / "print.txt").write_text("print", "utf-8")


def lacks(spec: Spec):
    log.note("press?")
    if not Path(spec.press).exists():
        yield f"press: there is no {spec.press}"


STAGE = Stage("print", Spec, build, takes=("card",), gives=("print.txt",), lacks=lacks)
'''


@pytest.fixture
def printing(house: House) -> House:
    house.write("stages/print.py", NEEDY)
    house.edit("stages/__init__.py", "card, doubled", "card, doubled, print")
    house.edit("stages/__init__.py", "parity.STAGE)", "parity.STAGE, print.STAGE)")
    return house


@pytest.mark.slow
def test_a_run_that_cannot_end_does_not_begin(printing: House) -> None:
    run = printing.doit()

    assert (run.code, run.ran) == (1, ["press?"])
    assert "specs/tiny/print.yaml: press: there is no press\nnothing was built\n" in run.err + run.out


@pytest.mark.slow
def test_what_is_not_asked_for_may_lack_what_it_likes_and_what_is_there_is_built(printing: House) -> None:
    assert printing.doit("card").code == 0
    (printing.path / "press").touch()
    assert (printing.doit("print").code, printing.doit("print").ran) == (0, [])


# ---- CUDA


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A torch that this process has not imported."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "torch")
    return tmp_path / "torch" / "version.py"


def test_a_build_without_cuda_is_named_with_the_line_that_helps(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel.write_text("from typing import Optional\n__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", "utf-8")
    monkeypatch.setattr(sys, "platform", "linux")

    assert list(cuda.lacks("train.device", "cuda")) == [
        "train.device: cuda: torch 2.13.0 is a build without CUDA; pip install --force-reinstall torch==2.13.0 brings "
        "PyPI's, which has it; to compute on a processor, which may take days, set train.device: cpu"
    ]
    monkeypatch.setattr(sys, "platform", "win32")
    assert cuda.why_not() == (
        "torch 2.13.0 is a build without CUDA; PyPI has no other for Windows: take the line that "
        "https://pytorch.org/get-started/locally gives"
    )


@pytest.mark.parametrize(
    ("found", "number", "expected"),
    [
        (None, 0, "no NVIDIA driver answers: install it, and look at what nvidia-smi says"),
        (1, 1, "the driver knows 1 devices, which are numbered from 0"),
        (2, 1, ""),
    ],
)
def test_a_build_with_cuda_needs_a_driver_with_that_device(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, found: int | None, number: int, expected: str
) -> None:
    wheel.write_text("__version__ = '2.13.0'\ncuda: str | None = '13.0'\n", "utf-8")
    monkeypatch.setattr(cuda, "devices", lambda: found)

    assert cuda.why_not(number) == expected


def test_auto_and_cpu_lack_nothing() -> None:
    assert [*cuda.lacks("train.device", "auto"), *cuda.lacks("train.device", "cpu")] == []


def test_a_training_that_was_started_all_the_same_ends_before_its_base_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(StageError) as refused:
        lora.device(Train(device="cuda"))

    assert str(refused.value) == "train.device: cuda is not to be had; doit doctor says why"
