"""Documents for machines: other people's validators take them, and refuse them where they are damaged."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from so8t.errors import UserError
from so8t.release import documents, folder, validators
from so8t.release.told import Shipped, Told, product
from so8t.report import croissant, redact
from so8t.report.cards import Card, as_json
from so8t.report.facts import Facts
from tests.release.conftest import Profile
from tests.report.made import facts
from tests.report.test_redacted import FIELDS, planted


def papers(released: Path) -> dict[str, str]:
    return {
        path.relative_to(released).as_posix(): path.read_text("utf-8")
        for path in sorted(released.rglob("*.json"))
        if path.name in ("bom.cdx.json", "croissant.json") or path.parent.name == "attestations"
    }


def test_every_validator_takes_every_document(released: Path) -> None:
    found = papers(released)

    assert len(found) == 14  # a statement for each of eleven stages and one for the release
    assert {name: list(validators.problems(name, text)) for name, text in found.items()} == {name: [] for name in found}


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("bom.cdx.json", lambda one: {**one, "metadata": {"component": {"name": "nothing else"}}}),
        ("croissant.json", lambda one: {**one, "distribution": []}),
        ("attestations/gguf.intoto.json", lambda one: {**one, "subject": []}),
        ("attestations/gguf.intoto.json", lambda one: {**one, "predicate": {"madeOf": "thin air"}}),
    ],
)
def test_a_damaged_document_is_refused(released: Path, name: str, edit: Any) -> None:
    text = json.dumps(edit(json.loads((released / name).read_bytes())))

    with pytest.raises(UserError, match=f"^release: {re.escape(name)} is not valid: "):
        validators.check({name: text})


def test_a_statement_ties_a_stage_to_the_one_above_it(released: Path) -> None:
    gguf, baked = (
        json.loads((released / "attestations" / f"{stage}.intoto.json").read_bytes())
        for stage in ("gguf", "baked_model")
    )

    taken = {one["name"]: one["digest"] for one in gguf["predicate"]["buildDefinition"]["resolvedDependencies"]}
    given = {one["name"]: one["digest"] for one in baked["subject"]}
    assert given.items() <= taken.items()
    assert gguf["predicate"]["buildDefinition"]["externalParameters"]["spec"]["name"] == "pico"


def test_the_bill_says_how_good_the_model_is_and_how_sure_that_is(released: Path) -> None:
    bom = json.loads((released / "bom.cdx.json").read_bytes())

    card = bom["metadata"]["component"]["modelCard"]
    assert card["quantitativeAnalysis"]["performanceMetrics"][0] == {
        "type": "accuracy",
        "value": "0.833333",
        "slice": "test, f16",
        "confidenceInterval": {"lowerBound": "0.5833", "upperBound": "1.0"},
    }
    assert card["considerations"]["environmentalConsiderations"]["properties"] == [
        {"name": "so8t:seconds", "value": "66.0"},
        {"name": "so8t:kWh", "value": "0.00119"},
    ]
    refs = [component["bom-ref"] for component in bom["components"]]
    assert bom["dependencies"] == [{"ref": "model", "dependsOn": refs}]
    assert {"file:model.safetensors", "data:train", "pkg:pypi/numpy@2.0"} <= set(refs)


def test_the_croissant_leads_to_the_records_that_are_handed_over(profile: Profile, tmp_path: Path) -> None:
    import mlcroissant

    order = replace(profile.order("q4_k_m"), data=True)
    folder.write(profile.shelf("q4_k_m"), order, tmp_path / "own")

    (record,) = mlcroissant.Dataset(str(tmp_path / "own" / "croissant.json")).records("train")
    assert {key: value for key, value in record.items() if key != "train/text"} == {
        "train/id": b"r0",
        "train/label": b"ALLOW",
        "train/confidence": 1.0,
    }
    with pytest.raises(UserError, match="records tell their sources"):
        folder.write(profile.shelf("f16"), replace(order, redact=lambda found: found), tmp_path / "no")


def test_the_card_of_a_build_is_as_valid_and_leads_to_the_splits_beside_it() -> None:
    found = croissant.croissant(Card("経理 own", facts(), "../thinking_sft/splits"))

    assert list(validators.problems("croissant.json", as_json(found))) == []
    assert [one["contentUrl"] for one in found["distribution"]] == [
        "../thinking_sft/splits/train.jsonl",
        "../thinking_sft/splits/test.jsonl",
    ]
    assert found["recordSet"][0]["description"] == "8 conversations of the split train: ALLOW 6, REFUSE 2."
    assert found["rai:dataPreprocessingProtocol"].startswith("raw: 15 in, 14 out, blank 1; cleaned: 14 in, 12 out")


# ---- redacted ------------------------------------------------------------------------------------------------


def told(found: Facts) -> Told:
    spec = {"name": "pico", "license": "mit", "description": "A pico model.", "base": None}
    files = (Shipped("pico-f16.gguf", 9, "cd" * 32, "gguf", "ef" * 32),)
    return Told(product(spec, {}), found, files, "", 65.0, has_manifests=False)


def test_none_of_a_thousand_planted_markers_is_in_the_documents_of_a_redacted_release() -> None:
    count = itertools.count()
    markers: Iterator[str] = (f"秘密{next(count)}secret" for _ in itertools.repeat(None))
    own = planted(facts(), markers)

    whole, redacted = (
        "\n".join(documents.documents(told(found)).values()) for found in (own, redact.redact(own, FIELDS))
    )

    assert next(count) >= 1000
    assert len(set(re.findall(r"秘密\d+secret", whole))) >= 40  # they are where the documents would tell them
    assert re.findall(r"秘密|secret", redacted) == []


def test_a_redacted_release_of_files_holds_no_name_that_somebody_chose(profile: Profile, tmp_path: Path) -> None:
    order = replace(profile.order("f16"), redact=lambda found: redact.redact(found, FIELDS), publisher="")
    folder.write(profile.shelf("f16"), order, tmp_path / "own")

    texts = {
        path.name: path.read_text("utf-8")
        for path in (tmp_path / "own").rglob("*")
        if path.suffix in (".json", ".md") or path.name == "NOTICE"
    }
    assert not (tmp_path / "own" / "manifests").exists()
    chosen = ("CC-BY-4.0", "data/own.jsonl", "秘密", str(profile.layout.project), "learning_rate")
    assert [(name, word) for name, text in texts.items() for word in chosen if re.search(rf"\b{word}\b", text)] == []
    assert "pico" in texts["README.md"]


# ---- conversations as they are -------------------------------------------------------------------------------


def test_a_model_that_judges_nothing_is_not_said_to() -> None:
    own = facts()
    talk = {"perplexity": 7.5, "exact": 0.25, "format_valid": 1.0, "records": 12, "intervals": {}}
    base = {**talk, "perplexity": 31.25, "format_valid": 0.0}
    scores = {"evaluation/scores.json": {"splits": {"test": {"f16": talk, "base": base}}}}
    chat = replace(own, documents={**own.documents, **scores})
    chat = replace(chat, documents={name: one for name, one in chat.documents.items() if "chat_format" not in name})
    chat = replace(chat, splits=tuple(replace(one, labels={}, harmful={}) for one in own.splits))

    found = documents.documents(told(chat))

    assert [name for name, text in found.items() if "REFUSE" in text] == []
    assert [list(validators.problems(name, text)) for name, text in found.items()] == [[] for _ in found]
    metrics = json.loads(found["bom.cdx.json"])["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    assert metrics["performanceMetrics"][0] == {"type": "perplexity", "value": "7.5", "slice": "test, f16"}
    assert "| perplexity | 7.50 | 31.25 |" in found["README.md"]  # a base without the format has one all the same
    (train, _) = json.loads(found["croissant.json"])["recordSet"]
    assert [field["name"] for field in train["field"]] == ["id", "text"]
