"""gguf: f16, q8_0, q4_k_m or any other type, compared with what they were made from and with the training's tokens."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.gguf import quantise
from so8t.gguf.metadata import Provenance
from so8t.parity import engines
from so8t.parity.bounds import TypeBounds
from so8t.parity.engines import Precision
from so8t.spec.fields import SpecModel, execution
from so8t.spec.mistakes import did_you_mean
from so8t.store.manifest import File
from so8t.stream import uncached

if TYPE_CHECKING:
    from so8t.formats.equality import Formats
    from so8t.gguf.layout import SourceModel
    from so8t.gguf.making import Beside, Quantise

FOLDER = "models"


def _known(kind: str) -> str:
    if kind not in quantise.known():
        if kind.lower() in quantise.known():
            raise ValueError(f"{kind}: types are written in small letters: {kind.lower()}")
        near = did_you_mean(kind, quantise.known())
        raise ValueError(f"{kind} must be one of {', '.join(quantise.known())}{near}")
    return kind


Kind = Annotated[str, AfterValidator(_known)]


class Base(SpecModel):
    """The model that was tuned, for readers of the file."""

    name: str = Field(min_length=1)
    """Its name."""
    organization: str = ""
    """Who made it."""
    url: str = ""
    """Where it is."""


class Parity(SpecModel):
    """How the files are compared, on held-out conversations."""

    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Splits of thinking_sft."""
    conversations: int = Field(32, ge=1)
    """So many of each, from the front."""
    tokens: int = Field(256, ge=2)
    """Tokens of each conversation, at most."""
    precision: Precision = "float32"
    """In which PyTorch computes; float32 takes four bytes of memory per parameter."""


class Imatrix(SpecModel):
    """An importance matrix: which columns of a tensor matter most, so that a small type keeps them best."""

    file: str = ""
    """One that you have, as llama-imatrix writes it; empty: it is measured on the training split."""
    conversations: int = Field(128, ge=1)
    """Measured on so many of the training split, from the front."""
    tokens: int = Field(512, ge=2)
    """Tokens of each conversation, at most."""
    beside: bool = True
    """Make each type without it, too, where that can be done, for the ledger alone."""


def _named(value: Any) -> Any:
    """The name of a file stands for a matrix of that file."""
    return ({"file": value} if value else None) if isinstance(value, str) else value


