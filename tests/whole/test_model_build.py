"""The whole graph with the real stages and the real doit: what a build gives, what edits rebuild, what kills leave.

Two projects are built side by side, for imports fill most of the time: one straight through, the other, in another
folder and under another hash seed and time zone, with SIGKILL to its process group twice in adapter and once in each
of three stages behind it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import random
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from so8t.release import folder, reading, verifier
from stages import STAGES
from tests.whole.pico import SPECS
from tests.whole.pico_models import FLOW, MODELS, Chain, Said, changed

pytestmark = pytest.mark.slow

BEFORE = FLOW[: FLOW.index("adapter")]
IMPOSSIBLE = {"max_difference": 1.0, "kl": 1.0, "top1": 0.0, "layer": 1e-12}
SMALL_EDITS = {
    "thinking_sft": {**SPECS["thinking_sft"], "near_duplicate_threshold": 0.79},  # which no record feels
    **changed("adapter", "checkpoints.steps", 5),
    **changed("curves", "dpi", 50),
    **changed("modelfile", "parameters.num_ctx", 256),
    **changed("evaluation", "bootstrap.seed", 1),
}


@dataclass(frozen=True)
class Straight:
    """What was said and seen on the way through."""

    chain: Chain
    first: Said
    digests: dict[str, str]
    seed: Said  # another one, as far as merged_model
    seed_digests: dict[str, str]
    seed_why: dict[str, list[str]]
    impossible: Said  # with the seed of before
    impossible_digests: dict[str, str]
    small: Said
    small_undone: Said
    last_digests: dict[str, str]


@dataclass(frozen=True)
class Killed:
    kills: list[int]  # the checkpoints after which the training died
    going_on: Said
    left: dict[str, list[str]]  # what was published when the stage had been killed
    asking: str  # what the runs said after the kills in stages that ask models
    rest: Said
    digests: dict[str, str]


def straight(folder: Path, root: Path) -> Straight:
    chain = Chain(folder, root, {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"})
    first, digests = chain.doit(cold=True), chain.digests()
    seed = chain.doit_with(changed("adapter", "train.seed", 1), "merged_model")
    seed_digests, seed_why = chain.digests(), why(chain)
    impossible = chain.doit_with({**MODELS, **changed("baked_model", "parity.bounds", IMPOSSIBLE)})
    impossible_digests = chain.digests()
    small = chain.doit_with({**MODELS, **SMALL_EDITS})
    small_undone = chain.doit_with({**SPECS, **MODELS})
    return Straight(
        chain, first, digests, seed, seed_digests, seed_why, impossible, impossible_digests,
        small, small_undone, chain.digests(),
    )  # fmt: skip


def killed(folder: Path, root: Path) -> Killed:
    chain = Chain(folder, root, {"PYTHONHASHSEED": "2", "TZ": "America/St_Johns"})
    dice, left = random.Random(8), {}
    kills = [dice.choice((2, 4)), dice.choice((6, 8))]
    for step in kills:
        chain.kill_when(lambda out, step=step: _checkpoint(out) >= step, "adapter", dice.uniform(0, 0.05))
    left["adapter"] = chain.published()
    going_on = chain.doit("adapter")
    chain.kill_when(lambda out: any(out.glob("models/*.gguf")), "gguf", dice.uniform(0, 0.2))
    left["gguf"] = chain.published()
    chain.kill_when(lambda out: lines(out / "unfinished.jsonl") >= 4, "adapter_scores")
    answers = "scratch/evaluation/answers.jsonl"
    asked = chain.kill_when(lambda out: lines(out.parents[2] / answers) >= 5, "evaluation")
    left["evaluation"] = chain.published()
    rest = chain.doit()
    return Killed(kills, going_on, left, asked + rest.err, rest, chain.digests())


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _checkpoint(out: Path) -> int:
    """The last step that a killed training could go on from."""
    return max((int(path.name.split("-")[1]) for path in out.glob("training/checkpoint-*")), default=0)


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory, root: Path) -> tuple[Straight, Killed]:
    folder = tmp_path_factory.mktemp("models")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(straight, folder / "straight", root)
        other = pool.submit(killed, folder / "killed elsewhere", root)
        return one.result(), other.result()


@pytest.fixture
def through(lanes: tuple[Straight, Killed]) -> Straight:
    return lanes[0]


@pytest.fixture
def interrupted(lanes: tuple[Straight, Killed]) -> Killed:
    return lanes[1]


@pytest.fixture
def chain(through: Straight) -> Iterator[Chain]:
    """The finished project, to be edited; its specs are put back."""
    yield through.chain
    through.chain.write(MODELS)


def why(chain: Chain) -> dict[str, list[str]]:
    """The stages that would be built as they are, each with its reasons and with what may follow."""
    found: dict[str, list[str]] = {}
    for line in chain.doit("why", "--all").out.splitlines():
        if not line.startswith(" "):
            name, state = line.split(": ", 1)
        elif state == "would be built":
            found.setdefault(name, []).append(line.strip().removeprefix("- "))
    return found


def test_a_full_build_makes_every_stage_in_the_order_of_the_flow(through: Straight) -> None:
    assert through.first.code == 0, through.first.err
    assert through.first.out == "".join(f".  {stage}\n" for stage in FLOW)
    assert through.first.stages("built") == FLOW
    for stage in FLOW:
        for given in STAGES[stage].gives:
            assert (through.chain.folder(stage) / given).exists(), f"{stage}/{given}"


def test_a_second_build_makes_none(chain: Chain) -> None:
    again = chain.doit()

    assert (again.code, again.out) == (0, "".join(f"-- {stage}\n" for stage in FLOW))
    assert again.stages("built") == []


@pytest.mark.parametrize("stage", ["raw", "gguf", "evaluation"])
def test_nothing_is_published_that_no_manifest_names(through: Straight, stage: str) -> None:
    folder = through.chain.folder(stage)
    manifest = json.loads((folder / "manifest.json").read_bytes())

    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there == {"manifest.json", *(file["path"] for file in manifest["files"])}


def test_another_seed_trains_again_and_undoing_it_builds_none(through: Straight) -> None:
    unread = ("curves", "adapter_scores")
    asked = [stage for stage in FLOW[: FLOW.index("merged_model")] if stage not in unread]

    *current, adapter, merged = through.seed.out.splitlines()
    assert sorted(current) == sorted(
        f"-- {one}" for one in asked[:-1]
    )  # doit orders stages that waited for the same one by chance
    assert (adapter, merged) == (".  adapter", ".  merged_model")
    assert through.seed.stages("built") == ["adapter", "merged_model"]
    for name in ("adapter/adapter_model.safetensors", "merged_model/model/model.safetensors"):
        assert through.seed_digests[name] != through.digests[name]
    assert list(through.seed_why) == ["curves", "adapter_scores", "baked_model"]  # the report waits for them
    after = "then, if its content changes: gguf, modelfile, evaluation, report, ollama"
    assert through.seed_why["baked_model"][-1] == after
    assert through.impossible.stages("built") == []
    assert through.impossible.stages("restored") == ["adapter", "merged_model"]
    assert through.impossible_digests == through.digests


def test_small_edits_build_their_own_stages_and_an_equal_output_stops_there(through: Straight) -> None:
    """thinking_sft comes out the same under its new threshold: nothing is trained again."""
    built = ["thinking_sft", "curves", "modelfile", "evaluation", "report"]

    assert (through.small.code, through.small.stages("built")) == (0, built)
    assert (through.small_undone.code, through.small_undone.stages("built")) == (0, [])
    assert through.small_undone.stages("restored") == built
    assert through.last_digests == through.digests


AFTER = "then, if its content changes: "


@pytest.mark.parametrize(
    ("stage", "field", "value", "said"),  # values that no build above left in the store
    [
        (
            "adapter",
            "train.learning_rate",
            0.001,
            [
                "spec train.learning_rate: 0.0002 -> 0.001",
                f"{AFTER}curves, adapter_scores, merged_model, baked_model, gguf, modelfile, evaluation, "
                "report, ollama",
            ],
        ),
        ("curves", "dpi", 60, ["spec dpi: 40 -> 60", f"{AFTER}report"]),
        (
            "gguf",
            "description",
            "別の文。",
            ['spec description: "" -> "別の文。"', f"{AFTER}modelfile, evaluation, report, ollama"],
        ),
        ("modelfile", "parameters.num_ctx", 512, ["spec parameters.num_ctx: null -> 512", f"{AFTER}report, ollama"]),
        ("evaluation", "bootstrap.seed", 2, ["spec bootstrap.seed: 0 -> 2", f"{AFTER}report, ollama"]),
    ],
)
def test_an_edit_makes_its_own_stage_stale_and_says_why(
    chain: Chain, stage: str, field: str, value: Any, said: list[str]
) -> None:
    chain.write(changed(stage, field, value))

    assert why(chain) == {stage: said}


def test_how_often_a_checkpoint_is_left_makes_nothing_stale(chain: Chain) -> None:
    chain.write(changed("adapter", "checkpoints.steps", 5))

    assert why(chain) == {}


def test_a_killed_training_says_that_it_goes_on(interrupted: Killed) -> None:
    (after,) = re.findall(r"^adapter: going on after step (\d+)$", interrupted.going_on.err, re.MULTILINE)

    assert int(after) >= interrupted.kills[-1]
    assert interrupted.going_on.stages("built") == ["adapter"]


def test_a_killed_stage_publishes_nothing(interrupted: Killed) -> None:
    assert interrupted.left == {
        "adapter": BEFORE,
        "gguf": [*BEFORE, "adapter", "merged_model", "baked_model"],
        "evaluation": [*BEFORE, "adapter", "adapter_scores", "merged_model", "baked_model", "gguf"],
    }


def test_what_a_killed_stage_had_asked_is_not_asked_again(interrupted: Killed) -> None:
    said = re.findall(r"^(\w+: .*): (\d) of 4 answers are kept from an earlier run$", interrupted.asking, re.MULTILINE)

    assert said[0] == ("adapter_scores: test, base", "4")
    assert said[1][0] == "evaluation: base-f16.gguf"
    assert sum(int(kept) for stage, kept in said if stage.startswith("evaluation")) >= 5


def test_another_interval_asks_no_model_again(through: Straight) -> None:
    kept = re.findall(
        r"^evaluation: (\S+): 4 of 4 answers are kept from an earlier run$", through.small.err, re.MULTILINE
    )

    assert kept == ["base-f16.gguf", "so8t-f16.gguf", "so8t-q8_0.gguf"]


def test_kills_folder_hash_seed_and_time_zone_change_no_byte(through: Straight, interrupted: Killed) -> None:
    assert interrupted.rest.code == 0, interrupted.rest.err
    assert timeless(interrupted.digests) == timeless(through.digests)


def timeless(digests: dict[str, str]) -> dict[str, str]:
    """The report tells people of times and hosts; no other file does, and none is made from it."""
    return {name: digest for name, digest in digests.items() if not name.startswith("report/")}


def test_a_model_beyond_a_bound_is_not_published_and_the_layer_is_named(through: Straight) -> None:
    assert through.impossible.code == 1
    assert re.search(
        r"^baked_model: off by more than 1e-12 of what a layer adds \(layer\): "
        r".*\bmodel\.layers\.1 by [\d.]+e-\d\d\b.*; over 64 tokens of 2 held-out conversations, worst in test:\d; "
        r"nothing was published; parity\.bounds says what may be lost$",
        through.impossible.out,
        re.MULTILINE,
    ), through.impossible.out
    assert through.impossible_digests == through.digests


def test_without_a_server_ollama_fails_clearly_and_doit_alone_never_asks_for_it(chain: Chain) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        chain.env["OLLAMA_HOST"] = host = f"127.0.0.1:{taken.getsockname()[1]}"
        asked = chain.doit("ollama")

    message = f"ollama: no server answers at http://{host}; start one with `ollama serve`, or set OLLAMA_HOST"
    assert asked.code == 1
    assert message in asked.out + asked.err
    assert not chain.folder("ollama").exists()
    assert "ollama" not in chain.doit().out


def test_a_release_of_it_holds_what_was_built_and_says_nothing_of_where(
    through: Straight, root: Path, tmp_path: Path
) -> None:
    plan, out = through.chain.plan(), tmp_path / "tiny"
    order = folder.Order((folder.GGUF, folder.SAFETENSORS), root / "LICENSE")

    folder.write(reading.shelf(plan.layout, plan.store, folder.wanted(order.forms)), order, out)

    assert verifier.report(out, digests_only=True)[0] == 0
    for shipped, built in (
        ("so8t-q8_0.gguf", "gguf/models/so8t-q8_0.gguf"),
        ("model.safetensors", "baked_model/model/model.safetensors"),
    ):
        assert hashlib.sha256((out / shipped).read_bytes()).hexdigest() == through.last_digests[built]
    papers = [
        *out.glob("*.md"),
        *out.glob("*/*.json"),
        *out.glob("[bcr]*.json"),
    ]  # of the tokenizer's words, none is ours
    where = re.compile(rf"{re.escape(str(through.chain.path))}|\b{re.escape(platform.node())}\b")
    assert [path.name for path in papers if where.search(path.read_text("utf-8"))] == []
