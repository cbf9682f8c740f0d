"""llama.cpp's own converter, from the source package of llama-cpp-python; nothing of it is kept here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.bases import npm

VERSION = "0.3.36"
_NAME = f"llama_cpp_python-{VERSION}"
_PARTS = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/gguf/")


def convert(folder: Path, target: Path) -> Path:
    """The checkpoint in 16 bits, as llama.cpp writes it."""
    command = [sys.executable, str(_script()), str(folder), "--outfile", str(target), "--outtype", "f16"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert told.returncode == 0, told.stderr[-2000:]
    return target


def _script() -> Path:
    target = npm.folder() / _NAME
    if not target.is_dir():
        _unpack(_packed(), target)
    return target / "convert_hf_to_gguf.py"


def _packed() -> Path:
    npm.folder().mkdir(parents=True, exist_ok=True)
    wanted = [
        f"llama-cpp-python=={VERSION}",
        "--no-deps",
        "--no-binary",
        "llama-cpp-python",
        "--dest",
        str(npm.folder()),
    ]
    told = subprocess.run([sys.executable, "-m", "pip", "download", "-q", *wanted], capture_output=True, text=True)
    if told.returncode:
        pytest.fail(f"pip cannot fetch llama.cpp's converter for this test: {told.stderr.strip()[-300:]}")
    return npm.folder() / f"{_NAME}.tar.gz"


def _unpack(packed: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    root = f"{_NAME}/vendor/llama.cpp/"
    with tarfile.open(packed) as archive:
        for member in archive:
            if member.isfile() and member.name.removeprefix(root).startswith(_PARTS):
                archive.extract(member, part, filter="data")
    (part / root).rename(target)
    shutil.rmtree(part)
    packed.unlink()
