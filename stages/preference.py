"""preference: the adapter tuned on pairs of answers, with proof of what it gained; off unless its spec says on."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field, model_validator

from so8t.corpus import chosen
from so8t.corpus.conversations import heldout
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.evals import failures
from so8t.evals.failures import Failure
from so8t.formats import declared, records
from so8t.models import facts
from so8t.spec.fields import At, SpecModel, each, execution
from so8t.train.settings import Checkpoints, Gates, Lora, Monitor, Pet, Train, Validation

if TYPE_CHECKING:
    from so8t.formats.records import Record
    from so8t.train.job import Job

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors", "gates.safetensors", "so8t.json")


class Derive(SpecModel):
    """Pairs from the adapter's own failures: its answer is the rejected one, the record's the chosen."""

    split: str = "validation"
    """The split that is asked: not one of those that prove anything afterwards."""
    conversations: int = Field(400, ge=1)
    """At most so many records, from the front."""
    failures: tuple[Failure, ...] = Field(("over_refusal", "unsafe_compliance"), min_length=1)
    """Which failures become pairs; other_class and no_format are the others."""
    anchors: int = Field(3, ge=0)
    """For each failure so many records of other classes that were answered right, learned beside it so that they stay
    right: an adapter that learns from failures alone forgets the rest."""


class Proof(SpecModel):
    """What is asked before and after: each class whose failures were learned from must gain, and none may lose."""

    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Held-out splits of thinking_sft."""
    conversations: int | None = Field(None, ge=1)
    """At most so many of each, from the front; null: all."""


class Tuning(Train):
    """The run: gentler than the adapter's, which is learned from nothing."""

    epochs: float = Field(1.0, gt=0)
    """How often each pair is seen."""
    learning_rate: float = Field(2e-5, gt=0, le=1)
    """The highest learning rate of the low-rank part, after warm-up."""

    @model_validator(mode="after")
    def _has_pairs_as_rows(self) -> Tuning:
        if self.lanes > 1 or self.packing or self.shard != "none":
            text = "a row is a pair: packing, lanes and shard are the adapter's alone; leave them out"
            raise At(text, "packing", "lanes", "shard")
        return self


class Spec(SpecModel):
    """Whether and how the adapter goes on learning, from pairs of answers."""

    on: bool = False
    """True: what stands behind the adapter takes this stage's adapter in its place."""
    form: Literal["orpo", "dpo"] = "orpo"
    """orpo needs no second model in mind; dpo compares with the adapter as it was."""
    beta: float = Field(0.1, gt=0, le=10)
    """How much the comparison weighs: lambda of ORPO, beta of DPO."""
    imitate: float = Field(1.0, ge=0)
    """How much the chosen answers' cross-entropy weighs beside that: 1 in ORPO's paper and 0 in DPO's, where the chosen
    answer may become less likely, too, if only the other falls faster."""
    pairs: Literal["derived", "given"] = Field("derived", json_schema_extra=each(derived="four_class"))
    """derived: from the adapter's failures; given: records that bring a `rejected` answer beside their own."""
    derive: Derive = Derive()
    """How pairs are derived."""
    train: Tuning = Tuning()
    """The run; quantise, precision, lora and gates are the adapter's."""
    checkpoints: Checkpoints = Checkpoints()
    """What a killed run goes on from."""
    monitor: Monitor = Monitor()
    """The series."""
    proof: Proof = Proof()
    """What must have come of it."""
    longest: int = Field(512, ge=1)
    """Tokens of an answer, at most."""
    batch: int = execution(32, ge=1)
    """Answers generated at once."""


def agrees(spec: Spec, specs: Mapping[str, Any]) -> Iterator[At]:
    if spec.pairs == "derived" and spec.derive.split in spec.proof.splits:
        text = f"what is learned from {spec.derive.split} proves nothing on it: take another split for one of them"
        yield At(text, "preference.derive.split", "preference.proof.splits")


def lacks(spec: Spec) -> Iterator[str]:
    from so8t.watch import cuda

    return cuda.lacks("train.device", spec.train.device)


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.watch.quiet import quiet

    with quiet():  # while they are imported, too
        from so8t.evals import withheld
        from so8t.store.answers import Answers
        from so8t.train import run
        from so8t.watch import memory
        from so8t.watch.monitor import Monitor as Watching

    with Answers(out / "asked.jsonl", lag=1.0) as kept:
        ask = partial(_ask, inputs, spec, kept)
        found = _pairs(inputs, spec, ask)
        records.write(out / "pairs.jsonl", found)
        touched = sorted({pair["label"] for pair in found if pair["kind"] in spec.derive.failures})
        logs = Path(spec.monitor.logs) if spec.monitor.logs else inputs.scratch
        with quiet(), memory.explained(spec.train, inputs.reads["adapter.quantise"]):
            run.train(_job(inputs, spec, out), out, partial(Watching, "preference", logs, spec.monitor.tensorboard))
        kinds = Counter(pair["kind"] for pair in found)
        learned = {"pairs": dict(sorted(kinds.items())), **withheld.summed(found)}
        told = {"form": spec.form, **learned, **_proof(inputs, out, spec, ask, touched)}
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (out / "preference.json").write_bytes(orjson.dumps(told, option=option))
    (out / "asked.jsonl").unlink()


