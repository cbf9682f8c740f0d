"""Blobs of a mirror that only named machines can read: age's format, written and read by Rust's age through pyrage.

Names and manifests stay readable: who reads the mirror sees digests, sizes and names of files, and no content.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from so8t.errors import MissingExtra, UserError
from so8t.store import keys

VARIABLE = "SO8T_STORE_IDENTITY"
FORM = r"age1[02-9ac-hj-np-z]{58}"
HEAD = 1 << 16  # bytes in which a header ends, but for many hundred recipients
_PIECE, _TAG, _NONCE = 1 << 16, 16, 16


class Closed(Exception):
    """A file that cannot be read here: why, and what to do, without its name."""


@dataclass(frozen=True)
class Encryption:
    """Who can read what this machine uploads, and with what it reads itself."""

    recipients: tuple[str, ...]
    identity: Path | None = None

    def check(self) -> None:
        """UserError if files could not be encrypted, or could not be read back on this machine."""
        self._recipients()
        held = [str(one.to_public()) for one in self.identities()] if self._secret() else []
        if held and not set(held) & set(self.recipients):
            raise UserError(
                f"{self.where}: this machine could not read what it uploads: add its {held[0]} to "
                "store.encrypt.recipients"
            )

    def identities(self) -> list[Any]:
        """What opens files here; Closed if there is none."""
        secret = self._secret()
        if secret is None:
            raise Closed(
                "is encrypted, and this machine has no identity: name its file in store.encrypt.identity "
                f"(doit mirror --new-identity FILE makes one), or set {VARIABLE}"
            )
        lines = [line.strip() for line in secret.splitlines()]
        try:
            found = [_pyrage().x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
        except _pyrage().IdentityError:
            found = []
        if not found:
            raise UserError(
                f"{self.where}: not an age identity, a line AGE-SECRET-KEY-1...; doit mirror --new-identity FILE makes "
                "one"
            )
        return found

    def encrypt(self, source: Path, target: Path, told: Callable[[int], None]) -> None:
        """`told` is called between two pieces, and may raise to end it."""
        with source.open("rb") as plain, target.open("wb") as closed:
            reader = _Reader(plain, told)
            try:
                _pyrage().encrypt_io(reader, closed, self._recipients())
            except (_pyrage().EncryptError, OSError):
                reader.raise_again()
                raise

    def decrypt(self, source: Path, target: Path, identities: list[Any], told: Callable[[int], None]) -> None:
        """Closed if no identity opens it, or if it was changed."""
        with source.open("rb") as closed, target.open("wb") as plain:
            reader = _Reader(closed, told)
            try:
                _pyrage().decrypt_io(reader, plain, identities)
            except (_pyrage().DecryptError, OSError) as error:
                reader.raise_again()
                if isinstance(error, OSError) and error.errno:  # the disk's, not age's
                    raise
                raise Closed(self._unread(error, identities)) from error

    def _unread(self, error: Exception, identities: list[Any]) -> str:
        if str(error) != "No matching keys found":
            return f"is damaged: {error}; remove it there, and who has it uploads it again"
        return (
            f"is encrypted for others: {self.where} does not open it; who uploaded it must add "
            f"{identities[0].to_public()} to store.encrypt.recipients, remove the file there and upload it again"
        )

    @property
    def where(self) -> str:
        """Where the identity comes from."""
        return VARIABLE if os.environ.get(VARIABLE) else f"store.encrypt.identity: {self.identity}"

    def _recipients(self) -> list[Any]:
        found = []
        for recipient in self.recipients:
            try:
                found.append(_pyrage().x25519.Recipient.from_str(recipient))
            except _pyrage().RecipientError as error:
                raise UserError(
                    f"store.encrypt.recipients: {recipient} has a mistake in it ({error}): copy it again"
                ) from None
        return found

    def _secret(self) -> str | None:
        if held := os.environ.get(VARIABLE):
            return held
        if self.identity is None:
            return None
        try:
            return self.identity.read_text("utf-8")
        except FileNotFoundError:
            raise UserError(
                f"{self.where}: there is no such file; doit mirror --new-identity {self.identity} makes one"
            ) from None


class _Reader:
    """A file that age reads, and the error behind the one that age makes of it."""

    def __init__(self, file: BinaryIO, told: Callable[[int], None]) -> None:
        self._file, self._told = file, told
        self._error: BaseException | None = None

    def read(self, count: int = -1) -> bytes:
        try:
            self._told(0)
            return self._file.read(count)
        except BaseException as error:
            self._error = error
            raise

    def raise_again(self) -> None:
        if self._error is not None:
            raise self._error


def length(head: bytes, size: int) -> int | None:
    """How long the whole file is that begins so and holds so many bytes; None where no header ends."""
    header = re.match(rb"age-encryption\.org/v1\n.*?\n--- [A-Za-z0-9+/]{43}\n", head, re.DOTALL)
    pieces = max(1, -(-size // _PIECE))
    return header.end() + _NONCE + size + pieces * _TAG if header else None


def new_identity(path: Path) -> str:
    """What opens files, for its owner alone, as age-keygen writes it; the recipient, which lies beside it, is given."""
    made = _pyrage().x25519.Identity.generate()
    public = str(made.to_public())
    keys.write(path, f"# public key: {public}\n{made}\n".encode(), f"{public}\n".encode())
    return public


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError:
        raise MissingExtra("pyrage", "age", "store.encrypt") from None
    return pyrage
