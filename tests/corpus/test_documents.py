"""Documents as sources: plain text, pages of HTML, WARC and dumps of MediaWiki; charsets, cuts, limits and memory."""

import bz2
import gzip
import io
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from so8t.corpus import maintext, opened, wikitext
from so8t.corpus.files import LocalFiles
from so8t.corpus.rows import Defect
from so8t.engine.stage import Source
from so8t.errors import DataError

MAIN = (
    "経費の締め日\n"
    "経費の締め日は毎月二十五日です。領収書を添えて、総務へ出してください。\n"
    "締め日を過ぎたものは、翌月の扱いになります。ご注意ください。"
)
HTML = """<!DOCTYPE html>
<html lang="ja"><head><meta charset="{said}"><title>経費の締め日</title></head><body>
<nav><a href="/">ホーム</a><a href="/company">会社案内</a></nav><main><h1>経費の締め日</h1>
<p>経費の締め日は毎月二十五日です。領収書を添えて、総務へ出してください。</p>
<p>締め日を過ぎたものは、翌月の扱いになります。ご注意ください。</p></main>
<footer>(c) 株式会社見本</footer></body></html>
"""
PAGE = {"text": MAIN, "title": "経費の締め日", "tags": {"title": "経費の締め日"}}


def read(path: Path, data: bytes, max_line: int = 1 << 20, **options: Any) -> tuple[list[Any], dict[str, str]]:
    path.write_bytes(data)
    source = LocalFiles(name="docs", terms="t", trust="low", paths=["x"], **options)
    rows = source.open([Source(path.name, path)], path.parent, max_line)
    found: list[Any] = []
    for row in rows.rows:
        try:
            found.append(row.data and rows.parse(row.data))
        except Defect as defect:
            found.append((row.place, defect.reason, defect.detail))
    return found, dict(rows.read_as)


def refusal(path: Path, data: bytes, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, data, **options)
    return str(error.value)


# ---- plain text ------------------------------------------------------------------------------------------------

POEM = "雨ニモマケズ\n風ニモマケズ\n\n\n雪ニモ夏ノ暑サニモマケヌ\n丈夫ナカラダヲモチ\n"


@pytest.mark.parametrize(
    ("cut", "texts"),
    [
        ("document", [POEM.rstrip("\n")]),
        ("paragraph", ["雨ニモマケズ\n風ニモマケズ", "雪ニモ夏ノ暑サニモマケヌ\n丈夫ナカラダヲモチ"]),
        ("line", ["雨ニモマケズ", "風ニモマケズ", "", "", "雪ニモ夏ノ暑サニモマケヌ", "丈夫ナカラダヲモチ"]),
    ],
)
@pytest.mark.parametrize("name", ["poem.txt", "poem.txt.gz", "poem.md.bz2"])
def test_a_text_is_one_record_or_its_paragraphs_or_its_lines(
    tmp_path: Path, name: str, cut: str, texts: list[str]
) -> None:
    pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress}
    data = pack.get(Path(name).suffix, bytes)(POEM.encode("cp932"))

    found, read_as = read(tmp_path / name, data, cut=cut)

    assert found == [{"text": text} if text else b"" for text in texts]
    record = "file" if cut == "document" else cut
    why = "byte 1 is not UTF-8, and the bytes behind it are most like this"
    assert read_as == {name: f"text in cp932 ({why}), a record for each {record}"}


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ("document", [("a.txt: record 1", "document too long")]),
        ("paragraph", [{"text": "短い"}, ("a.txt: record 2", "document too long"), {"text": "終"}]),
        ("line", [{"text": "短い"}, b"", ("a.txt: record 3", "document too long"), b"", {"text": "終"}]),
    ],
)
def test_what_is_longer_than_max_line_is_put_aside_and_the_rest_is_read(
    tmp_path: Path, cut: str, said: list[Any]
) -> None:
    found, _ = read(tmp_path / "a.txt", f"短い\n\n{'長い' * 50}\n\n終".encode(), max_line=20, cut=cut)

    assert [each[:2] if isinstance(each, tuple) else each for each in found] == said


