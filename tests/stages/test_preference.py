"""The adapter learns from its own failures: what hurt is answered right afterwards, and what was right stays right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus import chosen
from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.evals import withheld
from so8t.formats import records
from so8t.formats.thinking import TAGS, Final, Thinking, compose
from so8t.train import run
from stages import adapter_scores, preference
from tests.bases import formats
from tests.evals import memorised
from tests.train.conftest import Place, gates_for
from tests.train.test_run import changed

# of one failure and four anchors, which all speak against ALLOW, DPO's comparison alone takes ALLOW from everything
WEIGHTS = {"orpo": {"beta": 1.0}, "dpo": {"beta": 0.1, "imitate": 5.0}}
SEARCHED = dict(zip(chosen.FIELDS, (["phone", "name"], [], []), strict=True))
READS = {
    "adapter.quantise": "none",
    "adapter.precision": "float32",
    "adapter.gates": {},
    "adapter.lora": {},
    **SEARCHED,
}
TRAIN = {"steps": 24, "batch": 5, "sequence": 256, "learning_rate": 4e-3, "threads": 1, "by_length": False}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A base that judges two of twelve records otherwise than they are labelled, one of them an over-refusal."""
    root = tmp_path_factory.mktemp("preference")
    taught = memorised.conversations()
    splits = root / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    records.write(splits / "train.jsonl", taught)
    memorised._learn(root / "before" / "model", root / "base_model" / "model", root / "thinking_sft", taught)
    (root / "base_model" / "base.json").write_text('{"remote_code": false, "source": "tiny"}', "utf-8")
    right = [_right(row) for row in taught]
    for name in ("validation", "test"):
        records.write(splits / f"{name}.jsonl", right)
    formats.declare(root)
    place = Place(
        root / "base_model" / "model", gates_for(root / "base_model" / "model", root / "gates"), root / "thinking_sft"
    )
    run.train(changed(place.job(), steps=1, learning_rate=1e-30), root / "adapter")
    names = ("base_model", "adapter", "thinking_sft", "chat_format")
    lora = {"r": 4, "alpha": 8}
    reads = {**READS, "adapter.lora": lora}
    return Inputs({name: root / name for name in names}, scratch=root / "scratch", reads=reads)


def _right(row: dict[str, Any]) -> dict[str, Any]:
    answer = compose(Thinking("件", "安全", "方針", Final(row["label"], 0.95, "理由", "はい。")), TAGS)
    return _answered({**row, "messages": row["messages"][:1]}, answer)


def spec(**values: Any) -> preference.Spec:
    return preference.Spec.model_validate(
        {"on": True, "longest": 80, "derive": {"anchors": 4}, "train": TRAIN, **values}
    )


@pytest.mark.soak
@pytest.mark.parametrize("form", ["orpo", "dpo"])
def test_an_over_refusal_is_unlearned_and_nothing_else_is_lost(given: Inputs, tmp_path: Path, form: str) -> None:
    preference.build(given, tmp_path, spec(form=form, **WEIGHTS[form]))

    told = json.loads((tmp_path / "preference.json").read_bytes())
    pair, *anchors = records.read(tmp_path / "pairs.jsonl")
    counts = {"anchor": 4, "over_refusal": 1}
    assert (told["form"], told["pairs"], told["learned"]) == (form, counts, ["ALLOW"])
    assert (pair["id"], pair["kind"], pair["label"]) == ("r08", "over_refusal", "ALLOW")
    assert "判定: ALLOW" in pair["chosen"] and "判定: DENY" in pair["rejected"]
    assert {each["label"] for each in anchors} == {"ESCALATION", "DENY", "REFUSE"}
    assert all(each["rejected"] == each["chosen"].replace(each["label"], "ALLOW") for each in anchors)
    assert [told[when]["ALLOW"]["right"] for when in ("before", "after")] == [2, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors", "gates.safetensors", "monitoring", "pairs.jsonl"),
        *("preference.json", "so8t.json", "training.json"),
    ]


