"""What came from the web, as WARC: every answer is kept before it is used, a body once under its digest.

A round is one crawl.  Each process that works on it writes a file of its own, so a kill can tear no more than the last
record of one; what is whole is answered from here when the round goes on, and nothing is fetched twice.
Later rounds ask with the validators of earlier ones.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from so8t.errors import MissingExtra
from so8t.web.asking import Reply

_DROPPED = frozenset({"content-encoding", "transfer-encoding", "content-length"})  # a body is kept as it reads
_PROFILE = "http://netpreserve.org/warc/1.1/revisit/"
SEGMENT = 1 << 30  # bytes of a file of the artifact, and a record more


@dataclass(frozen=True)
class Entry:
    """Where an answer lies, and what must be known of it without reading it."""

    url: str
    when: str
    path: Path
    offset: int
    length: int
    kind: str  # response, revisit or metadata
    status: int | None
    digest: str
    etag: str = ""
    modified: str = ""
    unchanged: bool = False  # 304: what it does not say again is as it was before


class Archive:
    """The answers of one round, with those of earlier ones behind it."""

    def __init__(self, folder: Path, round_: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.round = folder, round_
        self._lock = threading.Lock()
        self._bodies: dict[str, Entry] = {}
        self._before: dict[str, Entry] = {}
        self._waiting: dict[str, deque[Entry]] = {}
        self.entries: dict[str, list[Entry]] = {}
        files = sorted(folder.glob("*.warc.gz"))
        for path in files:
            for entry in _entries(path):
                self._know(entry, path.name.partition("_")[0])
        own = [path for path in files if path.name.partition("_")[0] == round_]
        self.resumed = bool(self.entries)
        self._path = folder / f"{round_}_{len(own):05}.warc.gz"

    def _know(self, entry: Entry, round_: str) -> None:
        if entry.unchanged and (before := self._before.get(entry.url)):
            entry = replace(entry, etag=entry.etag or before.etag, modified=entry.modified or before.modified)
        if entry.kind == "response":
            self._bodies.setdefault(entry.digest, entry)
        if round_ == self.round:
            self.entries.setdefault(entry.url, []).append(entry)
            if entry.kind != "metadata":  # no answer came, so it is asked for again
                self._waiting.setdefault(entry.url, deque()).append(entry)
        elif round_ < self.round and entry.digest in self._bodies and entry.status == 200:
            self._before[entry.url] = entry

    def replay(self, url: str) -> tuple[Reply, Entry] | None:
        """The next answer of this round that was not used yet."""
        with self._lock:
            waiting = self._waiting.get(url)
            entry = waiting.popleft() if waiting else None
        return (self._read(entry), entry) if entry else None

    def validators(self, url: str) -> dict[str, str]:
        """The headers that ask for the page only if it changed since an earlier round."""
        if (known := self._before.get(url)) is None:
            return {}
        found = {"If-None-Match": known.etag, "If-Modified-Since": known.modified}
        return {name: value for name, value in found.items() if value}

    def keep(self, url: str, reply: Reply) -> tuple[Reply, Entry]:
        """Write the answer, and give it as it is used: one that changed nothing has the body that it had."""
        when = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = self._before.get(url) if reply.status == 304 else None
        with self._lock:
            packed, entry = self._record(url, when, reply, before)
            with self._path.open("ab") as out:
                entry = replace(entry, path=self._path, offset=out.tell(), length=len(packed))
                out.write(packed)
                out.flush()
                os.fsync(out.fileno())
            self.entries.setdefault(url, []).append(entry)
            if entry.kind == "response":
                self._bodies.setdefault(entry.digest, entry)
        return (self._read(entry) if before else reply), entry

    def _record(self, url: str, when: str, reply: Reply, before: Entry | None) -> tuple[bytes, Entry]:
        if reply.status is None:
            said = orjson.dumps({"said": reply.said})
            return _packed(url, "metadata", when, {}, None, said), Entry(url, when, Path(), 0, 0, "metadata", None, "")
        digest = before.digest if before else f"sha256:{hashlib.sha256(reply.body).hexdigest()}"
        known = self._bodies.get(digest) if before or reply.body else None
        more = {"WARC-Payload-Digest": digest}
        if known is not None:
            profile = "server-not-modified" if before else "identical-payload-digest"
            more |= {"WARC-Refers-To-Target-URI": known.url, "WARC-Refers-To-Date": known.when}
            more["WARC-Profile"] = _PROFILE + profile
        kind = "response" if known is None else "revisit"
        packed = _packed(url, kind, when, more, reply, b"" if known else reply.body)
        status = 200 if before else reply.status
        etag = reply.header("etag") or (before.etag if before else "")
        modified = reply.header("last-modified") or (before.modified if before else "")
        return packed, Entry(url, when, Path(), 0, 0, kind, status, digest, etag, modified)

    def _read(self, entry: Entry) -> Reply:
        record = _record_at(entry)
        if entry.kind == "metadata":
            return Reply(None, said=orjson.loads(record.content_stream().read())["said"])
        headers = tuple(record.http_headers.headers)
        if entry.kind == "response":
            return Reply(entry.status, headers, record.content_stream().read())
        first = _record_at(self._bodies[entry.digest])
        if record.http_headers.get_statuscode() == "304":
            new = {name.lower() for name, _ in headers}
            headers += tuple((name, value) for name, value in first.http_headers.headers if name.lower() not in new)
        return Reply(entry.status, headers, first.content_stream().read())

    def export(self, out: Path) -> dict[str, tuple[str, int]]:
        """Copy what this round saw, by URL, each with the body that it refers to; digest -> where its body is now."""
        out.mkdir(parents=True, exist_ok=True)
        placed: dict[str, tuple[str, int]] = {}
        copied = set[tuple[Path, int]]()
        size, number = 0, 0
        for entry in self._in_order():
            if (entry.path, entry.offset) in copied:
                continue
            copied.add((entry.path, entry.offset))
            packed = _bytes_at(entry)
            number, size = (number + 1, 0) if size >= SEGMENT else (number, size)
            name = f"{number:05}.warc.gz"
            with (out / name).open("ab") as file:
                file.write(packed)
            if entry.kind == "response":
                placed[entry.digest] = (name, size)
            size += len(packed)
        return placed

    def _in_order(self) -> Iterator[Entry]:
        for url in sorted(self.entries):
            for entry in self.entries[url]:
                if entry.kind == "revisit":
                    yield self._bodies[entry.digest]
                yield entry


def _packed(url: str, kind: str, when: str, more: Mapping[str, str], reply: Reply | None, body: bytes) -> bytes:
    """One record as one member of gzip."""
    writer_, headers_ = _warcio()
    out = io.BytesIO()
    writer = writer_(out, gzip=True, warc_version="1.1")
    http = None
    if reply is not None:
        kept = [(name, value) for name, value in reply.headers if name.lower() not in _DROPPED]
        http = headers_(f"{reply.status} ", [*kept, ("Content-Length", str(len(body)))], "HTTP/1.1")
    named = {"WARC-Date": when, **more}
    mime = {"warc_content_type": "application/json"} if kind == "metadata" else {}
    record = writer.create_warc_record(
        url, kind, payload=io.BytesIO(body), length=len(body), http_headers=http, warc_headers_dict=named, **mime
    )
    writer.write_record(record)
    return out.getvalue()


def _warcio() -> tuple[Any, Any]:
    try:
        from warcio.statusandheaders import StatusAndHeaders
        from warcio.warcwriter import WARCWriter
    except ImportError as error:
        raise MissingExtra("warcio", "web", "crawl") from error
    return WARCWriter, StatusAndHeaders


def _entries(path: Path) -> Iterator[Entry]:
    for offset, length, data in _members(path):
        record = _parsed(data)
        headers, http = record.rec_headers, record.http_headers
        status = int(http.get_statuscode()) if http is not None else None
        yield Entry(
            headers.get_header("WARC-Target-URI"),
            headers.get_header("WARC-Date"),
            path,
            offset,
            length,
            record.rec_type,
            200 if status == 304 and record.rec_type == "revisit" else status,
            headers.get_header("WARC-Payload-Digest") or "",
            (http.get_header("ETag") or "") if http else "",
            (http.get_header("Last-Modified") or "") if http else "",
            status == 304,
        )


def _members(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(offset, length, content) of every whole member; a torn one, which a kill left, is the end."""
    with path.open("rb") as file:
        rest, offset = b"", 0
        while True:
            member, data = zlib.decompressobj(31), bytearray()
            while not member.eof:
                if not (chunk := rest or file.read(1 << 16)):
                    return
                try:
                    data += member.decompress(chunk)
                except zlib.error:
                    return
                rest = b""
            rest = member.unused_data
            end = file.tell() - len(rest)
            yield offset, end - offset, bytes(data)
            offset = end


def _bytes_at(entry: Entry) -> bytes:
    with entry.path.open("rb") as file:
        file.seek(entry.offset)
        return file.read(entry.length)


def _record_at(entry: Entry) -> Any:
    return _parsed(zlib.decompress(_bytes_at(entry), 31))


def _parsed(data: bytes) -> Any:
    from warcio.archiveiterator import ArchiveIterator

    return next(iter(ArchiveIterator(io.BytesIO(data))))
