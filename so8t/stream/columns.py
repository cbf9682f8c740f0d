"""A table of 64-bit numbers that grows by rows and is read by columns: on disk, so that one column is in memory."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray


class Columns:
    """A file for each column, in a folder that is the caller's to remove."""

    def __init__(self, folder: Path, width: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{column}.u64" for column in range(width)]
        self._rows = 0
        with ExitStack() as stack:
            self._files = [stack.enter_context(path.open("wb", buffering=1 << 16)) for path in self._paths]
            self._stack = stack.pop_all()

    def __enter__(self) -> Columns:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return self._rows

    def extend(self, rows: NDArray[uint64]) -> None:  # (rows, width)
        for file, column in zip(self._files, rows.T, strict=True):
            file.write(column.tobytes())
        self._rows += len(rows)

    def read(self, column: int) -> NDArray[uint64]:
        import numpy as np

        self._files[column].flush()
        return np.fromfile(self._paths[column], np.uint64)
