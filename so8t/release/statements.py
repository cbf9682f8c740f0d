"""in-toto statements: of each stage, and of the release itself, what was made, from what, and how.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from so8t.release.told import Told
from so8t.report.facts import Made, StageFacts
from so8t.store.manifest import File

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
HOME = "https://so8t.invalid"  # names of ours under a domain that nobody can own


def statements(told: Told) -> dict[str, dict[str, Any]]:
    """By the name of a stage, or `release`."""
    made = {stage.name: _of_stage(stage, stage.made) for stage in told.facts.stages if stage.made}
    return {**made, "release": _of_release(told)}


def _of_stage(stage: StageFacts, made: Made) -> dict[str, Any]:
    return _statement(
        [{"name": f"{stage.name}/{file.path}", "digest": _digest(file)} for file in made.files],
        "stage",
        {"stage": stage.name, "spec": {value.name: value.value for value in stage.values}},
        {"code": dict(made.code), "packages": dict(made.packages), "accepted": list(made.accepted)},
        [{"name": name, "digest": {"blake3": digest}} for name, digest in made.inputs.items()],
        made.key,
    )


def _of_release(told: Told) -> dict[str, Any]:
    shipped = [file for file in told.files if file.stage]
    return _statement(
        [{"name": file.path, "digest": {"sha256": file.sha256}} for file in shipped],
        "release",
        {"name": told.product.name, "files": [file.path for file in shipped]},
        {},
        [{"name": f"{file.stage}: {file.path}", "digest": {"blake3": file.blake3}} for file in shipped],
        "",
    )


def _statement(
    subject: Sequence[Mapping[str, Any]],
    kind: str,
    asked: Mapping[str, Any],
    used: Mapping[str, Any],
    inputs: Sequence[Mapping[str, Any]],
    key: str,
) -> dict[str, Any]:
    definition: dict[str, Any] = {"buildType": f"{HOME}/{kind}/v1", "externalParameters": dict(asked)}
    if used:
        definition["internalParameters"] = dict(used)
    if inputs:
        definition["resolvedDependencies"] = list(inputs)
    details: dict[str, Any] = {"builder": {"id": f"{HOME}/doit"}}
    if key:
        details["metadata"] = {"invocationId": key}
    predicate = {"buildDefinition": definition, "runDetails": details}
    return {"_type": TYPE, "subject": list(subject), "predicateType": PREDICATE, "predicate": predicate}


def _digest(file: File) -> dict[str, str]:
    return {"blake3": file.blake3, **({"sha256": file.sha256} if file.sha256 else {})}
