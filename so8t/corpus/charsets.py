"""Which charset a text from outside is written in: UTF-8 if all of it is; else what the bytes say, Japanese first."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from so8t.corpus.opened import CHUNK, opened

HELP = "write the encoding of the source, such as cp932 or utf-8"
_UNREADABLE = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of a byte that the charset does not have
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CANDIDATES = ["cp932", "euc_jp", "gb18030", "big5", "cp949", "cp1252"]
_JAPANESE = ("cp932", "euc_jp")
_KANA = re.compile("[ぁ-ゖァ-ヺ]")
_JIS = b"\x1b$"  # what follows is two bytes a character
_ESCAPES = "it holds the escape sequences of JIS"
_MANY_KANA = 0.1  # a Japanese sentence has more, another language read as Japanese has fewer
_SAMPLE = 1 << 16
_MEANT = {  # what a page says -> what is written, as the web reads it
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis", "windows-31j", "ms_kanji"), "cp932"),
    **dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987"), "cp949"),
    **dict.fromkeys(("gb2312", "gbk"), "gb18030"),
    "x-euc-jp": "euc_jp",
}


@dataclass(frozen=True)
class Charset:
    name: str
    why: str


def find(path: Path) -> Charset:
    """The charset of a text file, by all of its bytes; a file of ASCII alone is UTF-8."""
    with opened(path) as stream:
        head = stream.read(_SAMPLE)
    return _wide(head) or _by_all_of(path)


def of_bytes(data: bytes, said: Sequence[str] = ()) -> Charset:
    """The charset of a page whose header or text may name one; the bytes have the last word."""
    if wide := _wide(data[:_SAMPLE]):
        return wide
    named = [_known(each) for each in said]
    if data.isascii():
        jis = _JIS in data and _fits(data, "iso2022_jp")
        return Charset("iso2022_jp", _ESCAPES) if jis else Charset("utf-8", "all of it is UTF-8")
    if _fits(data, "utf-8"):
        return Charset("utf-8", "all of it is UTF-8" + _though(said, named, "utf-8"))
    shares = {name: _share_of_kana(data.decode(name)) for name in _JAPANESE if _fits(data, name)}
    best = max(shares, key=lambda name: shares[name], default="")
    readable = shares.get(best, 0) >= _MANY_KANA
    for name, each in zip(named, said, strict=True):
        if name and _fits(data, name) and not (readable and shares.get(name, 0) < _MANY_KANA):
            return Charset(name, f"it says {each}")
    if readable:
        return Charset(best, "kana can be read in it" + _though(said, named, best))
    found = _guess(data[:_SAMPLE])
    return Charset(found, "its bytes are most like this" + _though(said, named, found))


def _known(name: str) -> str:
    """Python's name of a charset of bytes; none of what no page with ASCII in its tags can be written in."""
    try:
        found = codecs.lookup(_MEANT.get(name.lower(), name)).name
    except LookupError:
        return ""
    return "" if found.startswith(("utf-16", "utf-32", "utf-7")) else found


def _fits(data: bytes, name: str) -> bool:
    try:
        data.decode(name)
    except (UnicodeError, LookupError):
        return False
    return True


def _though(said: Sequence[str], named: Sequence[str], found: str) -> str:
    other = [each for each, name in zip(said, named, strict=True) if name != found]
    return f", though it says {other[0]}" if other else ""


def _wide(head: bytes) -> Charset | None:
    """What a byte order mark or zero bytes say."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Charset(name, "it begins with a byte order mark")
    if b"\0" in head:
        little = head[1::2].count(0) >= head[::2].count(0)
        return Charset("utf-16-le" if little else "utf-16-be", "it holds zero bytes and no byte order mark")
    return None


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
        return Charset("iso2022_jp", _ESCAPES)
    return Charset("utf-8", "all of it is UTF-8")


def _chunks(stream: io.BufferedIOBase) -> Iterator[tuple[bytes, bool]]:
    while chunk := stream.read(CHUNK):
        yield chunk, False
    yield b"", True


def _guess(sample: bytes) -> str:
    """A Japanese charset that fits and in which kana can be read; else what charset-normalizer prefers."""
    shares = {name: _share_of_kana(sample.decode(name, "ignore")) for name in _JAPANESE if _begins_in(sample, name)}
    best = max(shares, key=lambda name: shares[name], default="")
    if shares.get(best, 0) >= _MANY_KANA:
        return best
    from charset_normalizer import from_bytes

    fitting = [match.encoding for match in from_bytes(sample, cp_isolation=_CANDIDATES)]
    return fitting[0] if fitting else "cp932"


def _begins_in(sample: bytes, name: str) -> bool:
    """Whether it fits, its last character cut or not."""
    try:
        codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeError:
        return False
    return True


def _share_of_kana(text: str) -> float:
    """Of what is not ASCII."""
    return len(_KANA.findall(text)) / max(1, sum(not each.isascii() for each in text))


# ---- texts that were read with "surrogateescape" ---------------------------------------------------------------


def unreadable(text: str) -> int | None:
    """The first byte of a text that its charset does not have."""
    wrong = _UNREADABLE.search(text)
    return ord(wrong[0]) - 0xDC00 if wrong else None


def shown(text: str) -> str:
    """The text; bytes that the charset does not have are written as \\x82."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
