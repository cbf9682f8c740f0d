"""Every preset, and a format of one's own: the Jinja template and Ollama's TEMPLATE write what training writes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from so8t.formats import capability, chat, equality, goeval, gotemplate, suite
from so8t.formats import thinking as think
from so8t.formats.chat import CHATML, GEMMA, MISTRAL, ChatFormat
from so8t.formats.thinking import HEADINGS, TAGS, ThinkingFormat

FORMATS = {
    **chat.PRESETS,
    "a default system": replace(CHATML, name="own", default_system="あなたは'親切'です。\\"),
    "the system in the last question": replace(MISTRAL, name="own", system_last=True),
    "a default system in the user's turn": replace(GEMMA, name="own", default_system="親切に。"),
}


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=list(FORMATS))
def test_the_jinja_template_writes_what_training_writes(fmt: ChatFormat) -> None:
    render = equality._jinja(chat.jinja_template(fmt))
    for conversation in suite.conversations(TAGS):
        messages = suite.trained(conversation.messages, TAGS)

        assert render(messages) == chat.render(messages, fmt, generation_prompt=True), conversation.name


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_ollamas_template_writes_what_training_writes(name: str) -> None:
    fmt = FORMATS[name]
    go = gotemplate.template(fmt, TAGS)
    for conversation in suite.conversations(TAGS):
        messages = suite.trained(conversation.messages, TAGS)

        found = goeval.render(go, conversation.messages, think=True)
        assert found == chat.render(messages, fmt, generation_prompt=True), conversation.name


@pytest.mark.parametrize("thinking", [TAGS, HEADINGS], ids=["tags", "headings"])
def test_thinking_is_dropped_from_earlier_answers_by_both_templates(thinking: ThinkingFormat) -> None:
    dropping = replace(thinking, history=False)
    render = equality._jinja(chat.jinja_template(CHATML, *think.dropping(dropping)))
    go = gotemplate.template(CHATML, dropping)
    dropped = set()
    for conversation in suite.conversations(dropping):
        written = suite.said(conversation.messages, dropping)
        expected = chat.render(suite.trained(conversation.messages, dropping), CHATML, generation_prompt=True)

        assert render(written) == expected, conversation.name
        assert goeval.render(go, conversation.messages, think=True) == expected, conversation.name
        if expected != chat.render(written, CHATML, generation_prompt=True):
            dropped.add(conversation.name)
    assert dropped == {"history with thinking", "mixed history"}  # not "ends with thinking": that one was just written
    assert capability.tags(go) == capability.tags(gotemplate.template(CHATML, thinking))


def test_a_system_in_the_users_turn_is_taken_once_by_ollamas_template() -> None:
    assert gotemplate.template(GEMMA, None) == (
        "{{- $system := .System }}{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}"
        '{{- if eq .Role "user" }}<start_of_turn>user\n{{ if $system }}{{ $system }}\n\n{{ $system = "" }}{{ end }}'
        '{{ .Content }}<end_of_turn>\n{{ else if eq .Role "assistant" }}<start_of_turn>model\n{{ .Content }}'
        '<end_of_turn>\n{{ end }}{{- if and $last (eq .Role "user") }}<start_of_turn>model\n{{ end }}{{- end }}'
    )
