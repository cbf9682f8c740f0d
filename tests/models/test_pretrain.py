"""Training the tiny model: the same bytes again, and the same bytes after any number of kills."""

import multiprocessing
import random
import shutil
from hashlib import sha256
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors import safe_open
from transformers import AutoModelForCausalLM, Phi3ForCausalLM

from so8t.errors import StageError
from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS
from so8t.models import documents, tiny
from so8t.models.documents import Batches
from so8t.models.pretrain import Schedule
from so8t.models.tiny import Tiny
from tests.models.conftest import PICO, declaration

WAY = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PROCESSES = multiprocessing.get_context(WAY)
if WAY == "forkserver":
    PROCESSES.set_forkserver_preload(
        [
            "torch._dynamo",
            "transformers.models.phi3.modeling_phi3",
            "transformers.models.auto.tokenization_auto",
            "transformers.models.llama.tokenization_llama",
            "transformers.generation",
            "sentencepiece",
            "so8t.models.tiny",
        ]
    )


def digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def start(sft: Path, out: Path) -> BaseProcess:
    spec = Tiny(**{**PICO, "checkpoint_every": 1})
    run = PROCESSES.Process(target=tiny.build, args=(spec, sft / "splits" / "train.jsonl", declaration(), out))
    run.start()
    return run


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def step_of(state: Path) -> int:
    with safe_open(str(state), framework="pt") as kept:
        return int(kept.metadata()["step"])


