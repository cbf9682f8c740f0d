"""Tokens that a base was given learn, and nothing else of embeddings and head does: to the GGUF's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from so8t.errors import StageError
from so8t.formats import records
from so8t.gguf import layout, writer
from so8t.gguf.metadata import Provenance
from so8t.models import added, loading
from so8t.train import lora as learning
from so8t.train import optimizer, run
from so8t.train.job import Job
from so8t.train.settings import Gates, Lora, Train
from so8t.weights import bake, gatefiles, lora, merge, reader, streamed
from tests.gate.families import model as family
from tests.train.conftest import Place, gates_for
from tests.train.test_run import changed, contents
from tests.weights import workshop

pytestmark = pytest.mark.slow

TOKENS = ("<memo>", "</memo>")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
ROWS = ".token_adapter.trainable_tokens_delta"


@dataclass(frozen=True)
class Learned:
    """A run over a base with two more tokens, and the models that come of it."""

    root: Path
    job: Job
    numbers: tuple[int, ...]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        return workshop.weights(self.root / name)

    @property
    def adapter(self) -> dict[str, torch.Tensor]:
        return load_file(self.root / "adapter" / "adapter_model.safetensors")


def with_tokens(place: Place, root: Path, tied: bool) -> tuple[Job, tuple[int, ...]]:
    """The pico base with the tokens, and conversations that hold them."""
    from transformers import AutoConfig, AutoModelForCausalLM

    plain = root / "plain"
    if tied:
        config = AutoConfig.from_pretrained(place.base)
        config.tie_word_embeddings = True
        torch.manual_seed(3)
        AutoModelForCausalLM.from_config(config).save_pretrained(plain)
    for path in place.base.iterdir():
        if not (plain / path.name).exists():
            plain.mkdir(exist_ok=True)
            (plain / path.name).write_bytes(path.read_bytes())
    numbers = tuple(token.number for token in added.add(plain, root / "base", TOKENS))
    splits = root / "sft" / "splits"
    splits.mkdir(parents=True)
    for name in ("train", "validation"):
        rows = list(records.read(place.sft / "splits" / f"{name}.jsonl"))
        text = json.dumps(rows, ensure_ascii=False).replace("依頼を読む。", "<memo>依頼を読む。</memo>")
        records.write(splits / f"{name}.jsonl", json.loads(text))
    moved = replace(place, base=root / "base", gates=gates_for(root / "base", root / "gates"), sft=root / "sft")
    return moved.job(lora=Lora(r=4, alpha=8), added=numbers), numbers


@pytest.fixture(scope="module", params=[False, True], ids=["untied", "tied"])
def learned(place: Place, request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Learned]:
    root = tmp_path_factory.mktemp("tokens")
    job, numbers = with_tokens(place, root, request.param)
    run.train(job, root / "adapter")
    merge_and_bake(root)
    yield Learned(root, job, numbers)


def merge_and_bake(root: Path) -> None:
    with (
        reader.open_folder(root / "base", "base_model") as base,
        closing(lora.read(root / "adapter", base)) as adapter,
    ):
        merge.merge(root / "base", base, adapter, root / "merged", 50_000, workers=2)
        gates = gatefiles.read(root / "adapter").matrices()
        with reader.open_folder(root / "merged", "merged_model") as merged:
            exact = merge.Merging(base, adapter)
            bake.bake(root / "merged", merged, exact, gates, root / "baked", 50_000, workers=2)


def test_the_tokens_rows_learn_and_no_other(learned: Learned) -> None:
    before, after, adapter = learned.weights("base"), learned.weights("merged"), learned.adapter
    names = [name for name in (EMBEDDING, HEAD) if name in before]
    others = [number for number in range(len(before[EMBEDDING])) if number not in learned.numbers]

    assert before.keys() == after.keys()
    assert sorted(name for name in adapter if name.endswith(ROWS)) == sorted(
        f"base_model.model.{name.removesuffix('.weight')}{ROWS}" for name in names
    )
    for name in names:
        rows = adapter[f"base_model.model.{name.removesuffix('.weight')}{ROWS}"]
        assert torch.equal(after[name][others], before[name][others])
        assert bool((after[name][list(learned.numbers)] != before[name][list(learned.numbers)]).any(1).all())
        assert torch.equal(after[name][list(learned.numbers)], rows)
    config = json.loads((learned.root / "adapter" / "adapter_config.json").read_bytes())
    assert config["trainable_token_indices"] == {name.split(".")[-2]: list(learned.numbers) for name in names}


def test_a_run_that_was_killed_gives_the_same_bytes(
    learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("so8t.train.callbacks.Finite.on_pre_optimizer_step", _fail)
        with pytest.raises(MemoryError):
            run.train(learned.job, tmp_path / "out")
    run.train(learned.job, tmp_path / "out")

    assert contents(tmp_path / "out") == contents(learned.root / "adapter")


def _fail(_self: Any, _args: Any, state: Any, *_: Any, **__: Any) -> None:
    if state.global_step == 3:
        raise MemoryError("not enough memory")


def test_adapter_merged_and_baked_are_the_same_function(learned: Learned) -> None:
    trained = loading.load(learned.root / "base")
    gatefiles.load(trained, learned.root / "adapter")
    trained = PeftModel.from_pretrained(trained, str(learned.root / "adapter")).eval()
    ids = torch.tensor([[1, 5, learned.numbers[0], 33, learned.numbers[1], 7, 60]])
    with torch.no_grad():
        logits = trained(input_ids=ids).logits
        merged = workshop.gated(learned.root / "merged", learned.root / "adapter")(input_ids=ids).logits
        baked = workshop.plain(learned.root / "baked")(input_ids=ids).logits

    assert torch.equal(baked.argmax(-1), logits.argmax(-1))
    assert workshop.apart(logits, merged) < 1e-5 and workshop.apart(logits, baked) < 1e-5
    assert workshop.apart(logits, streamed_logits(learned.root, ids)) < 1e-5  # what the stages compare with


def streamed_logits(root: Path, ids: torch.Tensor) -> torch.Tensor:
    with (
        reader.open_folder(root / "base", "base_model") as base,
        closing(lora.read(root / "adapter", base)) as adapter,
    ):
        gates = gatefiles.read(root / "adapter")
        made = streamed.adapted(root / "base", base, root / "adapter", adapter, gates)
        hidden = made.hidden(ids, lambda _number, given, layer: layer(given))
        return made.logits(ids, hidden, 0, made.vocabulary)


def test_the_ggufs_rows_are_the_baked_ones(learned: Learned, tmp_path: Path) -> None:
    from gguf import GGUFReader

    source = layout.open_source(learned.root / "baked")
    vocabulary = layout.read_vocabulary(source, TOKENS)
    writer.write(source, tmp_path / "f32.gguf", "f32", Provenance("pico"), vocabulary)
    tensors = {tensor.name: tensor.data for tensor in GGUFReader(tmp_path / "f32.gguf").tensors}
    weights = learned.weights("baked")

    assert numpy.array_equal(tensors["token_embd.weight"], weights[EMBEDDING].numpy())
    assert ("output.weight" in tensors) == (HEAD in weights)
    if HEAD in weights:
        assert numpy.array_equal(tensors["output.weight"], weights[HEAD].numpy())
    assert [vocabulary.tokens[number] for number in learned.numbers] == list(TOKENS)


@pytest.mark.parametrize("tied", [False, True])
def test_as_a_whole_every_row_learns_and_the_head_stays_tied(
    place: Place, tmp_path: Path, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = with_tokens(place, tmp_path, tied)
    job = changed(replace(job, lora=Lora(r=4, tokens="whole")), steps=4, warmup=0.0)
    with monkeypatch.context() as patch:
        patch.setattr("so8t.train.callbacks.Finite.on_pre_optimizer_step", _fail)
        with pytest.raises(MemoryError):
            run.train(job, tmp_path / "adapter")
    run.train(job, tmp_path / "adapter")
    merge_and_bake(tmp_path)
    before, after = workshop.weights(tmp_path / "base"), workshop.weights(tmp_path / "baked")

    assert before.keys() == after.keys() and (HEAD in after) is not tied
    moved = (before[EMBEDDING if tied else HEAD] != after[EMBEDDING if tied else HEAD]).any(1)
    assert bool(moved.all())  # through the softmax, every row of a head
    trained = loading.load(tmp_path / "base")
    gatefiles.load(trained, tmp_path / "adapter")
    trained = PeftModel.from_pretrained(trained, str(tmp_path / "adapter")).eval()
    ids = torch.arange(1, 60)[None]
    with torch.no_grad():
        logits, baked = trained(input_ids=ids).logits, workshop.plain(tmp_path / "baked")(input_ids=ids).logits
    assert workshop.apart(logits, baked) < 1e-5


def test_rows_have_no_decay_and_float32_whatever_the_base() -> None:
    wrapped = learning.add_lora(family("llama", dtype=torch.bfloat16), Lora(r=2), 0, added=[90, 91])
    groups = optimizer.groups(wrapped, Train(weight_decay=0.1), Gates())

    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [(tuple(rows.shape), rows.dtype) for rows in groups[1]["params"]] == [((2, 48), torch.float32)] * 2


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        (
            Lora(tokens="whole"),
            "lora.tokens: whole trains embeddings and head as they are, and in 16 bits small steps would be lost: "
            "set precision: float32, or tokens: rows",
        ),
        (
            Lora(targets=("o_proj", "embed_tokens")),
            "lora.targets: embed_tokens learns as lora.tokens: rows says, and not with LoRA, too: "
            "take it out of the targets, or set tokens: none",
        ),
    ],
)
def test_what_cannot_be_trained_so_is_refused_before_the_first_step(lora: Lora, said: str) -> None:
    with pytest.raises(StageError) as refused:
        learning.add_lora(family("llama", dtype=torch.bfloat16), lora, 0, added=[90, 91])

    assert str(refused.value) == said


def test_tokens_that_shall_not_learn_stay_as_they_begin() -> None:
    wrapped = learning.add_lora(family("llama"), Lora(r=2, tokens="none"), 0, added=[90, 91])

    assert [name for name in learning.trainable(wrapped) if learning.is_row(name)] == []