def test_a_byte_that_the_charset_lacks_puts_its_record_aside(tmp_path: Path) -> None:
    found, _ = read(
        tmp_path / "a.txt", "一行目\n".encode() + b"\x82\xa0\n" + "三行目".encode(), cut="line", encoding="utf-8"
    )

    assert found[1] == ("a.txt: record 2", "wrong charset", "byte 0x82 has no meaning in utf-8")
    assert [found[0], found[2]] == [{"text": "一行目"}, {"text": "三行目"}]


def test_jsonl_under_the_name_of_a_text_is_jsonl(tmp_path: Path) -> None:
    found, read_as = read(tmp_path / "a.txt", '{"text": "一"}\n{"text": "二"}\n'.encode())

    assert found == [{"text": "一"}, {"text": "二"}]
    assert read_as == {"a.txt": "jsonl: its first line is one object"}


# ---- pages of HTML ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "written", "why"),
    [
        ("utf-8", "utf-8", "utf-8 (all of it is UTF-8)"),
        ("Shift_JIS", "cp932", "cp932 (it says Shift_JIS)"),
        ("euc-jp", "euc_jp", "euc_jp (it says euc-jp)"),
        ("iso-2022-jp", "iso2022_jp", "iso2022_jp (it holds the escape sequences of JIS)"),
        ("utf-8", "utf-16", "utf-16 (it begins with a byte order mark)"),
        ("utf-8", "utf-16-le", "utf-16-le (it holds zero bytes and no byte order mark)"),
        ("Shift_JIS", "utf-8", "utf-8 (all of it is UTF-8, though it says Shift_JIS)"),
        ("utf-8", "cp932", "cp932 (kana can be read in it, though it says utf-8)"),
        ("Shift_JIS", "euc_jp", "euc_jp (kana can be read in it, though it says Shift_JIS)"),
        ("iso-8859-1", "cp932", "cp932 (kana can be read in it, though it says iso-8859-1)"),
        ("no-such-charset", "euc_jp", "euc_jp (kana can be read in it, though it says no-such-charset)"),
    ],
)
def test_the_bytes_of_a_page_overrule_what_it_says_of_its_charset(
    tmp_path: Path, said: str, written: str, why: str
) -> None:
    found, read_as = read(tmp_path / "a.html", HTML.format(said=said).encode(written))

    assert found == [PAGE]
    assert read_as == {"a.html": f"the main text of a page in {why}"}


def test_a_page_is_known_by_its_first_bytes_too_and_one_without_text_is_blank(tmp_path: Path) -> None:
    found, read_as = read(tmp_path / "page", HTML.format(said="utf-8").encode(), cut="line")
    assert [each["text"] for each in found] == MAIN.split("\n")
    assert read_as["page"].startswith("html: it begins as a page of HTML does; the main text of a page in utf-8")

    found, read_as = read(tmp_path / "b.htm", b"<html><body></body></html>")
    assert found == [b""]
    assert read_as == {"b.htm": "the main text of a page in utf-8 (all of it is UTF-8); it has none"}


def test_what_a_header_says_counts_before_what_the_page_says() -> None:
    body = "<p>経理部部長会議</p>".encode("cp932")

    assert maintext.charset_of(body, "text/html; charset=Shift_JIS") == maintext.Charset("cp932", "it says Shift_JIS")


# ---- WARC ------------------------------------------------------------------------------------------------------


def warc(*pages: tuple[str, str, str, bytes], packed: bool = True) -> bytes:
    out = io.BytesIO()
    writer = WARCWriter(out, gzip=packed)
    writer.write_record(writer.create_warcinfo_record("a.warc", {"software": "a test"}))
    for number, (status, kind, encoding, body) in enumerate(pages):
        headers = [("Content-Type", kind), *([("Content-Encoding", encoding)] if encoding else [])]
        writer.write_record(
            writer.create_warc_record(
                f"https://example.com/{number}",
                "response",
                payload=io.BytesIO(gzip.compress(body) if encoding == "gzip" else body),
                http_headers=StatusAndHeaders(status, headers, protocol="HTTP/1.1"),
                warc_headers_dict={"WARC-Date": "2026-11-28T00:00:00Z"},
            )
        )
    return out.getvalue()


