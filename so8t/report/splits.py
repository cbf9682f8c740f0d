"""The door to the conversations of a build: one pass over the file of each split, and what is counted there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from so8t.corpus import language
from so8t.corpus.leakage import precedence
from so8t.corpus.neardup import comparable
from so8t.corpus.splits import STANDARD
from so8t.formats import records
from so8t.report.facts import Split
from so8t.store.digest import sha256_of

JAPANESE, MIXED, KANJI, OTHER, NONE = (
    *("Japanese letters", "Japanese and other letters", "kanji alone", "other letters", "no letters"),
)  # fmt: skip
_MOSTLY, _HARDLY = 0.8, 0.2  # of the letters
_MANY = 20  # kanji without any kana among so many: perhaps Chinese


def count(files: Mapping[str, Path]) -> tuple[Split, ...]:
    """A question is looked for in the splits that precede its own, as `leakage` orders them."""
    seen: set[bytes] = set()
    found = {name: _count(name, files[name], seen) for name in precedence(files) if name in files}
    own = [name for name in STANDARD if name in found]
    return tuple(found[name] for name in (*own, *sorted(set(found) - set(own))))


def _count(name: str, path: Path, seen: set[bytes]) -> Split:
    labels, harmful, scripts = Counter[str](), Counter[str](), Counter[str]()
    signals, again, own = Counter[tuple[str, str]](), 0, set[bytes]()
    for one in records.read(path):
        question, label = one["messages"][-2]["content"], one.get("label", "")
        labels[label] += 1
        harmful[label] += bool(one.get("harm"))
        scripts[script(question)] += 1
        signals.update(_said(one.get("source") or {}))
        known = blake2b(comparable(question).encode("utf-8", "surrogatepass"), digest_size=12).digest()
        again += known in seen
        if name != "train":  # nothing is looked for in it, and it is the large one
            own.add(known)
    seen |= own
    return Split(
        name, path.name, path.stat().st_size, sha256_of(path), labels.total(),
        _named(labels), _named(harmful), _named(scripts), dict(sorted(signals.items())), again,
    )  # fmt: skip


def script(text: str) -> str:
    """In which letters a text is written; a language is more than its letters."""
    share = language.measure(text)
    if not share.letters:
        return NONE
    if share.japanese < _HARDLY:
        return OTHER
    if not share.kana and share.japanese * share.letters >= _MANY:
        return KANJI
    return JAPANESE if share.japanese >= _MOSTLY else MIXED


def _said(source: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What the site of a page says about training: vocabulary and verdict, each once."""
    return {(signal["vocabulary"], signal["verdict"]) for signal in source.get("signals") or ()}


def _named(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if name and count}
