"""age's format, read and written as https://age-encryption.org/v1 describes it: by none of the code that is tested."""

from __future__ import annotations

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE = 65536
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def key_of(bech32: str) -> bytes:
    """The 32 bytes in age1... or AGE-SECRET-KEY-1..., without a look at its check digits."""
    digits = bech32.lower().rpartition("1")[2][:-6]
    number = int("".join(f"{LETTERS.index(letter):05b}" for letter in digits)[:256], 2)
    return number.to_bytes(32, "big")


def opened(whole: bytes, identity: str) -> bytes:
    """What is in it, for the one whose identity this is."""
    end = whole.index(b"\n--- ") + 5
    header, mac, payload = whole[:end], whole[end : end + 43], whole[end + 44 :]
    file_key = next(key for key in (_unwrapped(stanza, identity) for stanza in _stanzas(header)) if key)
    assert _unpadded(_mac(file_key, header[:-1])) == mac
    return b"".join(_pieces(payload[16:], _derived(file_key, payload[:16], b"payload")))


def closed(plain: bytes, recipient: str) -> bytes:
    file_key, nonce, ephemeral = os.urandom(16), os.urandom(16), X25519PrivateKey.generate()
    share, theirs = ephemeral.public_key().public_bytes_raw(), key_of(recipient)
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(theirs))
    wrap = _derived(secret, share + theirs, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(wrap).encrypt(bytes(12), file_key, None)
    header = b"age-encryption.org/v1\n-> X25519 %b\n%b\n---" % (_unpadded(share), _unpadded(body))
    cipher, sealed = ChaCha20Poly1305(_derived(file_key, nonce, b"payload")), b""
    starts = range(0, max(1, len(plain)), PIECE)
    for number, start in enumerate(starts):
        sealed += cipher.encrypt(_nonce(number, number == len(starts) - 1), plain[start : start + PIECE], None)
    return header + b" " + _unpadded(_mac(file_key, header)) + b"\n" + nonce + sealed


def _stanzas(header: bytes) -> list[list[bytes]]:
    return [stanza.split(b"\n") for stanza in header.split(b"\n-> ")[1:]]


def _unwrapped(stanza: list[bytes], identity: str) -> bytes | None:
    kind, *arguments = stanza[0].split(b" ")
    if kind != b"X25519":
        return None  # grease, which every reader must pass over
    ours, share = X25519PrivateKey.from_private_bytes(key_of(identity)), _padded(arguments[0])
    secret = ours.exchange(X25519PublicKey.from_public_bytes(share))
    salt = share + ours.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    try:
        return ChaCha20Poly1305(_derived(secret, salt, b"age-encryption.org/v1/X25519")).decrypt(
            bytes(12), _padded(stanza[1]), None
        )
    except InvalidTag:
        return None  # somebody else's


def _pieces(sealed: bytes, key: bytes) -> list[bytes]:
    starts = range(0, len(sealed), PIECE + 16)
    return [
        ChaCha20Poly1305(key).decrypt(_nonce(number, number == len(starts) - 1), sealed[at : at + PIECE + 16], None)
        for number, at in enumerate(starts)
    ]


def _nonce(number: int, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _derived(secret: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt, info).derive(secret)


def _mac(file_key: bytes, header: bytes) -> bytes:
    mac = hmac.HMAC(_derived(file_key, b"", b"header"), hashes.SHA256())
    mac.update(header)
    return mac.finalize()


def _unpadded(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _padded(text: bytes) -> bytes:
    return base64.b64decode(text + b"=" * (-len(text) % 4))