@pytest.mark.parametrize("name", ["a.warc.gz", "a.warc"])
def test_the_pages_of_a_warc_come_with_address_and_time(tmp_path: Path, name: str) -> None:
    page = HTML.format(said="utf-8")
    data = warc(
        ("200 OK", "text/html", "", page.encode()),
        ("200 OK", "text/html; charset=EUC-JP", "gzip", page.encode("euc_jp")),
        ("404 Not Found", "text/html", "", page.encode()),
        ("200 OK", "image/png", "", b"\x89PNG"),
        ("200 OK", "text/plain", "", "一行だけ".encode()),
        packed=name.endswith(".gz"),
    )
    (tmp_path / name).write_bytes(data)
    source = LocalFiles(name="docs", terms="t", trust="low", paths=["x"])

    rows = source.open([Source(name, tmp_path / name)], tmp_path, 1 << 20)
    found = [(row.number, rows.parse(row.data), rows.origin(row.data)) for row in rows.rows if row.data != b""]

    at = {"fetched": "2026-11-28T00:00:00Z"}
    assert found == [
        (2, PAGE, {"url": "https://example.com/0", **at}),
        (3, PAGE, {"url": "https://example.com/1", **at}),
        (6, {"text": "一行だけ"}, {"url": "https://example.com/4", **at}),
    ]


def test_a_warc_that_was_cut_says_after_how_many_records(tmp_path: Path) -> None:
    data = warc(("200 OK", "text/html", "", HTML.format(said="utf-8").encode()))

    assert refusal(tmp_path / "a.warc.gz", data[:-20]) == (
        "a.warc.gz: record 1: the compressed file ends too early, after 0 whole records; get it again"
    )
    plain = warc(("200 OK", "text/html", "", HTML.format(said="utf-8").encode()), packed=False)
    assert refusal(tmp_path / "a.warc", plain[:-20]) == (
        "a.warc: record 2: the file ends in the middle of it; get it again"
    )
    assert refusal(tmp_path / "b.warc", b"a text\r\n\r\n").startswith("b.warc: record 1: not WARC: ")


# ---- MediaWiki -------------------------------------------------------------------------------------------------

WIKITEXT = """{{基礎情報|名前=東京都|画像=[[ファイル:a.jpg]]}}
[[ファイル:b.jpg|thumb|説明の[[リンク]]文]]
'''東京都'''（{{読み仮名|東京|とうきょう}}、{{lang|en|Tokyo}}）は、[[日本]]の[[首都|みやこ]]<ref>脚注</ref>
である。<!-- 註 -->
{| class="wikitable"
! 年 !! 人口
|-
| 2020 || 14,047,594
|}
== 歴史 ==
=== 空の節 ===
=== 江戸 ===
* [https://example.com/ 江戸]は、一六〇三年に&nbsp;開かれた。
== 脚注 ==
{{Reflist}}
[[Category:東京都|*]]
[[en:Tokyo]]
__NOTOC__"""
PLAIN = """東京都（東京（とうきょう）、Tokyo）は、日本のみやこ
である。

歴史

江戸

江戸は、一六〇三年に\xa0開かれた。"""


def page(title: str, text: str, ns: int = 0, more: str = "") -> str:
    return (
        f"<page><title>{title}</title><ns>{ns}</ns><id>7</id>{more}<revision><id>41</id><text>古い版</text></revision>"
        f"<revision><id>42</id><model>wikitext</model><text>{text}</text></revision></page>"
    )


def dump(*pages: str) -> bytes:
    head = "<siteinfo><sitename>W</sitename><base>https://ja.wikipedia.org/wiki/%E3%83%A1</base></siteinfo>"
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{head}{"".join(pages)}</mediawiki>'.encode()


def test_wikitext_becomes_what_a_reader_reads() -> None:
    assert wikitext.plain(WIKITEXT) == PLAIN


