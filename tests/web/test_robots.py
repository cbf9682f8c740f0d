"""robots.txt: the cases of Google's robots_test.cc (google/robotstxt, 2026-04-01) and of RFC 9309, told as a table.

A file is written with ` | ` between its lines; a target with `!` before it must not be fetched.
"""

from __future__ import annotations

import random
import re
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import pytest
from protego import Protego
from pydantic import ValidationError

from so8t.web import asking, robots
from so8t.web.patterns import canonical
from so8t.web.robots import Verdict, answered, parse
from stages import crawl

GROUPS = (
    "allow: /foo/bar/ | | user-agent: FooBot | disallow: / | allow: /x/ | user-agent: BarBot | disallow: / |"
    " allow: /y/ | | | allow: /w/ | user-agent: BazBot | | user-agent: FooBot | allow: /z/ | disallow: /"
)
FISH = "user-agent: FooBot | disallow: / | allow: "
UNDER_FISH = "/fish /fish.html /fish/salmon.html /fishheads /fishheads/yummy.html /fish.html?id=anything"
NOT_FISH = " !/bar !/Fish.asp !/catfish !/?id=fish"
LONG = "/x/" + "a" * 20_000

TABLE = [
    # robots_test.cc, by the names of its tests
    ("Line", "user-agent: FooBot | disallow: /", "FooBot", "!/x/y"),
    ("Line: unknown keys", "foo: FooBot | bar: /", "FooBot", "/x/y"),
    ("Line: colons left out", "user-agent FooBot | disallow /", "FooBot", "!/x/y"),
    ("Groups: FooBot", GROUPS, "FooBot", "/x/b /z/d !/y/c !/foo/bar/"),
    ("Groups: BarBot", GROUPS, "BarBot", "/y/c /w/a !/z/d !/foo/bar/"),
    ("Groups: BazBot shares a group", GROUPS, "BazBot", "/z/d !/foo/bar/"),
    ("Groups: a sitemap closes none", "user-agent: BarBot | sitemap: https://foo.bar/s | user-agent: * | disallow: /",
     "BarBot", "!/"),
    ("Groups: of everybody else", "user-agent: BarBot | sitemap: https://foo.bar/s | user-agent: * | disallow: /",
     "FooBot", "!/"),
    ("Groups: an unknown line closes none", "user-agent: FooBot | unknown-line: x | user-agent: * | disallow: /",
     "FooBot", "!/"),
    ("Keys in upper case", "USER-AGENT: FooBot | ALLOW: /x/ | DISALLOW: /", "FooBot", "/x/y !/a/b"),
    ("Keys in any case", "uSeR-aGeNt: FooBot | AlLoW: /x/ | dIsAlLoW: /", "FooBot", "/x/y !/a/b"),
    ("Agents in any case", "user-agent: FoO bAr | allow: /x/ | disallow: /", "foo", "/x/y !/a/b"),
    ("Agents in upper case", "user-agent: FOO BAR | allow: /x/ | disallow: /", "Foo", "/x/y !/a/b"),
    ("Agents in lower case", "user-agent: foo bar | allow: /x/ | disallow: /", "FOO", "/x/y !/a/b"),
    ("Agent up to the first space", "user-agent: * | disallow: / | user-agent: Foo Bar | allow: /x/ | disallow: /",
     "Foo", "/x/y"),
    ("Agent with a space is nobody's", "user-agent: * | disallow: / | user-agent: Foo Bar | allow: /x/ | disallow: /",
     "Foo Bar", "!/x/y"),
    ("Agent before its version", "user-agent: Foobot/2.1 | disallow: /", "foobot", "!/"),
    ("System: no agent and nobody's group", "user-agent: FooBot | disallow: /", "", "/"),
    ("System: neither file nor agent", "", "", "/"),
    ("Global: an empty file", "", "FooBot", "/x/y"),
    ("Global: own group first", "user-agent: * | allow: / | user-agent: FooBot | disallow: /", "FooBot", "!/x/y"),
    ("Global: for the others", "user-agent: * | allow: / | user-agent: FooBot | disallow: /", "BarBot", "/x/y"),
    ("Global: groups of others only", "user-agent: FooBot | allow: / | user-agent: BarBot | disallow: /", "QuxBot",
     "/x/y"),
    ("Global: * and words after it", "user-agent: * all of you | disallow: /", "QuxBot", "!/x/y"),
    ("Paths keep their case", "user-agent: FooBot | disallow: /X/", "FooBot", "/x/y !/X/y"),
    ("Longest: disallow", "user-agent: FooBot | disallow: /x/page.html | allow: /x/", "FooBot", "!/x/page.html /x/p"),
    ("Longest: allow", "user-agent: FooBot | allow: /x/page.html | disallow: /x/", "FooBot", "/x/page.html !/x/"),
    ("Longest: both empty", "user-agent: FooBot | disallow: | allow:", "FooBot", "/x/page.html"),
    ("Longest: a tie allows", "user-agent: FooBot | disallow: / | allow: /", "FooBot", "/x/page.html"),
    ("Longest: a tie of long paths", "user-agent: FooBot | disallow: /x/page.html | allow: /x/page.html", "FooBot",
     "/x/page.html"),
    ("Longest: by the slash", "user-agent: FooBot | disallow: /x | allow: /x/", "FooBot", "!/x /x/"),
    ("Longest: * counts", "user-agent: FooBot | allow: /page | disallow: /*.html", "FooBot", "!/page.html /page"),
    ("Longest: of two, one with *", "user-agent: FooBot | allow: /x/page. | disallow: /*.html", "FooBot",
     "/x/page.html !/x/y.html"),
    ("Longest: no rules of * beside one's own", "user-agent: * | disallow: /x/ | user-agent: FooBot | disallow: /y/",
     "FooBot", "/x/page !/y/page"),
    ("Encoding: a URL in a query", "user-agent: FooBot | disallow: / | allow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par",
     "FooBot", "/foo/bar?qux=taz&baz=http://foo.bar?tar&par !/foo/bar?qux=taz"),
    ("Encoding: written out", "user-agent: FooBot | disallow: / | allow: /foo/bar/ツ", "FooBot",
     "/foo/bar/%E3%83%84 /foo/bar/%e3%83%84 /foo/bar/ツ !/foo/bar/テ"),
    ("Encoding: escaped", "user-agent: FooBot | disallow: / | allow: /foo/bar/%E3%83%84", "FooBot",
     "/foo/bar/%E3%83%84 /foo/bar/ツ"),
    ("Special: *", "user-agent: FooBot | disallow: /foo/bar/quz | allow: /foo/*/qux", "FooBot",
     "!/foo/bar/quz /foo/quz /foo//quz /foo/bax/quz"),
    ("Special: $", "user-agent: FooBot | disallow: /foo/bar$ | allow: /foo/bar/qux", "FooBot",
     "!/foo/bar /foo/bar/qux /foo/bar/ /foo/bar/baz"),
    ("Special: #", "user-agent: FooBot | # disallow: / | disallow: /foo/quz#qux | allow: /", "FooBot",
     "/foo/bar !/foo/quz"),
    ("Docs: /fish", FISH + "/fish", "FooBot", UNDER_FISH + NOT_FISH),
    ("Docs: /fish*", FISH + "/fish*", "FooBot", UNDER_FISH + NOT_FISH),
    ("Docs: /fish/", FISH + "/fish/", "FooBot",
     "/fish/ /fish/salmon /fish/?salmon /fish/salmon.html /fish/?id=anything !/bar !/fish !/fish.html"
     " !/Fish/Salmon.html"),
    ("Docs: /*.php", FISH + "/*.php", "FooBot",
     "/filename.php /folder/filename.php /folder/filename.php?parameters //folder/any.php.file.html /filename.php/"
     " /index?f=filename.php/ !/bar !/php/ !/index?php !/windows.PHP"),
    ("Docs: /*.php$", FISH + "/*.php$", "FooBot",
     "/filename.php /folder/filename.php !/filename.php?parameters !/filename.php/ !/filename.php5 !/php/"
     " !/filename?php !/aaaphpaaa !//windows.PHP"),
    ("Docs: /fish*.php", FISH + "/fish*.php", "FooBot",
     "/fish.php /fishheads/catfish.php?parameters !/bar !/Fish.PHP"),
    ("Docs: precedence of length", "user-agent: FooBot | allow: /p | disallow: /", "FooBot", "/page"),
    ("Docs: precedence of allow", "user-agent: FooBot | allow: /folder | disallow: /folder", "FooBot", "/folder/page"),
    ("Docs: undefined there, longest here", "user-agent: FooBot | allow: /page | disallow: /*.htm", "FooBot",
     "!/page.htm"),
    ("Docs: the front page only", "user-agent: FooBot | allow: /$ | disallow: /", "FooBot", "/ !/page.html"),
    # robots_test.cc, where this house forbids more or follows the RFC instead
    ("Not taken over: index.html is no directory", "user-agent: * | allow: /a/index.html | disallow: /", "foobot",
     "/a/index.html !/a/ !/a/index.htm"),
    ("Not taken over: no line is too long", f"user-agent: FooBot | disallow: / | allow: {LONG}/qux", "FooBot",
     f"{LONG}/qux !{LONG}/fux !/"),
    ("Not taken over: no line is too long, and a rule that is cut there forbids more", f"user-agent: FooBot |"
     f" disallow: {LONG}/qux", "FooBot", f"!{LONG}/qux {LONG}/fux /fux"),
    ("Not taken over: letters are equal, escaped or not (RFC 9309, 2.2.2)",
     "user-agent: FooBot | disallow: / | allow: /foo/bar/%62%61%7A", "FooBot", "/foo/bar/baz /foo/bar/%62%61%7A"),
    # RFC 9309: 5.1, 5.2, and the tables of 2.2.2 and 2.2.3
    ("5.1: foobot", "User-Agent: * | Disallow: *.gif$ | Disallow: /example/ | Allow: /publications/ |"
     " User-Agent: foobot | Disallow:/ | Allow:/example/page.html | Allow:/example/allowed.gif |"
     " User-Agent: barbot | User-Agent: bazbot | Disallow: /example/page.html | User-Agent: quxbot", "foobot",
     "/example/page.html /example/allowed.gif !/ !/example/ !/publications/"),
    ("5.1: everybody else", "User-Agent: * | Disallow: *.gif$ | Disallow: /example/ | Allow: /publications/ |"
     " User-Agent: foobot | Disallow:/", "other", "/publications/ / /a.gif?x !/a.gif !/b/c.gif !/example/page.html"),
    ("5.1: bazbot shares",
     "User-Agent: barbot | User-Agent: bazbot | Disallow: /example/page.html | User-Agent: quxbot",
     "bazbot", "!/example/page.html /example/"),
    ("5.1: quxbot has no rules", "User-Agent: * | Disallow: / | User-Agent: quxbot", "quxbot", "/example/page.html"),
    ("5.2: longest", "User-Agent: foobot | Allow: /example/page/ | Disallow: /example/page/disallowed.gif", "foobot",
     "/example/page/ !/example/page/disallowed.gif"),
    ("2.2.1: groups of one agent are one", "user-agent: ExampleBot | disallow: /foo | disallow: /bar | "
     "user-agent: ExampleBot | disallow: /baz", "ExampleBot", "!/foo !/bar !/baz /qux"),
    ("2.2.2: /foo/bar?baz=quz", "user-agent: * | disallow: /foo/bar?baz=quz", "a", "!/foo/bar?baz=quz /foo/bar"),
    ("2.2.2: reserved characters of a query", "user-agent: * | disallow: /foo/bar?baz=https://foo.bar", "a",
     "!/foo/bar?baz=https://foo.bar !/foo/bar?baz=https%3A%2F%2Ffoo.bar !/foo/bar?baz=https%3a//foo.bar"),
    ("2.2.2: the same, escaped in the file", "user-agent: * | disallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar", "a",
     "!/foo/bar?baz=https://foo.bar !/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
    ("2.2.2: a slash of a path is not its escape", "user-agent: * | disallow: /a/b", "a", "!/a/b /a%2Fb"),
    ("2.2.2: robots.txt is always allowed", "user-agent: * | disallow: /", "a", "/robots.txt !/robots.txt.bak"),
    ("2.2.3: %2A is a star", "user-agent: * | disallow: /path/file-with-a-%2A.html", "a",
     "!/path/file-with-a-*.html /path/file-with-a-x.html"),
    ("2.2.3: %24 is a dollar", "user-agent: * | disallow: /path/foo-%24", "a",
     "!/path/foo-$ !/path/foo-%24 /path/foo-"),
    # as sites write them
    ("no end of line at the end, spaces everywhere", "  user-agent  :  a  | \t disallow\t:\t/x ", "a", "!/x /y"),
    ("a colon in an agent's line", "user-agent: a: b | disallow: /", "a", "!/"),
    ("digits in an agent's name", "user-agent: so8t | disallow: /", "so8t", "!/"),
    ("words that look like disallow", "user-agent: * | dissallow: /a | Disalow: /b | disallowed: /c", "a",
     "!/a !/b !/c /d"),
    ("a typing error closes no group", "user-agent: a | dissallow: /x | user-agent: b | disallow: /y", "a",
     "!/x !/y"),
    ("an agent with a typing error takes nothing away", "user-agent: a | disallow: /x | useragent: b | disallow: /y",
     "a", "!/x !/y"),
    ("and is obeyed", "useragent: a | disallow: /x", "a", "!/x /y"),
    ("a path without its slash", "user-agent: * | disallow: private/ | allow: ublic", "a", "!/private/x /public"),
    ("a whole URL", "user-agent: * | disallow: https://foo.bar/private/", "a", "!/private/x /"),
    ("a whole site by its URL", "user-agent: * | disallow: https://foo.bar", "a", "!/"),
    ("a fragment is no part of a path", "user-agent: * | disallow: /x$", "a", "!/x#here"),
    ("spaces in a path", "user-agent: * | disallow: /a b/", "a", "!/a%20b/ !/a b/c"),
    ("stars by the hundred", "user-agent: * | disallow: /" + "*a" * 300 + "$", "a",
     "/" + "a" * 299 + "b !/" + "a" * 300),
    ("a query without a path", "user-agent: * | disallow: /?q=", "a", "!?q=x /"),
]  # fmt: skip


def written(lines: str) -> bytes:
    return "\n".join(re.split(r" ?\| ?", lines)).encode()


def targets(said: str) -> dict[str, bool]:
    """`a !b` -> {a: True, b: False}; a target may hold spaces, so that only ` /`, ` !` and ` ?` begin one."""
    return {one.removeprefix("!"): one[0] != "!" for one in re.split(r" (?=!?[/?])", said)}


@pytest.mark.parametrize(("case", "lines", "agent", "said"), TABLE, ids=[row[0] for row in TABLE])
def test_verdicts(case: str, lines: str, agent: str, said: str) -> None:
    rules = parse(written(lines))

    assert {target: rules.verdict(agent, target).allowed for target in targets(said)} == targets(said)


def test_an_empty_path_is_the_root_and_what_belongs_to_no_path_is_left_out() -> None:
    """TestGetPathParamsQuery and TestMaybeEscapePattern, for URLs that name their scheme."""
    asked = ["", "/", "/a", "/a/", "/a/b?c=http://d.e/", "/a/b?c=d&e=f#fragment", "?a", "/a;b#c"]
    paths = ["/", "/", "/a", "/a/", "/a/b?c=http://d.e/", "/a/b?c=d&e=f", "/?a", "/a;b"]

    assert [asking.target(f"http://www.example.com{each}") for each in asked] == paths
    assert not parse(b"user-agent: FooBot\ndisallow: /").verdict("FooBot", "").allowed
    spelled = {"http://www.example.com": "http://www.example.com", "/a/b/c": "/a/b/c", "á": "%C3%A1", "%aa": "%AA"}
    assert {raw: canonical(raw.encode()) for raw in spelled} == spelled


@pytest.mark.parametrize("ends", [["\n"], ["\r\n"], ["\r"], ["\n", "\r\n"]], ids=["unix", "dos", "mac", "mixed"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_are_counted_whatever_ends_them(ends: list[str], last: bool) -> None:
    lines = ["User-Agent: foo", "Allow: /some/path", "User-Agent: bar", "", "", "Disallow: /"]
    body = "".join(line + end for line, end in zip(lines, ends * 6, strict=False))

    rules = parse((body if last else body.rstrip("\r\n")).encode())

    assert rules.verdict("bar", "/x") == Verdict(False, "disallow: /", 6)
    assert rules.verdict("foo", "/some/path") == Verdict(True, "allow: /some/path", 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_deciding_line_is_named_whatever_ends_a_line(end: str) -> None:
    rules = parse(end.join(["# ours", "User-agent: *", "", "Disallow: /a  # private", "Allow: /a/b", ""]).encode())

    assert rules.verdict("bot", "/a/c") == Verdict(False, "disallow: /a", 4)
    assert rules.verdict("bot", "/a/b") == Verdict(True, "allow: /a/b", 5)
    assert rules.verdict("bot", "/c") == Verdict(True, None, None)


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_a_byte_order_mark_hides_no_line(mark: bytes) -> None:
    assert not parse(mark + b"User-agent: *\nDisallow: /").verdict("bot", "/").allowed


def test_what_only_looks_like_a_byte_order_mark_hides_its_line_and_one_in_the_middle_does_not_open_the_site() -> None:
    broken = parse(b"\xef\x11\xbfUser-agent: bot\nDisallow: /")
    joined = parse(b"User-agent: bot\n\xef\xbb\xbfDisallow: /\n\xef\xbb\xbfUser-agent: *\nDisallow: /y")

    assert broken.verdict("bot", "/").allowed  # as Google reads it: nobody's rule
    assert not joined.verdict("bot", "/").allowed  # where Google reads no rule
    assert not joined.verdict("other", "/y").allowed


def test_octets_that_are_no_utf8_match_the_same_octets_of_a_url() -> None:
    rules = parse("User-agent: *\nDisallow: /会社/".encode("euc-jp"))

    assert not rules.verdict("bot", "/%B2%F1%BC%D2/a").allowed
    assert rules.verdict("bot", "/会社/a").allowed


DELAYS = [
    ("Crawl-delay: 10", 10.0),
    ("Crawl-delay: 0.5", 0.5),
    ("Crawl-delay: 1,5", 1.5),
    ("Crawl-delay: 7 seconds", 7.0),
    ("Crawl-delay: -1", None),
    ("Crawl-delay: inf", None),
    ("Crawl-delay:", None),
    ("Request-rate: 1/5", 5.0),
    ("Request-rate: 30/1m", 2.0),
    ("Request-rate: 1/1h 0600-0845", 3600.0),
    ("Request-rate: 0/1", None),
    ("Request-rate: fast", None),
    ("Crawl-delay: 3 | Request-rate: 1/8s | Crawl-delay: 1", 8.0),
    ("Crawl delay: 4", 4.0),
]


@pytest.mark.parametrize(("lines", "seconds"), DELAYS, ids=[row[0] for row in DELAYS])
def test_the_longest_pause_counts(lines: str, seconds: float | None) -> None:
    assert parse(written("User-agent: * | Disallow: /x | " + lines)).delay("bot") == seconds


def test_a_pause_is_for_the_agents_of_its_group_and_above_all_groups_for_everybody() -> None:
    rules = parse(
        written("crawl-delay: 1 | user-agent: a | crawl-delay: 5 | disallow: /x | user-agent: * | crawl-delay: 9")
    )

    assert (rules.delay("a"), rules.delay("b")) == (5.0, 9.0)
    assert parse(b"crawl-delay: 1\nuser-agent: a\ndisallow: /").delay("b") == 1.0


def test_sitemaps_are_told_wherever_they_stand() -> None:
    rules = parse(b"Sitemap: https://a.jp/1.xml\nUser-agent: *\nsitemap:https://a.jp/2.xml # new\nSitemap:")

    assert rules.sitemaps == ("https://a.jp/1.xml", "https://a.jp/2.xml")


RULES = b"User-agent: *\nDisallow: /x\n"
PAGE = b"<!doctype html><html><body>Please log in\nallow: cookies</body></html>"
ANSWERS = [
    (200, RULES, "text/plain", "rules", True),
    (200, RULES, "text/html; charset=utf-8", "rules", True),  # a wrong type, and yet the file
    (200, b"", "text/plain", "rules", True),  # an empty file forbids nothing
    (200, b"# nothing to say\n\n", "", "rules", True),
    (204, b"", "", "rules", True),
    (200, b"Sitemap: https://a.jp/s.xml", "text/plain", "rules", True),
    (200, PAGE, "text/html", "closed", False),
    (200, PAGE, "text/plain", "closed", False),
    (200, b"\xef\xbb\xbf\n " + PAGE, "", "closed", False),
    (200, b"", "text/html", "closed", False),
    (200, b'{"error": "not found"}', "application/json", "closed", False),
    (200, "User-agent: *\nDisallow:".encode("utf-16"), "text/plain", "closed", False),
    (404, PAGE, "text/html", "none", True),
    (403, b"", "", "none", True),
    (410, RULES, "text/plain", "none", True),
    (429, RULES, "text/plain", "closed", False),
    (500, RULES, "text/plain", "closed", False),
    (503, PAGE, "text/html", "closed", False),
    (302, RULES, "text/plain", "closed", False),
    (None, b"", "", "closed", False),
]


@pytest.mark.parametrize(("status", "body", "kind", "state", "open_"), ANSWERS)
def test_only_a_file_or_a_4xx_opens_a_site(status: int | None, body: bytes, kind: str, state: str, open_: bool) -> None:
    answer = answered(status, body, kind)

    assert (answer.state, answer.verdict("bot", "/page").allowed) == (state, open_)


def test_a_closed_site_says_why() -> None:
    assert answered(503).verdict("bot", "/") == Verdict(False, "robots.txt answered 503", None)
    assert answered(None).verdict("bot", "/") == Verdict(False, "robots.txt cannot be reached", None)
    assert answered(200, PAGE).verdict("bot", "/") == Verdict(False, "what came as robots.txt is not one", None)


def test_a_file_of_a_mebibyte_is_read_and_a_line_cut_there_opens_nothing() -> None:
    filler = b"# " + b"x" * 97 + b"\n"
    late = filler * 6000 + b"User-agent: *\nDisallow: /late\n"
    assert len(late) > 500 * 1024
    assert not parse(late).verdict("bot", "/late").allowed

    start = b"User-agent: *\nDisallow: /\n"
    cut = start + b"#" * (robots.LIMIT - len(start) - len(b"\nAllow: /")) + b"\nAllow: /only-this"
    assert not parse(cut).verdict("bot", "/").allowed


def test_only_an_agent_that_a_robots_txt_can_name_is_taken() -> None:
    """VerifyValidUserAgentsToObey."""
    taken = list[str]()
    for agent in ("Foobot", "Foobot-Bar", "Foo_Bar", "ツ", "Foobot*", " Foobot ", "Foobot/2.1", "Foobot Bar"):
        with suppress(ValidationError):
            taken.append(crawl.Spec(agent=agent).agent)

    assert taken == ["Foobot", "Foobot-Bar", "Foo_Bar"]


# A plain reading, written apart from the module: RFC 9309 to the letter, character by character and by regular
# expressions. Whatever it forbids, ours must forbid.

AGENT = "bot"
ASKED = ["/", "/a", "/a/b", "/a/b.html", "/a?b=c", "/%E3%81%82/x", "/a%2Fb", "/b~c", "/a*b$", "/x/y/z.gif"]


def plain_spelling(raw: bytes, special: bytes) -> str:
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@!'(),"
    out, place = "", 0
    while place < len(raw):
        if re.fullmatch(rb"%[0-9A-Fa-f]{2}", raw[place : place + 3]):
            octet, step, escaped = unquote_to_bytes(raw[place : place + 3]), 3, True
        else:
            octet, step, escaped = raw[place : place + 1], 1, False
        kept = octet in letters if escaped else octet in letters + b"/?#[]&*+;=%$"
        out += (
            octet.decode("ascii")
            if kept and (escaped or octet not in b"*$" or octet in special)
            else f"%{octet[0]:02X}"
        )
        place += step
    return out


def plain_forbids(body: bytes, target: str, agent: str = AGENT) -> bool:
    groups: list[tuple[list[str], list[tuple[str, str]]]] = []
    last = ""
    for raw in re.split(rb"[\r\n]+", re.sub(rb"^\xef\xbb\xbf", b"", body)):
        key, colon, value = (part.strip(b" \t\v\f") for part in raw.split(b"#")[0].partition(b":"))
        name = key.decode("latin-1").lower()
        if not colon or name not in ("user-agent", "allow", "disallow"):
            continue
        if name == "user-agent":
            if last != name:
                groups.append(([], []))
            token = re.match(rb"\*(?=$|[ \t])|[A-Za-z_-]*", value)
            groups[-1][0].append(token[0].decode().lower() if token else "")
        elif groups and value:
            groups[-1][1].append((name, plain_spelling(value, b"*$" if value.endswith(b"$") else b"*")))
        last = name if groups else ""
    own = [rules for agents, rules in groups if agent in agents] or [rules for agents, rules in groups if "*" in agents]
    asked = plain_spelling(target.encode(), b"")
    best = (0, True)
    for name, pattern in (rule for rules in own for rule in rules):
        ends = "$" if pattern.endswith("$") else ""
        body_ = pattern.removesuffix("$").replace("$", "%24")
        expression = "[^\n]*".join(re.escape(part) for part in re.split(r"\*+", body_)) + ends
        if re.match(expression, asked):
            best = max(best, (len(pattern), name == "allow"))
    return not best[1]


WORDS = [b"User-agent", b"Allow", b"Disallow", b":", b" ", b"\n", b"\r\n", b"\r", b"*", b"$", b"/", b"#", b"bot", b"/a",
         b"/a/b", b"%2F", b"%7e", b"%", b"?", b"=", b"\xe3\x81\x82", b"\xff", b"\x00", b"\xef\xbb\xbf",
         b"Crawl-delay: 5",
         b"Dissallow", b"user agent", b"Sitemap: x", b"\t", b".html", b"User-agent: other\n", b"User-agent: *\n",
         b"User-agent: bot\n", b"Disallow: /\n", b"Allow: /a\n",
         b"Content-Usage: train-ai=n", b"disallow /"]  # fmt: skip


def mutated(seed: int) -> bytes:
    """A file of robots.txt of the table, or one out of its parts, with pieces moved, doubled, cut and put in."""
    random_ = random.Random(seed)
    body = bytearray(
        written(random_.choice(TABLE)[1][:400]) if seed % 2 else b"\n".join(random_.choices(WORDS[-6:], k=6))
    )
    for _ in range(random_.randint(1, 12)):
        place, length = random_.randint(0, len(body)), random_.randint(0, 12)
        piece = random_.choice([random_.choice(WORDS), bytes(body[place : place + length]), random_.randbytes(1), b""])
        cut = random_.choice([0, 0, length])
        body[place : place + cut] = piece
    return bytes(body).replace(b"FooBot", b"bot")


def opened_against_the_plain_reading(seeds: range) -> list[tuple[int, str, bytes]]:
    wrong = []
    for seed in seeds:
        body = mutated(seed)
        rules = parse(body)
        rules.delay(AGENT), rules.notes(AGENT), answered(200, body, "text/plain")
        for target in ASKED:
            if rules.verdict(AGENT, target).allowed and plain_forbids(body, target):
                wrong.append((seed, target, body))
    return wrong


def test_no_mutated_file_crashes_or_opens_what_a_plain_reading_forbids() -> None:
    assert opened_against_the_plain_reading(range(400)) == []


def test_nor_opens_what_another_parser_forbids() -> None:
    """Protego is what Scrapy asks; of 10,000 of these files it opens 53 that the plain reading closes."""
    for seed in range(400):
        body = mutated(seed)
        rules, other = parse(body), Protego.parse(body.decode("utf-8", "replace"))
        opened = [target for target in ASKED if rules.verdict(AGENT, target).allowed]
        assert [target for target in opened if not other.can_fetch("http://a.jp" + target, AGENT)] == [], body


@pytest.mark.soak
def test_nor_do_ten_thousand() -> None:
    assert opened_against_the_plain_reading(range(10_000)) == []
