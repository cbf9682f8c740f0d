"""merged_model: LoRA merged in float32 and rounded once, with proof that the logits are those that were trained."""

from __future__ import annotations

import shutil
import sys
from dataclasses import astuple
from pathlib import Path

import orjson
from pydantic import Field

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.models.facts import remote_code
from so8t.parity.bounds import Parity
from so8t.spec.fields import SpecModel, execution
from so8t.store.manifest import File

_GATES = ("gates.safetensors", "so8t.json")


class Spec(SpecModel):
    """How the merged weights are stored and proven."""

    shard_size: int = Field(5_000_000_000, ge=1_000_000)
    """Bytes of weights in a file, at most; a tensor that is larger has a file of its own."""
    parity: Parity = Parity()
    """The comparison with base, adapter and gates as they were trained."""
    workers: int = execution(4, ge=1, le=64)
    """Rows merged at once, each by a thread; some wait for the disk while others compute."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor for the comparison."""


def build(inputs: Inputs, out: Path, spec: Spec) -> dict[str, File]:
    """Gives the digests that were taken while the weights were written."""
    from contextlib import closing

    import torch

    from so8t.corpus.conversations import heldout, token_ids
    from so8t.parity import bounds, layerwise
    from so8t.watch.quiet import quiet
    from so8t.weights import gatefiles, lora, merge, reader, streamed

    trusted = remote_code(inputs["base_model"])
    fmt = declared.read(inputs["chat_format"]).chat
    folder, trained, target = inputs["base_model"] / "model", inputs["adapter"], out / "model"
    gates = gatefiles.read(trained)
    torch.set_num_threads(spec.threads)
    with reader.open_folder(folder, "base_model") as base, closing(lora.read(trained, base)) as adapter, quiet():
        found = heldout(inputs["thinking_sft"], spec.parity.splits, spec.parity.conversations, "parity.splits")
        talks = token_ids(found, folder, fmt, spec.parity.tokens, trusted)
        made = merge.merge(folder, base, adapter, target, spec.shard_size, spec.workers)
        with reader.open_folder(target, "merged_model") as merged:
            reference = streamed.adapted(folder, base, trained, adapter, gates, trusted)
            candidate = streamed.dense(target, merged, gates, trusted)
            compared = layerwise.compare(reference, candidate, talks, out)
            bound = bounds.of(spec.parity, merged.dtypes)
    layerwise.check("merged_model", compared, bound, "nothing was published; parity.bounds says what may be lost")
    for name in _GATES:
        shutil.copyfile(trained / name, out / name)
    facts = {**made.as_json(), "parity": {**compared.as_json(), "bounds": bound.model_dump()}}
    (out / "merge.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(
        f"merged_model: LoRA merged into {len(made.merged):,} tensors, {made.copied:,} as they were; "
        f"logits within {compared.figures.max_difference:.1e} of their scale",
        file=sys.stderr,
    )
    paths = {name: f"model/{name}" for name in made.files}
    return {paths[name]: File(paths[name], *astuple(file)) for name, file in made.files.items()}


STAGE = Stage(
    "merged_model",
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
    gives=("model/", *_GATES, "merge.json"),
    packages=("orjson", "blake3", "torch", "transformers", "peft", "accelerate", "safetensors", "sentencepiece"),
)
