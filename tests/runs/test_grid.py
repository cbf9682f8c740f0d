"""The profiles of a sweep: their names, their files, and that both say what the command line says."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.errors import UserError
from so8t.runs import axes, grid, sweep
from so8t.spec import profile
from so8t.spec.yamltree import plain


def test_a_profile_is_small_and_named_by_its_values() -> None:
    along = axes.read(["adapter.lora.r=16", "adapter.train.seed=0..1", "gguf.bounds.8.kl=2e-4"])

    first, second = grid.members("tiny", along)

    assert (first.name, first.values) == ("tiny+r-16+seed-0+kl-2e-4", (16, 0, 0.0002))
    assert (second.name, second.values) == ("tiny+r-16+seed-1+kl-2e-4", (16, 1, 0.0002))
    assert first.files == {
        "profile.yaml": (
            "# yaml-language-server: $schema=../schema/profile.json\n"
            "extends: tiny\n"
            'description: "tiny with adapter.lora.r=16, adapter.train.seed=0, gguf.bounds.8.kl=2e-4"\n'
        ),
        "adapter.yaml": ("# yaml-language-server: $schema=../schema/adapter.json\nlora:\n  r: 16\ntrain:\n  seed: 0\n"),
        "gguf.yaml": '# yaml-language-server: $schema=../schema/gguf.json\nbounds:\n  "8":\n    kl: 2e-4\n',
    }


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["a.rate=1e-4"], "tiny+rate-1e-4"),
        (["a.seed=1", "b.seed=2"], "tiny+a.seed-1+b.seed-2"),
        (["a.system=判定"], "tiny+system-判定"),
        (["a.path='../x:y'"], "tiny+path-x_y~33fa"),
        (["a.path='../x/y'"], "tiny+path-x_y~b6fc"),
        (["a.layers=[1, 2]"], "tiny+layers-1_2~b669"),
    ],
)
def test_a_value_that_no_file_can_be_called_by_is_named_like_it(arguments: list[str], name: str) -> None:
    (member,) = grid.members("tiny", axes.read(arguments))

    assert member.name == name


def test_too_many_profiles_are_refused() -> None:
    with pytest.raises(UserError) as refused:
        grid.members("tiny", axes.read(["a.b=1..40", "a.c=1..40"]))

    assert str(refused.value) == "a sweep over 1,600 profiles is too large: 1,000 is the most"


def test_the_folder_that_is_written_says_what_was_checked(tmp_path: Path) -> None:
    base = tmp_path / "specs" / "tiny" / "a.yaml"
    base.parent.mkdir(parents=True)
    base.write_text("gate:\n  kind: blend\n  angle: 2\nlora: {r: 8, alpha: 16}\n", "utf-8")
    found = profile.read(tmp_path, "tiny")
    along = axes.read(["a.gate.scale=1", "a.lora.r=16,'64'", "a.gate.kind=free,blend", "b.c=[x: 1, null],全部"])

    for member in grid.members("tiny", along):
        sweep.write(tmp_path / "specs" / member.name, member)
        checked, written = grid.overlay(found, member), profile.read(tmp_path, member.name)
        assert {stage: plain(node) for stage, node in checked.files.items()} == {
            stage: plain(node) for stage, node in written.files.items()
        }
        assert checked.chain == written.chain
    assert plain(written.files["a"]) == {
        "gate": {"kind": "blend", "angle": 2, "scale": 1},
        "lora": {"r": "64", "alpha": 16},
    }
