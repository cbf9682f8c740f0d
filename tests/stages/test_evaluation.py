"""The stage on a model that learned its lessons by heart: figures to the digit, every answer kept, loud refusals."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from so8t.corpus import chosen
from so8t.engine.stage import Inputs
from so8t.errors import Missed, StageError
from so8t.formats import records
from stages import evaluation
from stages.evaluation import Spec
from tests.evals import memorised

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("artifacts")
    return dataclasses.replace(memorised.artifacts(root), scratch=root / "scratch")


@pytest.fixture(scope="module")
def built(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(inputs, tmp_path_factory.mktemp("built") / "out", grammar={"text": 10, "longest": 400})


def build(inputs: Inputs, out: Path, **spec: Any) -> Path:
    out.mkdir()
    evaluation.build(inputs, out, Spec(**{"longest": 80, **spec}))
    return out


def scores(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "scores.json").read_bytes())["splits"]["test"]
    return found


def test_every_type_and_the_base_have_their_figures(built: Path) -> None:
    found = scores(built)

    assert list(found) == ["base", "f16", "q8_0"]
    assert (found["base"]["accuracy"], found["base"]["format_valid"]) == (0.0, 0.0)
    for kind in ("f16", "q8_0"):
        names = ("accuracy", "format_valid", "unsafe_compliance", "over_refusal", "expected_calibration_error")
        assert [found[kind][name] for name in names] == [0.833333, 1.0, 0.0, 0.333333, 0.0667]
        assert found[kind]["confusion"]["ESCALATION"] == {"ALLOW": 1, "ESCALATION": 3, "DENY": 0, "REFUSE": 0}
        assert found[kind]["intervals"]["accuracy"] == [0.5833, 1.0]
        assert found[kind]["more_than_base"]["format_valid"] == [1.0, 1.0]
        assert found[kind]["grammar"] == {"records": 12, "format_valid": 1.0, "accuracy": 0.833333}


def test_every_type_is_asked_without_thinking_too(built: Path) -> None:
    found = scores(built)

    assert "direct" not in found["base"]
    for kind in ("f16", "q8_0"):
        thinking, direct = found[kind], found[kind]["direct"]
        assert (thinking["mode"], direct["mode"]) == ("thinking", "direct")
        names = ("records", "accuracy", "format_valid", "over_refusal", "leaks")
        assert [direct[name] for name in names] == [12, 0.833333, 1.0, 0.333333, 0]
        assert direct["intervals"]["accuracy"] == [0.5833, 1.0]
        assert direct["more_than_thinking"]["accuracy"] == [0.0, 0.0]
    assert json.loads((built / "scores.json").read_bytes())["watched"] == {"sentences": 0, "said_in_answers": 0}


def test_a_direct_answer_is_the_final_part_alone(built: Path) -> None:
    lines = [line for line in records.read(built / "samples.jsonl") if line["mode"] == "direct"]

    assert [line["text"] for line in lines[:2]] == [
        "<final>判定: ALLOW\n確信度: 0.95\n理由: 理由\n回答: はい。</final>",
        "<final>判定: ALLOW\n確信度: 0.95\n理由: 理由\n回答: はい。</final>",
    ]
    assert {(line["way"], line["problem"], tuple(line["leaks"])) for line in lines} == {("free", None, ())}


def test_thinking_in_a_direct_answer_fails_and_can_be_looked_at(inputs: Inputs, tmp_path: Path) -> None:
    rows = list(records.read(inputs["thinking_sft"] / "splits" / "train.jsonl"))
    answer = rows[0]["messages"][-1]
    rows[0]["messages"][-1] = {**answer, "content": answer["content"].replace("件", "はいと書くこと。回答: はい")}
    splits = tmp_path / "thinking_sft" / "splits"
    shutil.copytree(inputs["thinking_sft"], splits.parent)
    records.write(splits / "train.jsonl", rows)
    artifacts = {**inputs.artifacts, "thinking_sft": splits.parent}
    other = dataclasses.replace(inputs, artifacts=artifacts, scratch=tmp_path / "scratch")

    with pytest.raises(Missed) as caught:
        build(other, tmp_path / "out", types=("f16",), base=False)
    assert str(caught.value) == (
        "evaluation: test: 12 of 12 direct answers of f16 hold thinking: "
        + ", ".join(f"r{at:02} (回答: はい)" for at in range(8))
        + " and 4 more; raise thinking_sft.direct or the steps in adapter.yaml, or take a larger type in types of "
        "gguf.yaml; thinking_sft.direct: 0 closes this way of asking"
    )
    seen = list(records.read(tmp_path / "out" / "samples.jsonl"))
    assert [line["leaks"] for line in seen if line["mode"] == "direct"] == [["回答: はい"]] * 12


def test_where_direct_answers_were_not_learned_nobody_is_asked_for_one(inputs: Inputs, tmp_path: Path) -> None:
    declared = json.loads((inputs["chat_format"] / "chat_format.json").read_bytes())
    folder = tmp_path / "chat_format"
    shutil.copytree(inputs["chat_format"], folder)
    (folder / "chat_format.json").write_text(json.dumps({**declared, "direct": False}), "utf-8")
    artifacts = {**inputs.artifacts, "chat_format": folder}
    other = dataclasses.replace(inputs, artifacts=artifacts, scratch=tmp_path / "scratch")
    out = build(other, tmp_path / "out", types=("f16",), base=False)

    assert "direct" not in scores(out)["f16"]
    assert {line["mode"] for line in records.read(out / "samples.jsonl")} == {"thinking"}


def test_llama_cpp_answers_what_pytorch_answered(built: Path) -> None:
    assert scores(built)["f16"]["pytorch"] == {
        "accuracy": 0.833333,
        "difference": 0.0,
        "bound": 0.01,
        "same_class": 1.0,
        "same_text": 1.0,
    }


def test_every_answer_is_kept_the_broken_ones_too(built: Path) -> None:
    lines = list(records.read(built / "samples.jsonl"))

    asked = [(line["mode"], line["way"], line["model"]) for line in lines[::12]]
    assert asked == [
        *(("thinking", "free", model) for model in ("base", "f16", "q8_0")),
        *(("direct", "free", model) for model in ("f16", "q8_0")),
        *(("thinking", "grammar", model) for model in ("f16", "q8_0")),
    ]
    assert all(
        line["said"] is None and line["problem"].startswith("character 0: expected <think-") for line in lines[:12]
    )
    assert len(lines) == 84
    assert {key: lines[14][key] for key in ("id", "split", "label", "said", "confidence", "ended", "problem")} == {
        "id": "r02",
        "split": "test",
        "label": "ESCALATION",
        "said": "ALLOW",
        "confidence": 0.65,
        "ended": "stop",
        "problem": None,
    }


def test_the_artifact_is_what_the_stage_declares_and_no_passing_file_stays(built: Path) -> None:
    assert sorted(str(path.relative_to(built).as_posix()) for path in built.rglob("*") if path.is_file()) == [
        "plots/accuracy.png",
        "plots/confusion-base.png",
        "plots/confusion-f16-direct.png",
        "plots/confusion-f16.png",
        "plots/confusion-q8_0-direct.png",
        "plots/confusion-q8_0.png",
        "plots/errors.png",
        "plots/reliability.png",
        "samples.jsonl",
        "scores.json",
    ]


def test_times_are_in_a_log_outside_the_artifact(built: Path, inputs: Inputs) -> None:
    found = json.loads((inputs.scratch / "pace.json").read_bytes())["models"]

    assert list(found) == ["base", "f16", "f16-direct", "q8_0", "q8_0-direct"]
    assert found["f16"]["answers"] == found["f16-direct"]["answers"] == 12
    assert found["f16"]["tokens_per_second"] > 0
    assert found["f16"]["prompt_tokens_per_second"] > 0
    assert found["f16"]["first_token_ms"]["median"] > 0


def test_equal_inputs_give_equal_bytes_whatever_the_workers(built: Path, inputs: Inputs, tmp_path: Path) -> None:
    afresh = dataclasses.replace(inputs, scratch=tmp_path / "scratch")
    again = build(afresh, tmp_path / "out", grammar={"text": 10, "longest": 400}, workers=3, threads=2)

    for path in built.rglob("*.*"):
        assert path.read_bytes() == (again / path.relative_to(built)).read_bytes()


def test_types_base_and_records_are_as_many_as_the_spec_says(inputs: Inputs, tmp_path: Path) -> None:
    found = scores(build(inputs, tmp_path / "out", types=("q8_0",), base=False, conversations=4))

    assert list(found) == ["q8_0"]
    assert found["q8_0"]["records"] == 4
    assert "grammar" not in found["q8_0"]
    assert "more_than_base" not in found["q8_0"]


def test_a_model_that_answers_worse_than_pytorch_misses_the_bound_and_its_figures_are_written(
    inputs: Inputs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    better = tmp_path / "adapter_scores"
    better.mkdir()
    lines = list(records.read(inputs["adapter_scores"] / "samples.jsonl"))
    records.write(better / "samples.jsonl", [{**line, "said": line["label"]} for line in lines])
    other = dataclasses.replace(inputs, artifacts={**inputs.artifacts, "adapter_scores": better})

    with pytest.raises(Missed) as caught:
        build(other, tmp_path / "out", types=("f16",), base=False)
    assert str(caught.value) == (
        "evaluation: test: f16 answers 0.833 of 12 records rightly, PyTorch 1.000: 0.167 apart, over 0.01; "
        "try a larger type in types of gguf.yaml, or accept it with bounds in evaluation.yaml"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plots", "samples.jsonl", "scores.json"]
    beside = orjson.loads((tmp_path / "out" / "scores.json").read_bytes())["splits"]["test"]["f16"]["pytorch"]
    assert (beside["accuracy"], beside["difference"], beside["bound"]) == (1.0, -0.166667, 0.01)

    build(other, tmp_path / "accepted", types=("f16",), base=False, bounds={"f16": 0.2})
    assert "f16.gguf: 12 of 12 answers are kept from an earlier run\n" in capsys.readouterr().err


def test_personal_data_in_answers_is_counted_and_not_kept_and_the_figures_are_those_of_the_whole_answers(
    built: Path, inputs: Inputs, tmp_path: Path
) -> None:
    """An identifier of the user's own pattern: every answer holds it once."""
    given = tmp_path / "adapter_scores"
    given.mkdir()
    text = (inputs["adapter_scores"] / "samples.jsonl").read_text("utf-8")
    (given / "samples.jsonl").write_text(text.replace("はい", "〔社内番号〕"), "utf-8")
    reads = dict(zip(chosen.FIELDS, (["internal"], [], ["はい"]), strict=True))
    other = dataclasses.replace(inputs, artifacts={**inputs.artifacts, "adapter_scores": given}, reads=reads)
    out = build(other, tmp_path / "out", types=("f16",), base=False)

    was, found = scores(built)["f16"], scores(out)["f16"]
    assert (found.pop("pii"), found["direct"].pop("pii")) == ({"internal": 12}, {"internal": 12})
    names = ("accuracy", "format_valid", "confusion", "intervals", "reliability")
    assert [found[name] for name in names] == [was[name] for name in names]
    assert found["pytorch"] == was["pytorch"]
    assert "はい" not in (out / "samples.jsonl").read_text("utf-8")
    first = next(iter(records.read(out / "samples.jsonl")))
    assert (first["said"], first["problem"], first["pii"]) == ("ALLOW", None, {"internal": 1})
    assert first["text"].endswith("\n回答: 〔社内番号〕。</final>")


