"""PDF as a source: Japanese in both directions, pages by number, and what cannot be read."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus.files import LocalFiles
from so8t.corpus.pdffile import joined
from so8t.corpus.rows import Defect
from so8t.engine.stage import Source
from so8t.errors import DataError

LINES = [
    "経費の規程",
    "経費の締め日は、毎月二十五日です。領収書（一万円以上",
    "のもの）を添えて、総務部へ出してください。",
]
TEXT = "経費の規程\n経費の締め日は、毎月二十五日です。領収書（一万円以上のもの）を添えて、総務部へ出してください。"


def pdf(*pages: list[str], vertical: bool = False, title: str = "") -> bytes:
    """A PDF whose font is Japan's own, which every reader knows: letters are written as UTF-16."""
    direction = "V" if vertical else "H"
    kids = " ".join(f"{6 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>",
        f"<</Type/Font/Subtype/Type0/BaseFont/HeiseiMin-W3/Encoding/UniJIS-UTF16-{direction}/DescendantFonts[4 0 R]>>",
        "<</Type/Font/Subtype/CIDFontType0/BaseFont/HeiseiMin-W3/DW 1000"
        "/CIDSystemInfo<</Registry(Adobe)/Ordering(Japan1)/Supplement 6>>>>",
        f"<</Title<FEFF{title.encode('utf-16-be').hex()}>>>",
    ]
    for number, lines in enumerate(pages):
        at = [(560 - 24 * each, 780) if vertical else (60, 780 - 24 * each) for each in range(len(lines))]
        shown = "".join(
            f"1 0 0 1 {x} {y} Tm <{line.encode('utf-16-be').hex()}> Tj\n"
            for (x, y), line in zip(at, lines, strict=True)
        )
        drawn = f"BT /F 14 Tf\n{shown}ET" if lines != ["a picture"] else "0 0 100 100 re f"
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F 3 0 R>>>>"
            f"/Contents {7 + 2 * number} 0 R>>"
        )
        objects.append(f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream")
    body, offsets = "%PDF-1.5\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    count = len(objects) + 1
    body += f"xref\n0 {count}\n0000000000 65535 f \n{table}"
    start = body.index("xref\n0 ")
    return f"{body}trailer<</Size {count}/Root 1 0 R/Info 5 0 R>>\nstartxref\n{start}\n%%EOF\n".encode("ascii")


def read(path: Path, data: bytes) -> tuple[list[Any], dict[str, str]]:
    path.write_bytes(data)
    source = LocalFiles(name="docs", terms="t", trust="low", paths=["x"])
    rows = source.open([Source(path.name, path)], path.parent, 1 << 20)
    found: list[Any] = []
    for row in rows.rows:
        try:
            found.append(row.data and rows.parse(row.data))
        except Defect as defect:
            found.append((row.place, defect.reason, defect.detail))
    return found, dict(rows.read_as)


@pytest.mark.parametrize("vertical", [False, True])
def test_japanese_is_read_in_both_directions_page_by_page(tmp_path: Path, vertical: bool) -> None:
    data = pdf(LINES, [], ["二頁目"], ["a picture"], vertical=vertical, title="規程集")

    found, read_as = read(tmp_path / "a.pdf", data)

    title = {"title": "規程集", "tags": {"title": "規程集"}}
    assert found == [
        {"text": TEXT, **title},
        b"",
        {"text": "二頁目", **title},
        ("a.pdf: record 4", "no text", "no text: the page is a picture; read it by OCR first"),
    ]
    assert read_as == {"a.pdf": "the text of its pages, one a record"}


def test_a_broken_pdf_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(tmp_path / "a.pdf", b"%PDF-1.7\nbroken")

    assert str(error.value) == (
        "a.pdf: cannot read: Failed to load document (PDFium: Data format error).; "
        "open it in a viewer, and save it without a password"
    )


def test_only_lines_that_the_page_broke_are_joined() -> None:
    assert joined("見出し\n一行目はとても長くて\n次へ続く\n\n- item number one goes\non here") == (
        "見出し\n一行目はとても長くて\n次へ続く\n\n- item number one goes on here"
    )
    assert joined("一行目はとても長くて\n次へ続く。") == "一行目はとても長くて次へ続く。"


@pytest.mark.soak
@pytest.mark.parametrize("mode", ["horizontal-tb", "vertical-rl"])
def test_a_pdf_of_a_browser_with_its_font_inside_is_read(tmp_path: Path, mode: str) -> None:
    if (browser := shutil.which("chromium")) is None:
        pytest.fail("chromium is missing, which prints the PDF of this test: .ci/browser installs it")
    words = "経費の締め日は、毎月二十五日です。領収書（一万円以上のもの）を添えて、総務部へ出してください。" * 2
    style = f'writing-mode:{mode};font-family:"Noto Serif CJK JP"'
    page = f"<html lang=ja style='{style}'><meta charset=utf-8><title>規程</title><h1>規程</h1><p>{words}</p></html>"
    (tmp_path / "a.html").write_text(page, "utf-8")
    printed = ["--headless", "--no-sandbox", "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'a.pdf'}"]
    subprocess.run([browser, *printed, (tmp_path / "a.html").as_uri()], check=True, capture_output=True, timeout=60)

    found, _ = read(tmp_path / "b.pdf", (tmp_path / "a.pdf").read_bytes())

    assert [each["text"].replace("\n", "") for each in found] == [f"規程{words}"]
