"""Writes docs/pictures, which the READMEs show, as Chromium draws them: a report's first screen and its graph; a run.

python tools/pictures.py artifacts/tiny/report/report.html
python tools/pictures.py docs/pictures/terminal.txt

The second is what a terminal of 80 columns got, byte for byte, up to a moment of a run: `script -q -c doit` keeps it.
"""

from __future__ import annotations

import base64
import html
import io
import sys
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pyte  # noqa: E402
from PIL import Image  # noqa: E402 - which matplotlib brings
from pyte.screens import Char  # noqa: E402

from tests.serve.browser import Page, page  # noqa: E402

WIDTH = 1000  # of the window, in pixels
SCALE = 0.85  # of the picture
MARGIN = 16
PARTS = {"report": "#top", "graph": "#graph svg"}
COLUMNS, LINES = 80, 200  # of the terminal; more lines than any run prints
COLOURS = {"red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "blue": "#79c0ff", "cyan": "#76e3ea"}
LOOK = """
body { margin: 0; background: #ffffff }
pre { display: inline-block; margin: 16px; padding: 16px 20px; border-radius: 8px; background: #161b22; color: #e6edf3;
      font: 15px/1.45 "DejaVu Sans Mono", "Noto Sans Mono CJK JP", monospace; width: 80ch }
"""


def draw(report: Path, pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, page(Path(folder), report.resolve().as_uri(), WIDTH, 900) as opened:
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        for name, selector in PARTS.items():
            save(shot(opened, selector), pictures / f"{name}.png")


def draw_run(told: bytes, pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "terminal.html"
        source.write_text(terminal(told), "utf-8")
        with page(Path(folder), source.as_uri(), WIDTH, 900) as opened:
            save(shot(opened, "pre"), pictures / "terminal.png")


def terminal(told: bytes) -> str:
    """What stands on the terminal in the end, as a page."""
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(told)
    rows = ["".join(_pieces(screen.buffer[number], screen.columns)) for number in range(LINES)]
    text = "\n".join(row.rstrip() for row in rows).strip("\n")
    return f'<!doctype html><meta charset="utf-8"><style>{LOOK}</style><pre>{text}</pre>\n'


def _pieces(row: dict[int, Char], columns: int) -> Iterator[str]:
    """Text of one look each; the second cell of a wide letter is empty."""
    cells = [row[column] for column in range(columns)]
    last = max((number for number, cell in enumerate(cells) if cell.data.strip()), default=-1)
    for (colour, bold), some in groupby(cells[: last + 1], key=lambda cell: (cell.fg, cell.bold)):
        text = html.escape("".join(cell.data for cell in some))
        looks = [f"color:{COLOURS[colour]}"] if colour in COLOURS else []
        looks += ["font-weight:bold"] if bold else []
        yield f'<span style="{";".join(looks)}">{text}</span>' if looks else text


def shot(opened: Page, selector: str) -> bytes:
    x, y, width, height = opened.value(
        f"(() => {{ const at = document.querySelector({selector!r}).getBoundingClientRect();"
        " return [at.x + scrollX, at.y + scrollY, at.width, at.height] })()"
    )
    clip = {
        "x": x - MARGIN,
        "y": y - MARGIN,
        "width": width + 2 * MARGIN,
        "height": height + 2 * MARGIN,
        "scale": SCALE,
    }
    return base64.b64decode(
        opened.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
    )


def save(png: bytes, path: Path) -> None:
    """With a palette, which is a third of the size and looks the same."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    given, made = Path(sys.argv[1]), ROOT / "docs" / "pictures"
    if given.suffix == ".html":
        draw(given, made)
    else:
        draw_run(given.read_bytes(), made)
