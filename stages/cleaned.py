"""cleaned: normalised text without personal data and near-duplicates; harmful text marked."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import orjson
from pydantic import AfterValidator, Field, field_validator, model_validator

from so8t.corpus import harm, shares
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import records
from so8t.spec.fields import SpecModel, execution
from so8t.store import running

if TYPE_CHECKING:
    from so8t.corpus.cleaning import Step
    from so8t.corpus.neardup import Settings
    from so8t.corpus.sifting import Sifted

PiiKind = Literal[
    "internal", "secret", "email", "ip", "card", "passport", "residence_card", "driving_licence", "pension",
    "health_insurance", "bank_account", "my_number", "plate", "coordinates", "address", "phone", "name", "birth_date",
]  # fmt: skip


class Length(SpecModel):
    """Bounds in characters, after normalisation."""

    min_chars: int = Field(default=2, ge=1)
    """Texts with fewer characters are dropped as too_short."""
    max_chars: int = Field(default=8_000, ge=1)
    """Texts with more characters are dropped as too_long."""
    max_record_chars: int = Field(default=64_000, ge=1)
    """The same for all free texts of a record together: text, system, history, reason, answer, thinking."""


class Language(SpecModel):
    """How Japanese a text must be; shares are of letters, so digits, marks and emoji do not count."""

    min_japanese: float = Field(default=0.3, ge=0, le=1)
    """Smallest share of kana and kanji among the letters; the rest may be English. 0 takes every language."""
    min_kana: float = Field(default=0.02, ge=0, le=1)
    """Smallest share of kana among the Japanese letters of a text with 20 of them or more: Chinese has none."""


def _is_pattern(pattern: str) -> str:
    try:
        found = re.compile(pattern).search("")
    except re.error as error:
        raise ValueError(f"not a regular expression: {pattern!r}: {error}") from error
    if found:
        raise ValueError(f"{pattern!r} matches an empty text: write + where it has *")
    return pattern


class Pii(SpecModel):
    """Which personal data gives way to placeholders."""

    kinds: tuple[PiiKind, ...] = get_args(PiiKind)
    """Kinds to remove; an empty list removes none."""
    public_phones: tuple[str, ...] = ("0120", "0570", "0800", "0990")
    """Prefixes of numbers that belong to services, never to a person: help lines must stay readable."""
    internal: tuple[Annotated[str, AfterValidator(_is_pattern)], ...] = ()
    """Regular expressions of your organisation's own identifiers, such as EMP-[0-9]{6}; a group `value` narrows."""


class HarmCategory(SpecModel):
    """One category of harmful text, in regular expressions without capturing groups."""

    patterns: tuple[str, ...] = Field(min_length=1)
    """A sentence in which one of these occurs belongs to the category ..."""
    unless: tuple[str, ...] = ()
    """... unless one of these occurs in the same sentence: prevention, reporting, study."""

    @field_validator("patterns", "unless")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                groups = re.compile(f"(?:{pattern})").groups
            except re.error as error:
                raise ValueError(f"not a regular expression: {pattern!r}: {error}") from error
            if groups:
                raise ValueError(f"capturing group in {pattern!r}: write (?:...) instead of (...)")
        return patterns


class Harm(SpecModel):
    """Routing of harmful and adult texts: marked for detection and refusal, or dropped."""

    categories: dict[str, HarmCategory] = Field(
        default={name: HarmCategory(**entry) for name, entry in harm.DEFAULT.items()}
    )
    """Categories by name; a record that hits some carries them in `harm` and never becomes an ALLOW target."""
    drop: tuple[str, ...] = ("minor_sexual",)
    """Categories whose records leave the stream, with the reason harm:<category>."""
    suspect: float | None = Field(None, gt=0, le=1)
    """From this probability a Japanese sentence in which no pattern occurs is suspected all the same, by a small
    classifier: the record carries the category `suspected`. null asks the patterns alone; 0.8 is a good value."""

    @model_validator(mode="after")
    def _drops_exist(self) -> Harm:
        if harm.SUSPECTED in self.categories:
            raise ValueError(f"categories: {harm.SUSPECTED} is what `suspect` finds; give yours another name")
        known = {*self.categories, *([harm.SUSPECTED] if self.suspect is not None else [])}
        unknown = [name for name in self.drop if name not in known]
        if unknown:
            raise ValueError(f"unknown drop: {', '.join(unknown)}; the categories are {', '.join(self.categories)}")
        return self


class Duplicates(SpecModel):
    """Repetitions of an earlier record; records pinned to a held-out split win over all others."""

    exact: bool = True
    """Drop records that differ in nothing but width, case, spaces, sentence marks and personal data."""
    near: bool = True
    """Drop records whose n-grams reach `threshold`, found by MinHash LSH and verified."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of the character n-grams from which a record repeats another."""
    ngram: int = Field(default=5, ge=1, le=32)
    """Characters in an n-gram."""
    permutations: int = Field(default=96, ge=1)
    """Length of a MinHash sketch; a multiple of `bands`."""
    bands: int = Field(default=16, ge=1)
    """Bands of the LSH: more of them miss fewer pairs and verify more."""
    seed: int = Field(default=42, ge=0)
    """Seed of the sketches."""

    @model_validator(mode="after")
    def _bands_divide(self) -> Duplicates:
        if self.permutations % self.bands:
            raise ValueError(f"permutations ({self.permutations}) must be a multiple of bands ({self.bands})")
        return self


