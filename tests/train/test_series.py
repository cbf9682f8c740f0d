"""The series: a line a sample, the same after a kill, the same as arrays, and never much of it in memory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy
import pytest

from so8t.errors import DataError
from so8t.train import series
from so8t.train.series import Series


def sample(step: int, **more: Any) -> dict[str, Any]:
    return {"step": step, "loss": 1 / step, "phase": "exploration", "g": [0.1, step / 7], **more}


def fill(path: Path, steps: range) -> None:
    with Series(path) as growing:
        for step in steps:
            growing.append(sample(step))


def test_a_sample_is_one_line_in_its_own_order_and_numbers_come_back_exactly(tmp_path: Path) -> None:
    path = tmp_path / "monitoring" / "series.jsonl"
    odd = {"step": 3, "loss": 0.1 + 0.2, "phase": "転移", "g": [1e-300, -0.0, 3.0]}

    with Series(path) as growing:
        growing.append(odd)

    assert path.read_bytes() == '{"step":3,"loss":0.30000000000000004,"phase":"転移","g":[1e-300,-0.0,3.0]}\n'.encode()
    assert list(series.read(path)) == [odd]


def test_numbers_that_are_not_finite_have_names(tmp_path: Path) -> None:
    with Series(tmp_path / "s.jsonl") as growing:
        growing.append({"step": 1, "loss": math.nan, "g": [math.inf, -math.inf, 1.0]})

    assert growing.path.read_bytes() == b'{"step":1,"loss":"NaN","g":["Infinity","-Infinity",1.0]}\n'
    (read,) = series.read(growing.path)
    assert math.isnan(read["loss"]) and read["g"] == [math.inf, -math.inf, 1.0]


def test_a_series_goes_on_where_it_was(tmp_path: Path) -> None:
    fill(tmp_path / "whole.jsonl", range(1, 9))
    fill(tmp_path / "s.jsonl", range(1, 4))
    fill(tmp_path / "s.jsonl", range(4, 9))

    assert (tmp_path / "s.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("torn", [b"", b'{"step":7,"lo', b'{"step":7}', b"\x00" * 90, b'{"st\n'])
def test_rewinding_drops_what_came_after_the_step_and_a_torn_line(torn: bytes, tmp_path: Path) -> None:
    fill(tmp_path / "s.jsonl", range(1, 7))
    fill(tmp_path / "want.jsonl", range(1, 5))
    with (tmp_path / "s.jsonl").open("ab") as file:
        file.write(torn)

    with Series(tmp_path / "s.jsonl") as growing:
        growing.rewind(4)
        assert [each["step"] for each in growing.last] == [1, 2, 3, 4]
        assert growing.path.read_bytes() == (tmp_path / "want.jsonl").read_bytes()
        growing.append(sample(5))

    fill(tmp_path / "want.jsonl", range(5, 6))
    assert growing.path.read_bytes() == (tmp_path / "want.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.jsonl", "want.jsonl"]


def test_opening_cuts_a_torn_line_off(tmp_path: Path) -> None:
    fill(tmp_path / "s.jsonl", range(1, 4))
    whole = (tmp_path / "s.jsonl").read_bytes()
    (tmp_path / "s.jsonl").write_bytes(whole + whole[:20])

    Series(tmp_path / "s.jsonl").close()

    assert (tmp_path / "s.jsonl").read_bytes() == whole


def test_a_broken_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"step":1}\nnothing\n{"step":2}\n')

    with pytest.raises(DataError) as raised:
        Series(path)

    assert str(raised.value) == (
        f"{path}:2: not a sample, but more follow; remove the adapter's unfinished work folder"
    )


def test_steps_only_ascend(tmp_path: Path) -> None:
    with Series(tmp_path / "s.jsonl") as growing:
        growing.append({"step": 10})
        with pytest.raises(ValueError, match=r"^s\.jsonl: step 10 after step 10$"):
            growing.append({"step": 10})


def test_only_the_newest_samples_stay_in_memory(tmp_path: Path) -> None:
    fill(tmp_path / "s.jsonl", range(1, 21))

    with Series(tmp_path / "s.jsonl", keep=3) as growing:
        assert [each["step"] for each in growing.last] == [18, 19, 20]
        growing.append(sample(21))
        assert [each["step"] for each in growing.last] == [19, 20, 21]


def test_arrays_have_a_column_for_each_field(tmp_path: Path) -> None:
    with Series(tmp_path / "s.jsonl") as growing:
        growing.append({"step": 10, "loss": 2.0, "phase": "exploration", "tokens": 5, "g": [0.5, 0.25]})
        growing.append({"step": 20, "loss": math.inf, "phase": "転移", "g": [0.5], "validation": 1.5})

    series.to_npz(tmp_path / "s.jsonl", tmp_path / "s.npz", {"gated_layers": [3, 7]})

    with numpy.load(tmp_path / "s.npz") as arrays:
        assert arrays.files == ["gated_layers", "step", "loss", "phase", "tokens", "g", "validation"]
        assert arrays["gated_layers"].tolist() == [3, 7]
        assert arrays["step"].dtype == numpy.int64 and arrays["step"].tolist() == [10, 20]
        assert arrays["loss"].tolist() == [2.0, math.inf]
        assert arrays["phase"].dtype == "<U11" and arrays["phase"].tolist() == ["exploration", "転移"]
        numpy.testing.assert_equal(arrays["tokens"], [5.0, math.nan])
        numpy.testing.assert_equal(arrays["g"], [[0.5, 0.25], [0.5, math.nan]])
        numpy.testing.assert_equal(arrays["validation"], [math.nan, 1.5])


def test_no_sample_gives_no_column(tmp_path: Path) -> None:
    Series(tmp_path / "s.jsonl").close()

    series.to_npz(tmp_path / "s.jsonl", tmp_path / "s.npz")

    with numpy.load(tmp_path / "s.npz") as arrays:
        assert arrays.files == []


MAKE = "import sys; from pathlib import Path; from so8t.train.series import to_npz; to_npz(*map(Path, sys.argv[1:]))"


def test_equal_samples_give_equal_bytes_whatever_the_hash_seed(tmp_path: Path, root: Path) -> None:
    fill(tmp_path / "s.jsonl", range(1, 30))
    series.to_npz(tmp_path / "s.jsonl", tmp_path / "here.npz")
    argv = [sys.executable, "-c", MAKE, str(tmp_path / "s.jsonl"), str(tmp_path / "there.npz")]
    subprocess.run(argv, check=True, cwd=root, env={**os.environ, "PYTHONHASHSEED": "17", "PYTHONPATH": str(root)})

    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()
    with zipfile.ZipFile(tmp_path / "here.npz") as archive:
        assert {(e.date_time, e.create_system, e.compress_type) for e in archive.infolist()} == {
            ((1980, 1, 1, 0, 0, 0), 3, zipfile.ZIP_STORED)
        }


@pytest.mark.slow
def test_ten_thousand_samples_need_little_memory(tmp_path: Path) -> None:
    layers = [0.123456789] * 32
    line = series.encode({"step": 10**6, "loss": 0.1, "phase": "x", "a": layers, "b": layers})
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"".join(line.replace(b"1000000", b"%d" % step) for step in range(1, 10_001)))
    series.to_npz(path, tmp_path / "warm.npz")

    tracemalloc.start()
    with Series(path, keep=100) as growing:
        growing.rewind(10_000)
    series.to_npz(path, tmp_path / "s.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    with numpy.load(tmp_path / "s.npz") as arrays:
        assert arrays["a"].shape == (10_000, 32) and arrays["step"][-1] == 10_000
    assert peak < 3 * 2**20  # the arrays alone are 5 MiB
