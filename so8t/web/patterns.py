"""Path patterns of robots.txt and its relatives: `*`, `$`, and one spelling for what percent-encoding makes equal."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PLAIN = frozenset((_UNRESERVED + ":@!'(),").encode())  # the same octet, escaped or not: RFC 9309, 2.2.2
_KEPT = _PLAIN | frozenset(b"/?#[]$&*+;=%")  # separators: escaped, they are something else
_OCTET = re.compile(rb"%([0-9A-Fa-f]{2})|[^" + re.escape(bytes(sorted(_KEPT))) + rb"]")
_ORIGIN = re.compile(rb"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def _spelled(octet: re.Match[bytes]) -> bytes:
    value = int(octet[1], 16) if octet[1] else octet[0][0]
    return bytes([value]) if value in _PLAIN else b"%%%02X" % value


def canonical(raw: bytes) -> str:
    """One spelling: letters never escaped, everything outside a URL always, hexadecimal digits upper case."""
    return _OCTET.sub(_spelled, raw).decode("ascii")


def spellings(target: str) -> tuple[str, ...]:
    """The path and query of a URL as a pattern may mean it: `*` and `$` are letters, `/` in a query may be escaped."""
    whole = canonical(target.partition("#")[0].encode("utf-8", "surrogatepass"))
    path, mark, query = whole.replace("*", "%2A").replace("$", "%24").partition("?")
    start = path if path.startswith("/") else "/" + path
    queries = (query, query.replace("/", "%2F"), query.replace("%2F", "/"))
    return tuple(dict.fromkeys(start + mark + query for query in queries))


@dataclass(frozen=True)
class Pattern:
    """A pattern in its one spelling: it matches from the start of a path, `$` at its end means the path's end."""

    text: str

    @classmethod
    def read(cls, raw: bytes) -> Pattern:
        return cls(canonical(raw))

    @classmethod
    def guessed(cls, raw: bytes) -> Pattern:
        """Of somebody who forbids `private/` or a whole URL: the path that was meant."""
        path = _ORIGIN.sub(b"", raw) or b"/"
        return cls.read(path if path[:1] in (b"/", b"*") else b"/" + path)

    @property
    def octets(self) -> int:
        """How specific it is: of two that match, the longer decides."""
        return len(self.text)

    def matches(self, spelling: str) -> bool:
        """Whether one of a URL's `spellings` fits; linear in its length for each `*`."""
        ends = self.text.endswith("$")
        head, *rest = self.text.removesuffix("$").replace("$", "%24").split("*")
        if not spelling.startswith(head):
            return False
        if not rest:
            return not ends or spelling == head
        *middle, last = rest
        at = len(head)
        for part in middle:
            if (found := spelling.find(part, at)) < 0:
                return False
            at = found + len(part)
        if ends:
            return len(spelling) - len(last) >= at and spelling.endswith(last)
        return spelling.find(last, at) >= 0
