"""Which charset a text from outside is written in: UTF-8 if all of it is; else what the bytes say, Japanese first."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from so8t.corpus.opened import CHUNK, opened

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CANDIDATES = ["cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1252"]
_JAPANESE = ("cp932", "euc_jp")
_KANA = re.compile("[ぁ-ゖァ-ヺ]")
_JIS = b"\x1b$"  # what follows is two bytes a character
_MANY_KANA = 0.1  # a Japanese sentence has more, another language read as Japanese has fewer
_SAMPLE = 1 << 16


@dataclass(frozen=True)
class Charset:
    name: str
    why: str


def find(path: Path) -> Charset:
    """The charset of a text file, by all of its bytes; a file of ASCII alone is UTF-8."""
    with opened(path) as stream:
        head = stream.read(_SAMPLE)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Charset(name, "it begins with a byte order mark")
    if b"\0" in head:
        little = head[1::2].count(0) >= head[::2].count(0)
        return Charset("utf-16-le" if little else "utf-16-be", "it holds zero bytes and no byte order mark")
    return _by_all_of(path)


def _by_all_of(path: Path) -> Charset:
    decoder, read, plain, escapes = codecs.getincrementaldecoder("utf-8")(), 0, True, False
    with opened(path) as stream:
        for chunk, final in _chunks(stream):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final)
            except UnicodeDecodeError as error:
                sample = chunk[max(error.start - pending, 0) :] + stream.read(_SAMPLE)
                bad = read - pending + error.start + 1
                why = f"byte {bad:,} is not UTF-8, and the bytes behind it are most like this"
                return Charset(_guess(sample[:_SAMPLE]), why)
            read += len(chunk)
            plain, escapes = plain and chunk.isascii(), escapes or _JIS in chunk
    if plain and escapes:
        return Charset("iso2022_jp", "it holds the escape sequences of JIS")
    return Charset("utf-8", "all of it is UTF-8")


def _chunks(stream: io.BufferedIOBase) -> Iterator[tuple[bytes, bool]]:
    while chunk := stream.read(CHUNK):
        yield chunk, False
    yield b"", True


def _guess(sample: bytes) -> str:
    """Among charsets that fit: a Japanese one in which kana can be read, then what charset-normalizer prefers."""
    from charset_normalizer import from_bytes

    fitting = [match.encoding for match in from_bytes(sample, cp_isolation=_CANDIDATES)]
    shares = {name: _share_of_kana(sample.decode(name, "ignore")) for name in _JAPANESE if name in fitting}
    best = max(shares, key=lambda name: shares[name], default="")
    if shares.get(best, 0) >= _MANY_KANA:
        return best
    return fitting[0] if fitting else "cp932"


def _share_of_kana(text: str) -> float:
    """Of what is not ASCII."""
    return len(_KANA.findall(text)) / max(1, sum(not each.isascii() for each in text))
