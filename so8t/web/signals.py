"""What a site says about training on its texts, in every vocabulary that sites use; the most restrictive counts.

A `yes` needs the exact form of its vocabulary, a `no` is understood with mistakes in it: no mistake opens anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from so8t.web.patterns import Pattern, spellings
from so8t.web.robots import LIMIT, Line, Rules, parse

Verdict = Literal["yes", "no", "unknown"]
Pairs = Iterable[tuple[str, str]]

AIPREF, CONTENT_SIGNAL, TDMREP, AI_TXT = "AIPREF", "Content-Signal", "TDMRep", "ai.txt"
ROBOTS_TAG, ROBOTS_META = "X-Robots-Tag", "meta robots"
VOCABULARIES = frozenset({AIPREF, CONTENT_SIGNAL, TDMREP, AI_TXT, ROBOTS_TAG, ROBOTS_META})
REFUSALS = frozenset({"noai", "noimageai"})  # directives that are a no here; a spec may add noindex
TDMREP_PATH, AI_TXT_PATH = "/.well-known/tdmrep.json", "/ai.txt"

_ITEM = r'"(?:[^"\\]|\\["\\])*"|\([^()]*\)|:[^:]*:|[?@]?[A-Za-z0-9*+./:%_~^!#$&\'-]+'
_KEY = r"[a-z*][a-z0-9_.*-]*"
_PARAMETERS = rf"(?: *; *{_KEY}(?:=(?:{_ITEM}))?)*"
_MEMBER = re.compile(rf"({_KEY})(?:=({_ITEM}))?{_PARAMETERS}")
_BETWEEN = re.compile(r"[ \t]*(?:,[ \t]*|$)")
_NO = re.compile(r"(?:n|no|0|false|\?0|deny|disallow)", re.IGNORECASE)
_TRAINING = ("train-ai", "train-genai", "ai-train")  # the second: AIPREF's earlier drafts
_PREFIX = re.compile(r"\s*([A-Za-z0-9_-]+)\s*:\s*(.*)", re.DOTALL)
_VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")


@dataclass(frozen=True)
class Signal:
    """One statement: who defined its words, where it stood, its text, and what it says about training."""

    vocabulary: str
    where: str
    text: str
    verdict: Verdict


def most_restrictive(signals: Iterable[Signal]) -> Verdict:
    """One no is a no; without any, one yes is a yes."""
    said = {signal.verdict for signal in signals}
    return "no" if "no" in said else "yes" if "yes" in said else "unknown"


def of_headers(headers: Pairs, agent: str, refusals: frozenset[str] = REFUSALS) -> list[Signal]:
    """What the headers of an answer say; a header that came twice is there twice."""
    found = []
    for name, value in headers:
        key, where = name.lower(), f"header {name.lower()}"
        if key == "content-usage":
            found.append(Signal(AIPREF, where, value, _aipref(value)))
        elif key == "content-signal":
            found.append(Signal(CONTENT_SIGNAL, where, value, _content_signal(value)))
        elif key == "tdm-reservation":
            found.append(Signal(TDMREP, where, value, _reservation(value)))
        elif key == "tdm-policy":
            found.append(Signal(TDMREP, where, value, "unknown"))
        elif key == "x-robots-tag":
            found.append(Signal(ROBOTS_TAG, where, value, _directives(value, agent, refusals)))
    return found


def of_page(html: str, agent: str, refusals: frozenset[str] = REFUSALS) -> list[Signal]:
    """What the meta tags of a page say."""
    found = []
    for name, value in _metas(html):
        where = f"meta {name}"
        if name in ("robots", "x-robots-tag", agent.lower()):
            found.append(Signal(ROBOTS_META, where, value, _directives(value, agent, refusals)))
        elif name == "tdm-reservation":
            found.append(Signal(TDMREP, where, value, _reservation(value)))
        elif name == "tdm-policy":
            found.append(Signal(TDMREP, where, value, "unknown"))
    return found


def of_robots(rules: Rules, agent: str, target: str) -> list[Signal]:
    """What robots.txt says about the use of `target`: of lines that say yes or no, those with the longest path."""
    spelled, found = spellings(target), list[tuple[int, Signal]]()
    for line in rules.notes(agent):
        path, said = _pathed(line)
        if path is None or any(map(path.matches, spelled)):
            vocabulary, read = (AIPREF, _aipref) if line.key == "content-usage" else (CONTENT_SIGNAL, _content_signal)
            signal = Signal(vocabulary, f"robots.txt:{line.number}", f"{line.key}: {line.text}", read(said))
            found.append((path.octets if path else 0, signal))
    return [*_longest(found, AIPREF), *_longest(found, CONTENT_SIGNAL)]


def _longest(found: list[tuple[int, Signal]], vocabulary: str) -> list[Signal]:
    own = [pair for pair in found if pair[1].vocabulary == vocabulary]
    speaking = [pair for pair in own if pair[1].verdict != "unknown"] or own
    longest = max((octets for octets, _ in speaking), default=0)
    return [signal for octets, signal in speaking if octets == longest]


def of_tdmrep(body: bytes, target: str) -> list[Signal]:
    """What /.well-known/tdmrep.json says of `target`: its first rule that matches, and the most specific one."""
    if len(body) > LIMIT:
        return [Signal(TDMREP, TDMREP_PATH, f"longer than {LIMIT:,} bytes", "no")]
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return [Signal(TDMREP, TDMREP_PATH, "not JSON", "unknown")]
    spelled, matching = spellings(target), list[tuple[int, dict[str, Any]]]()
    for rule in told if isinstance(told, list) else [told]:
        if isinstance(rule, dict) and isinstance(location := rule.get("location"), str):
            pattern = Pattern.guessed(location.encode("utf-8", "surrogatepass"))
            if any(map(pattern.matches, spelled)):
                matching.append((pattern.octets, rule))
    if not matching:
        return []
    deciding = [matching[0][1], max(matching, key=lambda pair: pair[0])[1]]
    return [
        Signal(TDMREP, TDMREP_PATH, _told(rule), _reservation(rule.get("tdm-reservation")))
        for rule in (deciding if deciding[0] is not deciding[1] else deciding[:1])
    ]


def _told(rule: Mapping[str, Any]) -> str:
    """Its three words, as text that can be written wherever it goes."""
    known = {key: rule[key] for key in ("location", "tdm-reservation", "tdm-policy") if key in rule}
    plain = {key: value for key, value in known.items() if isinstance(value, str | int)}
    return json.dumps(plain, ensure_ascii=False).encode("utf-8", "replace").decode()


def of_ai_txt(body: bytes, agent: str, target: str, html: bool = True) -> list[Signal]:
    """What /ai.txt says, in the form of robots.txt; a page of HTML is also judged as a file `.html`."""
    path, mark, query = target.partition("?")
    names = [target, *([f"{path.rstrip('/') or '/index'}.html{mark}{query}"] if html else [])]
    rules = parse(body)
    found = []
    for verdict in (rules.verdict(agent, name) for name in names):
        if verdict.rule is not None:
            said: Verdict = "yes" if verdict.allowed else "no"
            found.append(Signal(AI_TXT, f"{AI_TXT_PATH}:{verdict.line}", verdict.rule, said))
    return list(dict.fromkeys(found))


def _aipref(text: str) -> Verdict:
    """`train-ai=y` or `n` in a Dictionary of RFC 9651, of which the last value counts."""
    return _training(text, "train-ai", "y")


def _content_signal(text: str) -> Verdict:
    """`ai-train=yes` or `no`, in whatever case."""
    return _training(text.lower(), "ai-train", "yes")


def _training(text: str, key: str, yes: str) -> Verdict:
    plain = " ".join(text.split()).replace(" =", "=").replace("= ", "=")
    if any(map(_is_no, re.split(r"[, ]+", plain))):
        return "no"
    members = _dictionary(text)
    return "yes" if members and members.get(key) == yes else "unknown"


def _is_no(part: str) -> bool:
    """Whether this is `train-ai=n`, in whatever spelling and place."""
    key, _, value = part.partition(";")[0].partition("=")
    return key.strip().lower() in _TRAINING and bool(_NO.fullmatch(value.strip().strip("\"'")))


def _dictionary(text: str) -> dict[str, str | None] | None:
    """The Dictionary that a structured field holds; None if it is not one."""
    members: dict[str, str | None] = {}
    place, text = 0, text.strip(" ")
    while place < len(text):
        if not (member := _MEMBER.match(text, place)) or not (between := _BETWEEN.match(text, member.end())):
            return None
        if between.end() == len(text) and "," in between[0]:
            return None  # a comma at the end
        members[member[1]], place = member[2], between.end()
    return members


def _reservation(value: object) -> Verdict:
    """tdm-reservation: 1 is a no, 0 a yes; what else stands there is a no if it looks like one, or says nothing."""
    said = [part.strip().strip("\"'").lower() for part in str(value).split(",")]
    if any(part in ("true", "yes") or (part.isdecimal() and int(part[:9]) > 0) for part in said):
        return "no"
    return "yes" if said == ["0"] else "unknown"


def _directives(text: str, agent: str, refusals: frozenset[str]) -> Verdict:
    """X-Robots-Tag and meta robots: directives for everybody, or after a prefix for the agent that it names."""
    ours = True
    for part in text.split(","):
        directive = part
        if (prefix := _PREFIX.fullmatch(part)) and prefix[1].lower() not in _VALUED:
            ours, directive = prefix[1].lower() in (agent.lower(), "robots"), prefix[2]
        words = set(re.split(r"[\s;\"']+", directive.strip().lower()))
        if ours and (words & refusals or ("none" in words and "noindex" in refusals)):
            return "no"
    return "unknown"


def _pathed(line: Line) -> tuple[Pattern | None, str]:
    """The path in front of a preference, if there is one, and the preference."""
    if line.value.startswith(b"/") and len(parts := line.value.split(maxsplit=1)) == 2:
        return Pattern.read(parts[0]), parts[1].decode("utf-8", "replace")
    return None, line.text


class _Metas:
    """Told of every tag by the parser, so that a page of a million tags makes no tree and none is too deep."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "meta":
            name = attributes.get("name") or attributes.get("http-equiv") or ""
            self.found.append((name.strip().lower(), attributes.get("content") or ""))

    def close(self) -> list[tuple[str, str]]:
        return self.found


def _metas(html: str) -> list[tuple[str, str]]:
    """(name in lower case, content) of a page's meta tags, as a parser of HTML sees them."""
    from lxml import etree

    source = html.replace("\x00", " ").encode("utf-8", "replace")
    parser = etree.HTMLParser(target=_Metas(), encoding="utf-8", recover=True, huge_tree=True)
    found: list[tuple[str, str]] = etree.fromstring(source, parser)
    return found
