"""What differs between two runs: values, data record by record, code and packages, figures, answers.  Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from so8t.engine.why import ABSENT, Reason, compare
from so8t.runs.known import Run
from so8t.store.fingerprint import Fingerprint

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Data:
    """Records by id, of one file."""

    file: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Figure:
    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Answer:
    """One question that two models answer otherwise.

    A class is None where the format was broken; under the task `chat` there is none, and no label.
    """

    asked: str  # split, model and mode
    id: str
    label: str | None
    before: str | None
    after: str | None
    texts: tuple[str, str]

    @property
    def kind(self) -> str:
        if self.before == self.after:
            return "other words"
        return "better" if self.after == self.label else "worse" if self.before == self.label else "otherwise wrong"


@dataclass(frozen=True)
class Differences:
    values: tuple[tuple[str, Reason], ...]  # stage, and what differs
    data: tuple[Data, ...]
    figures: tuple[Figure, ...]
    answers: tuple[Answer, ...]

    @property
    def any(self) -> bool:
        return bool(self.values or self.data or self.figures or self.answers)

    def as_json(self) -> dict[str, Any]:
        values = [{"stage": stage, "kind": each.kind, "name": each.name, **_sides(each)} for stage, each in self.values]
        answers = [{**asdict(each), "kind": each.kind} for each in self.answers]
        return {
            "values": values,
            "data": [asdict(each) for each in self.data],
            "figures": [asdict(each) for each in self.figures],
            "answers": answers,
        }


def values(before: Run, after: Run) -> Iterator[tuple[str, Reason]]:
    """Field by field, module by module, package by package, in the order of the stages that both have."""
    for stage, old in before.parts.items():
        if (new := after.parts.get(stage)) is not None:
            one, other = (_without_inputs(each.fingerprint) for each in (old, new))
            yield from ((stage, reason) for reason in compare(one, other))


def _without_inputs(print_: Fingerprint) -> Fingerprint:
    return Fingerprint(print_.stage, print_.spec, {}, print_.code, print_.packages)


def data(file: str, before: Iterable[Record], after: Iterable[Record]) -> Data | None:
    """None where both hold the same records, whatever their order and wherever they stood."""
    old, new = ({record["id"]: _digest(record) for record in records} for records in (before, after))
    found = Data(
        file,
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(name for name, digest in old.items() if new.get(name, digest) != digest),
    )
    return found if found.added or found.removed or found.changed else None


def _digest(record: Record) -> bytes:
    """All of a record but where it came from: one line more in front of it changes no record."""
    told = {name: value for name, value in record.items() if name != "source"}
    return hashlib.blake2b(orjson.dumps(told, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()


def figures(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Figure]:
    """Every number that both scores have and that is not the same, by its path."""
    old, new = dict(numbers(before)), dict(numbers(after))
    for name, value in old.items():
        if name in new and new[name] != value:
            yield Figure(name, value, new[name])


HEADLINES = (
    "accuracy",
    "format_valid",
    "macro_f1",
    "unsafe_compliance",
    "over_refusal",
    "leaks",
    "loss",
    "perplexity",
    "exact",
)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Those of scores that people compare, by their path, such as `test_known.f16.accuracy`."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, Mapping) or name in HEADLINES:
                yield from numbers(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, float(value)


def answers(before: Iterable[Record], after: Iterable[Record]) -> Iterator[Answer]:
    """The samples that both runs have of one question, where the text differs."""
    old = {_place(sample): sample for sample in before}
    for sample in after:
        was = old.get(_place(sample))
        if was is not None and was["text"] != sample["text"]:
            split, model, mode, way, name = _place(sample)
            asked = " ".join(each for each in (split, model, mode, "" if way == "free" else way) if each)
            yield Answer(asked, name, sample["label"], was["said"], sample["said"], (was["text"], sample["text"]))


def _place(sample: Record) -> tuple[str, str, str, str, str]:
    model = sample["model"] if "model" in sample else sample["who"]
    mode, way = sample.get("mode", ""), sample.get("way", "free")
    return sample["split"], model, mode, way, sample["id"]


def _sides(reason: Reason) -> dict[str, Any]:
    return {side: value for side, value in (("before", reason.old), ("after", reason.new)) if value is not ABSENT}
