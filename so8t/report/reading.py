"""The door: what a report is made of is read here, from manifests, artifacts, specs and the journal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from so8t.corpus import pii
from so8t.engine import contents, plan
from so8t.engine.plan import Row
from so8t.formats import records
from so8t.report import left, specs, splits
from so8t.report.facts import Built, Facts, Made, StageFacts, Value
from so8t.spec import profile as profiles
from so8t.spec import yamltree
from so8t.store import artifact, journal, said
from so8t.store.digest import blake3_of
from so8t.store.layout import Layout
from so8t.store.manifest import Manifest
from so8t.train import series

DOCUMENTS = (
    "raw/stats.json",
    "cleaned/stats.json",
    "labelled/agreement.json",
    "thinking_sft/stats.json",
    "chat_format/chat_format.json",
    "chat_format/proof.json",
    "base_model/base.json",
    "so8t_model/so8t.json",
    "adapter/training.json",
    "adapter_scores/scores.json",
    "merged_model/merge.json",
    "baked_model/parity.json",
    "gguf/parity.json",
    "gguf/ledger.json",
    "modelfile/check.json",
    "evaluation/scores.json",
)
SERIES = "adapter/monitoring/series.jsonl"
SAMPLES = "evaluation/samples.jsonl"
_LINES = 40  # of what a stage said


def read(layout: Layout, page: str) -> Facts:
    """All of a profile; `page` is the stage that the report itself is, and no part of what it tells."""
    graph = plan.load(layout.project, layout.profile)
    table = contents.read(layout.project).renamed
    found = profiles.read(layout.project, layout.profile, table)
    parents = [folder.name for folder in found.chain[1:]]
    above = profiles.read(layout.project, parents[0], table) if parents else None
    told = journal.by_key(layout)
    rows = [row for row in graph.rows.values() if row.name != page]
    samples = _lines(layout, SAMPLES)
    return Facts(
        profile=layout.profile,
        description=_description(found),
        parents=tuple(parents),
        stages=tuple(
            _stage(layout, row, specs.values(row.spec, found.files.get(row.name), _above(above, row.name)), told)
            for row in rows
        ),
        documents=_documents(layout),
        series=tuple(series.read(path)) if (path := _there(layout, SERIES)) else (),
        pace=_pace(layout, graph.rows),
        samples=samples,
        questions=_questions(layout, samples),
        dropped=left.read(layout, _personal(layout, graph.rows["cleaned"].values)),
        splits=splits.count(_splits(layout)),
        project=os.path.relpath(layout.project, layout.folder(page)).replace(os.sep, "/"),
    )


def _description(found: profiles.Profile) -> str:
    values = yamltree.plain(found.settings)
    return str(values.get("description") or "") if isinstance(values, dict) else ""


def _above(above: profiles.Profile | None, stage: str) -> yamltree.Node | None:
    return above.files.get(stage) if above else None


def _stage(
    layout: Layout, row: Row, values: Sequence[Value], told: Mapping[str, Sequence[Mapping[str, Any]]]
) -> StageFacts:
    have = artifact.inspect(layout, row.name)
    made = made_of(have.manifest) if have.manifest else None
    built = built_of(told.get(made.key, ()), layout.profile) if made else None
    words = said.tail(layout, made.key, _LINES) if made else ()
    return StageFacts(row.name, row.doc, row.needs, row.on_request, made, tuple(values), built, have.dropped, words)


def made_of(manifest: Manifest) -> Made:
    given = manifest.fingerprint
    return Made(manifest.key, given.inputs, given.code, given.packages, manifest.files, manifest.accepted)


def built_of(told: Sequence[Mapping[str, Any]], profile: str) -> Built | None:
    own = [entry for entry in told if entry["profile"] == profile]
    if not own:
        return None
    built = [entry["seconds"] for entry in told if entry["outcome"] == "built"]
    last = own[-1]
    return Built(last["outcome"], last["when"], last["host"], last["seconds"], built[-1] if built else None)


def _documents(layout: Layout) -> dict[str, Any]:
    """And `pace`: how fast the newest evaluation was, which no artifact knows."""
    found = {file: orjson.loads(data) for file in DOCUMENTS if (data := _bytes(layout, file)) is not None}
    pace = layout.state / "scratch" / "evaluation" / "pace.json"
    return {**found, "pace": orjson.loads(pace.read_bytes())} if pace.is_file() else found


def _pace(layout: Layout, rows: Mapping[str, Row]) -> list[dict[str, Any]]:
    """How fast the training was, from its log; it lies where the spec says, else beside the state."""
    adapter = rows.get("adapter")
    logs = adapter.values.get("monitor", {}).get("logs") if adapter else None
    path = (layout.project / logs if logs else layout.state / "scratch" / "adapter") / "pace.jsonl"
    return list(series.read(path)) if path.is_file() else []


def _there(layout: Layout, file: str) -> Path | None:
    """Where a file of an artifact lies; None where there is none, or its bytes were let go."""
    path = layout.artifacts / layout.profile / file
    return path if path.is_file() else None


def _bytes(layout: Layout, file: str) -> bytes | None:
    path = _there(layout, file)
    return path.read_bytes() if path and _is_as_made(layout, file, path) else None


def _is_as_made(layout: Layout, file: str, path: Path) -> bool:
    """Of an artifact whose bytes were let go, nothing else looks at the documents that are left."""
    stage, _, name = file.partition("/")
    have = artifact.inspect(layout, stage)
    return not have.dropped or have.manifest is None or have.manifest.digests.get(name) == blake3_of(path)


def _lines(layout: Layout, file: str) -> list[dict[str, Any]]:
    path = _there(layout, file)
    return list(records.read(path)) if path else []


def _questions(layout: Layout, samples: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    asked = {sample["id"] for sample in samples}
    named = sorted({sample["split"] for sample in samples})
    lines = (record for split in named for record in _lines(layout, f"thinking_sft/splits/{split}.jsonl"))
    return {record["id"]: record["messages"][-2]["content"] for record in lines if record["id"] in asked}


def _personal(layout: Layout, values: Mapping[str, Any]) -> pii.Table:
    """Every kind that the project knows, whatever the profile removes, and the profile's own patterns."""
    given = contents.read(layout.project).stages["cleaned"].spec().model_dump()["pii"]
    internal = values.get("pii", {}).get("internal", ())
    return pii.kinds(given["kinds"], given["public_phones"], tuple(internal))


def _splits(layout: Layout) -> dict[str, Path]:
    return {path.stem: path for path in sorted(layout.folder("thinking_sft").glob("splits/*.jsonl"))}


def fields(layout: Layout) -> set[str]:
    """Every name of a field in the spec of any stage."""
    stages = contents.read(layout.project).stages.values()
    return {name for stage in stages for name in _fields(stage.spec.model_json_schema())}


def _fields(schema: Any) -> Iterator[str]:
    """Every name of a field in a JSON Schema."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _fields(each)
