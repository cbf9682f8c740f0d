"""adapter_scores: base and adapter on held-out records: four classes, format, the errors that hurt."""

from __future__ import annotations

import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field

from so8t.corpus import chosen
from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared, published
from so8t.models import facts
from so8t.spec.fields import SpecModel, execution

if TYPE_CHECKING:
    from so8t.store.answers import Answers


class Spec(SpecModel):
    """Which records are asked, and how."""

    splits: tuple[str, ...] = ("test",)
    """Held-out splits of thinking_sft, each scored on its own."""
    conversations: int | None = Field(None, ge=1)
    """At most so many of each, from the front; null: all."""
    longest: int = Field(512, ge=1)
    """Tokens of an answer, at most."""
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """In which the model computes."""
    batch: int = execution(32, ge=1)
    """Answers generated at once."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    import torch

    from so8t.corpus.conversations import heldout
    from so8t.store.answers import Answers
    from so8t.watch.quiet import quiet

    with quiet():  # while they are imported, too
        from so8t.gate import attach
        from so8t.train import learner

    torch.set_num_threads(spec.threads)
    folder = inputs["base_model"] / "model"
    code = facts.remote_code(inputs["base_model"])
    tokenizer = published.tokenizer(folder, code)
    with quiet():
        model = learner.load(folder, inputs["adapter"], spec.precision, code)
    scores: dict[str, Any] = {}
    unfinished = out / "unfinished.jsonl"  # what a killed run goes on from
    with Answers(unfinished, lag=1.0) as kept, (out / "samples.jsonl").open("wb") as samples:
        for split, records in heldout(
            inputs["thinking_sft"], spec.splits, spec.conversations, "adapter_scores: splits"
        ).items():
            scores[split] = {}
            for who in ("base", "adapter"):
                with ExitStack() as stack:
                    if who == "base":
                        stack.enter_context(model.disable_adapter())
                        stack.enter_context(attach.without(model))
                    found, lines = _ask(model, tokenizer, records, inputs, spec, kept, f"{split}, {who}")
                scores[split][who] = found
                samples.writelines(
                    orjson.dumps({"who": who, "split": split, **line}, option=orjson.OPT_APPEND_NEWLINE)
                    for line in lines
                )
                _tell(split, who, found)
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    (out / "scores.json").write_bytes(orjson.dumps(scores, option=option))
    unfinished.unlink()


def _ask(
    model: Any,
    tokenizer: Any,
    records: list[dict[str, Any]],
    inputs: Inputs,
    spec: Spec,
    kept: Answers,
    name: str,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from so8t.evals import greedy, withheld
    from so8t.evals.scores import Scores
    from so8t.evals.talks import Valid
    from so8t.formats.encoding import Encoder
    from so8t.train.conversations import forms

    given = declared.read(inputs["chat_format"])
    fmt, thinks = given.chat, given.thinking
    scores: Any = Scores() if thinks.classed else Valid()
    withhold = withheld.Withhold(chosen.table(inputs.reads), thinks)
    lines, stored = [], []
    prompts = [record["messages"][:-1] for record in records]
    answers = greedy.generate(model, tokenizer, prompts, fmt, spec.batch, spec.longest, kept, f"adapter_scores: {name}")
    for record, text in zip(records, answers, strict=True):
        label = record.get("label")
        said = scores.add(label, text, thinks)
        stored.append(withhold(text, record["messages"][:-1]))
        lines.append({"id": record["id"], "label": label, "said": said, "text": stored[-1].text})
    encoded = list(Encoder(tokenizer).each(next(forms(record, fmt, thinks)) for record in records))
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    loss = round(greedy.loss(model, encoded, spec.batch, fill), 6)
    perplexity = {} if thinks.classed else {"perplexity": round(math.exp(min(loss, 700)), 4)}
    return {"loss": loss, **perplexity, **scores.figures(), **withheld.counted(stored)}, lines


def _tell(split: str, who: str, found: dict[str, Any]) -> None:
    right = f"accuracy {found['accuracy']:.3f}, " if "accuracy" in found else ""
    print(
        f"adapter_scores: {split}, {who}: loss {found['loss']:.3f}, {right}"
        f"format valid {found['format_valid']:.3f} ({found['records']} records)",
        file=sys.stderr,
        flush=True,
    )


STAGE = Stage(
    "adapter_scores",
    reads=chosen.FIELDS,
    spec=Spec,
    build=build,
    takes=(
        "base_model",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "adapter/gates.safetensors",
        "adapter/so8t.json",
        "thinking_sft/splits/",
        declared.TAKEN,
    ),
    gives=("scores.json", "samples.jsonl"),
    packages=(
        *("orjson", "torch", "transformers", "peft", "safetensors"),
        *("japanese-personal-name-dataset", "python-stdnum"),
    ),
    resumable=True,
)