def test_the_checkpoint_is_a_phi3_that_transformers_loads(pico: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(str(pico))

    assert type(model) is Phi3ForCausalLM
    assert model.dtype == torch.float32
    assert (model.config.hidden_size, model.config.num_key_value_heads, model.config.vocab_size) == (32, 1, 420)
    assert model.generation_config.eos_token_id == [7, 3]  # <|end|> and <|endoftext|>
    assert sorted(path.name for path in pico.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    ]
    assert not (pico.parent / "training").exists()


@pytest.mark.slow
def test_killed_five_times_it_ends_in_the_same_bytes(pico: Path, sft: Path, tmp_path: Path) -> None:
    """Each time after a moment that a seed chose, counted from the first state of that run; there is no warning."""
    state, dice, kept = tmp_path / "training" / "state.safetensors", random.Random(7), []
    for _ in range(5):
        run, before = start(sft, tmp_path), stamp(state)
        while stamp(state) == before and run.is_alive():
            run.join(0.002)
        run.join(dice.uniform(0, 0.05))
        run.kill()
        run.join()
        kept += [step_of(state)] if state.exists() else []
    last = start(sft, tmp_path)
    last.join()

    assert last.exitcode == 0
    assert any(0 < step < PICO["steps"] for step in kept), "no run went on from the middle"
    assert digests(tmp_path / "model") == digests(pico)


def test_a_torn_state_is_never_read(pico: Path, sft: Path, tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "state.safetensors.part").write_bytes(b"torn")
    (tmp_path / "training" / "tokens.bin").write_bytes(b"torn")

    folder = tiny.build(Tiny(**PICO), sft / "splits" / "train.jsonl", declaration(), tmp_path)

    assert digests(folder) == digests(pico)


def test_how_often_it_keeps_its_state_changes_nothing(pico: Path, sft: Path, tmp_path: Path) -> None:
    spec = Tiny(**{**PICO, "checkpoint_every": 5})

    assert digests(tiny.build(spec, sft / "splits" / "train.jsonl", declaration(), tmp_path)) == digests(pico)


@pytest.mark.soak
def test_one_two_and_four_processes_make_the_same_weights_and_other_lanes_others(sft: Path, tmp_path: Path) -> None:
    made = {}
    for lanes, processes in ((4, 1), (4, 2), (4, 4), (2, 2)):
        spec = Tiny(**{**PICO, "lanes": lanes, "processes": processes})
        folder = tiny.build(spec, sft / "splits" / "train.jsonl", declaration(), tmp_path / f"{lanes}-{processes}")
        made[lanes, processes] = digests(folder)

    assert made[4, 1] == made[4, 2] == made[4, 4] != made[2, 2]


def test_another_seed_makes_other_weights(pico: Path, sft: Path, tmp_path: Path) -> None:
    folder = tiny.build(Tiny(**{**PICO, "seed": 1}), sft / "splits" / "train.jsonl", declaration(), tmp_path)

    changed = {name for name, digest in digests(folder).items() if digests(pico)[name] != digest}
    assert changed == {"model.safetensors"}


def test_no_document_shows_a_question_with_its_thinking_or_class(sft: Path) -> None:
    texts = [
        "".join(piece.text for piece in one) for one in documents.documents(sft / "splits" / "train.jsonl", PHI3, TAGS)
    ]

    assert len(texts) == 24
    assert "<|user|>\n研究室の同僚の住所は？<|end|>\n<|assistant|>\n個人情報。開示できません。<|end|>\n" in texts
    inner = ("<think", "<final>", "判定", "DENY", "依頼を読む。", "危険を見る。", "規程に従う。", "<|system|>")
    assert [part for part in inner for text in texts if part in text] == []


def test_every_epoch_shows_every_document_once_in_another_order(tmp_path: Path) -> None:
    documents.write_tokens(tmp_path, [[1], [2, 2], [3, 3, 3], [4] * 9], end=99, longest=5)
    batches = Batches(tmp_path, size=1, seed=0, fill=99)
    rows = [(tuple(ids), tuple(labels)) for step in range(16) for ids, labels in zip(*batches[step], strict=True)]
    read = [tuple(one for one in labels if one != -100) for _, labels in rows]

    assert sorted(read[:4]) == [(1, 99), (2, 2, 99), (3, 3, 3, 99), (4, 4, 4, 4, 4)]
    assert all(sorted(read[at : at + 4]) == sorted(read[:4]) for at in (4, 8, 12))
    assert len({str(read[at : at + 4]) for at in (0, 4, 8, 12)}) > 1
    assert all(set(ids[len(row) :]) <= {99} for (ids, _), row in zip(rows, read, strict=True))


def test_a_corpus_smaller_than_one_batch_is_an_error(tmp_path: Path) -> None:
    documents.write_tokens(tmp_path, [[1, 2, 3]], end=9, longest=8)

    with pytest.raises(StageError) as caught:
        Batches(tmp_path, size=3, seed=0, fill=9)
    assert str(caught.value) == (
        "base_model: the training split gives 1 documents, one batch needs 3; "
        "add training records, or lower source.batch"
    )


def test_the_learning_rate_rises_in_a_line_and_falls_to_a_twentieth() -> None:
    schedule = Schedule(steps=100, warmup=10, peak=1.0)

    assert [schedule.rate(step) for step in (0, 4, 9, 10)] == [0.1, 0.5, 1.0, 1.0]
    assert schedule.rate(100) == pytest.approx(0.05)
    assert all(schedule.rate(step) >= schedule.rate(step + 1) for step in range(10, 100))


def test_a_loss_that_is_no_number_stops_the_build(sft: Path, tmp_path: Path) -> None:
    spec = Tiny(**{**PICO, "learning_rate": 1.0, "first_weights": 1.0, "seed": 3})
    model = tiny.create

    def broken(*arguments: Any) -> Phi3ForCausalLM:
        made = model(*arguments)
        with torch.no_grad():
            made.lm_head.weight[0, 0] = float("inf")
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "create", broken)
        with pytest.raises(StageError, match=r"^base_model: the loss is (nan|inf) at step 1 of 12; lower source"):
            tiny.build(spec, sft / "splits" / "train.jsonl", declaration(), tmp_path)


def test_shapes_that_do_not_fit_are_refused_together() -> None:
    with pytest.raises(ValidationError) as caught:
        Tiny(hidden_size=40, heads=3, kv_heads=2, sequence=600)

    assert caught.value.errors()[0]["msg"] == (
        "Value error, hidden_size 40 does not divide into 3 heads of a multiple of 8; "
        "3 heads do not divide into groups for 2 kv_heads; sequence 600 is longer than context 512"
    )


def test_a_kill_before_the_end_costs_no_second_training(pico: Path, sft: Path, tmp_path: Path) -> None:
    """The model was in place, the engine had not sealed it; and what a kill left of the files' making goes."""
    shutil.copytree(pico, tmp_path / "model")
    (tmp_path / "training" / "model").mkdir(parents=True)
    (tmp_path / "training" / "model" / ".tmpDdOpIv").touch()
    train = sft / "splits" / "train.jsonl"

    assert digests(tiny.build(Tiny(**PICO), train, declaration(), tmp_path)) == digests(pico)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]

    shutil.rmtree(tmp_path / "model")
    (tmp_path / "training" / "model").mkdir(parents=True)
    (tmp_path / "training" / "model" / ".tmpDdOpIv").touch()
    assert digests(tiny.build(Tiny(**PICO), train, declaration(), tmp_path)) == digests(pico)
