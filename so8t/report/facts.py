"""What a report is made of, as values: stages with manifests and times, documents, splits, series, samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from so8t.store.manifest import File


@dataclass(frozen=True)
class Figure:
    """A number as it is shown, and the file and the record in it that it came from."""

    text: str
    file: str = ""
    record: str = ""


@dataclass(frozen=True)
class Value:
    """One value of a spec: where it is written, and what the parent profile says where that differs."""

    name: str
    value: Any
    place: str = ""  # specs/tiny/adapter.yaml:14; empty: a default
    parent: Any = None
    differs: bool = False


@dataclass(frozen=True)
class Built:
    """What the journal says of an artifact: how it came to its place, and how long its build once took."""

    outcome: str
    when: str
    host: str
    seconds: float
    build_seconds: float | None


@dataclass(frozen=True)
class Made:
    """What the manifest of an artifact says."""

    key: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageFacts:
    """A stage of the graph; `made` is None where it was not built."""

    name: str
    doc: str
    upstream: tuple[str, ...]
    on_request: bool = False
    made: Made | None = None
    values: tuple[Value, ...] = ()
    built: Built | None = None
    let_go: bool = False  # `retain: manifest` took the files away
    said: tuple[str, ...] = ()  # the last lines that its build printed

    @property
    def size(self) -> int:
        return sum(file.size for file in self.made.files) if self.made else 0

    @property
    def seconds(self) -> float:
        """What a build of it takes, as far as the journal knows."""
        return (self.built.build_seconds or 0.0) if self.built else 0.0


@dataclass(frozen=True)
class Split:
    """The conversations of one split, as they were counted in its file."""

    name: str
    file: str
    size: int
    sha256: str
    conversations: int
    labels: Mapping[str, int] = field(default_factory=dict)
    harmful: Mapping[str, int] = field(default_factory=dict)  # by label, those that carry a category of harm
    scripts: Mapping[str, int] = field(default_factory=dict)  # by the letters of the question
    signals: Mapping[tuple[str, str], int] = field(default_factory=dict)  # by vocabulary, and what it says
    again: int = 0  # whose question stands in a split that precedes this one, too


@dataclass(frozen=True)
class Facts:
    """`documents`: JSON by file, such as `evaluation/scores.json`; `questions`: the text asked, by record id."""

    profile: str
    stages: tuple[StageFacts, ...]
    description: str = ""
    parents: tuple[str, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)
    series: Sequence[Mapping[str, Any]] = ()
    pace: Sequence[Mapping[str, Any]] = ()  # of the training, which no artifact knows
    samples: Sequence[Mapping[str, Any]] = ()
    questions: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # by file, first ones by reason
    splits: tuple[Split, ...] = ()
    artifacts: str | None = ".."  # where links to artifacts lead, from the page; None: no links
    project: str | None = "../../.."

    def mark(self, name: str) -> str:
        """Which result a figure is of: profile, stage, short key, and the day on which it came."""
        stage = next((stage for stage in self.stages if stage.name == name), None)
        if stage is None or stage.made is None:
            return ""
        day = [stage.built.when[:10]] if stage.built else []
        return " · ".join([self.profile, f"{name} {stage.made.key[:8]}", *day])

    def values(self, name: str) -> dict[str, Any]:
        """What a stage was made by, field by field; a redaction leaves some of it."""
        stage = next((stage for stage in self.stages if stage.name == name), None)
        return {value.name: value.value for value in stage.values} if stage else {}

    def find(self, file: str, *keys: str) -> Any:
        """What a document says; None where it does not."""
        found = self.documents.get(file)
        for key in keys:
            if not isinstance(found, Mapping) or key not in found:
                return None
            found = found[key]
        return found
