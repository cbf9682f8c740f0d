"""The TEMPLATE that we write, and its evaluation, against what a real Ollama rendered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from so8t.errors import StageError
from so8t.formats import capability, chat, direct, goeval, gotemplate, suite
from so8t.formats.chat import PHI3, ChatFormat, Turn
from so8t.formats.goeval import Refusal
from so8t.formats.gosyntax import TemplateError
from so8t.formats.thinking import FORMATS, HEADINGS, TAGS, ThinkingFormat

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "ollama"
RENDERED = [json.loads(line) for line in (GOLDEN / "rendered.jsonl").read_bytes().splitlines()]
TEMPLATES = {
    "plain": gotemplate.template(PHI3, None),
    "thinking": gotemplate.template(PHI3, TAGS),
}
PRESETS = {path.stem: path.read_bytes().decode("utf-8") for path in sorted((GOLDEN / "presets").glob("*.tmpl"))}
OF_PRESETS = [json.loads(line) for line in (GOLDEN / "rendered-presets.jsonl").read_bytes().splitlines()]


def test_we_write_the_templates_that_ollama_rendered() -> None:
    for name, template in TEMPLATES.items():
        assert template == (GOLDEN / f"{name}.tmpl").read_text("utf-8")


def test_every_golden_conversation_was_answered() -> None:
    assert (len(RENDERED), {case["status"] for case in RENDERED}) == (104, {200})


@pytest.mark.parametrize("case", RENDERED, ids=[f"{r['template']}-{r['case']}-{r['think']}" for r in RENDERED])
def test_the_evaluator_renders_what_ollama_rendered(case: dict[str, Any]) -> None:
    template = TEMPLATES[case["template"]]
    think = case["think"] if case["think"] is not None or case["template"] == "plain" else True  # Ollama's own default

    assert goeval.render(template, case["messages"], think) == case["rendered"]


def test_the_ten_preset_templates_have_their_572_rows() -> None:
    closed = [case["case"] for case in OF_PRESETS if case["status"] == 500]

    assert {case["template"] for case in OF_PRESETS} == PRESETS.keys()
    assert (len(PRESETS), len(OF_PRESETS), len(closed)) == (10, 572, 23)
    assert {case["template"] for case in OF_PRESETS if case["status"] != 200} == {"phi3-quadruple-closed"}


@pytest.mark.parametrize("name", PRESETS)
def test_the_evaluator_says_of_every_preset_what_ollama_said(name: str) -> None:
    template = PRESETS[name]
    usual = True if capability.tags(template) else None  # what Ollama takes where a request does not say

    for case in (case for case in OF_PRESETS if case["template"] == name):
        think = usual if case["think"] is None else case["think"]
        try:
            said = {"status": 200, "rendered": goeval.render(template, case["messages"], think)}
        except Refusal as refused:
            said = {"status": 500, "error": str(refused)}
        told = {key: case[key] for key in ("status", "rendered", "error") if key in case}
        assert said == told, (case["case"], case["think"])


def test_a_model_that_always_thinks_gets_the_closed_template() -> None:
    assert gotemplate.template(PHI3, TAGS, direct=False) == PRESETS["phi3-quadruple-closed"]


@pytest.mark.parametrize("thinking", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("think", [True, None])
def test_a_closed_template_is_closed_only_to_think_false(thinking: ThinkingFormat, think: bool | None) -> None:
    closed, opened = (gotemplate.template(PHI3, thinking, direct) for direct in (False, True))

    for each in suite.conversations(thinking):
        assert goeval.render(closed, each.messages, think) == goeval.render(opened, each.messages, think)
        if each.messages[-1]["role"] == "user":
            with pytest.raises(Refusal, match="can't evaluate field ThisModelAlwaysThinks in type"):
                goeval.render(closed, each.messages, think=False)


def test_headings_open_with_the_first_one_and_close_with_the_last() -> None:
    assert gotemplate.template(PHI3, HEADINGS) == (
        "{{- if .System }}<|system|>\n{{ .System }}<|end|>\n{{ end }}{{- range $i, $_ := .Messages }}"
        '{{- $last := eq (len (slice $.Messages $i)) 1 }}{{- if eq .Role "user" }}<|user|>\n{{ .Content }}<|end|>\n'
        '{{ else if eq .Role "assistant" }}<|assistant|>\n'
        "{{ if .Thinking }}# 思考ステップ\n{{ .Thinking }}# 最終回答\n{{ else }}# 最終回答\n{{ end }}{{ .Content }}"
        '<|end|>\n{{ end }}{{- if and $last (eq .Role "user") }}<|assistant|>\n'
        "{{ if and $.IsThinkSet (not $.Think) }}# 最終回答\n{{ end }}{{ end }}{{- end }}"
    )


CHATML = replace(
    PHI3,
    name="chatml",
    system=Turn("<|im_start|>system\n", "<|im_end|>\n"),
    user=Turn("<|im_start|>user\n", "<|im_end|>\n"),
    assistant=Turn("<|im_start|>assistant\n", "<|im_end|>\n"),
    generation="<|im_start|>assistant\n",
)
BRACKETS = replace(
    PHI3,
    name="brackets",
    system=Turn(" <<SYS>>", "<</SYS>>\n\n"),
    user=Turn("[INST] ", " [/INST]"),
    assistant=Turn(" ", " "),
    generation=" ",
)


@pytest.mark.parametrize("thinking", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("fmt", [PHI3, CHATML, BRACKETS], ids=lambda fmt: fmt.name)
def test_every_chat_format_renders_as_the_training_does(fmt: ChatFormat, thinking: ThinkingFormat) -> None:
    template = gotemplate.template(fmt, thinking)

    for each in suite.conversations(thinking):
        rendered = chat.render(suite.trained(each.messages, thinking), fmt, generation_prompt=True)
        assert goeval.render(template, each.messages, think=True) == rendered, each.name
        begun = rendered + direct.prefill(thinking) * (each.messages[-1]["role"] == "user")
        assert goeval.render(template, each.messages, think=False) == begun, each.name


def test_a_turn_that_go_would_read_is_refused() -> None:
    with pytest.raises(StageError, match=r"chat format: '\{\{user\}\}' cannot stand in a Go template"):
        gotemplate.template(replace(PHI3, user=Turn("{{user}}", "<|end|>\n")), TAGS)


def test_another_joiner_than_ollamas_is_refused() -> None:
    with pytest.raises(StageError) as refused:
        gotemplate.template(replace(PHI3, joiner="\n"), TAGS)

    assert str(refused.value) == "chat format phi3: Ollama joins messages with '\\n\\n', not with '\\n'"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ json .System }}", "line 1: {{ json .System }}: json is not known here"),
        ("a\n{{ .System | len }}", "line 2: '| len }}' in an action is not known here"),
        ('{{ "a\\n" }}', "line 1: '\"a\\\\n\" }}' in an action is not known here"),
        ("{{/* comment */}}", "line 1: '/* comment' in an action is not known here"),
        ("{{ with .System }}{{ end }}", "line 1: {{ with .System }}: with is not known here"),
        ("{{ template }}", "line 1: {{ template }}: template is not known here"),
        ("{{ break }}", "line 1: {{ break }}: break is not known here"),
        ("{{ range .Messages }}{{ end }}", "line 1: {{ range .Messages }}: must be `range $index, $element := list`"),
        (
            "{{ range $i, $m := .Messages }}{{ else }}{{ end }}",
            "line 1: {{ range $i , $m := .Messages }}: has no end of its own (an else is not known here)",
        ),
        ("{{ if .System }}", "line 1: {{ if .System }}: has no end"),
        ("{{ end }}", "line 1: {{ end }}: closes nothing"),
        ("{{ .System .System }}", "line 1: {{ .System .System }}: .System is not expected here"),
        ("{{ (len .Messages }}", "line 1: {{ ( len .Messages }}: a parenthesis is not closed"),
        ("{{ }}", "line 1: {{  }}: a value is missing"),
        ("{{ .System", "line 1: the end of the template in an action is not known here"),
        ("{{ .Prompt }}", "Ollama's chat data has no .Prompt here"),
        ("{{ $x }}", "undefined variable $x"),
        ('{{ $x = "" }}', "undefined variable $x"),
        ("{{ range $i, $m := .Messages }}{{ .Images }}{{ end }}", "Ollama's chat data has no .Images here"),
        (
            "あ\n{{ range $i, $m := .Messages }}{{ if $i }}{{ end }}い{{ .Unknown }}{{ end }}",
            'template: :2:57: executing "" at <.Unknown>: '
            "can't evaluate field Unknown in type *template.templateMessage",
        ),
        ("{{ len .Messages }}", "1 is printed, which is not text"),
        ("{{ if eq .System 1 }}{{ end }}", "eq of ['', 1] is not known here"),
        ("{{ $m.Thinking }}", "line 1: {{ $m.Thinking }}: $m.Thinking is not known here"),
    ],
)
def test_what_is_not_known_is_an_error(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as refused:
        goeval.render(template, [{"role": "user", "content": "あ"}])

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("a \n{{- .System -}} \n b", "ab"),
        ("a {{ .System }} b", "a  b"),
        ("{{-3 }}", None),
        ('{{ if eq "}}" "}}" }}braces{{ end }}', "braces"),
        ('{{ $a := "b" }}{{ if $a }}{{ $a = "c" }}{{ end }}{{ $a }}', "c"),
        ('{{ $a := "b" }}{{ if $a }}{{ $a := "c" }}{{ end }}{{ $a }}', "b"),
        ("{{ $a := .System }}{{ if not $a }}empty{{ else }}full{{ end }}", "empty"),
        ("　{{- .System }}", "　"),  # only ASCII white space is trimmed
    ],
)
def test_white_space_and_braces_are_read_as_go_reads_them(template: str, rendered: str | None) -> None:
    if rendered is None:
        with pytest.raises(TemplateError):
            goeval.render(template, [])
    else:
        assert goeval.render(template, []) == rendered
