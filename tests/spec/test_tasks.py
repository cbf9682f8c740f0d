"""What only one task reads: refused by name where a profile says it, left behind where one inherits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from so8t.errors import SpecError
from so8t.spec import load, profile, yamltree
from so8t.spec.fields import SpecModel, each, only


class Fields(SpecModel):
    text: str = "text"
    label: str | None = Field(None, json_schema_extra=only("four_class"))


class Source(SpecModel):
    name: str
    fields: Fields | None = None
    labels: dict[str, str] = Field({}, json_schema_extra=only("four_class"))


class Sft(SpecModel):
    sources: tuple[Source, ...] = ()
    format: Literal["quadruple", "headings", "think"] | None = Field(
        None, json_schema_extra=each(quadruple="four_class", think="chat")
    )
    system: str | None = Field(None, json_schema_extra=each())
    policies: dict[str, str] = Field({}, json_schema_extra=only("four_class"))
    learn: str = Field("last", json_schema_extra=only("chat"))
    direct: float = 0.0


def loaded(folder: Path, name: str, files: Mapping[str, str]) -> BaseModel:
    for path, text in files.items():
        (folder / "specs" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "specs" / path).write_text(text, "utf-8")
    return load.load(profile.read(folder, name), {"sft": Sft})["sft"]


JUDGING = {"tiny/sft.yaml": "format: quadruple\nsystem: 判定して答えます。\npolicies: {ALLOW: a}\ndirect: 0.5\n"}
CHATTING = {**JUDGING, "talk/profile.yaml": "extends: tiny\ntask: chat\n"}


def test_the_usual_task_is_four_class(tmp_path: Path) -> None:
    assert loaded(tmp_path, "tiny", JUDGING) == Sft(
        format="quadruple", system="判定して答えます。", policies={"ALLOW": "a"}, direct=0.5
    )
    assert load.settings(profile.read(tmp_path, "tiny")).task == "four_class"


def test_a_profile_of_another_task_inherits_only_what_both_read(tmp_path: Path) -> None:
    (tmp_path / "specs/talk").mkdir(parents=True)

    assert loaded(tmp_path, "talk", CHATTING) == Sft(direct=0.5)


def test_a_profile_takes_what_its_own_task_reads_and_hands_it_on(tmp_path: Path) -> None:
    files = {**CHATTING, "talk/sft.yaml": "format: think\nlearn: every\n", "more/profile.yaml": "extends: talk\n"}

    assert loaded(tmp_path, "talk", files) == Sft(format="think", learn="every", direct=0.5)
    assert loaded(tmp_path, "more", {}) == Sft(format="think", learn="every", direct=0.5)


def refused(folder: Path, name: str, files: Mapping[str, str]) -> str:
    with pytest.raises(SpecError) as caught:
        loaded(folder, name, files)
    return str(caught.value)


def test_what_another_task_reads_is_refused_by_name_and_place(tmp_path: Path) -> None:
    text = "direct: 0.1\npolicies: {ALLOW: b}\nformat: quadruple\n"

    assert refused(tmp_path, "talk", {**CHATTING, "talk/sft.yaml": text}) == (
        "specs/talk/sft.yaml:2:1: policies: only the task four_class reads it, and this profile's task is chat: leave "
        "it out, or set another task in profile.yaml\n    policies: {ALLOW: b}\n    ^\n"
        "specs/talk/sft.yaml:3:1: format: quadruple is only for the task four_class, and this profile's task is chat: "
        "leave it out, or set another task in profile.yaml\n    format: quadruple\n    ^"
    )


def test_under_four_class_what_chat_reads_is_refused(tmp_path: Path) -> None:
    found = refused(tmp_path, "tiny", {"tiny/sft.yaml": "learn: every\nformat: think\n"})

    assert found.startswith("specs/tiny/sft.yaml:1:1: learn: only the task chat reads it, and this profile's task is")
    assert "specs/tiny/sft.yaml:2:1: format: think is only for the task chat" in found


def test_a_task_that_does_not_exist_is_a_mistake_of_its_own(tmp_path: Path) -> None:
    found = refused(tmp_path, "tiny", {**JUDGING, "tiny/profile.yaml": "task: chatt\n"})

    assert found.startswith(
        "specs/tiny/profile.yaml:1:7: task: must be 'four_class' or 'chat' (got 'chatt'), did you mean chat?"
    )


def test_what_lies_deeper_is_refused_by_its_path_and_inherited_without_it(tmp_path: Path) -> None:
    text = "sources:\n- name: a\n- name: b\n  fields: {text: q, label: c}\n  labels: {bad: DENY}\n"

    assert refused(tmp_path, "talk", {**CHATTING, "talk/sft.yaml": text}) == (
        "specs/talk/sft.yaml:4:21: sources[1].fields.label: only the task four_class reads it, and this profile's task "
        "is chat: leave it out, or set another task in profile.yaml\n"
        "    fields: {text: q, label: c}\n"
        "                      ^\n"
        "specs/talk/sft.yaml:5:3: sources[1].labels: only the task four_class reads it, and this profile's task is "
        "chat: leave it out, or set another task in profile.yaml\n"
        "    labels: {bad: DENY}\n"
        "    ^"
    )
    (tmp_path / "specs/talk/sft.yaml").unlink()
    found = loaded(tmp_path, "talk", {"tiny/sft.yaml": text})
    assert found == Sft(sources=(Source(name="a"), Source(name="b", fields=Fields(text="q"))))


@pytest.mark.parametrize(("name", "task"), [("tiny", "four_class"), ("talk", "chat")])
def test_values_of_a_command_line_over_a_profile_have_its_task(tmp_path: Path, name: str, task: str) -> None:
    files = {**CHATTING, "talk/sft.yaml": "learn: every\n"}
    loaded(tmp_path, name, files)
    read = profile.read(tmp_path, name)
    said = yamltree.read(
        b"direct: 0.75\n" + (b"format: think\n" if task == "chat" else b"format: headings\n"), "command line"
    )
    over = {"sft": yamltree.merge(said.root, read.files["sft"])}
    laid = replace(read, name="new", chain=(tmp_path / "specs/new", *read.chain), files={**read.files, **over})

    assert laid.task == task
    assert load.load(laid, {"sft": Sft})["sft"] == (
        Sft(format="think", learn="every", direct=0.75)
        if task == "chat"
        else Sft(format="headings", system="判定して答えます。", policies={"ALLOW": "a"}, direct=0.75)
    )
