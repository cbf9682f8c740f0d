"""Texts of pages: charsets as they are, whatever was declared."""

from __future__ import annotations

import pytest

from so8t.corpus.maintext import decoded, extract
from so8t.corpus.webpages import WebPages

SAID = "図書館の本を、きれいに並べる。"


@pytest.mark.parametrize(
    "declared", ["", "; charset=Shift_JIS", "; charset=utf-8", "; charset=iso-8859-1", "; charset=x"]
)
@pytest.mark.parametrize("charset", ["utf-8", "cp932", "iso2022_jp", "utf-16"])
def test_a_text_is_read_in_its_charset_whatever_the_header_says(charset: str, declared: str) -> None:
    assert decoded(SAID.encode(charset), f"text/html{declared}").removeprefix("\ufeff") == SAID


@pytest.mark.parametrize("declared", ["", "; charset=utf-8", "; charset=EUC-JP", "; charset=iso-8859-1"])
def test_euc_jp_is_read_unless_another_that_fits_is_named(declared: str) -> None:
    assert decoded(SAID.encode("euc_jp"), f"text/html{declared}") == SAID


def test_a_page_says_its_charset_itself_and_latin_1_comes_last() -> None:
    assert decoded(b'<meta charset="shift_jis">' + SAID.encode("cp932"), "text/html").endswith(SAID)
    assert decoded("café".encode("latin-1"), "text/html; charset=iso-8859-1") == "café"


MARKED = """<html><body>
<p>変更は<span class="guimenu">アクション</span> → <span class="guimenuitem"><b>取り消す</b></span>で元に戻せます。</p>
<p>設定は debian/<em class="replaceable"><code>package</code></em>.install に<code><i>name</i></code>と書きます。</p>
<p>名前は「<code class="literal">?<a href="name.html">name</a></code>」と書いて探します。</p></body></html>"""


def test_no_word_of_a_sentence_is_lost_to_its_mark() -> None:
    """As DocBook writes manuals: trafilatura takes the first for a menu, and loses what stands beside the others."""
    assert extract(MARKED.encode()).text.splitlines() == [
        "変更はアクション → 取り消すで元に戻せます。",
        "設定は debian/package.install にnameと書きます。",
        "名前は「?name」と書いて探します。",
    ]


@pytest.mark.parametrize("name", ["terms", "trust", "fields"])
def test_what_stands_with_the_site_is_not_given_again(name: str) -> None:
    given = {"terms": "CC0", "trust": "high", "fields": {"text": "x"}}[name]
    with pytest.raises(ValueError, match=f"{name} of pages stand in crawl.yaml, with their site: leave it out"):
        WebPages.model_validate({"name": "a", "kind": "web", "crawl": "c", name: given})
