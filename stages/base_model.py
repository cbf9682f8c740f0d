"""base_model: a verified checkpoint: a tiny Phi-3 trained here, a local folder, or a pinned repository of the hub."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.models import checkpoint, facts, folder, hub, local, tiny
from so8t.models.checkpoint import Checkpoint
from so8t.models.hub import Hub
from so8t.models.local import Local
from so8t.models.tiny import Tiny
from so8t.spec.fields import SpecModel


def _kind(value: Any) -> Any:
    return value.get("kind", "tiny") if isinstance(value, dict) else getattr(value, "kind", "tiny")


Origin = Annotated[
    Annotated[Tiny, Tag("tiny")] | Annotated[Local, Tag("local")] | Annotated[Hub, Tag("hub")],
    Discriminator(_kind),
]


class Spec(SpecModel):
    """Where the base model comes from."""

    source: Origin = Tiny()
    """A tiny one trained here, a local folder, or a repository of the hub pinned by commit."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    found = _obtain(inputs, out, spec.source)
    told = {"source": spec.source.kind, **_called(spec.source), "remote_code": _remote_code(spec.source)}
    facts.write(out, {**told, **asdict(found)})
    print(f"base_model: {found.architecture}, {found.parameters:,} parameters, verified", file=sys.stderr)


def _called(source: Tiny | Local | Hub) -> dict[str, str]:
    """How adapter_config.json names the base."""
    if isinstance(source, Hub):
        return {"name": source.repo, "revision": source.revision}
    return {"name": source.name} if isinstance(source, Local) and source.name else {}


def _remote_code(source: Tiny | Local | Hub) -> bool:
    return not isinstance(source, Tiny) and source.remote_code


def _obtain(inputs: Inputs, out: Path, source: Tiny | Local | Hub) -> Checkpoint:
    if isinstance(source, Tiny):
        sft = inputs["thinking_sft"]
        return checkpoint.verify(tiny.build(source, sft / "splits" / "train.jsonl", declared.load(sft), out))
    if isinstance(source, Hub):
        files, where = hub.fetch(source, inputs.scratch), f"{source.repo}@{source.revision[:12]}"
    else:
        files, where = local.files(inputs.sources["checkpoint"]), source.path
    folder.take(files, out / "model", source.remote_code, where)
    return checkpoint.verify(out / "model", source.remote_code)


STAGE = Stage(
    "base_model",
    spec=Spec,
    build=build,
    takes=("thinking_sft/splits/train.jsonl", declared.DRAFT),
    gives=("model/", facts.FILE),
    sources=lambda spec: {"checkpoint": local.patterns(spec.source)} if spec.source.kind == "local" else {},
    hints=lambda spec: {"checkpoint": local.hint(spec.source)} if spec.source.kind == "local" else {},
    packages=("orjson", "torch", "transformers", "sentencepiece", "safetensors"),
    ships=("model/*",),
    resumable=True,
)
