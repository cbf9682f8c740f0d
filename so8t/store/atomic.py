"""Whole files or none: write beside the target, sync, rename."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path


def write_atomic(path: Path, data: bytes, mode: int = 0o666) -> None:
    """`mode` is what others may do with it, as far as the umask lets them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _part(path)
    try:
        with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Rename a file; where a folder is a mount or a link to another disk, copy it whole and remove the source."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = _part(target)
        try:
            shutil.copyfile(source, part)
            sync(part)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        source.unlink()


def replace_folder(source: Path, target: Path) -> None:
    """Rename a folder into the place of another, which goes; a kill between the two leaves the old one beside it."""
    old = _part(target)
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(source, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    sync(target.parent)
    if old.exists():
        shutil.rmtree(old)


def sync(path: Path) -> None:
    """Force a file's bytes, or a folder's entries, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows keeps folder entries by itself and cannot open a folder
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
