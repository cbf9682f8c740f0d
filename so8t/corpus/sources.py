"""What a spec declares about data from outside: where it lies, how its fields are called, and on which terms."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from so8t.engine.sourcefiles import matches
from so8t.engine.stage import Source as SourceFile
from so8t.errors import StageError
from so8t.formats.records import Label
from so8t.spec.fields import SpecModel, execution

SPLIT = r"^[a-z][a-z0-9_]{0,39}$"  # a split's name becomes a file's name
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value  # YAML reads a bare 2026-11-01 as a date


class Fields(SpecModel):
    """Our field -> the dotted path to it in their record, such as `data.prompt` or `turns.0.content`."""

    text: str | None = None
    """The user's message."""
    messages: str | None = None
    """A conversation instead of `text`: its last user turn is the text, an assistant's reply to it the answer,
    what came before it system and history.  Turns are {role, content} or {from, value}."""
    system: str | None = None
    """The system prompt."""
    history: str | None = None
    """The turns before `text`, as {role, content} or {from, value}."""
    label: str | None = None
    """ALLOW, ESCALATION, DENY or REFUSE, or a value that `labels` translates."""
    reason: str | None = None
    """Why the label holds."""
    answer: str | None = None
    """The answer to the user."""
    thinking: str | None = None
    """An object of exactly the texts task, safety and policy."""
    split: str | None = None
    """The split that a record is pinned to."""
    tags: str | dict[str, str] | None = None
    """An object of free facts, or a path for each tag."""

    @model_validator(mode="after")
    def _text_or_messages(self) -> Fields:
        if (self.text is None) == (self.messages is None):
            raise ValueError("give either text or messages")
        if self.messages is not None and (self.history is not None or self.answer is not None):
            raise ValueError("history and answer come from messages: leave them out")
        return self


OUR_NAMES = Fields(
    **{name: name for name in ("text", "system", "history", "label", "reason", "answer", "thinking", "split", "tags")}
)


class Constants(SpecModel):
    """Values that every record of a source gets."""

    system: str | None = None
    """The system prompt."""
    label: Label | None = None
    """The class."""
    reason: str | None = None
    """Why the label holds."""
    answer: str | None = None
    """The answer to the user."""
    tags: dict[str, str] = Field(default={})
    """Free facts, added to those of the record."""


class Declared(SpecModel):
    """What every source says about itself."""

    name: str = Field(min_length=1, max_length=80)
    """How provenance and statistics call it."""
    terms: str = Field(min_length=1)
    """Its licence or terms of use; data without terms is not taken."""
    trust: Literal["high", "medium", "low"]
    """How far its content is believed; later stages prefer the higher."""
    url: str | None = None
    """Where it came from."""
    retrieved: Annotated[str, BeforeValidator(_day), Field(pattern=_DAY)] | None = None
    """The day it was fetched, as 2026-11-01."""
    fields: Fields | None = None
    """How their fields are called.  Without it, fields of our own names are taken; with it, only what it names."""
    labels: dict[str, Label] = Field(default={})
    """Their labels -> ours, such as `harmful: REFUSE`; a label that is not listed is bad input."""
    constants: Constants = Constants()
    """Values for every record, over what the record says."""
    split: str | None = Field(default=None, pattern=SPLIT)
    """Pins all its records to a split, such as `test_known`."""
    limit: int | None = Field(default=None, ge=1)
    """The most records to take; lines beyond it are counted, not read (of a dataset of the hub, one at most)."""

    @model_validator(mode="after")
    def _one_origin_each(self) -> Declared:
        named = self.fields.model_dump(exclude_none=True) if self.fields else {}
        given = self.constants.model_dump(exclude_none=True, exclude={"tags"}) | ({"split": 1} if self.split else {})
        if both := sorted(named.keys() & given.keys()):
            raise ValueError(f"{', '.join(both)}: either a field of theirs or one value for all records")
        if self.constants.answer is not None and "messages" in named:
            raise ValueError("answer comes from messages: leave it out of constants")
        return self