class Spec(SpecModel):
    """Which files are made, and how near they must be."""

    name: str = Field("so8t", min_length=1)
    """The model's name: before the type in the name of each file, and in the metadata, where "(phi-3)" follows it if
    the role tokens swallow white space: that is how llama.cpp knows of it."""
    types: tuple[Kind, ...] = Field(("f16", "q8_0", "q4_k_m"), min_length=1)
    """f32, f16, bf16 and q8_0 are written here, every other type of llama-quantize by llama.cpp from f16."""
    license: str = "apache-2.0"
    """An SPDX identifier, for the metadata."""
    description: str = ""
    """A sentence, for the metadata."""
    base: Base | None = None
    """The base model, for the metadata."""
    quantiser: str = ""
    """Your own llama-quantize, by name or path, in place of cyllama's."""
    quantiser_version: str = ""
    """What it must say of its version, such as 'build = 9190'; the files depend on it."""
    imatrix: Annotated[Imatrix | None, BeforeValidator(_named)] = None
    """An importance matrix for the types that llama.cpp makes, or the name of a file that holds one; null: none."""
    parity: Parity = Parity()
    """The comparison."""
    bounds: dict[Kind, TypeBounds] = Field(default_factory=dict)
    """Bounds in place of a type's usual ones."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        if "/" in self.name or "\\" in self.name or self.name.startswith("."):
            raise ValueError("name: it becomes a file's name: no slash, no leading dot")
        if len(set(self.types)) < len(self.types):
            raise ValueError("types: one of them is named twice")
        if self.quantiser and not self.quantiser_version:
            raise ValueError("quantiser_version: needed with quantiser, for the files depend on it")
        if self.imatrix and not any(kind in quantise.TYPES for kind in self.types):
            straight = ", ".join(self.types)
            raise ValueError(f"imatrix: {straight} take none; add a type such as q4_k_m, or leave the imatrix out")
        needing = sorted(quantise.NEEDS_IMATRIX.intersection(self.types))
        if needing and not self.imatrix:
            raise ValueError(
                f"imatrix: {', '.join(needing)} cannot be made without one: write imatrix: {{}}, or take iq4_xs"
            )
        return self


def build(inputs: Inputs, out: Path, spec: Spec) -> dict[str, File]:
    """Gives the digests that were taken while files were written."""
    from so8t.corpus.conversations import heldout
    from so8t.formats import grammar
    from so8t.formats.equality import Formats
    from so8t.gguf import cost, layout, llamacpp, making, talks
    from so8t.watch.quiet import quiet

    given = declared.read(inputs["chat_format"])
    formats = Formats(given.chat, given.thinking, given.direct)
    words = declared.vocabulary(inputs["chat_format"])
    folder = inputs["baked_model"] / "model"
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    with quiet():
        source = layout.open_source(folder)
        vocabulary = layout.read_vocabulary(source, formats.thinking.tokens, words.pre_tokenizer, given.jinja)
        origin = _origin(inputs, source, spec)
        matrix = _imatrix(inputs, out / FOLDER, spec, source, formats)
        quantiser = _quantiser(spec, matrix)
        files = making.make(source, vocabulary, origin, spec.types, out / FOLDER, quantiser)
        checked = _same_tokens(files.by_kind[spec.types[0]], folder, formats, words.accept)
        found = heldout(inputs["thinking_sft"], spec.parity.splits, spec.parity.conversations, "gguf: parity.splits")
        asked = talks.read(found, folder, formats, engines.longest(source.config, spec.parity.tokens))
        with engines.torch_model(folder, spec.parity.precision, spec.threads) as baked:
            proven = making.prove_full(files, baked, asked, spec.bounds, spec.threads)
        proven |= making.prove_quantised(files, asked, spec.bounds, spec.threads)
        costs = cost.of_files(files.by_kind, files.reference)
        ledger = {kind: {**costs[kind], **proven[kind].spread} for kind in spec.types}
        if matrix:
            ledger = _with_imatrix(
                ledger, matrix, spec, making.Beside(files, asked, _quantiser(spec, None), spec.threads)
            )
    for path in set((out / FOLDER).iterdir()) - {*files.by_kind.values(), matrix}:
        path.unlink()
    (out / FOLDER / f"{spec.name}.gbnf").write_text(grammar.grammar(formats.thinking), "utf-8", newline="\n")
    types = {kind: proven[kind].figures for kind in spec.types}
    facts = {"name": spec.name, "engine": llamacpp.version(), "conversations": checked, "types": types}
    _write(out / "parity.json", facts)
    _write(out / "ledger.json", {"types": ledger})
    worst = ", ".join(f"{kind} {each.figures['kl']:.1e}" for kind, each in proven.items())
    print(f"gguf: mean KL divergence {worst}; {checked} conversations give equal tokens", file=sys.stderr)
    paths = {kind: f"{FOLDER}/{files.by_kind[kind].name}" for kind in files.digests}
    return {path: File(path, *astuple(files.digests[kind])) for kind, path in paths.items()}


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    path.write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _same_tokens(file: Path, folder: Path, formats: Formats, accepted: Sequence[str]) -> int:
    """What training made of a conversation, this file makes of it too, by its own template and tokenizer."""
    from so8t.formats import equality, published
    from so8t.gguf.llamacpp import Model

    tokenizer = published.tokenizer(folder)
    with Model(file, context=64) as engine:
        equality.check_markers(engine, formats.thinking)
        views = {
            "training": equality.training(tokenizer, formats),
            "pieces": equality.pieces(engine, tokenizer, formats),
            "the GGUF's own template": equality.embedded(engine, formats),
        }
        return equality.check(views, formats, engine, accepted).conversations


def _origin(inputs: Inputs, source: SourceModel, spec: Spec) -> Provenance:
    base = spec.base or Base(name="unnamed")
    names = ("train", "validation", *spec.parity.splits)
    splits = {name: inputs["thinking_sft"] / "splits" / f"{name}.jsonl" for name in dict.fromkeys(names)}
    return Provenance(
        name=spec.name,
        license=spec.license,
        description=spec.description,
        base_name=base.name if spec.base else "",
        base_organization=base.organization,
        base_url=base.url,
        datasets=tuple((f"thinking_sft/{name}", _digest([path])) for name, path in splits.items() if path.is_file()),
        weights=_digest(sorted(source.folder.glob("*.safetensors"))),
        tools=(("gguf", metadata.version("gguf")),),
    )


def _digest(files: Sequence[Path]) -> str:
    """Of the files one behind another."""
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    for file in files:
        for block in uncached.blocks(file):
            hasher.update(block)
    return f"blake3:{hasher.hexdigest()}"


def _imatrix(inputs: Inputs, folder: Path, spec: Spec, source: SourceModel, formats: Formats) -> Path | None:
    """The one that the spec names, or one that is measured and stays beside the files."""
    from so8t.corpus.conversations import heldout, token_ids
    from so8t.gguf import activations, imatrix

    if not spec.imatrix:
        return None
    if spec.imatrix.file:
        return inputs.sources["imatrix"][0].path
    found = heldout(inputs["thinking_sft"], ("train",), spec.imatrix.conversations, "gguf: imatrix")
    longest = engines.longest(source.config, spec.imatrix.tokens)
    talks = list(token_ids(found, source.folder, formats.chat, longest).values())
    measured = activations.measure(source.folder, talks, source.family, spec.parity.precision, spec.threads)
    path = folder / f"{spec.name}.imatrix"
    imatrix.write(path, measured, "thinking_sft/train")
    return path


def _quantiser(spec: Spec, matrix: Path | None) -> Quantise:
    if not spec.quantiser:
        return lambda source, target, kind: quantise.quantise(source, target, kind, spec.threads, matrix)
    return lambda source, target, kind: quantise.by_program(
        spec.quantiser, spec.quantiser_version, source, target, kind, spec.threads, matrix
    )


def _with_imatrix(ledger: Mapping[str, Any], matrix: Path, spec: Spec, beside: Beside) -> dict[str, Any]:
    """What the matrix knows of each type's tensors, and what the type would be without it."""
    from so8t.gguf import imatrix

    known = imatrix.read(matrix)
    found = {}
    for kind, entry in ledger.items():
        found[kind] = entry
        if kind in quantise.TYPES:
            found[kind] = {**entry, "imatrix": known.coverage(entry["tensors"])}
            if spec.imatrix and spec.imatrix.beside and kind not in quantise.NEEDS_IMATRIX:
                found[kind]["without_imatrix"] = beside.measure(kind)
    return found


STAGE = Stage(
    "gguf",
    spec=Spec,
    build=build,
    takes=("baked_model/model/", "thinking_sft/splits/", declared.TAKEN, declared.VOCABULARY),
    gives=(f"{FOLDER}/", "parity.json", "ledger.json"),
    sources=lambda spec: {"imatrix": [spec.imatrix.file]} if spec.imatrix and spec.imatrix.file else {},
    packages=("orjson", "blake3", "gguf", "cyllama", "torch", "transformers", "tokenizers", "sentencepiece"),
    ships=(f"{FOLDER}/*",),
)
