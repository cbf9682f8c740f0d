"""A report for strangers: no text, no chosen name, no host, no path.  Numbers, classes and digests stay."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from so8t.report.facts import Facts, Made, Split, StageFacts, Value
from so8t.store.manifest import File

_SPLITS = ("train", "validation", "test")  # the project's own names
_COUNTED = ("lines", "records", "blank", "beyond_limit", "refused", "quarantined")  # of a source
_WORDS = ("tiny", "local", "hub")  # kinds of base models


@dataclass
class Names:
    """Chosen names become `split 1`, `split 2`, always the same for the same."""

    kind: str
    own: tuple[str, ...] = ()
    known: dict[str, str] = field(default_factory=dict)

    def __call__(self, name: str) -> str:
        if name in self.own:
            return name
        return self.known.setdefault(name, f"{self.kind} {len(self.known) + 1}")


def redact(facts: Facts, fields: Set[str]) -> Facts:
    """`fields`: every name of a field in any spec, which are the project's own words."""
    splits = Names("split", _SPLITS)
    return replace(
        facts,
        profile="a profile",
        description="",
        parents=("its parent",) if facts.parents else (),
        stages=tuple(_stage(stage, fields, {each.name for each in facts.stages}) for stage in facts.stages),
        documents=_documents(facts.documents, splits),
        samples=[_sample(one, splits) for one in facts.samples],
        questions={},
        dropped={},
        splits=tuple(_split(one, splits(one.name)) for one in facts.splits),
        artifacts=None,
        project=None,
    )


def _stage(stage: StageFacts, fields: Set[str], stages: Set[str]) -> StageFacts:
    return replace(
        stage,
        made=_made(stage.made, stages) if stage.made else None,
        values=tuple(_value(value) for value in stage.values if _is_plain(value, fields)),
        built=replace(stage.built, host="") if stage.built else None,
        said=(),
    )


def _is_plain(value: Value, fields: Set[str]) -> bool:
    """A number or a switch under a name of the project's own."""
    parts = value.name.replace("[", ".").replace("]", "").split(".")
    named = all(part in fields or part.isdigit() for part in parts)
    return named and (value.value is None or isinstance(value.value, (bool, int, float)))


def _value(value: Value) -> Value:
    kept = value.parent if isinstance(value.parent, (bool, int, float)) else None
    return replace(value, place="", parent=kept)


def _made(made: Made, stages: Set[str]) -> Made:
    files, inputs = Names("file"), Names("source")
    return replace(
        made,
        inputs={_input(name, stages, inputs): digest for name, digest in made.inputs.items()},
        files=tuple(File(files(file.path), file.size, file.blake3, file.sha256) for file in made.files),
        accepted=(),
    )


def _input(name: str, stages: Set[str], inputs: Names) -> str:
    """Which stage it came from, if from one, and a number."""
    stage = name.split("/", 1)[0]
    return f"{stage}: {inputs(name)}" if stage in stages else inputs(name)


def _split(one: Split, name: str) -> Split:
    return replace(one, name=name, file=f"{name.replace(' ', '-')}.jsonl")


def _documents(documents: Mapping[str, Any], splits: Names) -> dict[str, Any]:
    """Those that the page reads, without what somebody named or wrote."""
    found = {name: _plain(document) for name, document in documents.items()}
    if scores := documents.get("evaluation/scores.json"):
        by_split = {splits(name): _scores(each) for name, each in scores["splits"].items()}
        found["evaluation/scores.json"] = {"splits": by_split}
    if stats := documents.get("thinking_sft/stats.json"):
        counts = {splits(name): count for name, count in stats["by_split"].items()}
        found["thinking_sft/stats.json"] = {**_counted(stats), "by_split": counts}
    if stats := documents.get("cleaned/stats.json"):
        found["cleaned/stats.json"] = _counted(stats)
    if sources := documents.get("raw/stats.json"):
        counted = [{key: each[key] for key in _COUNTED if key in each} for each in sources.values()]
        found["raw/stats.json"] = {f"source {at}": each for at, each in enumerate(counted, 1)}
    if base := documents.get("base_model/base.json"):
        source = base["source"] if base["source"] in _WORDS else "another"
        found["base_model/base.json"] = {"architecture": "a model", "parameters": base["parameters"], "source": source}
    found.pop("chat_format/chat_format.json", None)
    return found


def _scores(by_model: Mapping[str, Any]) -> dict[str, Any]:
    """Without the records that changed their class: an id is what somebody chose."""
    return {
        model: {**figures, "flips": {**flips, "records": ()}} if (flips := figures.get("flips")) else figures
        for model, figures in by_model.items()
    }


def _counted(stats: Mapping[str, Any]) -> dict[str, Any]:
    """A reason such as harm:fraud names a category that somebody chose."""
    reasons: dict[str, int] = {}
    for reason, count in stats["dropped"].items():
        kind = reason.split(":", 1)[0]
        reasons[kind] = reasons.get(kind, 0) + count
    return {"in": stats["in"], "out": stats["out"], "dropped": reasons}


def _plain(value: Any) -> Any:
    """Without texts."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items() if not isinstance(each, str)}
    if isinstance(value, list):
        return [_plain(each) for each in value if not isinstance(each, str)]
    return value


def _sample(one: Mapping[str, Any], splits: Names) -> dict[str, Any]:
    kept = {key: one[key] for key in ("model", "way", "mode", "label", "said", "confidence") if key in one}
    return {
        **kept,
        "split": splits(one["split"]),
        "id": "",
        "text": "",
        "problem": None,
        "leaks": bool(one.get("leaks")),
    }
