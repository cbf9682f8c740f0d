"""Writes docs/pictures, which the READMEs show: a report's first screen and its graph, as Chromium draws them.

python tools/pictures.py artifacts/tiny/report/report.html
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from PIL import Image  # noqa: E402 - which matplotlib brings

from tests.serve.browser import Page, page  # noqa: E402

WIDTH = 1000  # of the window, in pixels
SCALE = 0.85  # of the picture
MARGIN = 16
PARTS = {"report": "#top", "graph": "#graph svg"}


def draw(report: Path, pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, page(Path(folder), report.resolve().as_uri(), WIDTH, 900) as opened:
        opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        for name, selector in PARTS.items():
            save(shot(opened, selector), pictures / f"{name}.png")


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
    draw(Path(sys.argv[1]), ROOT / "docs" / "pictures")
