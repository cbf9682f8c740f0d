"""What a stage is: a name, what it takes, reads and gives, and the function that builds it.

A stage is data.  It knows no path, no key and no doit; the store and the graph read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from so8t.spec.fields import At
    from so8t.store.layout import Layout
    from so8t.store.manifest import File


@dataclass(frozen=True)
class Source:
    """A local file that a spec names: `name` is how messages and provenance call it."""

    name: str
    path: Path


@dataclass(frozen=True)
class Inputs:
    """What a build may read: the folders of the artifacts it takes and the sources it declared."""

    artifacts: Mapping[str, Path]
    sources: Mapping[str, tuple[Source, ...]] = field(default_factory=dict)  # by the names that the stage gave them
    scratch: Path = Path()  # kept between builds, never part of the artifact: a cache for slow answers
    reads: Mapping[str, Any] = field(default_factory=dict)  # other stages' values, by the names that the stage gave
    key: str = ""  # of what is built
    place: Layout | None = None  # where it is built, for what is told to people: no other stage may take that

    def __getitem__(self, artifact: str) -> Path:
        return self.artifacts[artifact]

    def mark(self, stage: str) -> str:
        """What a picture says of the result that it belongs to, such as `curves 4ad83f10`.

        Profile and date are not a part of it: a result is shared by profiles, and the same whenever it is built.
        """
        return f"{stage} {self.key[:8]}".rstrip()


@dataclass(frozen=True)
class Stage:
    """One row of the graph.

    `takes` names artifacts ("cleaned") or one file of one ("thinking_sft/chat_format.json");
    who takes "cleaned/manifest.json" is built again when that changes, and finds of the files what is there.
    `gives` the files and folders (with a trailing slash) that `build` leaves in its work folder.
    `reads` names semantic values of other stages' specs ("adapter.lora.targets"), which enter the key, too;
    `unread` says which of them a spec makes no use of.
    `sources` turns a spec into patterns of local files, relative to the project, under names of the stage's own.
    `hints` turns a spec into what is said, under the same names, where a pattern matches no file.
    `packages` are distributions whose version changes the result.
    `build` may return the digests of files, taken while it wrote them, by path.
    `ships` are patterns of given files that leave the house and carry a SHA-256 too.
    A `resumable` stage finds its unfinished work folder again; a `precious` one took hours,
    so the store keeps a real second copy whatever its size.
    A `private` one may hold personal data: its result goes to no mirror, unless the profile says so.
    `lacks` says of a spec what a build needs and this machine has not; a run asks before it builds its first stage.
    `agrees` says of its spec, and of all specs by name, what they say against each other, by keys ("gguf.types").
    One with `asked` is in the graph only where that says of its spec that it is wanted; then stages behind it that
    take a file of `instead` ("adapter/so8t.json") take the file of that name from it.
    One `on_request` reaches out of the project: it is built only when it is named.
    `outside`, of such a stage, takes its spec and its artifact's folder and says why what it made out there is no
    longer so; a StageError says that it cannot be told.  It is asked only where somebody asks about the stage.
    """

    name: str
    spec: type[BaseModel]
    build: Callable[[Inputs, Path, Any], Mapping[str, File] | None]
    gives: tuple[str, ...]
    takes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    unread: Callable[[Any], Iterable[str]] | None = None
    sources: Callable[[Any], Mapping[str, Iterable[str]]] | None = None
    hints: Callable[[Any], Mapping[str, str]] | None = None
    packages: tuple[str, ...] = ()
    ships: tuple[str, ...] = ()
    resumable: bool = False
    precious: bool = False
    private: bool = False
    lacks: Callable[[Any], Iterable[str]] | None = None
    agrees: Callable[[Any, Mapping[str, Any]], Iterable[At]] | None = None
    asked: Callable[[Any], bool] | None = None
    instead: tuple[str, ...] = ()
    on_request: bool = False
    outside: Callable[[Any, Path], Iterable[str]] | None = None
