"""The series of samples that training leaves: JSON lines while it runs, arrays when it is done; a function of the run.

A number that is not finite is one of the strings "NaN", "Infinity" and "-Infinity", as in Protobuf's JSON.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from so8t.store import appendlog
from so8t.store.appendlog import Log

Value = float | int | str | list[float]
_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip file can name
_COPY = 1 << 20
_WRONG = "not a sample, but more follow; remove the adapter's unfinished work folder"


class Series:
    """A growing file of samples, one a line, steps ascending; the newest `keep` are in memory.

    Opening a file continues it; a last line that a killed run left torn is cut off.
    """

    def __init__(self, path: Path, keep: int = 1000) -> None:
        self.path = path
        self.last: deque[dict[str, Any]] = deque(maxlen=keep)
        self._log = Log(path, decode, _WRONG)
        self.rewind()

    def append(self, sample: Mapping[str, Value]) -> None:
        if self.last and sample["step"] <= self.last[-1]["step"]:
            raise ValueError(f"{self.path.name}: step {sample['step']} after step {self.last[-1]['step']}")
        self._log.append(encode(sample))
        self.last.append(dict(sample))

    def rewind(self, step: float = math.inf) -> None:
        """Forget what came after `step`: a resumed run samples it again."""
        self.last.clear()
        end = 0
        for line, sample in self._log.entries():
            if sample["step"] > step:
                break
            self.last.append(sample)
            end += len(line)
        self._log.cut(end)

    def sync(self) -> None:
        """Onto the disk, before a checkpoint that counts on the samples up to it."""
        self._log.sync()

    def close(self) -> None:
        self._log.close()

    def __enter__(self) -> Series:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def encode(sample: Mapping[str, Value]) -> bytes:
    named = {name: _named(value) for name, value in sample.items()}
    return orjson.dumps(named, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def decode(line: bytes) -> dict[str, Any] | None:
    """The sample of a line; None where it has none."""
    try:
        sample = {name: _number(value) for name, value in orjson.loads(line).items()}
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return sample if "step" in sample else None


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return [_named(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(each) for each in value]
    return _NAMED.get(value, value) if isinstance(value, str) else value


# ---- as arrays


@dataclass
class _Column:
    """What a field's values have in common: numbers or text, one or `width` of them in each sample."""

    kind: str = "i"
    width: int | None = None
    letters: int = 1
    rows: int = 0

    def see(self, value: Any) -> None:
        self.rows += 1
        if isinstance(value, str):
            self.kind, self.letters = "U", max(self.letters, len(value))
        elif isinstance(value, list):
            self.kind, self.width = "f", max(self.width or 0, len(value))
        elif isinstance(value, float) and self.kind == "i":
            self.kind = "f"

    def settle(self, rows: int) -> None:
        """A gap in a column of whole numbers is NaN, which is not a whole number."""
        if self.kind == "i" and self.rows < rows:
            self.kind = "f"
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.rows,) if self.width is None else (self.rows, self.width)

    @property
    def dtype(self) -> str:
        return {"i": "<i8", "f": "<f8", "U": f"<U{self.letters}"}[self.kind]

    def row(self, value: Any) -> bytes:
        import numpy

        if self.kind == "U":
            return numpy.array(value or "", dtype=self.dtype).tobytes()
        if self.width is not None:
            given = value or []
            return numpy.array([*given, *[math.nan] * (self.width - len(given))], dtype=self.dtype).tobytes()
        return numpy.array(math.nan if value is None else value, dtype=self.dtype).tobytes()


def to_npz(jsonl: Path, npz: Path, constants: Mapping[str, Sequence[int]] | None = None) -> None:
    """Each field as an array: (samples,), or (samples, layers) for lists; NaN or "" where a sample lacks it.

    `constants` are arrays beside them that hold for the whole run.  One sample is in memory at a time.
    Nothing is compressed, for zlib's bytes differ from one build of it to another.
    """
    import numpy

    columns = _columns(jsonl)
    part = npz.with_name(f"{npz.name}.part")
    with tempfile.TemporaryDirectory() as name, zipfile.ZipFile(part, "w") as archive:
        folder = Path(name)
        for number, values in enumerate((constants or {}).values()):
            numpy.save(folder / f"constant-{number}", numpy.asarray(values, dtype="<i8"))
        _fill(jsonl, columns, folder)
        for number, field in enumerate(constants or {}):
            _add(archive, f"{field}.npy", folder / f"constant-{number}.npy")
        for number, field in enumerate(columns):
            _add(archive, f"{field}.npy", folder / f"{number}.npy")
    part.replace(npz)


def _columns(jsonl: Path) -> dict[str, _Column]:
    """By name, in the order in which they appear first."""
    columns: dict[str, _Column] = {}
    rows = 0
    for sample in read(jsonl):
        rows += 1
        for name, value in sample.items():
            columns.setdefault(name, _Column()).see(value)
    for column in columns.values():
        column.settle(rows)
    return columns


def read(jsonl: Path) -> Iterator[dict[str, Any]]:
    """The samples of a file, one at a time."""
    return appendlog.read(jsonl, decode, _WRONG)


def _fill(jsonl: Path, columns: Mapping[str, _Column], folder: Path) -> None:
    from numpy.lib import format as npy

    with ExitStack() as stack:
        files = [stack.enter_context((folder / f"{number}.npy").open("wb")) for number in range(len(columns))]
        for file, column in zip(files, columns.values(), strict=True):
            header = {"descr": column.dtype, "fortran_order": False, "shape": column.shape}
            npy.write_array_header_1_0(file, header)
        for sample in read(jsonl):
            for file, (name, column) in zip(files, columns.items(), strict=True):
                file.write(column.row(sample.get(name)))


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # or Windows would write another byte
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        while data := source.read(_COPY):
            target.write(data)