def test_articles_of_a_dump_come_in_their_last_revision_and_other_pages_are_blank(tmp_path: Path) -> None:
    from xml.sax.saxutils import escape

    name = "jawiki.xml.bz2"
    whole = dump(
        page("東京 都", escape(WIKITEXT)),
        page("江戸", "#REDIRECT [[東京 都]]", more='<redirect title="東京 都" />'),
        page("利用者:ある人", "私の頁", ns=2),
        page("大阪", "大阪は&lt;b&gt;西&lt;/b&gt;にある。"),
    )
    (tmp_path / name).write_bytes(bz2.compress(whole))
    source = LocalFiles(name="wiki", terms="CC BY-SA 4.0", trust="medium", paths=["x"])

    rows = source.open([Source(name, tmp_path / name)], tmp_path, 1 << 20)
    found = [row.data and (rows.parse(row.data), rows.origin(row.data)) for row in rows.rows]

    assert found == [
        (
            {"text": PLAIN, "title": "東京 都", "tags": {"title": "東京 都"}},
            {"url": "https://ja.wikipedia.org/wiki/%E6%9D%B1%E4%BA%AC_%E9%83%BD", "revision": "42"},
        ),
        b"",
        b"",
        (
            {"text": "大阪は西にある。", "title": "大阪", "tags": {"title": "大阪"}},
            {"url": "https://ja.wikipedia.org/wiki/%E5%A4%A7%E9%98%AA", "revision": "42"},
        ),
    ]
    assert rows.read_as == {
        name: "articles of MediaWiki without their markup; redirects and pages of other namespaces count as blank"
    }


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dump(page("一", "あ"))[:-20], "a.xml: record 1: the file ends before its dump does; get the dump again"),
        (
            dump(page("一", "あ")).replace(b"</title>", b"</titel>"),
            "a.xml: record 1: not XML: mismatched tag: line 1, column 172; get the dump again",
        ),
        (
            b'<!DOCTYPE mediawiki [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + dump(page("一", "&b;")),
            "a.xml: record 1: it declares a document type, which no dump of MediaWiki does; get the dump again",
        ),
        (b"<feed></feed>", "a.xml: this XML is not a dump of MediaWiki; take what you need of it into JSONL"),
    ],
)
def test_a_dump_that_cannot_be_read_says_where_and_why(tmp_path: Path, data: bytes, message: str) -> None:
    assert refusal(tmp_path / "a.xml", data) == message


# ---- limits and memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_bomb_is_refused_before_it_fills_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setattr(opened, "FREE", 1 << 16)

    said = refusal(tmp_path / f"a.jsonl{suffix}", pack(b"\n" * (1 << 22)))

    assert "bytes unpack to more than 200 times as much, which no data does; " in said
    assert said.endswith("if that is right, unpack it yourself and name the files")


def big_text(size: int) -> Iterator[bytes]:
    letters = random.Random(0)
    for number in range(size >> 10):
        yield f"第{number}段落。{letters.randbytes(500).hex()}\n\n".encode()


def big_dump(size: int) -> Iterator[bytes]:
    yield b"<mediawiki>"
    for part in big_text(size // 2):
        yield b"<page><title>a</title><ns>1</ns><revision><text>" + part + b"</text></revision></page>"
    yield b"<page><title>b</title><ns>0</ns><revision><text>"
    yield from big_text(size // 2)
    yield b"</text></revision></page></mediawiki>"


@pytest.mark.parametrize("size", [12 << 20, pytest.param(256 << 20, marks=pytest.mark.soak)])
@pytest.mark.parametrize(("name", "parts"), [("a.txt.gz", big_text), ("a.xml.gz", big_dump)])
def test_a_large_file_streams_in_bounded_memory(
    tmp_path: Path, name: str, parts: Callable[[int], Iterator[bytes]], size: int
) -> None:
    with gzip.open(tmp_path / name, "wb", 1) as out:
        for part in parts(size):
            out.write(part)
    source = LocalFiles(name="big", terms="t", trust="low", paths=["x"], cut="paragraph")

    tracemalloc.start()
    rows = source.open([Source(name, tmp_path / name)], tmp_path, 1 << 16)
    count = sum(1 for _ in rows.rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert count == (size >> 10 if name == "a.txt.gz" else (size >> 11) + 1)
    assert peak < 10 << 20  # some buffers of 1 MiB
