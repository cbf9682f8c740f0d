"""bom.cdx.json: the bill of materials of a release, CycloneDX 1.7, with its model card.  Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from typing import Any

from so8t.release import licences, modelcard, notice
from so8t.release.told import Told
from so8t.report import cards, headline, summary

MODEL, BASE = "model", "base"


def bom(told: Told) -> dict[str, Any]:
    components = list(_components(told))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": f"urn:uuid:{_serial(told)}",
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "so8t"}]},
            **({"manufacturer": {"name": told.publisher}} if told.publisher else {}),
            "component": _model(told),
        },
        "components": components,
        "dependencies": [{"ref": MODEL, "dependsOn": [each["bom-ref"] for each in components]}],
    }


def _serial(told: Told) -> uuid.UUID:
    """The same for the same files."""
    digests = hashlib.sha256("".join(sorted(file.sha256 for file in told.files if file.stage)).encode()).hexdigest()
    return uuid.uuid5(uuid.NAMESPACE_OID, digests)


def _model(told: Told) -> dict[str, Any]:
    product = told.product
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": product.name,
        **({"description": product.description} if product.description else {}),
        "licenses": [{"license": licences.spdx(product.license)}],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "text-generation",
                "architectureFamily": "transformer",
                "modelArchitecture": told.facts.find("base_model/base.json", "architecture") or "a transformer",
                "datasets": [{"ref": _data_ref(name)} for name, _, _ in _data(told)],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": "text"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_metrics(told))},
            "considerations": _considerations(told),
        },
    }


def _metrics(told: Told) -> Iterator[dict[str, Any]]:
    for split, models in told.scores().items():
        for model, figures in models.items():
            for name, _, _ in modelcard.measures(told):
                if model == headline.BASE or figures.get(name) is None:
                    continue
                ends = (figures.get("intervals") or {}).get(name)
                interval = {"lowerBound": str(ends[0]), "upperBound": str(ends[1])} if ends else None
                yield {
                    "type": name,
                    "value": str(figures[name]),
                    "slice": f"{split}, {model}",
                    **({"confidenceInterval": interval} if interval else {}),
                }


def _considerations(told: Told) -> dict[str, Any]:
    limits = ["The figures hold for the held-out questions and say little of others."]
    if summary.is_plumbing(told.facts):
        limits.append("The base is tiny and was made for a test: it proves no intelligence.")
    risk = "Harmful and NSFW texts in the data: a model might learn to write such texts."
    judging = "Those who judge requests to an assistant before it answers, together with people."
    cases = "ALLOW, ESCALATION, DENY or REFUSE for a request, and an answer."
    return {
        "users": [judging if told.judges else "Those who want answers like those that it was trained on."],
        "useCases": [cases if told.judges else "Answers in conversations; nothing in it refuses a harmful request."],
        "technicalLimitations": limits,
        "ethicalConsiderations": [
            {
                "name": risk,
                "mitigationStrategy": cards.harm(told.judges),
            }
        ],
        "environmentalConsiderations": {"properties": list(_cost(told))},
    }


def _cost(told: Told) -> Iterator[dict[str, str]]:
    yield {"name": "so8t:seconds", "value": f"{told.seconds:.1f}"}
    if told.watts is not None:
        yield {"name": "so8t:kWh", "value": f"{modelcard.kilowatt_hours(told):.3g}"}


def _components(told: Told) -> Iterator[dict[str, Any]]:
    for file in told.files:
        if file.stage:
            hashes = [{"alg": "SHA-256", "content": file.sha256}]
            yield {"type": "file", "bom-ref": f"file:{file.path}", "name": file.path, "hashes": hashes}
    base = told.product.base
    if base.name or base.repo:
        yield {
            "type": "machine-learning-model",
            "bom-ref": BASE,
            "name": base.repo or base.name,
            **({"version": base.revision} if base.revision else {}),
            **({"supplier": {"name": base.organization}} if base.organization else {}),
        }
    for name, sha256, count in _data(told):
        yield {
            "type": "data",
            "bom-ref": _data_ref(name),
            "name": name,
            "hashes": [{"alg": "SHA-256", "content": sha256}],
            "data": [{"type": "dataset", "name": name, "description": f"{count:,} conversations"}],
        }
    for name, version in notice.packages(told):
        purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version.replace('+', '%2B')}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _data(told: Told) -> Iterator[tuple[str, str, int]]:
    yield from ((one.name, one.sha256, one.conversations) for one in told.facts.splits)


def _data_ref(name: str) -> str:
    return f"data:{name}"
