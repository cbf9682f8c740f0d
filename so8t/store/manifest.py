"""The manifest: what an artifact was made from and the digest of every file in it.

It holds no time, host or absolute path, so equal builds have equal manifests.
Holding a `Manifest` means that it is well formed; it does not promise that the files still match it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from so8t.store.fingerprint import FORMAT, Fingerprint
from so8t.store.layout import MANIFEST

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_FOREIGN = re.compile(r"[\\:\x00\ud800-\udfff]")  # drives, streams, Windows' separator, names that are not text
_OWN = (MANIFEST, f"{MANIFEST}.part")


class BadManifest(Exception):
    """The bytes are not a manifest; the message says what is wrong."""


@dataclass(frozen=True)
class File:
    path: str  # relative to the artifact, with forward slashes
    size: int
    blake3: str
    sha256: str | None = None

    def as_dict(self) -> dict[str, Any]:
        plain = {"path": self.path, "size": self.size, "blake3": self.blake3}
        return plain if self.sha256 is None else {**plain, "sha256": self.sha256}


@dataclass(frozen=True)
class Manifest:
    fingerprint: Fingerprint
    files: tuple[File, ...]
    accepted: tuple[str, ...] = ()  # reasons that `doit accept` overruled, oldest first

    @property
    def key(self) -> str:
        return self.fingerprint.key

    @cached_property
    def digests(self) -> dict[str, str]:
        return {file.path: file.blake3 for file in self.files}

    def encode(self) -> bytes:
        whole: dict[str, Any] = {"format": FORMAT, "key": self.key, **self.fingerprint.as_dict()}
        whole["files"] = [file.as_dict() for file in self.files]
        if self.accepted:
            whole["accepted"] = list(self.accepted)
        return (json.dumps(whole, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Manifest:
    try:
        return _manifest(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadManifest(f"not a manifest: {type(error).__name__}: {error}") from error


def _manifest(whole: dict[str, Any]) -> Manifest:
    if whole["format"] != FORMAT:
        raise BadManifest(f"format {whole['format']!r}, this so8t writes format {FORMAT}")
    for name in ("spec", "inputs", "code", "packages"):
        if not isinstance(whole[name], dict):
            raise BadManifest(f"{name} is not a table")
    fingerprint = Fingerprint(whole["stage"], whole["spec"], whole["inputs"], whole["code"], whole["packages"])
    if fingerprint.key != whole["key"]:
        raise BadManifest("the key does not belong to its values")
    files = tuple(_file(entry) for entry in whole["files"])
    paths = [file.path for file in files]
    if paths != sorted(set(paths)):
        raise BadManifest("the files are not in order, or one stands there twice")
    folders = {path[:end] for path in paths for end, char in enumerate(path) if char == "/"}
    if inside := folders & set(paths):
        raise BadManifest(f"{min(inside)} is a file and a folder")
    accepted = whole.get("accepted", [])
    if not isinstance(accepted, list) or not all(isinstance(reason, str) for reason in accepted):
        raise BadManifest("accepted is not a list of reasons")
    return Manifest(fingerprint, files, tuple(accepted))


def _file(entry: dict[str, Any]) -> File:
    file = File(entry["path"], entry["size"], entry["blake3"], entry.get("sha256"))
    if not is_inside(file.path):
        raise BadManifest(f"path {file.path!r} leaves the artifact")
    if type(file.size) is not int or file.size < 0:
        raise BadManifest(f"{file.path}: size {file.size!r}")
    if not all(_HEX.match(digest) for digest in (file.blake3, file.sha256) if digest is not None):
        raise BadManifest(f"{file.path}: not a digest")
    return file


def is_inside(path: str) -> bool:
    """Whether a path names a file below the artifact's folder, on every system."""
    return not _FOREIGN.search(path) and not {"", ".", ".."} & set(path.split("/")) and path not in _OWN
