"""Where an Ollama server is, from OLLAMA_HOST as Ollama itself reads it."""

from __future__ import annotations

import ipaddress

DEFAULT = "127.0.0.1"
PORT = "11434"


def url(written: str) -> str:
    """`http://host:port`; an address that only a server can bind to becomes this machine's own."""
    text = written.strip().strip("\"'").strip()
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest = "http", text
    port = {"http": "80", "https": "443"}.get(scheme, PORT) if found else PORT
    if text == "ollama.com":
        scheme, port = "https", "443"
    place, _, path = rest.partition("/")
    host, given = _parted(place)
    if given.isascii() and given.isdigit() and int(given) <= 65535:
        port = given
    return f"{scheme}://{_reachable(host)}:{port}" + (f"/{path.rstrip('/')}" if path.rstrip("/") else "")


def _parted(place: str) -> tuple[str, str]:
    """Host and port; an IPv6 address has a port only behind brackets."""
    if place.startswith("["):
        host, _, after = place[1:].partition("]")
        return host, after.removeprefix(":")
    if place.count(":") == 1:
        host, _, port = place.partition(":")
        return host, port
    return place, ""


def _reachable(host: str) -> str:
    if not host:
        return DEFAULT
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return DEFAULT if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
