"""A whole run on the pico base: what it leaves, that it is the same each time, and what the settings do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from so8t.errors import StageError
from so8t.gate import attach
from so8t.gate.kinds import KINDS
from so8t.models import loading
from so8t.models.facts import Called
from so8t.train import lora, run
from so8t.train.job import Job
from so8t.train.settings import Checkpoints, Gates, Lora, Pet, Validation
from so8t.weights import gatefiles
from tests.train.conftest import Place, gates_for

pytestmark = pytest.mark.slow

FILES = [
    "adapter_config.json",
    "adapter_model.safetensors",
    "gates.safetensors",
    "monitoring/series.jsonl",
    "monitoring/series.npz",
    "so8t.json",
    "training.json",
]


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def samples(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "monitoring" / "series.jsonl").read_text(encoding="utf-8").splitlines()]


def changed(job: Job, **train: Any) -> Job:
    return replace(job, train=job.train.model_copy(update=train))


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "adapter_model.safetensors") | load_file(out / "gates.safetensors")


def furthest(one: Path, other: Path) -> float:
    a, b = weights(one), weights(other)
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_a_run_leaves_the_adapter_the_gates_and_the_series(place: Place, tmp_path: Path) -> None:
    result = run.train(place.job(), tmp_path / "out")

    assert list(contents(tmp_path / "out")) == FILES
    assert (result.steps, result.planned, result.published, result.optimizer) == (6, 6, 6, "adamw")
    assert (result.data.conversations, result.held_out and result.held_out.conversations) == (18, 4)
    assert list(result.validation) == ["3", "6"]
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text(encoding="utf-8"))
    assert config["target_modules"] == ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]
    assert str(tmp_path) not in json.dumps(config) and str(place.base) not in json.dumps(config)


def test_an_adapter_of_a_base_with_a_name_loads_by_itself_gates_aside(place: Place, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    run.train(replace(place.job(), called=Called(str(place.base))), tmp_path / "out")
    loaded = AutoPeftModelForCausalLM.from_pretrained(str(tmp_path / "out"))

    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    found = {name.replace(".default", ""): value for name, value in loaded.state_dict().items()}
    assert adapter.keys() <= found.keys()
    assert all(torch.equal(found[name], value) for name, value in adapter.items())


def test_a_pinned_repository_is_named_with_its_commit(place: Place) -> None:
    base = loading.load(place.base, "float32")

    config = lora.add_lora(base, Lora(r=2), 0, Called("acme/pico", "0" * 40)).peft_config["default"]

    assert (config.base_model_name_or_path, config.revision) == ("acme/pico", "0" * 40)


def test_the_same_run_gives_the_same_bytes(place: Place, tmp_path: Path) -> None:
    torch.manual_seed(1)
    run.train(place.job(), tmp_path / "one")
    torch.manual_seed(2)  # what was drawn before does not matter
    run.train(place.job(), tmp_path / "other")
    run.train(changed(place.job(), seed=5), tmp_path / "seeded")

    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    assert contents(tmp_path / "one")["adapter_model.safetensors"] != contents(tmp_path / "seeded")[FILES[1]]


def test_what_was_trained_loads_with_peft_and_computes_the_same(place: Place, tmp_path: Path) -> None:
    result = run.train(place.job(), tmp_path / "out")

    base = loading.load(place.base)
    gatefiles.load(base, tmp_path / "out")
    model = PeftModel.from_pretrained(base, str(tmp_path / "out")).eval()

    trained, _ = run.model(place.job(gate_folder=tmp_path / "out"), torch.device("cpu"))
    from so8t.train.trainer import load_weights

    load_weights(trained, tmp_path / "out")
    ids = torch.arange(40)[None]
    with torch.no_grad():
        assert torch.equal(model(input_ids=ids).logits, trained.eval()(input_ids=ids).logits)
    assert {str(layer): gate.g for layer, gate in attach.gates(model).items()} == result.g


@pytest.mark.parametrize("quantise", ["none", "int8", "nf4"])
def test_untrained_it_is_the_base_bit_for_bit(wide: Place, quantise: Any) -> None:
    job = wide.job(quantise=quantise)
    learner, gates = run.model(job, torch.device("cpu"))
    base = loading.load(wide.base, "float32", quantise)
    ids = torch.arange(60).reshape(2, 30)

    with torch.no_grad():
        assert torch.equal(learner.eval()(input_ids=ids).logits, base.eval()(input_ids=ids).logits)
    assert len(gates) == 2


@pytest.mark.parametrize(
    "change", [{"micro_batch": 1}, {"micro_batch": 4}, {"pad_to_multiple_of": 32}, {"gradient_checkpointing": True}]
)
def test_how_it_works_changes_nothing_but_roundings(place: Place, tmp_path: Path, change: dict[str, Any]) -> None:
    steady = replace(place.job(), lora=Lora(r=4, alpha=8))  # dropout draws for a row of its own size
    run.train(steady, tmp_path / "one")
    run.train(changed(steady, **change), tmp_path / "other")

    assert furthest(tmp_path / "one", tmp_path / "other") < 2e-4  # after six steps of up to 0.01 each
    losses = [[sample["task"] for sample in samples(tmp_path / out)] for out in ("one", "other")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_the_series_tells_the_schedules(place: Place, tmp_path: Path) -> None:
    job = place.job(gates=Gates(annealing=0.5, target=0.1, learning_rate=0.01), pet=Pet(exploration=0.0))
    run.train(changed(job, steps=10, warmup=0.2), tmp_path / "out")

    rows = {row["step"]: row for row in samples(tmp_path / "out")}
    assert list(rows) == [1, 2, 3, 4, 6, 8, 9, 10]
    assert [row["phase"] for row in rows.values()] == 2 * ["exploration"] + 3 * ["transition"] + 3 * ["stabilisation"]
    assert [row["pet_weight"] for row in rows.values()] == [0.0, 0.0, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1]
    assert rows[1]["alpha"] == [-5.0, -5.0] and rows[1]["pet"] == 0.0 and rows[3]["pet"] > 0
    step = (5 - 2.1972245773362196) / 5
    assert rows[2]["alpha"] == pytest.approx([-5 + step] * 2) and rows[4]["alpha"] == pytest.approx([-5 + 3 * step] * 2)
    assert rows[6]["alpha"] != pytest.approx([-2.1972245773362196] * 2, abs=1e-9)  # learned from here
    assert rows[6]["g"] == pytest.approx([0.1] * 2, abs=5e-3)
    assert rows[1]["learning_rate"] == 0.0 and rows[3]["learning_rate"] == 0.01 == rows[3]["gate_learning_rate"]
    assert [step for step, row in rows.items() if "validation" in row] == [3, 6, 9, 10]
    assert all(row["loss"] == pytest.approx(row["task"] + row["pet_weight"] * row["pet"]) for row in rows.values())
    assert all(max(row["deviation"]) < 1e-12 for row in rows.values())
    with numpy.load(tmp_path / "out" / "monitoring" / "series.npz") as arrays:
        assert arrays["task"].tolist() == [row["task"] for row in rows.values()]
        assert arrays["alpha"].shape == (8, 2) and arrays["gated_layers"].tolist() == [0, 1]


def test_held_alpha_stays_where_annealing_ends(place: Place, tmp_path: Path) -> None:
    result = run.train(place.job(gates=Gates(annealing=0.5, target=0.25, then="held")), tmp_path / "out")
    assert result.g == pytest.approx({"0": 0.25, "1": 0.25}, rel=1e-6)


def test_gates_that_do_not_train_stay_at_identity(place: Place, tmp_path: Path) -> None:
    result = run.train(place.job(gates=Gates(train=False)), tmp_path / "out")

    assert result.trainable == sum(t.numel() for t in load_file(tmp_path / "out" / FILES[1]).values())
    assert (tmp_path / "out" / "gates.safetensors").read_bytes() == (place.gates / "gates.safetensors").read_bytes()
    assert "gate_learning_rate" not in samples(tmp_path / "out")[0]


@pytest.mark.parametrize("kind", ["blend", "free"])
def test_other_kinds_of_gates_train(place: Place, tmp_path: Path, kind: Any) -> None:
    folder = gates_for(place.base, tmp_path / "gates", kind=kind)
    run.train(place.job(gate_folder=folder, gates=Gates(learning_rate=0.05, orthogonality=0.5)), tmp_path / "out")

    rows = samples(tmp_path / "out")
    assert rows[-1]["orthogonality"] > 0 and max(rows[-1]["deviation"]) > 1e-5
    assert ("alpha" in rows[0]) == (kind == "blend")


def test_a_kind_of_gate_that_only_this_test_knows_trains(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "turned", replace(KINDS["geodesic"], name="turned", numbers="turns"))
    folder = gates_for(place.base, tmp_path / "gates", kind="turned")
    run.train(place.job(gate_folder=folder, gates=Gates(annealing=0.5, learning_rate=0.01)), tmp_path / "out")
    run.train(place.job(gates=Gates(annealing=0.5, learning_rate=0.01)), tmp_path / "usual")

    assert samples(tmp_path / "out") == samples(tmp_path / "usual")
    assert json.loads((tmp_path / "out" / "so8t.json").read_text(encoding="utf-8"))["kind"] == "turned"


@pytest.mark.parametrize("quantise", ["int8", "nf4"])
def test_a_quantised_base_is_trained_and_the_run_repeats(wide: Place, tmp_path: Path, quantise: Any) -> None:
    job = changed(wide.job(quantise=quantise), gradient_checkpointing=True, steps=4)
    for name in ("one", "other"):
        run.train(job, tmp_path / name)

    assert contents(tmp_path / "one") == contents(tmp_path / "other")
    rows = samples(tmp_path / "one")
    assert rows[-1]["task"] < rows[0]["task"] and max(rows[-1]["angle_max"]) > 0


def test_a_look_in_eval_mode_leaves_a_4_bit_base_with_its_gradients(wide: Place) -> None:
    """bitsandbytes would pack its weights then, on a processor that has AVX-512 for bfloat16."""
    base = loading.load(wide.base, "float32", "nf4").eval()
    embedded = torch.randn(1, 9, 64, generator=torch.Generator().manual_seed(0))

    def gradient() -> torch.Tensor:
        inputs = embedded.clone().requires_grad_()
        base(inputs_embeds=inputs).logits.square().sum().backward()
        assert inputs.grad is not None
        return inputs.grad

    before = gradient()
    with torch.no_grad():
        base(inputs_embeds=embedded)
    assert before.norm() > 0 and torch.equal(gradient(), before)


def test_bfloat16_trains_what_is_float32(place: Place, tmp_path: Path) -> None:
    run.train(place.job(precision="bfloat16"), tmp_path / "out")
    assert {tensor.dtype for tensor in weights(tmp_path / "out").values()} == {torch.float32}
    assert samples(tmp_path / "out")[-1]["task"] < samples(tmp_path / "out")[0]["task"]


def test_float16_without_a_gpu_says_what_to_do(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        run.train(place.job(precision="float16"), tmp_path / "out")
    assert str(caught.value) == "adapter.precision: float16 needs a GPU: take bfloat16 or float32 on a processor"


def test_eight_bit_adamw_and_packing_train(place: Place, tmp_path: Path) -> None:
    job = changed(place.job(), optimizer="adamw8bit", packing=True, batch=2, micro_batch=1, steps=8)
    result = run.train(job, tmp_path / "out")
    rows = samples(tmp_path / "out")
    assert result.optimizer == "adamw8bit" and rows[-1]["task"] < rows[0]["task"]


def test_the_best_weights_are_published_where_the_spec_says_so(place: Place, tmp_path: Path) -> None:
    looks = Validation(every=1, conversations=4)
    job = place.job(validation=looks.model_copy(update={"publish": "best"}), lora=Lora(r=4, alpha=8))
    job = changed(job, learning_rate=0.3, schedule="constant", warmup=0.9)  # it overshoots, late

    result = run.train(job, tmp_path / "best")
    last = run.train(replace(job, validation=looks), tmp_path / "last")

    assert result.validation == last.validation
    assert result.published == int(min(result.validation, key=result.validation.__getitem__)) < 6 == last.published
    assert furthest(tmp_path / "best", tmp_path / "last") > 0.1


def test_patience_ends_a_run_that_gets_no_better(place: Place, tmp_path: Path) -> None:
    job = place.job(validation=Validation(every=1, conversations=4, patience=2), gates=Gates(train=False))
    result = run.train(changed(job, learning_rate=1.0, schedule="constant", warmup=0.0, steps=40), tmp_path / "out")

    best = min(result.validation, key=result.validation.__getitem__)
    assert result.steps == int(best) + 2 < 40 == result.planned
    assert samples(tmp_path / "out")[-1]["step"] == result.steps


def test_a_loss_that_is_nan_stops_the_run(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        run.train(changed(place.job(pet=Pet(transition=1e39)), steps=10), tmp_path / "out")
    assert str(caught.value) == (
        "adapter: the loss is inf at step 3 of 10; lower train.learning_rate or gates.learning_rate, "
        "or take a wider precision; the last checkpoint is kept"
    )
    assert [path.name for path in (tmp_path / "out" / "training").glob("checkpoint-*")] == ["checkpoint-2"]


def test_an_empty_validation_split_says_what_to_do(place: Place, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    with pytest.raises(StageError) as caught:
        run.train(place.job(validation_split=tmp_path / "none.jsonl"), tmp_path / "out")
    assert str(caught.value) == (
        "adapter: no conversation of the validation split is left to watch; give thinking_sft.fractions.validation "
        "a share, or set validation.conversations to 0"
    )


def test_conversations_that_are_too_long_are_counted(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run.train(changed(place.job(), sequence=80), tmp_path / "out")
    assert 0 < result.data.too_long == 18 - result.data.conversations
    said = f"adapter: {result.data.too_long} conversations are longer than train.sequence (80) and stay out\n"
    assert said in capsys.readouterr().err


def test_a_batch_that_does_not_divide_among_processes_says_so(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(StageError, match=r"^train.batch: 4 does not divide among 3 processes with train.micro_batch 2"):
        run.train(place.job(), tmp_path / "out")


def test_checkpoint_settings_change_no_byte(place: Place, tmp_path: Path) -> None:
    run.train(place.job(), tmp_path / "one")
    run.train(place.job(checkpoints=Checkpoints(steps=1000, minutes=0.00001, keep=1)), tmp_path / "other")
    assert contents(tmp_path / "one") == contents(tmp_path / "other")
