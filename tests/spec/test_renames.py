"""Keys under old names: read with a warning, rewritten on request, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from so8t.errors import SpecError
from so8t.spec import load, profile
from so8t.spec.fields import SpecModel
from so8t.spec.renames import Moved, Rename
from tests.house import House


class Bound(SpecModel):
    kl: float = 0.1
    top1: float = 0.9


class Gguf(SpecModel):
    bounds: dict[str, Bound] = Field(default={})
    checks: list[Bound] = Field(default=[])
    divergence: str = "mine"


MODELS = {"gguf": Gguf}
TABLE = (
    Rename("gguf", "bounds.*.divergence", "distance"),
    Rename("gguf", "bounds.*.agreement", "top1"),
    Rename("gguf", "bounds.*.distance", "kl"),  # renamed twice
    Rename("gguf", "checks.*.agreement", "top1"),
)

OLD = """# 上限 divergence: この行は注釈\r
divergence: agreement\r
bounds:  # per type\r
  q8_0: {divergence: 0.01, "agreement": 0.95}  # 半分、\U0001f642\r
  'q4_k_m':\r
    agreement   : 0.85\r
    divergence: &loose 0.15\r
checks: [{agreement: 0.5}, {kl: *loose}]\r
"""
NEW = (
    OLD.replace("{divergence: 0.01", "{kl: 0.01")
    .replace('"agreement"', '"top1"')
    .replace("agreement   :", "top1   :")
    .replace("    divergence:", "    kl:")
    .replace("{agreement: 0.5}", "{top1: 0.5}")
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "specs/tiny").mkdir(parents=True)
    (tmp_path / "specs/tiny/gguf.yaml").write_bytes(b"\xef\xbb\xbf" + OLD.encode())
    (tmp_path / "specs/mine").mkdir()
    (tmp_path / "specs/mine/profile.yaml").write_text("extends: tiny\n", "utf-8")
    (tmp_path / "specs/mine/gguf.yaml").write_text("bounds:\n  q8_0:\n    divergence: 0.5\n", "utf-8")
    return tmp_path


def test_old_names_are_read_as_the_new_ones_in_parents_and_children(project: Path) -> None:
    tiny = load.load(profile.read(project, "tiny", TABLE), MODELS)["gguf"]
    mine = load.load(profile.read(project, "mine", TABLE), MODELS)["gguf"]

    bounds = {"q8_0": Bound(kl=0.01, top1=0.95), "q4_k_m": Bound(kl=0.15, top1=0.85)}
    assert tiny == Gguf(bounds=bounds, checks=[Bound(top1=0.5), Bound(kl=0.15)], divergence="agreement")
    assert mine.bounds["q8_0"] == Bound(kl=0.5, top1=0.95)  # the parent's other key stays


def test_each_old_name_is_a_warning_with_its_place(project: Path) -> None:
    said = profile.read(project, "mine", TABLE).warnings

    assert said[0] == (
        "specs/mine/gguf.yaml:3:5: bounds.q8_0.divergence is called kl now: doit schema --upgrade rewrites it; "
        "the next release reads the new name alone\n"
        "    divergence: 0.5\n"
        "    ^"
    )
    places = ("mine/gguf.yaml:3:5", *(f"tiny/gguf.yaml:{place}" for place in ("4:10", "4:28", "6:5", "7:5", "8:11")))
    assert [text.split(" ")[0] for text in said] == [f"specs/{place}:" for place in places]


def test_both_names_at_once_are_refused_with_both_places(project: Path) -> None:
    (project / "specs/tiny/gguf.yaml").write_text("bounds:\n  f16:\n    top1: 0.9\n    agreement: 0.8\n", "utf-8")

    with pytest.raises(SpecError) as caught:
        load.load(profile.read(project, "tiny", TABLE), MODELS)
    assert str(caught.value).splitlines()[0] == (
        "specs/tiny/gguf.yaml:4:5: bounds.f16.agreement is the old name of top1, which line 3 gives too: "
        "remove one of them"
    )


def test_an_upgrade_rewrites_names_and_not_a_byte_more(project: Path) -> None:
    done = profile.upgrade(project, TABLE)

    assert (project / "specs/tiny/gguf.yaml").read_bytes() == b"\xef\xbb\xbf" + NEW.encode()
    assert (project / "specs/mine/gguf.yaml").read_text("utf-8") == "bounds:\n  q8_0:\n    kl: 0.5\n"
    assert len(done) == 6
    assert profile.upgrade(project, TABLE) == []
    assert profile.read(project, "mine", TABLE).warnings == ()


def test_a_key_that_moved_to_another_file_says_where_it_stands_now(project: Path) -> None:
    (project / "specs/mine/gguf.yaml").write_text("name: x\npre_tokenizer: llama-bpe\nbounds: 5\n", "utf-8")

    with pytest.raises(SpecError) as caught:
        load.load(profile.read(project, "mine", (*TABLE, Moved("gguf", "pre_tokenizer", "formats.pre"))), MODELS)

    assert str(caught.value).splitlines() == [
        "specs/mine/gguf.yaml:1:1: name: unknown key; the keys here are bounds, checks, divergence",
        "    name: x",
        "    ^",
        "specs/mine/gguf.yaml:2:1: pre_tokenizer is pre of formats.yaml now: write it there, and remove it here",
        "    pre_tokenizer: llama-bpe",
        "    ^",
        "specs/mine/gguf.yaml:3:9: bounds: must be a mapping (got 5)",
        "    bounds: 5",
        "            ^",
    ]


def test_without_renames_nothing_is_known(project: Path) -> None:
    with pytest.raises(SpecError, match=r"bounds\.q8_0\.divergence: unknown key"):
        load.load(profile.read(project, "mine"), MODELS)


@pytest.mark.slow
def test_a_build_warns_each_time_and_rebuilds_nothing_for_the_upgrade(house: House) -> None:
    house.doit()
    house.edit("stages/__init__.py", "STAGES =", 'RENAMED = (Rename("doubled", "factor", "times"),)\nSTAGES =')
    house.write("stages/__init__.py", "from so8t.spec.renames import Rename\n" + house.read("stages/__init__.py"))
    house.edit("specs/tiny/doubled.yaml", "times: 2", "factor: 2  # 倍")

    warning = (
        "specs/tiny/doubled.yaml:1:1: factor is called times now: doit schema --upgrade rewrites it; "
        "the next release reads the new name alone\n    factor: 2  # 倍\n    ^\n"
    )
    for _ in range(2):  # the second plan is remembered
        run = house.doit()
        assert (run.code, run.ran, run.err) == (0, [], warning)
    upgraded = house.doit("schema", "--upgrade")
    assert upgraded.out.splitlines()[0] == "specs/tiny/doubled.yaml:1:1: factor -> times"
    assert house.read("specs/tiny/doubled.yaml") == "times: 2  # 倍\n"
    assert (house.doit().ran, house.doit().err) == ([], "")
