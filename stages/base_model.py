"""base_model: a verified checkpoint: a tiny Phi-3 trained here, a folder, a pinned repository of the hub, or a GGUF."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import declared, published
from so8t.gguf import base
from so8t.gguf.base import Gguf
from so8t.models import added, checkpoint, facts, folder, hub, local, plainclass, tiny
from so8t.models.hub import Hub
from so8t.models.local import Local
from so8t.models.tiny import Tiny
from so8t.spec.fields import SpecModel

_PLAIN = "plain"  # the checkpoint as it was found, while tokens are added to it


def _kind(value: Any) -> Any:
    return value.get("kind", "tiny") if isinstance(value, dict) else getattr(value, "kind", "tiny")


Origin = Annotated[
    Annotated[Tiny, Tag("tiny")]
    | Annotated[Local, Tag("local")]
    | Annotated[Hub, Tag("hub")]
    | Annotated[Gguf, Tag("gguf")],
    Discriminator(_kind),
]


class Spec(SpecModel):
    """Where the base model comes from."""

    source: Origin = Tiny()
    """A tiny one trained here, a local folder, a repository of the hub pinned by commit, or a GGUF file."""
    tokens: Literal["none", "markers"] | tuple[Annotated[str, Field(pattern=r"^\S+$")], ...] = "none"
    """Tokens that the base is given, where it lacks them: none, the thinking format's markers, or these texts."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    source, code = spec.source, _remote_code(spec.source)
    tokens: tuple[added.Token, ...] = ()
    texts = added.wanted(spec.tokens, lambda: declared.thinking_of(inputs["thinking_sft"]))
    place = out / _PLAIN if texts else out
    place.mkdir(exist_ok=True)
    found = _from_gguf(inputs, place, source) if isinstance(source, Gguf) else {}
    verified = checkpoint.verify(*_obtain(inputs, place, source))
    if not isinstance(source, Tiny):
        _settle_class(place / "model", code)
    if texts:
        tokens = added.add(place / "model", out / "model", texts, code)
        verified = checkpoint.verify(out / "model", code)
        shutil.rmtree(place)
    own = {"added": {token.text: token.number for token in tokens}} if tokens else _called(source)
    facts.write(out, {"source": source.kind, **own, "remote_code": code, **asdict(verified), **found})
    more = f", {len(tokens)} tokens added" if tokens else ""
    print(f"base_model: {verified.architecture}, {verified.parameters:,} parameters{more}, verified", file=sys.stderr)


def _called(source: Tiny | Local | Hub | Gguf) -> dict[str, str]:
    """How adapter_config.json names the base; one that was given tokens is not what others find under its name."""
    if isinstance(source, Hub):
        return {"name": source.repo, "revision": source.revision}
    return {"name": source.name} if isinstance(source, Local) and source.name else {}


def _remote_code(source: Tiny | Local | Hub | Gguf) -> bool:
    return isinstance(source, (Local, Hub)) and source.remote_code


def _obtain(inputs: Inputs, out: Path, source: Tiny | Local | Hub | Gguf) -> tuple[Path, bool]:
    """The folder, and whether code in it may run."""
    folder_made, code = out / "model", _remote_code(source)
    if isinstance(source, Tiny):
        sft = inputs["thinking_sft"]
        return tiny.build(source, sft / "splits" / "train.jsonl", declared.load(sft), out), code
    if isinstance(source, Hub):
        where = f"{source.repo}@{source.revision[:12]}"
        folder.take(hub.fetch(source, inputs.scratch), folder_made, code, where)
    if isinstance(source, Local):
        folder.take(local.files(inputs.sources["checkpoint"]), folder_made, code, source.path)
    return folder_made, code


def _settle_class(model: Path, remote_code: bool) -> None:
    if was := plainclass.settle(model, remote_code):
        print(
            f"base_model: transformers' {was} does not read tokenizer.json as it stands: tokenizer_config.json names "
            f"{published.AS_IT_STANDS} now, which does",
            file=sys.stderr,
        )


def _from_gguf(inputs: Inputs, out: Path, source: Gguf) -> dict[str, Any]:
    """What base.json says of the file: whether the weights are exactly its own, and the types that it has."""
    from so8t.gguf import proven
    from so8t.watch.quiet import quiet

    file = base.file_of(inputs.sources["checkpoint"], source)
    with quiet():
        told = base.take(file, out / "model")
        figures = proven.check(file, out / "model", told, source.accept, source.precision, source.threads)
    how = "lossy, not the weights that it was made from" if told["lossy"] else "exactly its weights"
    print(
        f"base_model: {source.path}: {how}; against llama.cpp {proven.STRINGS:,} texts give equal tokens, "
        f"mean KL divergence {figures.kl:.1e}, top-1 agreement {figures.top1:.3f}",
        file=sys.stderr,
    )
    return {"gguf": told}


def _sources(spec: Spec) -> dict[str, list[str]]:
    if isinstance(spec.source, Gguf):
        return {"checkpoint": [spec.source.path]}
    return {"checkpoint": local.patterns(spec.source)} if isinstance(spec.source, Local) else {}


def lacks(spec: Spec) -> Iterator[str]:
    """A folder that is there and is not a checkpoint: a pointer, half a download, a GGUF."""
    if isinstance(spec.source, Local):
        try:
            local.check(spec.source)
        except StageError as error:
            yield f"source.path: {str(error).removeprefix('base_model: ')}"


def _hints(spec: Spec) -> dict[str, str]:
    return {"checkpoint": local.hint(spec.source)} if isinstance(spec.source, Local) else {}


STAGE = Stage(
    "base_model",
    spec=Spec,
    build=build,
    takes=("thinking_sft/splits/train.jsonl", declared.DRAFT),
    gives=("model/", facts.FILE),
    sources=_sources,
    hints=_hints,
    lacks=lacks,
    packages=("orjson", "torch", "transformers", "sentencepiece", "safetensors", "gguf", "cyllama"),
    ships=("model/*",),
    resumable=True,
)
