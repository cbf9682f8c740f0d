"""The READMEs' pictures: small, described in words, and drawn by a script from a report."""

from __future__ import annotations

import html
import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from so8t.report import page
from tests.conftest import ROOT
from tests.report.made import facts

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = {"docs/pictures/graph.png", "docs/pictures/report.png", "docs/pictures/terminal.png"}
RUN = ROOT / "docs" / "pictures" / "terminal.txt"


@pytest.mark.parametrize("readme", ["README.md", "README.ja.md"])
def test_both_readmes_show_every_picture_and_say_in_words_what_they_show(readme: str) -> None:
    shown = dict(re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", (ROOT / readme).read_text("utf-8")))

    assert set(shown.values()) == PICTURES
    assert all(len(words) >= 20 for words in shown)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_a_picture_is_quick_to_load(name: str) -> None:
    data = (ROOT / name).read_bytes()

    assert data.startswith(PNG) and len(data) < 150_000


@pytest.fixture(scope="module")
def pictures() -> Any:
    found = importlib.util.spec_from_file_location("pictures", ROOT / "tools" / "pictures.py")
    assert found is not None and found.loader is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    return made


def test_a_terminal_is_drawn_as_it_stood_in_the_end(pictures: Any) -> None:
    told = "raw  [\x1b[32m####\x1b[0m]\r\x1b[K\x1b[1mraw\x1b[0m built: 判定 <2>\r\nend\r\n".encode()

    assert pictures.terminal(told).partition("<pre>")[2] == (
        '<span style="font-weight:bold">raw</span> built: 判定 &lt;2&gt;\nend</pre>\n'
    )


def test_the_run_that_the_readmes_show_is_a_real_one_and_fits_eighty_columns(pictures: Any) -> None:
    shown = re.sub(r"<[^>]+>", "", pictures.terminal(RUN.read_bytes()).partition("<pre>")[2])
    lines = html.unescape(shown).splitlines()

    assert len(RUN.read_bytes()) < 60_000
    assert max(len(line) for line in lines) <= 80
    for word in ("-- baked_model", "gguf: built in", "evaluation  [", "whole build ["):
        assert any(word in line for line in lines), word


@pytest.mark.soak
def test_the_script_draws_them_from_a_report_and_a_run(pictures: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page.render(facts()), "utf-8")

    pictures.draw(tmp_path / "report.html", tmp_path / "made")
    pictures.draw_run(RUN.read_bytes(), tmp_path / "made")

    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert set(made) == {"graph.png", "report.png", "terminal.png"}
    assert all(data.startswith(PNG) and len(data) < 150_000 for data in made.values())
