"""How likely a Japanese sentence asks for harm: a second voice beside the patterns of `harm`, for words that none has.

A logistic regression over characters and pairs of characters, written by `tools/suspect.py`.
Its weights are whole numbers, so that every machine takes the same sum, whatever the order.
It says nothing about a sentence without kana or kanji: English was tried and is hardly better than chance.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WEIGHTS, FIGURES = HERE / "weights.json", HERE / "figures.json"
UNIT = 1_000  # of a weight
_JAPANESE = re.compile(r"[ぁ-ゖァ-ヺ一-鿿]")
_LEAST = 4  # characters: fewer are a word, and no request


@dataclass(frozen=True)
class Weights:
    bias: int
    grams: Mapping[str, int]


@lru_cache
def weights() -> Weights:
    told = json.loads(WEIGHTS.read_text("utf-8"))
    return Weights(told["bias"], told["grams"])


@lru_cache
def figures() -> dict[str, Any]:
    """How well it and the patterns do on the sentences that were held out; for people."""
    told: dict[str, Any] = json.loads(FIGURES.read_text("utf-8"))
    return told


def probability(sentence: str) -> float:
    """That it asks for harm, in 4 digits; 0 where nothing can be said."""
    if len(sentence) < _LEAST or not _JAPANESE.search(sentence):
        return 0.0
    known, found = weights(), grams(sentence)
    summed = sum(known.grams.get(gram, 0) for gram in found)
    return round(1 / (1 + math.exp(-(known.bias + summed / math.sqrt(len(found))) / UNIT)), 4)


def grams(sentence: str) -> set[str]:
    text = unicodedata.normalize("NFKC", sentence).lower()
    return {*text, *map("".join, itertools.pairwise(text))}
