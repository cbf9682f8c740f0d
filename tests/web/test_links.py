"""Where documents lead, in whatever form they are written."""

from __future__ import annotations

import gzip

from so8t.web.links import Leads, of_feed, of_page, of_sitemap

AT = "https://example.jp/a/"


def test_links_of_a_page_follow_its_base_and_obey_nofollow() -> None:
    page = b'<base href="/b/"><a href="1">x</a><a rel="ugc nofollow" href="2">x</a><area href="//c.jp/3"><a href=" ">'

    assert of_page(page, AT) == Leads(("https://example.jp/b/1", "https://c.jp/3"))
    assert of_page(b'<meta name=robots content="index, nofollow"><a href=1>', AT) == Leads()


def test_a_page_of_whatever_bytes_is_read() -> None:
    assert of_page("<a href='/本'>本</a>".encode("cp932"), AT, "shift_jis") == Leads(("https://example.jp/本",))
    assert of_page(b"<a href=1>", AT, "no-such-charset") == Leads(("https://example.jp/a/1",))
    assert of_page(b"", AT) == of_page(b"\x00\xff", AT) == Leads()


def test_a_sitemap_is_xml_or_lines_packed_or_not_and_reads_no_entity() -> None:
    doctype = b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    xml = doctype + b"<urlset><url><loc>/1</loc></url><url><loc>&e;</loc></url></urlset>"

    assert of_sitemap(xml, AT).pages[0] == "https://example.jp/1"
    assert "root" not in str(of_sitemap(xml, AT))
    assert of_sitemap(gzip.compress(b"https://example.jp/1\n\n/2\n"), AT) == Leads(
        ("https://example.jp/1", "https://example.jp/2")
    )
    assert of_sitemap(b"\x1f\x8bbroken", AT) == of_sitemap(b"<", AT) == Leads()


def test_a_feed_is_rss_or_atom() -> None:
    entry = b'<entry><link rel="self" href="/x"/><link href="/1"/></entry>'
    atom = b'<feed xmlns="http://www.w3.org/2005/Atom"><link href="/"/>' + entry + b"</feed>"

    assert of_feed(atom, AT) == Leads(("https://example.jp/1",))
    assert of_feed(b"<rss><channel><item><link> /2 </link></item></channel></rss>", AT) == Leads(
        ("https://example.jp/2",)
    )
