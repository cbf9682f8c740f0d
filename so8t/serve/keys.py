"""The keys of the audit log: read from a file or the environment, named by id, the last one in use."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from so8t.errors import UserError

VARIABLE = "SO8T_AUDIT_KEY"
_LINE = re.compile(r"([A-Za-z0-9._-]{1,32})[ \t]+([0-9a-fA-F]{64,})")


@dataclass(frozen=True)
class Keys:
    """Old keys stay for verification; their ids say which records they belong to."""

    by_id: Mapping[str, bytes]
    current: str

    def hash(self, text: str) -> str:
        """HMAC-SHA-256: says whether two texts are the same, and to those without the key nothing else."""
        return self.mac(self.current, text.encode("utf-8", "surrogatepass"))

    def mac(self, key: str, data: bytes) -> str:
        return hmac.new(self.by_id[key], data, hashlib.sha256).hexdigest()


def read(key_file: Path | None, environment: Mapping[str, str]) -> Keys | None:
    """The keys, or None where nothing is given; UserError where something is given that is not a key."""
    if key_file is not None:
        try:
            return parse(key_file.read_text(encoding="utf-8").splitlines(), key_file.name)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"serve.audit.key_file: {key_file.name} cannot be read: {error.__class__.__name__}"
            ) from None
    lines = environment.get(VARIABLE, "").split(",")
    return parse(lines, VARIABLE) if any(line.strip() for line in lines) else None


def parse(lines: list[str], where: str) -> Keys:
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if not found or len(found[2]) % 2:  # the line itself is not shown: it may be a key
            raise UserError(f"{where}:{number}: a key's line is an id, a blank, and 64 or more hex digits")
        if found[1] in keys:
            raise UserError(f"{where}:{number}: a second key with the id {found[1]}")
        keys[found[1]] = bytes.fromhex(found[2])
    if not keys:
        raise UserError(f"{where}: no key in it; `doit audit --new-key` writes one")
    return Keys(keys, list(keys)[-1])


def new(name: str) -> str:
    """A line for the key file."""
    return f"{name} {secrets.token_hex(32)}"


def passing() -> Keys:
    """Keys that nobody keeps, for development."""
    return parse([new(f"passing-{secrets.token_hex(4)}")], "passing")


def needed() -> UserError:
    return UserError(
        f"the audit log needs a key: set {VARIABLE} or serve.audit.key_file (`doit audit --new-key` writes a line for "
        "either), or allow a passing one with serve.development: true"
    )