def test_answers_that_no_figure_needs_any_more_are_let_go(inputs: Inputs, tmp_path: Path) -> None:
    here = dataclasses.replace(inputs, scratch=tmp_path / "scratch")
    kept = here.scratch / "answers.jsonl"
    build(here, tmp_path / "both")
    both = kept.read_bytes().splitlines(keepends=True)
    build(here, tmp_path / "one", types=("q8_0",), base=False)

    assert len(both) == 60
    assert set(both) > set(kept.read_bytes().splitlines(keepends=True))
    assert kept.read_bytes().count(b"\n") == 24


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (
            {"splits": ("novel",)},
            "evaluation: splits: thinking_sft has no split novel; it has empty, some, test, train",
        ),
        (
            {"splits": ("empty",)},
            "evaluation: splits: split empty holds no conversation; give it a share, or leave it out",
        ),
        ({"splits": ("some",)}, "evaluation: adapter_scores answered nothing of some: name it in its splits, too"),
        ({"types": ("f16", "q5_k_m")}, "evaluation: types: gguf did not make q5_k_m; it made f16, q8_0"),
        ({"bounds": {"q4km": 0.1}}, "evaluation: bounds: gguf did not make q4km; it made f16, q8_0"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_asked(
    inputs: Inputs, tmp_path: Path, spec: dict[str, Any], says: str
) -> None:
    with pytest.raises(StageError) as caught:
        build(inputs, tmp_path / "out", **spec)

    assert str(caught.value) == says


def test_a_base_that_cannot_be_converted_says_that_it_can_be_left_out(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "base_model" / "model").mkdir(parents=True)
    (tmp_path / "base_model" / "model" / "config.json").write_text("{}", "utf-8")
    other = dataclasses.replace(inputs, artifacts={**inputs.artifacts, "base_model": tmp_path / "base_model"})

    with pytest.raises(StageError) as caught:
        build(other, tmp_path / "out")
    assert str(caught.value) == (
        "evaluation: base: gguf: config.json names no architecture: `architectures` must hold one, as a list; "
        "or leave it out with base: false"
    )


@pytest.mark.parametrize("name", ["splits", "types"])
def test_a_name_twice_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}: one of them is named twice"):
        Spec(**{name: ("f16", "f16")})
