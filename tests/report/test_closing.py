"""The last lines of a build, at 80 columns."""

from __future__ import annotations

from dataclasses import replace

from so8t.report.closing import closing
from so8t.report.facts import Facts
from so8t.store.manifest import File
from tests.report.made import stage

SCORES = {"base": {"accuracy": 0.0}, "f16": {"accuracy": 0.9583}, "q4_k_m": {"accuracy": 0.9625}}


def facts(profile: str) -> Facts:
    modelfile = stage("modelfile")
    assert modelfile.made is not None
    files = tuple(
        File(name, 1, "ab" * 32) for name in ("check.json", "ollama/Modelfile.f16", "ollama/Modelfile.q4_k_m")
    )
    made = replace(modelfile, made=replace(modelfile.made, files=files))
    return Facts(profile, (made,), documents={"evaluation/scores.json": {"splits": {"test": SCORES, "novel": SCORES}}})


def test_where_the_model_is_how_good_it_is_and_what_to_do_next() -> None:
    assert list(closing(facts("tiny"), "artifacts/tiny", "artifacts/tiny/report/report.html")) == [
        "model: artifacts/tiny/modelfile/ollama/Modelfile.f16, q4_k_m",
        "right: 96.2% of test (q4_k_m), 96.2% of novel (q4_k_m)",
        "report: artifacts/tiny/report/report.html",
        "next: doit serve, or ollama create tiny -f artifacts/tiny/modelfile/ollama/Modelfile.f16",
    ]


def test_another_profile_is_named_to_the_server() -> None:
    *_, last = closing(facts("mine"), "artifacts/mine", "artifacts/mine/report/report.html")

    assert last == (
        "next: doit serve profile=mine, or ollama create mine -f artifacts/mine/modelfile/ollama/Modelfile.f16"
    )


def test_without_a_model_there_is_the_report_alone() -> None:
    assert list(closing(Facts("tiny", ()), "artifacts/tiny", "r.html")) == ["report: r.html"]
