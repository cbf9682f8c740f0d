"""The door to OpenSSF Model Signing: a whole folder is signed, with a key that lies here or with an identity."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from so8t.errors import MissingExtra, UserError
from so8t.release.verifier import SIGNATURE
from so8t.store import keys

PASSWORD = "SO8T_RELEASE_PASSWORD"  # of an encrypted key
TOKEN = "SIGSTORE_ID_TOKEN"  # of an identity; without it the machine's own, or a browser is opened


def with_key(folder: Path, key: Path) -> None:
    """Offline, with an elliptic curve's private key in PEM; its password comes from the environment."""
    if not key.is_file():
        raise UserError(f"release: {key}: there is no such key; doit release --new-key {key} makes one")
    password = os.environ.get(PASSWORD)
    config = _config()
    try:
        config.use_elliptic_key_signer(private_key=key, password=password.encode() if password else None)
    except (ValueError, TypeError) as error:
        what = f"a key that {PASSWORD} opens" if password else f"a key, or {PASSWORD} is needed"
        raise UserError(f"release: {key} is not {what}: {error}") from error
    _sign(config, folder)


def keyless(folder: Path) -> None:
    """With an identity, through Sigstore's public service; this needs the network."""
    config = _config()
    config.use_sigstore_signer(use_ambient_credentials=True, identity_token=os.environ.get(TOKEN))
    _sign(config, folder)


def _sign(config: Any, folder: Path) -> None:
    (folder / SIGNATURE).unlink(missing_ok=True)  # it signs all files, and not the one before it
    config.sign(folder, folder / SIGNATURE)


def _config() -> Any:
    try:
        from model_signing import signing
    except ImportError:
        raise MissingExtra("model-signing with pyOpenSSL", "release", "a signature") from None
    return signing.Config()


def new_key(path: Path) -> Path:
    """A private key for its owner alone, and the public one beside it, whose path is given."""
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise MissingExtra("cryptography", "release", "a key") from None
    password = os.environ.get(PASSWORD)
    closed = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, closed)
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    try:
        return keys.write(path, private, public)
    except UserError as error:
        raise UserError(f"release: {error}") from None
