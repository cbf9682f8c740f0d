"""The sample corpus from its patterns, byte for byte: python -m tools.sample.compose [folder]."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from tools.sample import patterns_care, patterns_goods, patterns_office, patterns_service
from tools.sample.intents import INTENTS
from tools.sample.nearness import Nearness
from tools.sample.pattern import Domain, Pattern
from tools.sample.template import Filled, parse

SEED = "so8t tiny 1"
TRAIN, NOVEL = 11, 5
"""Records of each pattern that is trained on, and of each that is not."""
SHORTEST, LONGEST = 12, 60
_TRIES = 4000
_THINKING = 26
"""A tenth of a byte's 256 values: the training records that bring thinking of their own."""
FOLDER = Path(__file__).resolve().parents[2] / "specs" / "tiny" / "corpus"
DOMAINS: tuple[Domain, ...] = (
    *patterns_office.DOMAINS,
    *patterns_service.DOMAINS,
    *patterns_care.DOMAINS,
    *patterns_goods.DOMAINS,
)


class Place(NamedTuple):
    """Where a pattern stands: its name is made of its domain, its class and its number there."""

    domain: Domain
    pattern: Pattern
    name: str
    trained: bool
    known: int
    """How many of its records are kept for `test_known`."""


class Sentence(NamedTuple):
    place: Place
    text: str
    values: tuple[str, ...]
    """The fillings, one for each slot of the pattern."""
    split: str


def places() -> Iterator[Place]:
    for domain in DOMAINS:
        numbers: dict[str, int] = {}
        for pattern in (*domain.trained, *domain.novel):
            label = INTENTS[pattern.intent].label.lower()
            numbers[label] = number = numbers.get(label, 0) + 1
            trained = pattern in domain.trained
            yield Place(domain, pattern, f"{domain.key}-{label}-{number}", trained, (2 if number == 1 else 1) * trained)


def sentences() -> list[Sentence]:
    """Every sentence of the corpus; none is nearer to another than the bounds of `nearness` allow."""
    near = Nearness()
    return [sentence for place in places() for sentence in _of(place, near)]


def _of(place: Place, near: Nearness) -> list[Sentence]:
    wanted = TRAIN + place.known if place.trained else NOVEL
    found = list(islice(_apart(place, near), wanted))
    if len(found) < wanted:
        raise ValueError(f"{place.name}: {len(found)} of {wanted} sentences; give its slots more fillings")
    held_out = "test_known" if place.trained else "test_novel"
    first = TRAIN if place.trained else 0
    return [
        Sentence(place, filled.text, filled.values, held_out if at >= first else "train")
        for at, filled in enumerate(found)
    ]


def _apart(place: Place, near: Nearness) -> Iterator[Filled]:
    template = parse(place.pattern.template)
    for turn in range(_TRIES):
        filled = template.fill(_deal(place.name, turn))
        if filled and SHORTEST <= len(filled.text) <= LONGEST and near.add(filled.text):
            yield filled


def _deal(name: str, turn: int) -> Callable[[int, int], int]:
    """Which of `size` fillings a slot takes: like a shuffled deck, dealt to its end before it is shuffled again."""

    def choose(slot: int, size: int) -> int:
        deck, card = divmod(turn, size)
        return _shuffled(f"{name}/{slot}/{deck}", size)[card]

    return choose


@lru_cache(1024)
def _shuffled(deck: str, size: int) -> list[int]:
    return sorted(range(size), key=lambda at: _hash(f"{deck}/{at}"))


def _hash(text: str) -> bytes:
    return blake2b(f"{SEED}/{text}".encode(), digest_size=8).digest()


def record(sentence: Sentence) -> dict[str, Any]:
    place, intent = sentence.place, INTENTS[sentence.place.pattern.intent]
    names = {"domain": place.domain.name, "desk": place.domain.desk}
    made: dict[str, Any] = {
        "text": sentence.text,
        "label": intent.label,
        "reason": intent.reason,
        "answer": (place.pattern.answer or intent.answer).format_map(names),
    }
    if sentence.split != "train":
        made["split"] = sentence.split
    elif _hash(f"thinking/{sentence.text}")[0] < _THINKING:
        texts = {"task": intent.task, "safety": intent.safety, "policy": intent.policy}
        made["thinking"] = {part: text.format_map(names) for part, text in texts.items()}
    made["tags"] = {"domain": place.domain.name, "intent": place.pattern.intent, "pattern": place.name}
    return made


def files(made: Iterable[Sentence]) -> dict[str, bytes]:
    """The bytes of every file of the corpus, its records in an order that tells nothing."""
    lines: dict[str, list[bytes]] = {"train": [], "test_known": [], "test_novel": []}
    for sentence in sorted(made, key=lambda sentence: _hash(sentence.text)):
        lines[sentence.split].append(orjson.dumps(record(sentence), option=orjson.OPT_APPEND_NEWLINE))
    return {f"{split}.jsonl": b"".join(found) for split, found in lines.items()}


def main(folder: Path) -> None:
    for name, content in files(sentences()).items():
        (folder / name).write_bytes(content)
        lines = content.count(b"\n")
        print(f"{folder / name}: {lines:,} records, {len(content):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
