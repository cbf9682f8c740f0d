"""The mistakes that new users made, and the whole screen of each: where, what, what to do, and a code that is not 0.

Those of data stand in tests/stages, of bases in tests/models, of devices in test_lacking, of Ctrl-C in
test_interruptions, of requests in tests/serve.
"""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest

from so8t.engine import contents
from so8t.engine.reading import contradictions
from so8t.errors import SpecError, UserError
from so8t.serve import server, start
from so8t.serve.settings import Serve
from so8t.spec import load as spec
from so8t.spec import profile as profiles
from tests.house import House
from tests.whole.screens import screens

ROOT = Path(__file__).parents[2]
LISTS = "doit list prints the tasks, doit help the commands\n"
COMMAND_LINES = {
    "doubld": f"doubld is not a command, a task or a target, did you mean doubled?\n{LISTS}",
    "numb": f"numb is not a command, a task or a target, did you mean numbers?\n{LISTS}",
    "lst": f"lst is not a command, a task or a target, did you mean list?\n{LISTS}",
    "frob": f"frob is not a command, a task or a target\n{LISTS}",
    "info totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "why totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "clean totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "--profile mine": "doit run has no option --profile: a profile is chosen without dashes: doit profile=mine\n",
    "list --profile=mine": "doit list has no option --profile: a profile is chosen without dashes: doit profile=mine\n",
    "--dry-run": "doit run has no option --dry-run: doit plan says what would be built, and builds nothing\n",
    "total --dry-run": "a task has no option --dry-run: doit plan says what would be built, and builds nothing\n",
    "total --single": "a task has no option --single\noptions of doit run stand before the names of tasks\n",
    "gc --budgt 3": "doit gc has no option --budgt, did you mean --budget?\ndoit help gc prints its options\n",
    "run --reporter": "option --reporter requires argument\ndoit help run prints its options\n",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    return screens(House(tmp_path_factory.mktemp("mistakes")), list(COMMAND_LINES))


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_wrong_command_line_is_answered_with_what_was_meant(said: dict[str, tuple[int, str]], line: str) -> None:
    assert said[line] == (3, f"ERROR: {COMMAND_LINES[line]}")


def test_no_command_line_built_anything(
    said: dict[str, tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert [*tmp_path_factory.getbasetemp().glob("mistakes*/log.txt")] == []


# ---- specs -------------------------------------------------------------------------------------------------------


SPECS = [
    (
        "train:\n  steps: 40\n  epochs: 3\n",
        "specs/mine/adapter.yaml:2:3: train.steps: counts instead of epochs, which line 3 gives too: remove one of "
        "them\n    steps: 40\n    ^",
    ),
    (
        "train:\n  epochs: 3\n",
        "specs/mine/adapter.yaml:2:3: train.epochs: steps of specs/tiny/adapter.yaml:18 is inherited and counts "
        "instead: write steps: null beside it\n    epochs: 3\n    ^",
    ),
    (
        "train:\n  micro_batch: 3\n",
        "specs/mine/adapter.yaml:2:16: train.micro_batch: batch 8 is not a multiple of micro_batch 3: take 6 or 9 "
        "(batch: specs/tiny/adapter.yaml:19)\n    micro_batch: 3\n                 ^",
    ),
    (
        "train:\n  batch: 4\n  micro_batch: 8\n",
        "specs/mine/adapter.yaml:2:10: train.batch: batch 4 is not a multiple of micro_batch 8: take 8 "
        "(micro_batch: line 3)\n    batch: 4\n           ^",
    ),
    (
        "lora:\n  rank: 8\n",
        "specs/mine/adapter.yaml:2:3: lora.rank: unknown key, did you mean r? (The rank)\n    rank: 8\n    ^",
    ),
    (
        "backbone: phi3\n",
        "specs/mine/adapter.yaml:1:1: backbone: unknown key; the keys here are quantise, precision, lora, gates, pet, "
        "train, validation, checkpoints, monitor\n    backbone: phi3\n    ^",
    ),
]


def refusal(project: Path, **files: str) -> str:
    """What doit prints of a profile `mine` over tiny with these files."""
    table = contents.read(ROOT)
    shutil.copytree(ROOT / "specs" / "tiny", project / "specs" / "tiny")
    (project / "specs" / "mine").mkdir()
    for name, text in {"profile": "extends: tiny\n", **files}.items():
        (project / "specs" / "mine" / f"{name}.yaml").write_text(text, "utf-8")
    found = profiles.read(project, "mine", table.renamed)
    with pytest.raises(SpecError) as refused:
        models = spec.load(found, table.models)
        spec.agreed(found, contradictions(table, models))
    return str(refused.value)


@pytest.mark.parametrize(("text", "screen"), SPECS)
def test_a_contradiction_within_a_spec_is_shown_at_its_line(tmp_path: Path, text: str, screen: str) -> None:
    assert refusal(tmp_path, adapter=text) == screen


def test_fractions_that_leave_nothing_to_train_are_shown_at_their_line(tmp_path: Path) -> None:
    assert refusal(tmp_path, thinking_sft="fractions:\n  test: 0.5\n  validation: 0.6\n") == (
        "specs/mine/thinking_sft.yaml:3:15: fractions.validation: validation 0.6 + test 0.5 must be at least 0 and "
        "below 1, for the rest is train (test: line 2)\n    validation: 0.6\n                ^"
    )


def test_a_type_in_capitals_is_told_its_spelling(tmp_path: Path) -> None:
    assert refusal(tmp_path, gguf="types: [f16, Q4_K_M]\n") == (
        "specs/mine/gguf.yaml:1:14: types[1]: Q4_K_M: types are written in small letters: q4_k_m\n"
        "    types: [f16, Q4_K_M]\n                 ^"
    )


def test_steps_may_replace_inherited_epochs_and_null_brings_epochs_back(tmp_path: Path) -> None:
    table = contents.read(ROOT)
    shutil.copytree(ROOT / "specs" / "tiny", tmp_path / "specs" / "tiny")
    for name, parent, text in [("by_epochs", "tiny", "steps: null, epochs: 2"), ("by_steps", "by_epochs", "steps: 7")]:
        (tmp_path / "specs" / name).mkdir()
        (tmp_path / "specs" / name / "profile.yaml").write_text(f"extends: {parent}\n", "utf-8")
        (tmp_path / "specs" / name / "adapter.yaml").write_text(f"train: {{{text}}}\n", "utf-8")

    train = spec.load(profiles.read(tmp_path, "by_steps", table.renamed), table.models)["adapter"].train  # type: ignore[attr-defined]
    assert (train.steps, train.epochs) == (7, 2)


# ---- two specs, each right by itself -----------------------------------------------------------------------------


def test_scores_of_fewer_records_than_the_evaluation_asks_are_refused_before_the_training(tmp_path: Path) -> None:
    assert refusal(tmp_path, adapter_scores="conversations: 20\n", evaluation="conversations: 240\n") == (
        "specs/mine/adapter_scores.yaml:1:16: conversations: adapter_scores answers the first 20 records of a split, "
        "and evaluation asks 240: set conversations to the same number in both "
        "(evaluation.conversations: specs/mine/evaluation.yaml:1)\n"
        "    conversations: 20\n                   ^"
    )


def test_splits_and_types_that_no_other_stage_makes_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, evaluation="splits: [test_novel, test]\ntypes: [q6_k]\n") == (
        "specs/mine/evaluation.yaml:1:9: splits: adapter_scores does not answer test: name it in splits of "
        "adapter_scores.yaml, too (adapter_scores.splits: specs/tiny/adapter_scores.yaml:3)\n"
        "    splits: [test_novel, test]\n            ^\n"
        "specs/mine/evaluation.yaml:2:8: types: q6_k is not in types of gguf.yaml (f16, q8_0, q4_k_m): add it there, "
        "or leave it out here (gguf.types: specs/tiny/gguf.yaml:4)\n"
        "    types: [q6_k]\n           ^"
    )


def test_a_type_that_is_not_made_is_not_served(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "specs" / "tiny", tmp_path / "specs" / "tiny")
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    serve = "backend:\n  kind: llamacpp\n  quantisation: q5_k_m\n"
    (tmp_path / "specs" / "tiny" / "serve.yaml").write_text(serve, "utf-8")
    with pytest.raises(SpecError) as refused:
        start.read(tmp_path, "tiny")

    assert str(refused.value) == (
        "specs/tiny/serve.yaml:3:17: backend.quantisation: q5_k_m is not in types of gguf.yaml (f16, q8_0, q4_k_m): "
        "add it there, or serve one of these (gguf.types: specs/tiny/gguf.yaml:4)\n"
        "    quantisation: q5_k_m\n                  ^"
    )


def test_a_port_in_use_names_the_field() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as refused:
            server.listen(Serve(port=port))

    said = re.fullmatch(r"serve: cannot listen at 127.0.0.1:(\d+): [^;]+; (.*)", str(refused.value))
    assert said and said.groups() == (str(port), "set another serve.port, or 0 for any that is free")
