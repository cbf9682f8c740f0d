"""baked_model: a standard model again, gates folded into its weights; nothing downstream needs our code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.models.facts import remote_code
from so8t.parity.bounds import Bounds, Parity
from so8t.spec.fields import SpecModel, execution
from so8t.store.manifest import File

if TYPE_CHECKING:
    from so8t.weights.lora import Adapter
    from so8t.weights.reader import Checkpoint


class Spec(SpecModel):
    """How the baked weights are stored and proven."""

    shard_size: int = Field(5_000_000_000, ge=1_000_000)
    """Bytes of weights in a file, at most; a tensor that is larger has a file of its own."""
    parity: Parity = Parity()
    """The comparison with base, adapter and gates; free gates as the rotations nearest to them."""
    projection: Bounds = Bounds(max_difference=0.1, kl=0.02, top1=0.9, layer=0.1)
    """What it may cost that free gates become rotations: against the gates as they were trained."""
    workers: int = execution(4, ge=1, le=64)
    """Rows baked at once, each by a thread; some wait for the disk while others compute."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor for the comparison."""


def build(inputs: Inputs, out: Path, spec: Spec) -> dict[str, File]:
    """Gives the digests that were taken while the weights were written."""
    from contextlib import closing

    import torch

    from so8t.watch.quiet import quiet
    from so8t.weights import bake, gatefiles, lora, merge, reader

    trusted = remote_code(inputs["base_model"])
    folder, before, target = inputs["base_model"] / "model", inputs["merged_model"] / "model", out / "model"
    gates = gatefiles.read(inputs["merged_model"])
    torch.set_num_threads(spec.threads)
    with (
        reader.open_folder(folder, "base_model") as base,
        closing(lora.read(inputs["adapter"], base)) as adapter,
        reader.open_folder(before, "merged_model") as merged,
        quiet(),
    ):
        exact = merge.Merging(base, adapter)
        blocks = gates.matrices()
        files = bake.bake(before, merged, exact, blocks, target, spec.shard_size, spec.workers, trusted)
        with reader.open_folder(target, "baked_model") as baked:
            facts = _prove(inputs, out, spec, base, adapter, baked, trusted)
    (out / "parity.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(
        f"baked_model: {len(gates.attentions)} {gates.kind.name} gates folded in; "
        f"logits within {facts['baked']['max_difference']:.1e} of their scale",
        file=sys.stderr,
    )
    paths = {name: f"model/{name}" for name in files}
    return {paths[name]: File(paths[name], *astuple(file)) for name, file in files.items()}


def _prove(
    inputs: Inputs,
    out: Path,
    spec: Spec,
    base: Checkpoint,
    adapter: Adapter,
    baked: Checkpoint,
    remote_code: bool,
) -> Mapping[str, Any]:
    from so8t.corpus.conversations import heldout, token_ids
    from so8t.parity import bounds, layerwise
    from so8t.weights import bake, gatefiles, streamed

    folder, target = inputs["base_model"] / "model", out / "model"
    gates = gatefiles.read(inputs["adapter"])  # as they were trained, whatever the bake folded in
    fmt = declared.read(inputs["chat_format"]).chat
    found = heldout(inputs["thinking_sft"], spec.parity.splits, spec.parity.conversations, "parity.splits")
    talks = token_ids(found, target, fmt, spec.parity.tokens, remote_code)
    wanted = {"baked": (bake.projected(gates), bounds.of(spec.parity, baked.dtypes))}
    if gates.kind.projection:
        wanted["projection"] = (gates, spec.projection)
    facts = {}
    for name, (against, bound) in wanted.items():
        reference = streamed.adapted(folder, base, inputs["adapter"], adapter, against, remote_code)
        compared = layerwise.compare(reference, streamed.dense(target, baked, None, remote_code), talks, out)
        advice = "parity.bounds" if name == "baked" else "train with a larger gates.orthogonality; projection"
        step = "baked_model" if name == "baked" else f"baked_model: {gates.kind.name} gates made rotations"
        layerwise.check(step, compared, bound, f"nothing was published; {advice} says what may be lost")
        facts[name] = {**compared.as_json(), "bounds": bound.model_dump()}
    return {"kind": gates.kind.name, "gates": len(gates.attentions), **facts}


STAGE = Stage(
    "baked_model",
    spec=Spec,
    build=build,
    takes=(
        "base_model",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "adapter/gates.safetensors",
        "adapter/so8t.json",
        "merged_model/model/",
        "merged_model/gates.safetensors",
        "merged_model/so8t.json",
        "thinking_sft/splits/",
        declared.TAKEN,
    ),
    gives=("model/", "parity.json"),
    packages=("orjson", "blake3", "torch", "transformers", "peft", "accelerate", "safetensors", "sentencepiece"),
    ships=("model/*",),
)
