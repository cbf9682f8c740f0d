"""Whose certificates are believed when a site is asked over HTTPS, and what is said of one that is not.

OpenSSL takes the system's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name, as curl and uv do.
"""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

from so8t.errors import DataError, MissingExtra

FILE, FOLDER = "SSL_CERT_FILE", "SSL_CERT_DIR"
_REFUSED = "certificate verify failed"  # OpenSSL's words; the rest of its stack depends on keys
_MISMATCH = "VerificationError"  # of service_identity: the certificate is somebody else's


def prepare() -> None:
    """Refuse a variable that names nothing, for OpenSSL would believe nobody and not say why."""
    for name in (FILE, FOLDER):
        if not os.environ.get(name):
            os.environ.pop(name, None)  # an empty one, too, would make OpenSSL believe nobody
    named = {name: os.environ[name] for name in (FILE, FOLDER) if name in os.environ}
    for name, value in named.items():
        if not (Path(value).is_file() if name == FILE else Path(value).is_dir()):
            raise DataError(f"{name} names {value}, which is not there: correct it, or take the variable away")
    if not named and sys.platform in ("win32", "darwin"):  # there pyOpenSSL finds none of the system's
        try:
            import certifi
        except ImportError as error:
            raise MissingExtra("certifi", "web", "crawl") from error
        os.environ[FILE] = certifi.where()


def refused(error: BaseException) -> str:
    """What is wrong with the certificate; nothing if that is not why a request failed."""
    for each in _causes(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"its certificate is not believed: {each.verify_message}"
        if type(each).__name__ == _MISMATCH:
            return "its certificate is not believed: it is for another host"
        if _REFUSED in str(each):
            return f"its certificate is not believed: it has ended, or nobody signed it whom {FILE} or the system names"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it; what Twisted lists as its reasons, first."""
    if error is not None:
        for reason in getattr(error, "reasons", None) or ():
            yield from _causes(getattr(reason, "value", None))
        yield from _causes(error.__cause__ or error.__context__)
        yield error
