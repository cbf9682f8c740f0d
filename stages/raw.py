"""raw: your sources under one record format, with provenance; unusable lines named and counted."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, field_validator

from so8t.corpus import shares
from so8t.corpus.ingest import Tally, ingest
from so8t.corpus.sources import Declaration, check_named_once, patterns
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.spec.fields import SpecModel
from so8t.web import refusals

REFUSALS = "raw.refusals"  # beside the sources, by their names


class Spec(SpecModel):
    """Where the data comes from, and what happens to lines that cannot be used."""

    sources: list[Declaration] = Field(min_length=1)
    """The sources, read in this order."""
    bad_input: Literal["strict", "quarantine"] = "strict"
    """strict: the first bad line fails the build; quarantine: bad lines are kept aside and counted by reason."""
    max_quarantined: float = Field(0.5, ge=0, le=1)
    """The largest share of records that may be put aside; more fails the build, and what was put aside can be seen."""
    max_line: int = Field(16 << 20, ge=1 << 10, le=1 << 30)
    """The longest line to read, in bytes; a longer one is bad input and is never held in memory as a whole."""
    refusals: str | None = None
    """A file of URLs whose sites say no now, as `doit recheck` writes it: records from them are left out."""

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: list[Any]) -> list[Any]:
        counts = Counter(source.name for source in sources)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"two sources are called {twice[0]}")
        return sources


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    check_named_once(inputs.sources)
    refused = {url for file in inputs.sources.get(REFUSALS, ()) for url in refusals.read(file.path)}
    tallies: dict[str, Tally] = {}
    with (out / "raw.jsonl").open("wb", 1 << 20) as kept, (out / "quarantined.jsonl").open("wb") as aside:
        for source in spec.sources:
            rows = source.open(inputs.sources[source.name], inputs.scratch, spec.max_line)
            tallies[source.name] = ingest(source, rows, spec.bad_input == "strict", kept, aside, refused)
    stats = {name: tally.plain() for name, tally in tallies.items()}
    (out / "stats.json").write_bytes(orjson.dumps(stats, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    for name, tally in tallies.items():
        _say(name, tally.read_as)
    _report(tallies)
    _check_none_is_empty(spec, tallies)
    reasons = sum((tally.quarantined for tally in tallies.values()), Counter[str]())
    records = sum(tally.records for tally in tallies.values())
    shares.check("raw", reasons, records, spec.max_quarantined, "max_quarantined")


def _say(source: str, read_as: Mapping[str, str]) -> None:
    """How its files are read; those that are read alike in one line."""
    alike: dict[str, list[str]] = {}
    for what, said in read_as.items():
        alike.setdefault(said, []).append(what)
    for said, (first, *more) in alike.items():
        others = f" and {len(more):,} more files" if more else ""
        print(f"raw: {source}: {first}{others} read as {said}", file=sys.stderr)


def _check_none_is_empty(spec: Spec, tallies: dict[str, Tally]) -> None:
    for number, source in enumerate(spec.sources):
        tally = tallies[source.name]
        if not tally.records + tally.aside + tally.refused:
            files = f": {', '.join(list(tally.files)[:3])} is empty" if tally.files else ""
            raise StageError(
                f"sources[{number}]: the source {source.name} has no record{files}; "
                "fill it, or take it out of the sources"
            )


def _report(tallies: dict[str, Tally]) -> None:
    records, aside = sum(t.records for t in tallies.values()), sum(t.aside for t in tallies.values())
    unit = "lines" if any(tally.unit == "line" for tally in tallies.values()) else "records"
    print(f"raw: {records:,} records from {len(tallies)} sources, {aside:,} {unit} quarantined", file=sys.stderr)
    if refused := sum(tally.refused for tally in tallies.values()):
        print(f"raw: {refused:,} records left out, because their sites say no now", file=sys.stderr)


def _files(spec: Spec) -> dict[str, list[str]]:
    return {**patterns(spec.sources), **({REFUSALS: [spec.refusals]} if spec.refusals else {})}


def _hints(spec: Spec) -> dict[str, str]:
    crawled = {source.name: "doit crawl brings the pages" for source in spec.sources if source.kind == "web"}
    return {REFUSALS: "doit recheck writes it; an empty file refuses nothing", **crawled}


STAGE = Stage(
    name="raw",
    spec=Spec,
    build=build,
    gives=("raw.jsonl", "quarantined.jsonl", "stats.json"),
    sources=_files,
    hints=_hints,
    private=True,
    packages=(
        "charset-normalizer",
        "mwparserfromhell",
        "orjson",
        "pyarrow",
        "pypdfium2",
        "python-calamine",
        "trafilatura",
        "warcio",
    ),
)
