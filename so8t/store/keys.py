"""A new private key in a file for its owner alone, and beside it, in FILE.pub, what everybody may have."""

from __future__ import annotations

import os
from pathlib import Path

from so8t.errors import UserError


def write(path: Path, private: bytes, public: bytes) -> Path:
    """Where the public half lies; UserError if one of both files is there."""
    beside = path.with_name(f"{path.name}.pub")
    there = [file for file in (path, beside) if file.exists()]
    if there:
        raise UserError(f"{there[0]} is there already; no key is written over")
    alone = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, alone, 0o600), "wb") as out:
        out.write(private)
    beside.write_bytes(public)
    return beside


def told(path: Path, does: str) -> str:
    """What a command that made a key prints: who needs which file, and then the public half."""
    beside = path.with_name(f"{path.name}.pub")
    return f"{path} {does}; {beside} is for everybody:\n{beside.read_text('utf-8')}"
