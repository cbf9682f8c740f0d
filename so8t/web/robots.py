"""robots.txt as RFC 9309 reads it: what an agent may fetch, how long it waits between, and which line decided.

Every file is read twice, to the letter and with the mistakes that sites make (`dissalow`, a colon left out, a path
without its slash); a URL may be fetched if both readings allow it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from so8t.web.patterns import Pattern, spellings

LIMIT = 1 << 20  # bytes of a file that are read; RFC 9309 asks for 500 KiB at least
KEPT = 24 * 60 * 60  # seconds that an answer may be used for

_END = re.compile(rb"\r\n|\r|\n")
_BLANK = b" \t\v\f"
_WORDS = re.compile(rb"([^ \t]+)[ \t]+([^ \t]+)")
_RULES = ("allow", "disallow")
_PAUSES = ("crawl-delay", "request-rate")
_NOTES = ("content-usage", "content-signal")
_OTHERS = ("sitemap", "host", "clean-param", "visit-time", "noindex", "license", "cache-delay")
_MEANT = (
    ("user-agent", ("user-agent", "useragent", "user agent")),
    ("disallow", ("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw")),
    ("allow", ("allow",)),
    ("crawl-delay", ("crawl-delay", "crawl delay", "crawldelay")),
    ("request-rate", ("request-rate", "request rate", "requestrate")),
    ("content-signal", ("content-signal",)),
)
_TOKEN = re.compile(r"[A-Za-z_-]*")
_TOKEN_AND_DIGITS = re.compile(r"[A-Za-z0-9_-]*")  # not a product token of the RFC, and yet sites write them
_SECONDS = re.compile(r"(\d{1,9})(?:[.,](\d{1,6}))?")
_RATE = re.compile(r"(\d{1,9})\s*/\s*(\d{1,9})\s*([smhd]?)", re.IGNORECASE)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MARKUP = re.compile(r"html|xml", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A line of the file that says something: its key in lower case, and its value without a comment."""

    number: int
    key: str
    value: bytes
    colon: bool = True

    @property
    def text(self) -> str:
        return self.value.decode("utf-8", "replace")


@dataclass(frozen=True)
class Rule:
    allow: bool
    pattern: Pattern
    line: Line


@dataclass(frozen=True)
class Verdict:
    """Whether a URL may be fetched, and the line that says so (none: nothing in the file speaks of it)."""

    allowed: bool
    rule: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class Group:
    """What holds for the agents that it names."""

    agents: frozenset[str]
    rules: tuple[Rule, ...]
    rest: tuple[Line, ...]


Reading = tuple[Group, ...]


@dataclass(frozen=True)
class Rules:
    """A file of robots.txt: both of its readings, and what it says to everybody."""

    strict: Reading
    lenient: Reading
    common: tuple[Line, ...] = ()  # pauses and notes above the first group
    sitemaps: tuple[str, ...] = ()

    def verdict(self, agent: str, target: str) -> Verdict:
        """May `agent` (a product token) fetch `target` (the path and query of a URL)?"""
        spelled = spellings(target)
        if spelled[0] == "/robots.txt":
            return Verdict(True)  # RFC 9309, 2.2.2: implicitly allowed
        strict, lenient = (_decide(_own(reading, agent), spelled) for reading in (self.strict, self.lenient))
        return lenient if strict.allowed and not lenient.allowed else strict

    def delay(self, agent: str) -> float | None:
        """Seconds between two requests: the longest that Crawl-delay and Request-rate ask for."""
        return max((pause for line in self._rest(agent) if (pause := _pause(line)) is not None), default=None)

    def notes(self, agent: str) -> tuple[Line, ...]:
        """The lines of Content-Usage and Content-Signal that hold for `agent`."""
        return tuple(line for line in self._rest(agent) if line.key in _NOTES)

    def _rest(self, agent: str) -> list[Line]:
        groups = (*_own(self.strict, agent), *_own(self.lenient, agent))
        lines = {line.number: line for group in groups for line in group.rest} | {
            one.number: one for one in self.common
        }
        return [lines[number] for number in sorted(lines)]


EVERYTHING = Rules((), ())


@dataclass(frozen=True)
class Answer:
    """What a site said when it was asked for its robots.txt: rules, none, or nothing that permits anything."""

    state: Literal["rules", "none", "closed"]
    said: str
    rules: Rules = EVERYTHING

    def verdict(self, agent: str, target: str) -> Verdict:
        return Verdict(False, self.said) if self.state == "closed" else self.rules.verdict(agent, target)


def answered(status: int | None, body: bytes = b"", content_type: str = "") -> Answer:
    """The rules after this answer (None: no answer); keep it for `KEPT` seconds at most.

    A page of HTML under 200 is a login, a block or a wait that came in the file's place: no permission lies in it.
    """
    if status is None:
        return Answer("closed", "robots.txt cannot be reached")
    if 400 <= status < 500 and status != 429:
        return Answer("none", f"robots.txt answered {status}: there is none")
    if not 200 <= status < 300:
        return Answer("closed", f"robots.txt answered {status}")
    if not _is_robots(body, content_type):
        return Answer("closed", "what came as robots.txt is not one")
    return Answer("rules", f"robots.txt answered {status}", parse(body))


