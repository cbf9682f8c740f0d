"""What can be seen in a file of data: its format, whether it has classes, its language, how long its texts are."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from so8t.corpus import language, talks
from so8t.corpus.cleaning import free_texts
from so8t.corpus.files import LocalFiles
from so8t.corpus.ingest import ingest
from so8t.engine.stage import Source
from so8t.errors import DataError
from so8t.formats.records import Record

LOOKED_AT = 2000  # records
_MIN_JAPANESE = 0.3
_LINE = 16 << 20


@dataclass(frozen=True)
class Data:
    """The figures are of the first records, the number is of all."""

    path: str  # as a profile of the project names it
    count: int
    looked_at: int
    format: str = ""
    read_as: Mapping[str, str] = field(default_factory=dict)
    aside: Mapping[str, int] = field(default_factory=dict)
    labelled: float = 0.0  # share
    answered: float = 0.0
    japanese: float = 0.0
    longest: int = 0  # characters of a text
    record: int = 0  # of all texts of a record, which 19 of 20 do not exceed
    answer: int = 0  # of an answer, in the same way
    thinks: float = 0.0  # share of answers that bring thinking
    turns: float = 0.0  # share of records with earlier turns


def look(project: Path, path: Path) -> Data:
    if not path.is_file():
        raise DataError(f"{path}: this file does not exist")
    name = _named(project, path)
    source = LocalFiles(name="data", paths=[name], terms="-", trust="medium", limit=LOOKED_AT)
    kept, aside = io.BytesIO(), _Nothing()
    rows = source.open([Source(name, path)], Path(), _LINE)
    tally = ingest(source, rows, False, kept, aside)
    records = [orjson.loads(line) for line in kept.getvalue().splitlines()]
    if not records:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in sorted(tally.quarantined.items()))
        raise DataError(f"{name}: no record can be used: {reasons or 'it is empty'}")
    counted = Data(name, tally.records + tally.beyond_limit, len(records), tally.format, tally.read_as)
    return _measured(counted, dict(sorted(tally.quarantined.items())), records)


class _Nothing(io.BytesIO):
    """What is put aside is counted alone."""

    def write(self, data: object) -> int:
        return 0


def _named(project: Path, path: Path) -> str:
    """Relative to the project where it lies inside."""
    whole = path.resolve()
    return whole.relative_to(project).as_posix() if whole.is_relative_to(project) else whole.as_posix()


def _measured(data: Data, aside: Mapping[str, int], records: Sequence[Record]) -> Data:
    return Data(
        **{name: getattr(data, name) for name in ("path", "count", "looked_at", "format", "read_as")},
        aside=aside,
        labelled=_share([bool(each.get("label")) for each in records]),
        answered=_share([bool(each.get("answer")) for each in records]),
        japanese=_share([language.measure(each["text"]).japanese >= _MIN_JAPANESE for each in records]),
        longest=max(len(each["text"]) for each in records),
        record=_most([sum(map(len, free_texts(each))) for each in records]),
        answer=_most([len(each.get("answer") or "") for each in records]),
        thinks=_share([bool(talks.brought(each.get("answer") or "").thought) for each in records]),
        turns=_share(["history" in each for each in records]),
    )


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def _most(sizes: Sequence[int]) -> int:
    return sorted(sizes)[(len(sizes) * 19 - 1) // 20]
