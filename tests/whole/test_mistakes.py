"""The mistakes that new users made, and the whole screen of each: where, what, what to do, and a code that is not 0.

ROWS names every one of them with the tests that hold it, here or in the folder of its room.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
from pathlib import Path

import psutil
import pytest

from so8t.engine import contents, placed
from so8t.engine import plan as plans
from so8t.engine.ensure import ensure
from so8t.engine.reading import contradictions
from so8t.errors import SpecError, UserError
from so8t.serve import server, start
from so8t.serve.settings import Serve
from so8t.spec import load as spec
from so8t.spec import profile as profiles
from so8t.watch import cuda
from tests.house import House
from tests.whole.pico import Pico
from tests.whole.screens import screens

ROOT = Path(__file__).parents[2]
HERE = "whole/test_mistakes.py"
ROWS = {
    "epochs with steps": (f"{HERE}::test_a_contradiction_within_a_spec_is_shown_at_its_line",),
    "unlabelled chat data": (
        "stages/test_labelled.py::test_records_whose_class_nothing_can_tell_are_an_error_with_the_ways_out",
    ),
    "English data": (
        "stages/test_cleaned.py::test_more_than_the_specs_share_dropped_is_an_error_that_says_what_took_them",
    ),
    "an empty train file": (f"{HERE}::test_a_source_without_a_record_is_shown_at_its_line",),
    "a profile for a card, and no card": (f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",),
    "doit info adaptor": (f"{HERE}::test_a_wrong_command_line_is_answered_with_what_was_meant",),
    "doit --profile mine, --dry-run": (f"{HERE}::test_a_wrong_command_line_is_answered_with_what_was_meant",),
    "Ctrl-C in training": (
        "whole/test_interruptions.py::test_a_signal_to_the_whole_group_is_answered_by_one_sentence",
        "whole/test_interruptions.py::test_timeout_loses_no_step_though_it_sends_its_signal_twice",
    ),
    "a base's path that does not exist, ~, an id of the hub": (
        f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",
        "engine/test_spelled.py::test_where_nothing_matches_the_hint_of_the_source_is_said",
    ),
    "revision: main": (f"{HERE}::test_a_base_that_is_named_wrongly_is_shown_at_its_line",),
    "doit baked, doit adaptor": (f"{HERE}::test_a_wrong_command_line_is_answered_with_what_was_meant",),
    "device: cuda": (
        f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",
        "whole/test_lacking.py::test_a_build_without_cuda_is_named_with_the_line_that_helps",
    ),
    "a Git LFS pointer as weights": (f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",),
    "Alpaca records without fields": (
        "stages/test_raw.py::test_the_five_lines_of_the_tour_read_each_format",
        "corpus/test_formats.py::test_keys_that_no_format_has_are_an_error_that_shows_the_way",
    ),
    "serving a quantisation that is not built": (f"{HERE}::test_a_type_that_is_not_made_is_not_served",),
    "scores over 20 records, evaluation over 240": (
        f"{HERE}::test_scores_of_fewer_records_than_the_evaluation_asks_are_refused_before_the_training",
    ),
    "batch not a multiple of micro_batch": (f"{HERE}::test_a_contradiction_within_a_spec_is_shown_at_its_line",),
    "fractions out of range": (f"{HERE}::test_fractions_that_leave_nothing_to_train_are_shown_at_their_line",),
    "Q4_K_M": (f"{HERE}::test_a_type_in_capitals_is_told_its_spelling",),
    "rank for r, a stale backbone": (f"{HERE}::test_a_contradiction_within_a_spec_is_shown_at_its_line",),
    "a port in use": (f"{HERE}::test_a_port_in_use_names_the_field",),
    "a LoRA target that matches nothing": (
        f"{HERE}::test_what_a_stage_refuses_by_its_key_is_shown_at_its_line",
        "train/test_targets.py::test_a_target_that_matches_nothing_lists_what_there_is",
    ),
    "a missing data file": (f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",),
    "a GGUF or an empty folder as base": (
        f"{HERE}::test_a_base_that_is_named_wrongly_is_shown_at_its_line",
        f"{HERE}::test_what_is_not_here_is_said_before_the_first_stage",
    ),
    "max_tokens=3 on /v1": (
        "serve/test_cut_off.py::test_in_the_thinking_v1_ends_by_length_with_nothing_and_think_has_a_problem",
    ),
    "tools on /v1": ("serve/test_answers.py::test_a_field_that_is_not_supported_is_named",),
    "a weak run": (
        "stages/test_evaluation.py::test_a_model_that_answers_worse_than_pytorch_misses_the_bound_and_its_figures_are_written",
        "engine/test_missed.py::test_it_fails_with_the_place_of_its_figures_until_it_is_good_enough",
    ),
}


def test_every_mistake_has_a_test_that_holds_it() -> None:
    named = {test for tests in ROWS.values() for test in tests}
    missing = [test for test in named if f"def {test.split('::')[1]}(" not in text_of(test.split("::")[0])]

    assert (len(ROWS), missing) == (27, [])


def text_of(file: str) -> str:
    return (ROOT / "tests" / file).read_text("utf-8")


# ---- command lines -----------------------------------------------------------------------------------------------


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


BASES = [
    (
        "source: {kind: hub, repo: acme/phi, revision: main}\n",
        "specs/mine/base_model.yaml:1:47: source.revision: must be a commit, all 40 digits, and main is a branch or a "
        "tag, which can move: `git ls-remote https://huggingface.co/acme/phi main` prints the commit\n"
        "    source: {kind: hub, repo: acme/phi, revision: main}\n" + " " * 50 + "^",
    ),
    (
        "source: {kind: local, path: models/phi-Q8_0.gguf}\n",
        "specs/mine/base_model.yaml:1:29: source.path: must be a folder, and models/phi-Q8_0.gguf is a GGUF: write "
        "{kind: gguf, path: models/phi-Q8_0.gguf}\n"
        "    source: {kind: local, path: models/phi-Q8_0.gguf}\n" + " " * 32 + "^",
    ),
]


@pytest.mark.parametrize(("text", "screen"), BASES)
def test_a_base_that_is_named_wrongly_is_shown_at_its_line(tmp_path: Path, text: str, screen: str) -> None:
    assert refusal(tmp_path, base_model=text) == screen


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


# ---- what is not here, and what a stage finds --------------------------------------------------------------------

LOCAL = "source:\n  kind: local\n  path: {}\n"
MINE = "sources:\n- {{name: mine, paths: [{}], terms: own, trust: high}}\n"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n"
HOLDS = "looked in the project folder, which holds artifacts/, bases/, dodo.py, empty.jsonl, pico.jsonl and 2 more"
MEND = "correct the path, which begins in the project's folder, or put the file there"
HUGE = {"hidden_size": 65536, "intermediate_size": 65536, "num_attention_heads": 64, "num_hidden_layers": 40}
HUGE |= {"vocab_size": 65536, "model_type": "llama", "dtype": "bfloat16"}
LACKING = {
    "wrong_path": (
        {"base_model": LOCAL.format("models/phi")},
        f"specs/wrong_path/base_model.yaml:3:9: source.path: source pattern 'models/phi/*' matches no file: {HOLDS}; "
        "if models/phi is a repository of the hub, write {kind: hub, repo: models/phi, revision: <the commit's 40 "
        "digits>}\n    path: models/phi\n          ^\n",
    ),
    "empty_folder": (
        {"base_model": LOCAL.format("bases/empty/")},
        "specs/empty_folder/base_model.yaml:3:9: source.path: source pattern 'bases/empty/*' matches no file: looked "
        f"in bases/empty, which is empty; {MEND}\n    path: bases/empty/\n          ^\n",
    ),
    "gguf_folder": (
        {"base_model": LOCAL.format("bases/gguf")},
        "specs/gguf_folder/base_model.yaml:3:9: source.path: bases/gguf has no safetensors but a GGUF, phi.gguf: write "
        "{kind: gguf, path: <the folder>/phi.gguf}\n    path: bases/gguf\n          ^\n",
    ),
    "pointer": (
        {"base_model": LOCAL.format("bases/lfs")},
        "specs/pointer/base_model.yaml:3:9: source.path: bases/lfs: model.safetensors is a Git LFS pointer, a few "
        "lines in place of the file: run `git lfs pull` in that folder, or download the repository with `hf "
        "download`\n    path: bases/lfs\n          ^\n",
    ),
    "no_data": (
        {"raw": MINE.format("mine.jsonl")},
        f"specs/no_data/raw.yaml:2:24: sources[0].paths[0]: source pattern 'mine.jsonl' matches no file: {HOLDS}; "
        f"{MEND}\n    - {{name: mine, paths: [mine.jsonl], terms: own, trust: high}}\n{' ' * 27}^\n",
    ),
    "no_card": (
        {"adapter": "train:\n  device: cuda:99\n"},
        f"specs/no_card/adapter.yaml:2:11: train.device: cuda:99: {cuda.why_not(99)}; to compute on a processor, which "
        "may take days, set train.device: cpu\n    device: cuda:99\n            ^\n",
    ),
}


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory) -> Pico:
    """A project with a profile for each of these mistakes."""
    project = Pico(tmp_path_factory.mktemp("pico"), ROOT)
    files = {name: texts for name, (texts, _) in LACKING.items()}
    files |= {"too_large": {"base_model": LOCAL.format("bases/huge"), "adapter": "train: {micro_batch: 8}\n"}}
    files |= {"no_record": {"raw": MINE.format("empty.jsonl")}, "no_module": {"adapter": "lora: {targets: [qkv]}\n"}}
    for profile, texts in files.items():
        (project.path / "specs" / profile).mkdir()
        for name, text in {"profile": "extends: tiny\n", **texts}.items():
            (project.path / "specs" / profile / f"{name}.yaml").write_text(text, "utf-8")
    for folder in ("empty", "gguf", "lfs"):
        (project.path / "bases" / folder).mkdir(parents=True)
    (project.path / "bases/gguf/phi.gguf").touch()
    (project.path / "bases/lfs/model.safetensors").write_text(POINTER, "utf-8")
    (project.path / "bases/huge").mkdir()
    (project.path / "bases/huge/config.json").write_text(json.dumps(HUGE), "utf-8")
    (project.path / "bases/huge/model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (project.path / "empty.jsonl").touch()
    (project.path / "artifacts").mkdir()
    return project


@pytest.fixture(scope="module")
def refused(pico: Pico) -> dict[str, tuple[int, str]]:
    lines = ["profile=too_large", "plan --vram 12 profile=too_large"]
    return screens(pico, [*(f"profile={name}" for name in LACKING), *lines])


@pytest.mark.parametrize("name", LACKING)
def test_what_is_not_here_is_said_before_the_first_stage(refused: dict[str, tuple[int, str]], name: str) -> None:
    screen = f".  raw\nTaskFailed - taskid:raw\n{LACKING[name][1]}nothing was built\n\n"

    assert refused[f"profile={name}"] == (1, screen)


def test_a_base_that_neither_the_disk_nor_the_card_holds_is_not_begun(refused: dict[str, tuple[int, str]]) -> None:
    code, screen = refused["profile=too_large"]
    plan = refused["plan --vram 12 profile=too_large"]
    disk = r"disk: 10,924 GiB are needed, and [\d,.]+ [KMG]iB are free: free some, or set retain: manifest for "
    disk += "stages that are no longer read\n"
    memory = [
        ("so8t_model", "2,256", "take a smaller base, or a machine with more memory"),
        ("adapter", "4,112", "take a smaller base, or a machine with more memory"),
        ("adapter_scores", "2,600", "set a smaller batch, or precision: bfloat16, in adapter_scores.yaml"),
        ("merged_model", "113", "set fewer parity.conversations or parity.tokens in merged_model.yaml"),
        ("baked_model", "113", "set fewer parity.conversations or parity.tokens in baked_model.yaml"),
        ("gguf", "6,772", "set parity.precision: bfloat16 in gguf.yaml"),
        ("evaluation", "4,563", "set workers: 1 in evaluation.yaml, or base: false"),
    ]
    of_memory = [
        rf"{stage}: about {size} GiB of memory are needed, by its shapes, and the machine has [\d,.]+ GiB: {advice}\n"
        for stage, size, advice in memory
        if psutil.virtual_memory().total < 90 << 30 or size != "113"
    ]

    assert (code, plan[0]) == (1, 1)
    told = "".join([disk, *of_memory])
    assert re.fullmatch(rf"\.  raw\nTaskFailed - taskid:raw\n{told}nothing was built\n\n", screen), screen
    for each in (disk, *of_memory):
        assert re.search(rf"^cannot be built: {each}", plan[1], re.MULTILINE), plan[1]
    assert (
        "cannot be built: specs/too_large/adapter.yaml:1:22: train.micro_batch: 3,342 GiB of VRAM are needed by "
        "estimate, and the card has 12.0 GiB: no setting of adapter.yaml makes it fit; take a smaller base or a larger "
        "card\n"
    ) in plan[1]


def test_none_of_them_built_anything(refused: dict[str, tuple[int, str]], pico: Pico) -> None:
    assert [*pico.path.glob("artifacts/*/raw")] == []


def test_a_source_without_a_record_is_shown_at_its_line(refused: dict[str, tuple[int, str]], pico: Pico) -> None:
    with pytest.raises(SpecError) as empty:
        ensure(pico.path, "no_record", "raw")

    assert str(empty.value) == (
        "specs/no_record/raw.yaml:2:3: sources[0]: the source mine has no record: empty.jsonl is empty; fill "
        f"it, or take it out of the sources\n    - {{name: mine, paths: [empty.jsonl], terms: own, trust: high}}\n"
        f"{' ' * 6}^"
    )


def test_what_a_stage_refuses_by_its_key_is_shown_at_its_line(pico: Pico) -> None:
    plan = plans.load(pico.path, "no_module")
    text = "lora.targets: this Phi3ForCausalLM has no module qkv; its layers have o_proj (x4)"
    foreign = "adapter.precision: float16 needs a GPU: take bfloat16 or float32 on a processor"

    assert placed.shown(plan, "adapter", text) == (
        "specs/no_module/adapter.yaml:1:17: lora.targets: this Phi3ForCausalLM has no module qkv; its layers have "
        "o_proj (x4)\n    lora: {targets: [qkv]}\n                    ^"
    )
    assert placed.shown(plan, "adapter_scores", foreign) == (
        "specs/no_module/adapter.yaml: precision: float16 needs a GPU: take bfloat16 or float32 on a processor"
    )
    assert placed.shown(plan, "adapter", "adapter: the base has no layers") == "adapter: the base has no layers"
