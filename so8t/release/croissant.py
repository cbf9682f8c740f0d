"""croissant.json: the data of a release as machines read it, Croissant 1.1.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from so8t.release.datacard import personal
from so8t.release.modelcard import UNTOLD
from so8t.release.told import Data, Told
from so8t.report import sources

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


def croissant(told: Told) -> dict[str, Any]:
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "@id": "data",
        "conformsTo": VERSION,
        "name": f"{_plain(told.product.name)}-data",
        "description": _description(told),
        "license": _licences(told),
        "url": "https://so8t.invalid/data",
        "version": "1.0.0",
        **({"datePublished": told.day} if told.day else {}),
        "creator": {"@type": "sc:Organization", "name": told.publisher or "whoever released this folder"},
        "citeAs": f"The data of {told.product.name}",
        "inLanguage": ["ja"] if told.is_japanese else [],
        "isLiveDataset": False,
        "rai:dataCollection": "; ".join(_terms(told)) or UNTOLD,
        "rai:personalSensitiveInformation": f"{personal(told)} Patterns do not find the names of persons.",
        "rai:dataUseCases": USE[told.judges],
        "distribution": [_file(one) for one in told.data],
        "recordSet": [_records(one, JUDGED if told.judges else TALK) for one in told.data],
    }


def _description(told: Told) -> str:
    there = (
        "It is in the folder data/." if told.has_data else "It is not in this folder: digests say which data it was."
    )
    return f"Conversations that {told.product.name} was trained and evaluated on. {there} DATA.md says how it was made."


def _licences(told: Told) -> list[str]:
    """Of the data, which are not the model's: each source has its own."""
    return sorted({" ".join(one.terms.split()) or UNTOLD for one in sources.origins(told.facts)}) or [UNTOLD]


def _terms(told: Told) -> list[str]:
    return [
        f"{one.name}: {' '.join(one.terms.split()) or 'terms not told here'}" for one in sources.origins(told.facts)
    ]


def _file(one: Data) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": one.file,
        "name": one.file,
        "contentUrl": f"data/{one.file}",
        "contentSize": f"{one.size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": one.sha256,
    }


def _records(one: Data, fields: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    name = _plain(one.name)
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{one.conversations:,} conversations of the split {one.name}.",
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


def _plain(name: str) -> str:
    """A name that machines take: others than letters, digits and a few signs become a dash."""
    return "".join(char if char.isalnum() or char in "-_." else "-" for char in name)