def _pairs(inputs: Inputs, spec: Spec, ask: Any) -> list[Record]:
    from so8t.evals import withheld

    sft = inputs["thinking_sft"]
    if spec.pairs == "given":
        learned = records.read(sft / "splits" / "train.jsonl")
        found = [failures.pair(record, record["rejected"], "given") for record in learned if "rejected" in record]
        if not found:
            raise StageError("preference: pairs: given, and no record brings a rejected answer; see raw.sources.fields")
        return found
    asked = heldout(sft, (spec.derive.split,), spec.derive.conversations, "preference: derive.split")[spec.derive.split]
    answers = ask(inputs["adapter"], asked, spec.derive.split)
    thinks = declared.read(inputs["chat_format"]).thinking
    withhold = withheld.Withhold(chosen.table(inputs.reads), thinks)
    found = [withheld.rejected(one, withhold) for one in failures.pairs(asked, answers, thinks, spec.derive.failures)]
    wanted = ", ".join(spec.derive.failures)
    if not found:
        raise StageError(
            f"preference: none of {len(asked)} answers to {spec.derive.split} failed ({wanted}): there is nothing to "
            "learn; set on: false, ask more records, or name other failures"
        )
    anchors = failures.anchors(asked, answers, thinks, found, spec.derive.anchors)
    told = f"{len(found)} of {len(asked)} answers failed ({wanted}); {len(anchors)} anchors beside them"
    print(f"preference: {told}", file=sys.stderr)
    return [*found, *anchors]


def _proof(inputs: Inputs, out: Path, spec: Spec, ask: Any, touched: list[str]) -> dict[str, Any]:
    thinks = declared.read(inputs["chat_format"]).thinking
    if not thinks.classed:
        print("preference: answers name no class here, so what was gained is not proven", file=sys.stderr)
        return {}
    split = heldout(inputs["thinking_sft"], spec.proof.splits, spec.proof.conversations, "preference: proof.splits")
    asked = [record for found in split.values() for record in found]
    before = failures.recalls(asked, ask(inputs["adapter"], asked, "before"), thinks)
    after = failures.recalls(asked, ask(out, asked, "after"), thinks)
    for label, then in before.items():
        (low, high), name = then.interval, f"{label} (learned)" if label in touched else label
        was = f"{then.share:.3f} ({low:.3f} to {high:.3f}) before"
        print(f"preference: {name}: {was}, {after[label].share:.3f} after ({then.records} records)", file=sys.stderr)
    if against := list(failures.losses(before, after, touched)):
        raise StageError("\n".join([*(f"preference: {each}" for each in against), "preference: nothing was published"]))
    named = {"before": before, "after": after}
    return {"learned": touched, **{name: {k: v.as_json() for k, v in found.items()} for name, found in named.items()}}


def _ask(inputs: Inputs, spec: Spec, kept: Any, adapter: Path, asked: list[Record], name: str) -> list[str]:
    """The answers of a base with this adapter; those that a killed run has asked are not asked again."""
    import torch

    from so8t.evals import greedy
    from so8t.formats import published
    from so8t.train import learner
    from so8t.watch.quiet import quiet

    torch.set_num_threads(spec.train.threads)
    folder, code = inputs["base_model"] / "model", facts.remote_code(inputs["base_model"])
    with quiet():
        model = learner.load(folder, adapter, inputs.reads["adapter.precision"], code)
    prompts = [record["messages"][:-1] for record in asked]
    fmt, tokenizer = declared.read(inputs["chat_format"]).chat, published.tokenizer(folder, code)
    told = f"preference: {name}"
    return list(greedy.generate(model, tokenizer, prompts, fmt, spec.batch, spec.longest, kept, told))


def _job(inputs: Inputs, spec: Spec, out: Path) -> Job:
    from so8t.train.job import Job, Preference

    given = declared.read(inputs["chat_format"])
    sft = inputs["thinking_sft"] / "splits"
    gates = Gates.model_validate(inputs.reads["adapter.gates"])
    return Job(
        quantise=inputs.reads["adapter.quantise"],
        precision=inputs.reads["adapter.precision"],
        lora=Lora.model_validate(inputs.reads["adapter.lora"]),
        gates=gates.model_copy(update={"orthogonality": 0.0}),
        pet=Pet(),
        train=spec.train,
        validation=Validation(conversations=0),
        checkpoints=spec.checkpoints,
        monitor=spec.monitor,
        base=inputs["base_model"] / "model",
        gate_folder=inputs["adapter"],
        remote_code=facts.remote_code(inputs["base_model"]),
        called=facts.called(inputs["base_model"]),
        train_split=sft / "train.jsonl",
        validation_split=sft / "validation.jsonl",
        chat=given.chat,
        thinking=given.thinking,
        added=facts.added(inputs["base_model"]),
        preference=Preference(spec.form, spec.beta, spec.imitate, out / "pairs.jsonl", inputs["adapter"]),
    )


STAGE = Stage(
    "preference",
    spec=Spec,
    build=build,
    takes=("base_model", *(f"adapter/{name}" for name in _ADAPTER), "thinking_sft/splits/", declared.TAKEN),
    gives=(*_ADAPTER, "training.json", "monitoring/", "pairs.jsonl", "preference.json"),
    reads=("adapter.quantise", "adapter.precision", "adapter.lora", "adapter.gates", *chosen.FIELDS),
    packages=(
        *("orjson", "torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors"),
        *("japanese-personal-name-dataset", "python-stdnum"),
    ),
    asked=lambda spec: spec.on,
    instead=tuple(f"adapter/{name}" for name in _ADAPTER),
    agrees=agrees,
    lacks=lacks,
    resumable=True,
    precious=True,
)
