"""The door: a real data build, read back with its places, times, losses and questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from markupsafe import escape

from so8t.engine.ensure import ensure
from so8t.engine.stage import Inputs
from so8t.report import datacard, flow, page, reading
from so8t.report.cards import Card
from so8t.report.facts import Facts
from so8t.store import artifact
from so8t.store.layout import Layout
from stages.report import Spec, build
from tests.whole.pico import DATA, Pico

pytestmark = pytest.mark.slow

CHILD = {"profile.yaml": "extends: tiny\ndescription: 子のプロファイル\n", "cleaned.yaml": "length:\n  min_chars: 9\n"}


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Pico]:
    found = Pico(tmp_path_factory.mktemp("report"), root)
    found.write({"cleaned": {"length": {"min_chars": 4}}})
    for name, text in CHILD.items():
        (found.path / "specs" / "child").mkdir(exist_ok=True)
        (found.path / "specs" / "child" / name).write_text(text, "utf-8")
    found.build()
    yield found


@pytest.fixture(scope="module")
def facts(pico: Pico) -> Facts:
    return reading.read(pico.plan().layout, "report")


def test_every_stage_but_the_report_is_told_of_and_those_that_were_built_say_how(facts: Facts) -> None:
    assert "report" not in [stage.name for stage in facts.stages]
    built = {stage.name: stage.built.outcome for stage in facts.stages if stage.built}
    assert built == dict.fromkeys(DATA, "built")
    assert {stage.name for stage in facts.stages if stage.made} == set(DATA)
    assert {stage.name for stage in facts.stages if stage.on_request} == {"crawl", "ollama"}


def test_a_value_has_the_line_that_it_is_written_in_and_a_default_has_none(facts: Facts) -> None:
    values = {value.name: value for stage in facts.stages if stage.name == "cleaned" for value in stage.values}

    assert (values["length.min_chars"].value, values["length.min_chars"].place) == (4, "specs/tiny/cleaned.yaml:2")
    assert values["length.max_chars"].place == ""
    assert not any(value.differs for value in values.values())


def test_a_child_profile_says_what_differs_from_its_parent(pico: Pico) -> None:
    child = reading.read(Layout(pico.path, pico.path / "artifacts", "child"), "report")

    assert (child.profile, child.parents, child.description) == ("child", ("tiny",), "子のプロファイル")
    differing = {
        f"{stage.name}.{value.name}": value for stage in child.stages for value in stage.values if value.differs
    }
    assert list(differing) == ["cleaned.length.min_chars"]
    found = differing["cleaned.length.min_chars"]
    assert (found.value, found.parent, found.place) == (9, 4, "specs/child/cleaned.yaml:2")


def test_every_record_is_accounted_for_and_an_example_of_a_loss_has_no_text_on_the_page(facts: Facts) -> None:
    found = {step.stage: step for step in flow.steps(facts)}

    assert [(step.taken, step.given, step.adds_up) for step in found.values()] == [
        (50, 49, True), (49, 47, True), (47, 47, True), (47, 47, True),
    ]  # fmt: skip
    (lost,) = found["raw"].losses
    assert (lost.count, [sorted(one) for one in lost.examples]) == (1, [["reason", "source", "text"]])
    assert escape(lost.examples[0]["text"]) not in page.render(facts)


def test_the_card_tells_of_the_splits_and_of_what_left_with_the_texts_that_can_be_shown(facts: Facts) -> None:
    text = datacard.render(Card("tiny", facts, "../thinking_sft/splits", shows_losses=True))

    assert sum(one.conversations for one in facts.splits) == 47
    for line in (
        "### cleaned: exact_duplicate (1)",
        "### cleaned: language (1)",
        "- `87f124978c36d412`, pico.jsonl:46, japanese 0.0, kana 0.0: "
        "`Please tell me how to write a report in English`",
        "Conversations whose request is marked so, by class: ALLOW 0, ESCALATION 0, DENY 0, REFUSE 2.",
    ):
        assert line in text.splitlines(), line


def test_an_identifier_by_the_profiles_own_pattern_is_not_shown_in_the_card(pico: Pico) -> None:
    pico.write({"cleaned": {"length": {"min_chars": 4}, "pii": {"internal": ["rep[a-z]+ in E[a-z]+"]}}})
    text = datacard.render(Card("tiny", reading.read(pico.plan().layout, "report"), "splits", shows_losses=True))
    pico.write({"cleaned": {"length": {"min_chars": 4}}})

    assert "`Please tell me how to write a 〔社内番号〕`" in text
    assert "report in English" not in text


def test_the_page_of_a_half_built_profile_is_whole(facts: Facts) -> None:
    text = page.render(facts)

    assert "50 → 49" in text
    assert "Nothing was trained" in text
    assert "</html>" in text


def test_an_artifact_whose_bytes_were_let_go_is_told_of_by_its_manifest(pico: Pico) -> None:
    layout = Layout(pico.path, pico.path / "artifacts", "tiny")
    seen = orjson.loads(layout.seen("labelled").read_bytes())
    path = layout.folder("labelled") / "agreement.json"
    kept = path.read_bytes()
    layout.seen("labelled").write_bytes(orjson.dumps({**seen, "files": {}, "dropped": True}))
    path.unlink()
    try:
        found = reading.read(layout, "report")
    finally:
        path.write_bytes(kept)
        layout.seen("labelled").write_bytes(orjson.dumps(seen))

    (labelled,) = (stage for stage in found.stages if stage.name == "labelled")
    assert (labelled.let_go, labelled.made is not None) == (True, True)
    assert "labelled/agreement.json" not in found.documents
    assert "its files were let go" in page.render(found)


def test_where_a_manifest_alone_is_retained_records_are_accounted_for_all_the_same(pico: Pico, facts: Facts) -> None:
    layout = pico.plan().layout
    manifest = artifact.inspect(layout, "cleaned").manifest
    assert manifest
    artifact.drop_bytes(layout, "cleaned", manifest)
    try:
        found = reading.read(layout, "report")
        (layout.folder("cleaned") / "stats.json").write_text('{"in": 1, "out": 1, "dropped": {}}', "utf-8")
        edited = reading.read(layout, "report")
    finally:
        ensure(pico.path, "tiny", "cleaned", need_bytes=True)

    assert [(step.stage, step.taken, step.given) for step in flow.steps(found)] == [
        (step.stage, step.taken, step.given) for step in flow.steps(facts)
    ]
    assert "cleaned/dropped.jsonl" not in [file for file, lines in found.dropped.items() if lines]
    assert "cleaned/stats.json" not in edited.documents


def test_what_a_stage_said_stands_in_its_panel(facts: Facts) -> None:
    said = {stage.name: stage.said for stage in facts.stages}

    assert said["raw"] == ("raw: 49 records from 1 sources, 1 lines quarantined",)
    assert f'lang="ja">{said["raw"][0]}</pre>' in page.render(facts)


def test_a_redacted_page_has_no_path_of_the_machine_and_the_terminal_still_says_where_it_is(
    pico: Pico, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = Inputs({}, place=pico.plan().layout)

    build(inputs, tmp_path, Spec(redacted=True))

    for name in ("report.html", "DATA.md", "croissant.json"):
        text = (tmp_path / name).read_text("utf-8")
        assert [word for word in ("pico", "specs/", "What left", "how to write a report") if word in text] == []
    assert capsys.readouterr().err.splitlines()[-1].endswith("artifacts/tiny/report/report.html")