class Spec(SpecModel):
    """What the cleaned stage does to a record, in this order."""

    normalise: bool = True
    """Unicode NFKC with care for Japanese, no invisible characters, LF line ends."""
    keep_fullwidth: str = "！？（）"
    """Full-width marks that normalisation leaves as they are; all other full-width ASCII becomes ASCII."""
    length: Length = Length()
    """Bounds in characters."""
    language: Language = Language()
    """Shares of Japanese letters."""
    pii: Pii = Pii()
    """Personal data."""
    harm: Harm = Harm()
    """Harmful and adult texts."""
    duplicates: Duplicates = Duplicates()
    """Exact and near duplicates."""
    max_dropped: float = Field(0.5, ge=0, le=1)
    """The largest share of records that may be dropped; more fails the build, and dropped.jsonl can be seen."""
    workers: int | None = execution(None, ge=1)
    """Processes that clean records; the result does not depend on it. null: one for each core, where there are so many
    records that it is worth it."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.corpus import sifting, workers

    raw, folder = inputs["raw"] / "raw.jsonl", out / "unsifted"
    try:
        with sifting.Spool(folder, _settings(spec.duplicates)) as spool:
            for sifted in workers.map_lines(cleaner, spec, raw, workers.hands(spec.workers, raw)):
                spool.extend(sifted)
                running.tell("record", len(spool))
            stats = sifting.part(spool, spool.duplicates(), out / "cleaned.jsonl", out / "dropped.jsonl")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    check(_lines(raw), stats)
    (out / "stats.json").write_bytes(orjson.dumps(stats, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"cleaned: {stats['in']} in, {stats['out']} out, dropped {stats['dropped']}", file=sys.stderr)
    shares.check("cleaned", stats["dropped"], stats["out"], spec.max_dropped, "max_dropped")


def cleaner(spec: Spec) -> Callable[[Iterable[bytes]], Sifted]:
    """What a worker runs on the lines of a range of raw.jsonl."""
    from so8t.corpus.cleaning import Drop, clean, dropped
    from so8t.corpus.sifting import Outcome, Sifter

    chain, sift = steps(spec), Sifter(_settings(spec.duplicates))

    def clean_line(record: records.Record) -> Outcome:
        try:
            record = clean(record, chain)
        except Drop as drop:
            return Outcome(records.line(dropped(record, drop)))
        return Outcome(records.line(record), record)

    return lambda lines: sift(clean_line(orjson.loads(line)) for line in lines)


def _lines(path: Path) -> int:
    """Counted by itself, so that no range can be lost."""
    with path.open("rb", buffering=1 << 20) as file:
        return sum(1 for _ in file)


def steps(spec: Spec) -> list[Step]:
    """The chain; language comes before personal data, so that placeholders do not pass for Japanese."""
    from so8t.corpus import cleaning

    entries = spec.harm.categories.items()
    table = harm.Table(
        {name: {"patterns": entry.patterns, "unless": entry.unless} for name, entry in entries}, spec.harm.suspect
    )
    chain: list[Step] = [cleaning.Normalise(spec.keep_fullwidth)] if spec.normalise else []
    chain += [
        cleaning.CheckLength(**spec.length.model_dump()),
        cleaning.CheckLanguage(**spec.language.model_dump()),
        cleaning.RemovePii(spec.pii.kinds, spec.pii.public_phones, spec.pii.internal),
        cleaning.RouteHarm(table, spec.harm.drop),
    ]
    return chain


def check(taken: int, stats: Mapping[str, Any]) -> None:
    """Nothing vanishes uncounted."""
    gone = sum(stats["dropped"].values())
    if not taken == stats["in"] == stats["out"] + gone:
        raise StageError(
            f"cleaned: {taken} records taken, {stats['in']} cleaned, {stats['out']} kept and {gone} dropped "
            "do not add up: a fault of the stage, nothing was published"
        )


def _settings(spec: Duplicates) -> Settings:
    from so8t.corpus.neardup import Settings

    return Settings(
        exact=spec.exact,
        threshold=spec.threshold if spec.near else None,
        ngram=spec.ngram,
        permutations=spec.permutations,
        bands=spec.bands,
        seed=spec.seed,
    )


STAGE = Stage(
    "cleaned",
    spec=Spec,
    build=build,
    takes=("raw/raw.jsonl",),
    gives=("cleaned.jsonl", "dropped.jsonl", "stats.json"),
    packages=("japanese-personal-name-dataset", "orjson", "python-stdnum", "rensa", "unicodedata"),
)
