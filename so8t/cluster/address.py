"""Where a cluster may be: on this machine or in a private network, for whoever reaches its head runs what they like."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from so8t.errors import StageError

PORT = 8265  # of Ray's dashboard, which takes the jobs
FORM = r"(?:(https?)://)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?/?"

Resolve = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Place:
    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def place(text: str) -> Place:
    """`10.0.0.5`, `head:8265` or `http://[fd00::1]:8265/`."""
    found = re.fullmatch(FORM, text)
    if not found:
        raise StageError(f"cluster.address: must be the address of Ray's dashboard, such as 10.0.0.5:8265 (got {text})")
    scheme, host, port = found.groups()
    return Place(scheme or "http", host.strip("[]"), int(port or PORT))


def resolve(host: str) -> list[str]:
    """The addresses behind a name."""
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        raise StageError(f"cluster.address: {host} cannot be found: {error.strerror or error}") from error


def checked(text: str, resolve: Resolve = resolve) -> Place:
    """The place, by the number that was looked at, so that a name cannot lead elsewhere later.

    Under https the name stays, for the certificate is the name's.
    """
    named = place(text)
    numbers = resolve(named.host)
    public = [number for number in numbers if not is_private(number)]
    if public or not numbers:
        at = ", ".join(public) or "nowhere"
        raise StageError(
            f"cluster.address: {named.host} is at {at}, which is not a private address: whoever reaches a Ray head can "
            "run anything on it, so it is used on this machine and in private networks alone; reach it through a VPN, "
            f"or through a tunnel (ssh -N -L {named.port}:localhost:{named.port} {named.host}) and name localhost"
        )
    return named if named.scheme == "https" else Place(named.scheme, numbers[0], named.port)


def is_private(number: str) -> bool:
    address = ipaddress.ip_address(number.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        return is_private(str(mapped))
    if address.is_loopback:
        return True
    return address.is_private and not (address.is_unspecified or address.is_multicast or address.is_reserved)