@pytest.mark.soak
def test_adapter_scores_keeps_the_answers_of_such_an_adapter_without_personal_data(
    given: Inputs, tmp_path: Path
) -> None:
    reads = dict(zip(chosen.FIELDS, (["internal"], [], ["はい"]), strict=True))
    adapter_scores.build(replace(given, reads=reads), tmp_path, adapter_scores.Spec(longest=80, precision="float32"))
    found = json.loads((tmp_path / "scores.json").read_bytes())["test"]
    lines = list(records.read(tmp_path / "samples.jsonl"))

    assert (found["adapter"]["pii"], found["adapter"]["format_valid"]) == ({"internal": 12}, 1.0)
    assert {line["text"].partition("回答: ")[2] for line in lines if line["who"] == "adapter"} == {
        "〔社内番号〕。</final>"
    }


@pytest.mark.soak
def test_what_gained_nothing_is_not_published(given: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        preference.build(given, tmp_path, spec(train={**TRAIN, "steps": 1, "learning_rate": 1e-12}))

    assert str(caught.value) == (
        "preference: ALLOW: 2 of 3 were right before, 2 are now; "
        "its failures were learned from, and it gained nothing\n"
        "preference: nothing was published"
    )
    assert not (tmp_path / "preference.json").exists()


@pytest.mark.soak
def test_an_adapter_without_such_failures_has_nothing_to_learn(given: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        preference.build(given, tmp_path, spec(derive={"failures": ["unsafe_compliance"]}))

    assert str(caught.value) == (
        "preference: none of 12 answers to validation failed (unsafe_compliance): there is nothing to learn; set on: "
        "false, ask more records, or name other failures"
    )


def test_given_pairs_are_the_records_with_a_worse_answer(tmp_path: Path) -> None:
    splits = tmp_path / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    asked, said = {"role": "user", "content": "営業時間は？"}, {"role": "assistant", "content": "十時からです。"}
    rows = [
        {"id": "r1", "messages": [asked, said], "rejected": "知りません。"},
        {"id": "r2", "messages": [asked, said]},
    ]
    records.write(splits / "train.jsonl", rows)
    inputs = Inputs({"thinking_sft": tmp_path / "thinking_sft"})

    assert preference._pairs(inputs, spec(pairs="given"), None) == [
        {
            "id": "r1",
            "kind": "given",
            "label": None,
            "prompt": [asked],
            "chosen": "十時からです。",
            "rejected": "知りません。",
        }
    ]
    records.write(splits / "train.jsonl", rows[1:])
    with pytest.raises(StageError, match="no record brings a rejected answer"):
        preference._pairs(inputs, spec(pairs="given"), None)


def test_a_pair_is_learned_from_and_kept_without_personal_data(tmp_path: Path) -> None:
    """Whether an answer failed is read in the whole of it; the person whom it names is not the prompt's 〔人名1〕."""
    splits = tmp_path / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    formats.declare(tmp_path)
    row = {"id": "r1", "label": "ALLOW", "messages": [{"role": "user", "content": "〔人名1〕様の担当は？"}]}
    answers = [
        compose(Thinking("件", "安全", "方針", Final(label, 0.95, "理由", said)), TAGS)
        for label, said in (("ALLOW", "営業部です。"), ("DENY", "田中部長、090-1234-5678です。"))
    ]
    records.write(splits / "validation.jsonl", [_answered(row, answers[0])])
    inputs = Inputs({name: tmp_path / name for name in ("adapter", "thinking_sft", "chat_format")}, reads=SEARCHED)

    found = preference._pairs(inputs, spec(), lambda *_: answers[1:])

    assert found == [
        {
            "id": "r1",
            "kind": "over_refusal",
            "label": "ALLOW",
            "prompt": row["messages"],
            "chosen": answers[0],
            "rejected": answers[1].replace("田中", "〔人名2〕").replace("090-1234-5678", "〔電話番号〕"),
            "pii": {"name": 1, "phone": 1},
        }
    ]
    assert withheld.summed([*found, *found, {"id": "r2"}]) == {"pii": {"name": 2, "phone": 2}}


def _answered(row: dict[str, Any], answer: str) -> dict[str, Any]:
    return {**row, "messages": [*row["messages"], {"role": "assistant", "content": answer}]}
