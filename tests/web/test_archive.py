"""WARC as others read it: what is kept once, what refers to it, and what a later round asks with."""

from __future__ import annotations

from pathlib import Path

from warcio.archiveiterator import ArchiveIterator

from so8t.web.archive import Archive
from so8t.web.asking import Reply

A, B, C = "https://a.example/", "https://a.example/copy", "https://a.example/none"
DAY = "Sat, 28 Nov 2026 00:00:00 GMT"
PAGE = Reply(200, (("Content-Type", "text/html"), ("ETag", '"1"'), ("Last-Modified", DAY)), "<p>本文".encode())


def read(folder: Path) -> list[tuple[str, str, str | None, bytes]]:
    """(type, URL, what a revisit refers to, body) of every record, by warcio."""
    found = []
    for path in sorted(folder.glob("*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, check_digests="raise"):
                told = record.rec_headers
                place = told.get_header("WARC-Target-URI"), told.get_header("WARC-Refers-To-Target-URI")
                found.append((record.rec_type, *place, record.content_stream().read()))
    return found


def test_a_body_is_kept_once_and_others_that_have_it_refer_to_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "own", "2026-11-01")
    for url, reply in ((A, PAGE), (B, PAGE), (C, Reply(None, said="timed out")), (C, Reply(404))):
        archive.keep(url, reply)
    archive.export(tmp_path / "out")

    assert read(tmp_path / "own") == [
        ("response", A, None, "<p>本文".encode()),
        ("revisit", B, A, b""),
        ("metadata", C, None, b'{"said":"timed out"}'),
        ("response", C, None, b""),
    ]
    assert read(tmp_path / "out") == read(tmp_path / "own")
    again = Archive(tmp_path / "own", "2026-11-01")
    assert [kept[0].body for url in (A, B) if (kept := again.replay(url))] == [PAGE.body, PAGE.body]


def test_a_later_round_asks_with_the_validators_of_the_last_one_and_keeps_that_nothing_changed(tmp_path: Path) -> None:
    Archive(tmp_path, "2026-11-01").keep(A, PAGE)
    Archive(tmp_path, "2026-11-08").keep(A, Reply(304, (("ETag", '"2"'),)))
    later = Archive(tmp_path, "2026-11-15")

    assert later.validators(A) == {"If-None-Match": '"2"', "If-Modified-Since": DAY}
    assert later.validators(B) == {}
    reply, entry = later.keep(A, Reply(304))
    assert (reply.body, reply.header("content-type"), entry.status) == (PAGE.body, "text/html", 200)
    later.export(tmp_path / "out")
    assert [row[:3] for row in read(tmp_path / "out")] == [("response", A, None), ("revisit", A, A)]