def parse(body: bytes) -> Rules:
    """The rules of a file, whatever its bytes are."""
    lines = list(_lines(body))
    strict, common = _groups(lines, _to_the_letter)
    lenient, meant = _groups(lines, _as_meant)
    sitemaps = tuple(line.text for line in lines if line.key == "sitemap" and line.value)
    return Rules(strict, lenient, tuple(dict.fromkeys((*common, *meant))), sitemaps)


def _is_robots(body: bytes, content_type: str) -> bool:
    keys = {key for line in _lines(body) if (key := _as_meant(line))}
    if _MARKUP.search(content_type) or body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        return "user-agent" in keys
    return bool(keys) or not _said(body)


def _said(body: bytes) -> bool:
    """Whether anything but comments and blanks stands in the file."""
    return any(line.partition(b"#")[0].strip(_BLANK + b"\xef\xbb\xbf") for line in _END.split(body[:LIMIT]))


def _lines(body: bytes) -> Iterator[Line]:
    """Lines that have a key and a value, with CR, LF or CRLF between; a line cut by the limit is left out."""
    whole = body[:LIMIT].removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xef\xbb").removeprefix(b"\xef")
    lines = _END.split(whole)
    for number, raw in enumerate(lines if len(body) <= LIMIT else lines[:-1], 1):
        said = raw.partition(b"#")[0].strip(_BLANK)
        key, colon, value = said.partition(b":")
        if not colon and (words := _WORDS.fullmatch(said)):
            key, value = words[1], words[2]
        if key.strip(_BLANK) and (colon or value):
            yield Line(number, key.strip(_BLANK).decode("latin-1").lower(), value.strip(_BLANK), bool(colon))


def _to_the_letter(line: Line) -> str:
    return line.key if line.colon else ""


def _as_meant(line: Line) -> str:
    """The key that somebody meant, or nothing; a byte order mark before it is where two files were joined."""
    said = line.key.removeprefix("\xef\xbb\xbf")
    for key, starts in _MEANT:
        if said.startswith(starts):
            return key
    return said if line.colon and said in (*_NOTES, *_OTHERS) else ""


@dataclass
class _Draft:
    agents: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    rest: list[Line] = field(default_factory=list)

    def group(self) -> Group:
        return Group(frozenset(self.agents), tuple(self.rules), tuple(self.rest))


def _groups(lines: Iterable[Line], key_of: Callable[[Line], str]) -> tuple[Reading, tuple[Line, ...]]:
    """The groups, which only rules close (unknown lines lie inside), and what stands above the first."""
    drafts, common, naming = list[_Draft](), list[Line](), False
    for line in lines:
        key = key_of(line)
        if key == "user-agent":
            if not naming:
                drafts.append(_Draft())
            drafts[-1].agents |= _tokens(line.text)
            naming = True
        elif key in _RULES and drafts:
            naming = False
            if line.value:
                drafts[-1].rules.append(_rule(line, key == "allow", key_of is _as_meant))
        elif key in (*_PAUSES, *_NOTES):
            (drafts[-1].rest if drafts else common).append(replace(line, key=key))
    return tuple(draft.group() for draft in drafts), tuple(common)


def _rule(line: Line, allow: bool, meant: bool) -> Rule:
    read = Pattern.guessed if meant and not allow else Pattern.read
    return Rule(allow, read(line.value), line)


def _tokens(value: str) -> set[str]:
    """The agents that a User-agent line names: `*`, or what its value begins with."""
    if value == "*" or value[:2] in ("* ", "*\t"):
        return {"*"}
    tokens = (pattern.match(value) for pattern in (_TOKEN, _TOKEN_AND_DIGITS))
    return {token[0].lower() for token in tokens if token and token[0]}


def _own(reading: Reading, agent: str) -> Reading:
    """All groups of the agent as one; if there are none, those of `*`."""
    own = tuple(group for group in reading if agent.lower() in group.agents)
    return own or tuple(group for group in reading if "*" in group.agents)


def _decide(groups: Reading, spelled: tuple[str, ...]) -> Verdict:
    """The rule with the most octets; of two as long, the one that allows."""
    matching = (rule for group in groups for rule in group.rules if any(map(rule.pattern.matches, spelled)))
    best = max(matching, key=lambda rule: (rule.pattern.octets, rule.allow), default=None)
    if best is None:
        return Verdict(True)
    return Verdict(best.allow, f"{best.line.key}: {best.line.text}", best.line.number)


def _pause(line: Line) -> float | None:
    if line.key == "crawl-delay" and (seconds := _SECONDS.match(line.text)):
        return float(f"{seconds[1]}.{seconds[2] or 0}")
    if line.key == "request-rate" and (rate := _RATE.match(line.text)):
        return int(rate[2]) * _UNITS[rate[3].lower()] / int(rate[1]) if int(rate[1]) else None
    return None
