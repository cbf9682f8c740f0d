"""What a release tells, beside a report's facts: the product's own words, what is in the folder, who publishes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from so8t.report import headline
from so8t.report.cards import Card
from so8t.report.facts import Facts


@dataclass(frozen=True)
class Base:
    """The model that was tuned; `repo` and `revision` where it came from the hub."""

    name: str = ""
    organization: str = ""
    url: str = ""
    repo: str = ""
    revision: str = ""


@dataclass(frozen=True)
class Product:
    """What the files themselves say of the model: these words leave the house with them, redacted or not."""

    name: str
    license: str
    description: str
    base: Base


@dataclass(frozen=True)
class Shipped:
    """A file of the folder; one that came from an artifact has its stage, and the digest that its file has there."""

    path: str
    size: int
    sha256: str
    stage: str = ""
    blake3: str = ""


@dataclass(frozen=True)
class Told:
    product: Product
    facts: Facts
    files: tuple[Shipped, ...]
    publisher: str = ""
    watts: float | None = None  # what the machine took while it worked, on average; None: nobody measured it
    has_data: bool = False  # whether they are handed over, too
    has_manifests: bool = True

    def ending(self, end: str) -> list[Shipped]:
        return [file for file in self.files if file.path.endswith(end)]

    @property
    def types(self) -> list[str]:
        """Of the GGUFs, as evaluation calls them."""
        return [kind(file.path) for file in self.ending(".gguf")]

    @property
    def has_checkpoint(self) -> bool:
        return bool(self.ending(".safetensors"))

    @property
    def judges(self) -> bool:
        """Whether the model says a class of each request; else it answers in conversations."""
        return headline.is_classed(self.facts)

    @property
    def card(self) -> Card:
        """What the cards about its data are told."""
        return Card(self.product.name, self.facts, "data" if self.has_data else "", self.publisher)

    @property
    def seconds(self) -> float:
        """Of all stages, as far as anybody knows."""
        return sum(stage.seconds for stage in self.facts.stages)

    def scores(self) -> dict[str, dict[str, Any]]:
        """By split and released type; of safetensors alone, all types stand for the model."""
        found: Mapping[str, Mapping[str, Any]] = self.facts.find("evaluation/scores.json", "splits") or {}
        return {
            split: {model: one for model, one in models.items() if model == "base" or model in (self.types or models)}
            for split, models in found.items()
        }


def kind(path: str) -> str:
    """q4_k_m of so8t-q4_k_m.gguf."""
    return path.removesuffix(".gguf").rsplit("-", 1)[-1]


def product(gguf: Mapping[str, Any], base_model: Mapping[str, Any]) -> Product:
    """From the specs in the manifests of `gguf` and `base_model`."""
    said, source = gguf.get("base") or {}, base_model.get("source") or {}
    hub = source if source.get("kind") == "hub" else {}
    base = Base(
        name=said.get("name", ""),
        organization=said.get("organization", ""),
        url=said.get("url", ""),
        repo=hub.get("repo", ""),
        revision=hub.get("revision", ""),
    )
    return Product(gguf["name"], gguf["license"], gguf["description"], base)
