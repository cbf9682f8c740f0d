"""A redacted report: a thousand planted markers, wherever a text could be, and none of them in the page."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from so8t.report import page, redact
from so8t.report.facts import Facts, Value
from so8t.store.manifest import File
from tests.report.made import facts

FIELDS = {"length", "min_chars", "redacted"}
KEPT = ("label", "said", "model", "mode", "way")  # of a sample: words of the project


def planted(found: Facts, markers: Iterator[str]) -> Facts:
    """The same profile with a marker in place of every text that somebody wrote or named."""
    whole: Any = found.documents
    scores = whole["evaluation/scores.json"]["splits"]
    names = {split: next(markers) for split in ("train", "test", "own")}
    documents = {
        **{name: texts(document, markers) for name, document in whole.items()},
        "evaluation/scores.json": {"engine": next(markers), "splits": {next(markers): scores["test"]}},
        "thinking_sft/stats.json": {
            **whole["thinking_sft/stats.json"],
            "by_split": {names["train"]: 8, names["test"]: 4},
        },
        "cleaned/stats.json": {
            "in": 14,
            "out": 12,
            "dropped": {f"harm:{next(markers)}": 2},
        },
        "raw/stats.json": {next(markers): whole["raw/stats.json"]["own"]},
    }
    return replace(
        found,
        profile=next(markers),
        description=next(markers),
        parents=(next(markers),),
        documents=documents,
        stages=tuple(_stage(stage, markers) for stage in found.stages),
        samples=[_sample(one, markers) for one in found.samples * 5],
        questions={key: next(markers) for key in found.questions},
        dropped={
            "cleaned/dropped.jsonl": [
                {"id": next(markers), "reason": "language", "source": {"file": next(markers)}, "text": next(markers)}
            ]
        },
        splits=tuple(replace(one, name=names[one.name], file=next(markers)) for one in found.splits),
        artifacts=next(markers),
        project=next(markers),
    )


def texts(value: Any, markers: Iterator[str]) -> Any:
    if isinstance(value, dict):
        return {key: texts(each, markers) for key, each in value.items()}
    if isinstance(value, list):
        return [texts(each, markers) for each in value]
    return next(markers) if isinstance(value, str) else value


def _stage(stage: Any, markers: Iterator[str]) -> Any:
    values = (
        Value("length.min_chars", 4, f"{next(markers)}/cleaned.yaml:4", next(markers), True),
        Value("path", next(markers), next(markers)),
        Value(f"categories.{next(markers)}.count", 3, next(markers)),
        Value("length.names", [next(markers), next(markers)], next(markers)),
    )
    built = replace(stage.built, host=next(markers)) if stage.built else None
    stage = replace(stage, said=(next(markers), next(markers)))
    if stage.made is None:
        return replace(stage, values=values)
    made = replace(
        stage.made,
        inputs={
            f"raw/{next(markers)}": "ab" * 32,
            next(markers): "cd" * 32,
            f"./{next(markers)}/x.jsonl": "ef" * 32,
        },
        files=tuple(File(f"models/{next(markers)}{end}", 9, "ab" * 32) for end in (".gguf", "", "-f16.gguf")),
        accepted=(next(markers),),
    )
    return replace(stage, values=values, built=built, made=made)


def _sample(one: Any, markers: Iterator[str]) -> dict[str, Any]:
    named = {"split": next(markers), "id": next(markers), "text": next(markers), "problem": next(markers)}
    return {
        **{key: one[key] for key in KEPT},
        "confidence": 0.5,
        "leaks": (next(markers),),
        "ended": next(markers),
        **named,
    }


def test_none_of_a_thousand_planted_markers_is_in_a_redacted_page() -> None:
    count = itertools.count()
    found = planted(facts(), (f"秘密{next(count)}secret" for _ in itertools.repeat(None)))

    whole, redacted = page.render(found), page.render(redact.redact(found, FIELDS))

    assert next(count) >= 1000
    assert len(set(re.findall(r"秘密\d+secret", whole))) >= 400  # they are where the page would show them
    assert re.findall(r"秘密|secret", redacted) == []


def test_numbers_classes_and_digests_stay() -> None:
    text = page.render(redact.redact(facts(), FIELDS))

    assert "83.3 %" in text
    assert "length.min_chars" in text
    assert "ab" * 8 in text
    assert "ESCALATION" in text
    assert "2026-11-27" in text


def test_names_that_are_the_project_s_own_stay_and_others_are_numbered() -> None:
    names = redact.Names("split", ("test",))

    assert [names("test"), names("顧客A"), names("顧客B"), names("顧客A")] == ["test", "split 1", "split 2", "split 1"]
