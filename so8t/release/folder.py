"""The door: a release is put together beside its place, digest by digest, and renamed there when it is whole."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from so8t.errors import UserError
from so8t.release import documents, licences, reading, tensors, told, verifier
from so8t.release.reading import Shelf
from so8t.release.tensors import Part
from so8t.release.told import Shipped, Told
from so8t.report.cards import as_json
from so8t.report.facts import Facts
from so8t.store.atomic import replace_folder, sync
from so8t.store.manifest import File

SAFETENSORS, GGUF = "safetensors", "gguf"
FORMAT = 1
MANIFESTS = "manifests"
VERIFIER = "verify_release.py"
_BLOCK = 4 << 20
_FROM = re.compile(r'^(FROM "?)\.\./\.\./gguf/models/', re.MULTILINE)


@dataclass(frozen=True)
class Order:
    """What is asked for: `gguf`, types of it, `safetensors`."""

    forms: tuple[str, ...]
    license: Path
    publisher: str = ""
    watts: float | None = None
    redact: Callable[[Facts], Facts] | None = None
    sign: Callable[[Path], None] | None = None
    check: Callable[[Mapping[str, str]], None] | None = None  # of the documents, before anything is in its place
    data: bool = False  # hand the conversations over, too


@dataclass(frozen=True)
class Taken:
    """A file of an artifact, and where it goes in the release."""

    stage: str
    file: File
    path: str


def write(shelf: Shelf, order: Order, out: Path) -> Told:
    """Make the folder anew; a folder there that is not a release is left alone."""
    if out.exists() and not (out / verifier.INDEX).is_file():
        raise UserError(f"release: {out} is there and is not a release; name another folder with --out")
    if order.data and order.redact:
        raise UserError("release: --data and --redacted: records tell their sources; name one of them")
    text = _license(shelf, order)
    taken = [*chosen(shelf, order.forms), *(_conversations(shelf) if order.data else [])]
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.parent / f".so8t-release-{out.name}"
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    try:
        whole = work / out.name
        whole.mkdir(parents=True)
        found = _fill(shelf, order, taken, text, whole)
        if order.sign:
            order.sign(whole)
        for path in sorted(whole.rglob("*")):
            sync(path)
        replace_folder(whole, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return found


def wanted(forms: Sequence[str]) -> tuple[str, ...]:
    """The stages that a release must have, for its figures or its files."""
    ggufs = [form for form in forms if form != SAFETENSORS]
    return ("gguf", "evaluation", *(["modelfile"] if ggufs else []), *(["baked_model"] if SAFETENSORS in forms else []))


def chosen(shelf: Shelf, forms: Sequence[str]) -> Iterator[Taken]:
    files = shelf.files("gguf", "models/")
    kinds = [told.kind(file.path) for file in files if file.path.endswith(".gguf")]
    if unknown := [form for form in forms if form not in (GGUF, SAFETENSORS, *kinds)]:
        raise UserError(f"release: {unknown[0]} must be one of {', '.join((GGUF, *kinds, SAFETENSORS))}")
    types = kinds if GGUF in forms else [form for form in forms if form != SAFETENSORS]
    for file in files if types else ():
        if not file.path.endswith(".gguf") or told.kind(file.path) in types:
            yield Taken("gguf", file, Path(file.path).name)
    for file in shelf.files("modelfile", "ollama/") if types else ():
        if file.path.rpartition("Modelfile.")[2] in types:
            yield Taken("modelfile", file, Path(file.path).name)
    for file in shelf.files("baked_model", "model/") if SAFETENSORS in forms else ():
        if not _is_legal(file):
            yield Taken("baked_model", file, file.path.removeprefix("model/"))
    for file in shelf.files("base_model", "model/") if "base_model" in shelf.manifests else ():
        if _is_legal(file):
            yield Taken("base_model", file, f"base/{file.path.removeprefix('model/')}")


def _conversations(shelf: Shelf) -> Iterator[Taken]:
    for file in shelf.files(reading.SFT, reading.SPLITS):
        yield Taken(reading.SFT, file, f"data/{Path(file.path).name}")


def _is_legal(file: File) -> bool:
    """The terms of the base model, which whoever made it wants to go with it."""
    return file.path.startswith(("model/LICENSE", "model/NOTICE"))


def _license(shelf: Shelf, order: Order) -> str:
    try:
        text = order.license.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"release: {order.license}: no licence text can be read there; name one with --license"
        ) from error
    licences.check(shelf.spec("gguf")["license"], text, order.license.name)
    return text


def _fill(shelf: Shelf, order: Order, taken: Sequence[Taken], license_text: str, whole: Path) -> Told:
    entries: dict[str, Any] = {}
    shipped: list[Shipped] = []
    for one in taken:
        print(f"release: {one.path}", file=sys.stderr)
        entries[one.path] = entry = _take(shelf, one, whole / one.path)
        shipped.append(Shipped(one.path, entry["size"], entry["sha256"], one.stage, one.file.blake3))
    found = _told(shelf, order, shipped)
    texts = {
        "LICENSE": license_text,
        VERIFIER: Path(verifier.__file__).read_text("utf-8"),
        **documents.documents(found),
        **({} if order.redact else _manifests(shelf)),
    }
    if order.check:
        order.check(texts)
    for name, text in sorted(texts.items()):
        entries[name] = _write(whole / name, text)
    index = {"format": FORMAT, "name": found.product.name, "files": dict(sorted(entries.items()))}
    papers = {**{name: entries[name] for name in texts}, verifier.INDEX: _write(whole / verifier.INDEX, as_json(index))}
    every = (*shipped, *(Shipped(name, entry["size"], entry["sha256"]) for name, entry in papers.items()))
    _write(whole / verifier.SUMS, verifier.sums_text({file.path: file.sha256 for file in every}))
    return replace(found, files=every)


def _told(shelf: Shelf, order: Order, shipped: Sequence[Shipped]) -> Told:
    facts = reading.facts(shelf)
    return Told(
        told.product(shelf.spec("gguf"), shelf.spec("base_model")),
        order.redact(facts) if order.redact else facts,
        tuple(shipped),
        order.publisher,
        order.watts,
        has_data=order.data,
        has_manifests=order.redact is None,
    )


def _manifests(shelf: Shelf) -> dict[str, str]:
    """As they were published: with them a stage can be built again, and compared byte for byte."""
    return {f"{MANIFESTS}/{stage}.json": one.encode().decode() for stage, one in shelf.manifests.items()}


def _write(path: Path, text: str) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode("utf-8")
    path.write_bytes(data)
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def _take(shelf: Shelf, one: Taken, target: Path) -> dict[str, Any]:
    """Copy a file and tell its digests; it is what the manifest says, or nothing is released."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source = shelf.path(one.stage, one.file)
    if one.stage == "modelfile":
        return _write(target, beside(source.read_text("utf-8")))
    entry, blake3 = copy(source, target, tensors.read(source))
    if blake3 != one.file.blake3:
        raise UserError(f"release: {one.stage}/{one.file.path} changed while it was copied; run doit release again")
    return entry


def beside(modelfile: str) -> str:
    """The Modelfile as it stands in a release, with its GGUF beside it."""
    return _FROM.sub(r"\1./", modelfile, count=1)


def copy(source: Path, target: Path, parts: Sequence[Part]) -> tuple[dict[str, Any], str]:
    """The entry of the index, and the BLAKE3 digest of all."""
    from blake3 import blake3

    whole, content, told_parts = hashlib.sha256(), blake3(), []
    with source.open("rb") as file, target.open("wb") as out:
        for part in parts:
            own = hashlib.sha256()
            for block in _blocks(file, part.stop - part.start):
                out.write(block)
                for hasher in (whole, own, content):
                    hasher.update(block)
            told_parts.append({"what": part.what, "start": part.start, "stop": part.stop, "sha256": own.hexdigest()})
    entry: dict[str, Any] = {"size": target.stat().st_size, "sha256": whole.hexdigest()}
    if len(parts) > 1:
        entry["parts"] = told_parts
    return entry, content.hexdigest()


def _blocks(file: Any, size: int) -> Iterator[bytes]:
    while size and (block := file.read(min(size, _BLOCK))):
        yield block
        size -= len(block)