class JsonlSource(Declared):
    """JSONL files of this machine: plain, .gz or .zst."""

    kind: Literal["jsonl"] = "jsonl"
    paths: list[str] = Field(min_length=1)
    """Files relative to the project; *, ? and ** match names, and each pattern must match a file."""

    @field_validator("paths")
    @classmethod
    def _not_empty(cls, paths: list[str]) -> list[str]:
        return _given(paths)


class DatasetsSource(Declared):
    """A dataset that Hugging Face `datasets` reads: a pinned one of the hub, or local files in one of its formats."""

    kind: Literal["datasets"]
    repo: str | None = Field(default=None, pattern=r"^[\w.-]+(/[\w.-]+)?$")
    """A dataset of the hub, such as `owner/name`."""
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """The commit of the hub's repository, all 40 digits: a branch or a tag may move."""
    config: str | None = None
    """The dataset's configuration, which the hub also calls subset."""
    from_split: str = "train"
    """The dataset's own split to read."""
    format: Literal["parquet", "json", "csv", "arrow"] | None = None
    """The format of local files, instead of `repo`.  For JSONL the kind `jsonl` checks more."""
    paths: list[str] = Field(default=[])
    """Local files, as in the kind `jsonl`."""
    cache_dir: str | None = execution(None)
    """Where `datasets` keeps what it downloads; the stage's scratch folder if not given."""

    @field_validator("paths")
    @classmethod
    def _not_empty(cls, paths: list[str]) -> list[str]:
        return _given(paths)

    @model_validator(mode="after")
    def _hub_or_local(self) -> DatasetsSource:
        if (self.repo is None) == (self.format is None):
            raise ValueError("give either repo (of the hub) or format (of local files)")
        if self.repo is not None and self.revision is None:
            raise ValueError("repo needs revision, the 40 digits of a commit: a branch or a tag may move")
        if self.repo is not None and self.paths:
            raise ValueError("paths are for local files: leave them out with repo")
        if self.format is not None and not self.paths:
            raise ValueError("format needs paths, the local files to read")
        if self.format is not None and (self.revision or self.config or self.from_split != "train"):
            raise ValueError("revision, config and from_split are for repo: leave them out with format")
        return self


def _given(paths: list[str]) -> list[str]:
    if not all(path.strip() for path in paths):
        raise ValueError("a path is empty")
    return paths


def _kind(value: Any) -> Any:
    return value.get("kind", "jsonl") if isinstance(value, dict) else getattr(value, "kind", "jsonl")


Declaration = Annotated[
    Annotated[JsonlSource, Tag("jsonl")] | Annotated[DatasetsSource, Tag("datasets")],
    Discriminator(_kind),
]


def patterns(sources: Iterable[Declared]) -> list[str]:
    """The local files that the sources name, for the engine to expand and digest."""
    return [path for source in sources for path in getattr(source, "paths", ())]


def assign(sources: Iterable[Declared], files: Iterable[SourceFile]) -> dict[str, list[SourceFile]]:
    """Source name -> its files; a file belongs to exactly one source and is read under exactly one name."""
    sources = tuple(sources)
    owned: dict[str, list[SourceFile]] = {source.name: [] for source in sources}
    seen: dict[str, str] = {}
    for file in files:
        owners = [source.name for source in sources if _names(source, file)]
        if len(owners) != 1:
            raise StageError(_disowned(file.name, owners))
        real = os.path.normcase(os.path.realpath(file.path))
        if real in seen:
            raise StageError(f"{seen[real]} and {file.name} are the same file: name it once")
        seen[real] = file.name
        owned[owners[0]].append(file)
    return owned


def _names(source: Declared, file: SourceFile) -> bool:
    return any(matches(pattern, file.name, file.path) for pattern in patterns([source]))


def _disowned(file: str, owners: list[str]) -> str:
    if owners:
        return f"{file} is matched by the sources {' and '.join(owners)}: narrow the paths of one of them"
    return f"{file} is matched by no source"


def provenance(source: Declared) -> Callable[[str, int], dict[str, Any]]:
    """The function from a file and a line to the record's `source`."""
    after: dict[str, Any] = {"terms": source.terms, "trust": source.trust}
    after |= {key: value for key in ("url", "retrieved") if (value := getattr(source, key)) is not None}
    return lambda file, line: {"name": source.name, "file": file, "line": line, **after}
