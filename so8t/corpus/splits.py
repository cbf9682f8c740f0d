"""Which split a record belongs to: a function of its text alone, so that adding records moves no other."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from hashlib import blake2b
from pathlib import Path
from unicodedata import normalize

from pydantic import model_validator

from so8t.errors import StageError
from so8t.formats.records import Record
from so8t.spec.fields import At, SpecModel

STANDARD = ("train", "validation", "test")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")  # no file on Windows may be called so
_GAPS = " \n\t\r"  # NFKC has made one space of the wide ones


class Fractions(SpecModel):
    """Shares of the records that no source pinned to a split; the rest is train."""

    validation: float = 0.05
    """Share held out to watch training."""
    test: float = 0.05
    """Share held out for the evaluation."""

    @model_validator(mode="after")
    def _leave_something_to_train(self) -> Fractions:
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            text = f"validation {self.validation} + test {self.test} must be at least 0 and below 1"
            raise At(f"{text}, for the rest is train", "validation", "test")
        return self


class Splitter:
    """Test lies at the low end of the hash's range and validation at the high end: changing one spares the other."""

    def __init__(self, fractions: Fractions) -> None:
        self._test_below = _bound(fractions.test)
        self._validation_from = _bound(1 - fractions.validation)
        self._empty = blake2b(digest_size=8)

    def __call__(self, record: Record) -> str:
        if "split" in record:
            return _checked(record)
        content = self._empty.copy()  # a third faster than a new one
        content.update(normalised(record["text"]).encode())
        place = content.digest()
        if place < self._test_below:
            return "test"
        return "validation" if place >= self._validation_from else "train"


def _bound(share: float) -> bytes:
    """Where that share of all hashes ends, comparable with a digest; 9 bytes lie above every digest of 8."""
    return round(share * (1 << 64)).to_bytes(8, "big") if share < 1 else b"\xff" * 9


def normalised(text: str) -> str:
    """The text as the split sees it: width, composition, spaces and line ends make no difference."""
    text = normalize("NFKC", text)
    for gap in _GAPS:
        if gap in text:
            text = text.replace(gap, "")
    return text


def _checked(record: Record) -> str:
    name: str = record["split"]
    if _NAME.fullmatch(name) and not _DEVICES.fullmatch(name):
        return name
    raise StageError(
        f"record {record['id']}: split {name!r} cannot name a file; use a-z, 0-9 and _, beginning with a letter"
    )


class SplitFiles(dict[str, Callable[[bytes], object]]):
    """The `write` of each split's file, opened when first asked for; the standard ones exist even when empty."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder, self._stack = folder, ExitStack()

    def __missing__(self, name: str) -> Callable[[bytes], object]:
        file = self._stack.enter_context((self._folder / f"{name}.jsonl").open("wb", buffering=1 << 20))
        self[name] = file.write
        return file.write

    def __enter__(self) -> SplitFiles:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in STANDARD:
            self[name]
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()
