"""The READMEs' pictures: small, described in words, and drawn by a script from a report."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from so8t.report import page
from tests.conftest import ROOT
from tests.report.made import facts

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {"docs/pictures/graph.png", "docs/pictures/report.png"}


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_both_readmes_show_both_pictures_and_say_in_words_what_they_show(readme: str) -> None:
    shown = dict(re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (ROOT / readme).read_text("utf-8")))

    assert set(shown.values()) == PICTURES
    assert all(len(words) >= 20 for words in shown)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_is_quick_to_load(name: str) -> None:
    data = (ROOT / name).read_bytes()

    assert data.startswith(PNG) and len(data) < 150_000


@pytest.mark.soak
def test_the_script_draws_them_from_a_report(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page.render(facts()), "utf-8")
    found = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert found is not None and found.loader is not None
    pictures = importlib.util.module_from_spec(found)
    found.loader.exec_module(pictures)

    pictures.draw(tmp_path / "report.html", tmp_path / "made")

    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert set(made) == {"graph.png", "report.png"}
    assert all(data.startswith(PNG) and len(data) < 150_000 for data in made.values())
