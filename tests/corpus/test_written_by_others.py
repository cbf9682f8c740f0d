"""Files that other programs wrote: wget 1.21, Info-ZIP 3.0, GNU tar 1.34; and forms of Excel and MediaWiki."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus.files import LocalFiles
from so8t.engine.stage import Source

SAID = "締め日は二十五日です。"


def read(path: Path) -> list[tuple[str, Any, Any]]:
    """(file, value, origin) of each row that is not blank."""
    rows = LocalFiles(name="a", terms="t", trust="low", paths=["a"]).open(
        [Source(path.name, path)], path.parent / "room", 1 << 20
    )
    return [(row.file, rows.parse(row.data), rows.origin(row.data)) for row in rows.rows if row.data != b""]


def kept(root: Path, folder: Path, name: str) -> Path:
    return Path(shutil.copy(root / "tests" / "golden" / "others" / name, folder))


def test_of_wgets_warc_its_pages_are_read_and_not_its_notes(root: Path, tmp_path: Path) -> None:
    (page,) = read(kept(root, tmp_path, "wget.warc.gz"))

    assert page[1]["text"] == "図書館の本を、きれいに並べる仕事です。" * 3
    assert page[2]["url"].startswith("http://127.0.0.1:")  # which wget writes as <http://...>


@pytest.mark.parametrize("name", ["infozip.zip", "cp932.tar"])
def test_japanese_names_without_a_mark_of_their_charset_are_read(root: Path, tmp_path: Path, name: str) -> None:
    assert read(kept(root, tmp_path, name)) == [(f"{name}!/経費の表.txt", {"text": SAID}, {})]


@pytest.mark.parametrize(
    ("first", "charset", "mark"), [("sep=;", "cp932", ";"), ('"sep=,"', "utf-8-sig", ","), ("SEP=\t", "utf-16", "\t")]
)
def test_a_line_in_which_excel_is_told_the_delimiter_is_no_header(
    tmp_path: Path, first: str, charset: str, mark: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{first}\r\n質問{mark}回答\r\n①は？{mark}髙島さん～\r\n".encode(charset))

    assert read(path) == [("a.csv", {"質問": "①は？", "回答": "髙島さん～"}, {})]


def test_the_other_slots_of_a_revision_do_not_take_the_place_of_its_text(tmp_path: Path) -> None:
    slot = "<content><role>data</role><model>json</model><text>{}</text></content>"
    revision = f"<revision><id>4</id><model>wikitext</model><text>{SAID}</text>{slot}</revision>"
    path = tmp_path / "a.xml"
    page = f"<page><title>経費</title><ns>0</ns><id>1</id>{revision}</page>"
    path.write_text(f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/">{page}</mediawiki>', "utf-8")

    assert [value["text"] for _, value, _ in read(path)] == [SAID]
