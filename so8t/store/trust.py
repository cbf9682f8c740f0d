"""Who made an entry of a mirror: Ed25519 signatures over its bytes, by keys that a profile trusts."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, UserError
from so8t.store import keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

VARIABLE = "SO8T_STORE_KEY"
FORM = r"ed25519:[A-Za-z0-9+/]{43}="


class Distrust(Exception):
    """An entry that nobody trusted has signed, or that was changed behind a signature."""


@dataclass(frozen=True)
class Trust:
    """Whose results are taken, and with which key this machine signs what it offers."""

    keys: tuple[str, ...] | None = None  # public keys in one line each; None takes what anybody wrote
    private: Path | None = None

    @property
    def offers(self) -> bool:
        """Whether this machine's results would be taken by others: else it only reads."""
        return self.keys is None or self._pem() is not None

    def sign(self, data: bytes) -> tuple[str, bytes] | None:
        """The name of the key's file of signatures, behind the entry's, and a line for it; None without a key."""
        pem = self._pem()
        if pem is None:
            return None
        key = _private(pem, str(self.private or VARIABLE))
        return _file(public(key)), base64.b64encode(key.sign(data)) + b"\n"

    def check(self, data: bytes, signature: Callable[[str], bytes | None]) -> None:
        """One good signature of a trusted key is enough; `signature` reads a file behind the entry's name.

        A line each for all that a key ever signed under this name: of two who race, both may have signed.
        """
        if self.keys is None:
            return
        found = {key: held for key in self.keys if (held := signature(_file(key))) is not None}
        if any(_fits(key, data, line) for key, held in found.items() for line in held.splitlines()):
            return
        if found:
            raise Distrust(f"was changed after {next(iter(found))} signed it")
        raise Distrust("is signed by no key of store.trusted")

    def _pem(self) -> bytes | None:
        if held := os.environ.get(VARIABLE):
            return held.encode()
        if self.private is None:
            return None
        try:
            return self.private.read_bytes()
        except FileNotFoundError:
            where = f"store.key: {self.private}: there is no such file"
            raise UserError(f"{where}; doit mirror --new-key {self.private} makes one") from None


def public(key: Ed25519PrivateKey) -> str:
    """In one line, as store.trusted has it."""
    return f"ed25519:{base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


def new_key(path: Path) -> str:
    """A private key for its owner alone; the public one, which lies beside it, is given."""
    serialization = _cryptography("hazmat.primitives.serialization")
    made = _cryptography("hazmat.primitives.asymmetric.ed25519").Ed25519PrivateKey.generate()
    plain = serialization.NoEncryption()
    pem = made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    line = public(made)
    keys.write(path, pem, f"{line}\n".encode())
    return line


def _private(pem: bytes, where: str) -> Any:
    serialization = _cryptography("hazmat.primitives.serialization")
    ed25519 = _cryptography("hazmat.primitives.asymmetric.ed25519")
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise UserError(f"{where}: not an Ed25519 private key in PEM; doit mirror --new-key FILE makes one")
    return key


def _fits(key: str, data: bytes, signature: bytes) -> bool:
    ed25519 = _cryptography("hazmat.primitives.asymmetric.ed25519")
    invalid = _cryptography("exceptions").InvalidSignature
    known = ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("ed25519:")))
    try:
        known.verify(base64.b64decode(signature, validate=False), data)
    except (invalid, ValueError):
        return False
    return True


def _file(key: str) -> str:
    """A name for a key that every file system takes."""
    return f"{base64.b64decode(key.removeprefix('ed25519:')).hex()}.sig"


def _cryptography(part: str) -> Any:
    from importlib import import_module

    try:
        return import_module(f"cryptography.{part}")
    except ImportError:
        raise MissingExtra("cryptography", "cluster", "signed entries of a mirror") from None
