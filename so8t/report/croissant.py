"""croissant.json: the data of a build or a release as machines read it, Croissant 1.1.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from so8t.report import flow, sources, unknown
from so8t.report.cards import UNTOLD, Card
from so8t.report.datacard import STAGES, personal
from so8t.report.facts import Split

VERSION = "http://mlcommons.org/croissant/1.1"
_CR = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet format "
    "includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace "
    "samplingRate separator source subField transform"
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{word: f"cr:{word}" for word in _CR.split()},
}
TALK = (  # of a conversation: name, type, what it is
    ("id", "sc:Text", "A name for the record, the same in every build."),
    ("text", "sc:Text", "The conversation as the model reads it."),
)
USE = {
    True: "Detection and refusal of harmful requests; harmful texts are never a text to generate.",
    False: "Training and testing of models that answer in conversations.",
}
JUDGED = (
    *TALK,
    ("label", "sc:Text", "ALLOW, ESCALATION, DENY or REFUSE."),
    ("confidence", "sc:Float", "How sure the label is, from 0 to 1."),
)


def croissant(card: Card) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": "data",
        "conformsTo": VERSION,
        "name": f"{_plain(card.name)}-data",
        "description": _description(card),
        "license": _licences(card),
        "url": "https://so8t.invalid/data",
        "version": "1.0.0",
        **({"datePublished": card.day} if card.day else {}),
        "creator": {"@type": "sc:Organization", "name": card.publisher or "whoever released this folder"},
        "citeAs": f"The data of {card.name}",
        "inLanguage": ["ja"] if card.is_japanese else [],
        "isLiveDataset": False,
        "rai:dataCollection": "; ".join(_terms(card)) or UNTOLD,
        "rai:personalSensitiveInformation": f"{personal(card)} {unknown.names(card)}",
        "rai:dataPreprocessingProtocol": "; ".join(_steps(card)),
        "rai:dataLimitations": f"Not known: {' '.join(unknown.lines(card))}",
        "rai:dataUseCases": USE[card.judges],
        "distribution": [_file(one, card.where) for one in card.facts.splits],
        "recordSet": [_records(one, JUDGED if card.judges else TALK) for one in card.facts.splits],
    }


def _description(card: Card) -> str:
    there = (
        f"It is in the folder {card.where}/."
        if card.where
        else "It is not in this folder: digests say which data it was."
    )
    return f"Conversations that {card.name} was trained and evaluated on. {there} DATA.md says how it was made."


def _licences(card: Card) -> list[str]:
    """Of the data, which are not the model's: each source has its own."""
    return sorted({" ".join(one.terms.split()) or UNTOLD for one in sources.origins(card.facts)}) or [UNTOLD]


def _terms(card: Card) -> list[str]:
    return [
        f"{one.name}: {' '.join(one.terms.split()) or 'terms not told here'}" for one in sources.origins(card.facts)
    ]


def _steps(card: Card) -> list[str]:
    """What each stage took, gave and left out."""
    return [
        f"{step.stage}: {step.taken:,} in, {step.given:,} out"
        + "".join(f", {loss.reason} {loss.count:,}" for loss in step.losses)
        for step in flow.steps(card.facts)
        if step.stage in STAGES
    ]


def _file(one: Split, where: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": one.file,
        "name": one.file,
        "contentUrl": f"{where or 'data'}/{one.file}",
        "contentSize": f"{one.size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": one.sha256,
    }


def _records(one: Split, fields: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    name = _plain(one.name)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": _counted(one),
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{name}/{field}",
                "name": field,
                "description": what,
                "dataType": kind,
                "source": {"fileObject": {"@id": one.file}, "extract": {"column": field}},
            }
            for field, kind, what in fields
        ],
    }


def _counted(one: Split) -> str:
    classes = ", ".join(f"{label} {count:,}" for label, count in one.labels.items())
    return f"{one.conversations:,} conversations of the split {one.name}{f': {classes}' if classes else ''}."


def _plain(name: str) -> str:
    """A name that machines take: others than letters, digits and a few signs become a dash."""
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name)
