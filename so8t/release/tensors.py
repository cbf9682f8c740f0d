"""Where the tensors of a file lie: its bytes as parts, each with what it is, from the first byte to the last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from so8t.errors import UserError
from so8t.weights import header
from so8t.weights.header import BadHeader


@dataclass(frozen=True)
class Part:
    what: str  # tensor model.norm.weight
    start: int
    stop: int


@dataclass(frozen=True)
class Place:
    """A tensor by name and range of bytes in its file."""

    name: str
    start: int
    stop: int


def parts(size: int, tensors: Iterable[Place]) -> Iterator[Part]:
    """Every byte of a file of this size belongs to one part; a file without tensors is one part."""
    at, found = 0, sorted(tensors, key=lambda place: place.start)
    for place in found:
        if place.start > at:
            yield Part("the header" if at == 0 else f"the filling before tensor {place.name}", at, place.start)
        yield Part(f"tensor {place.name}", place.start, place.stop)
        at = place.stop
    if at < size:
        yield Part("the end" if found else "", at, size)


def read(path: Path) -> tuple[Part, ...]:
    """Of a safetensors file, a GGUF, or any other file."""
    size = path.stat().st_size
    if path.suffix == ".gguf":
        from so8t.gguf import places

        return tuple(parts(size, (Place(*place) for place in places.read(path))))
    return tuple(parts(size, _safetensors(path, size) if path.suffix == ".safetensors" else ()))


def _safetensors(path: Path, size: int) -> Iterator[Place]:
    try:
        with path.open("rb") as file:
            length = header.length(file.read(header.PREFIX), size)
            start = header.PREFIX + length
            found = header.parse(file.read(length), size - start)
    except BadHeader as error:
        raise UserError(f"{path.name} is not a complete safetensors file: {error}") from error
    for name, (tensor, at) in found.items():
        yield Place(name, start + at, start + at + tensor.size)
