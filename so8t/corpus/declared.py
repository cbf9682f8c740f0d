"""What every source of data from outside says about itself, and what its kind adds: how its rows are read.

A kind is one file with a model on top of `Declared`, and a line in so8t/corpus/sources.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from so8t.corpus.rows import Rows, Unit
from so8t.corpus.turns import Tools
from so8t.engine.stage import Source
from so8t.formats.records import Label
from so8t.spec.fields import SpecModel, only

Format = Literal["ours", "alpaca", "sharegpt", "openai", "prompt_completion", "preference"]
SPLIT = r"^[a-z][a-z0-9_]{0,39}$"  # a split's name becomes a file's name
OF_CLASSES = only("four_class")
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value  # YAML reads a bare 2026-11-01 as a date


class Fields(SpecModel):
    """Our field -> the dotted path to it in their record, such as `data.prompt` or `turns.0.content`."""

    text: str | None = None
    """The user's message, or a template of several fields, such as `"{instruction}\\n\\n{input}"`, in which a paragraph
    whose fields are all empty is left out."""
    messages: str | None = None
    """A conversation instead of `text`: its last user turn is the text, an assistant's reply to it the answer,
    what came before it system and history.  Turns are {role, content} or {from, value}."""
    system: str | None = None
    """The system prompt."""
    history: str | None = None
    """The turns before `text`, as {role, content} or {from, value}."""
    label: str | None = Field(None, json_schema_extra=OF_CLASSES)
    """ALLOW, ESCALATION, DENY or REFUSE, or a value that `labels` translates."""
    reason: str | None = Field(None, json_schema_extra=OF_CLASSES)
    """Why the label holds."""
    answer: str | None = None
    """The answer to the user."""
    rejected: str | None = None
    """An answer that is worse than `answer`, kept for preference tuning: a text, or turns that end with it."""
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
    **{
        name: name
        for name in ("text", "system", "history", "label", "reason", "answer", "rejected", "thinking", "split", "tags")
    }
)


class Constants(SpecModel):
    """Values that every record of a source gets."""

    system: str | None = None
    """The system prompt."""
    label: Label | None = Field(None, json_schema_extra=OF_CLASSES)
    """The class."""
    reason: str | None = Field(None, json_schema_extra=OF_CLASSES)
    """Why the label holds."""
    answer: str | None = None
    """The answer to the user."""
    tags: dict[str, str] = Field(default={})
    """Free facts, added to those of the record."""


def all_named(paths: list[str]) -> list[str]:
    if not all(path.strip() for path in paths):
        raise ValueError("a path is empty")
    return paths


Paths = Annotated[list[str], AfterValidator(all_named)]


class Declared(SpecModel):
    """What every source says about itself; a kind adds its fields, and how its rows are read."""

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
    format: Format | None = None
    """How their records are written; without it and without `fields`, the keys of the first records say it."""
    fields: Fields | None = None
    """How their fields are called, instead of a format; only what it names is taken."""
    tools: Tools = "quarantine"
    """Calls of tools and their results in a conversation.  quarantine: such a record is bad input; flatten: these turns
    are left out; keep: they become text, `<tool_call>` of the assistant and `<tool_response>` of the user."""
    labels: dict[str, Label] = Field(default={}, json_schema_extra=OF_CLASSES)
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
        if self.fields and self.format:
            raise ValueError("give either format or fields")
        if both := sorted(named.keys() & given.keys()):
            raise ValueError(f"{', '.join(both)}: either a field of theirs or one value for all records")
        if self.constants.answer is not None and "messages" in named:
            raise ValueError("answer comes from messages: leave it out of constants")
        return self

    def patterns(self) -> list[str]:
        """The local files that it names, for the engine to expand and digest."""
        return []

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        """Its rows, from the files that its patterns match."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its rows are read")


def provenance(source: Declared) -> Callable[[str, int, Unit], dict[str, Any]]:
    """The function from a file and a line or record to the record's `source`."""
    after: dict[str, Any] = {"terms": source.terms, "trust": source.trust}
    after |= {key: value for key in ("url", "retrieved") if (value := getattr(source, key)) is not None}
    return lambda file, number, unit: {"name": source.name, "file": file, unit: number, **after}
