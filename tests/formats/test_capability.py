"""How Ollama finds the thinking tags in a TEMPLATE and parts an answer at them."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from so8t.formats import capability, goeval, gotemplate
from so8t.formats.capability import Seen
from so8t.formats.chat import PHI3, jinja_template
from so8t.formats.thinking import FORMATS, HEADINGS, TAGS, Final, Thinking, ThinkingFormat, compose

EACH_FORMAT = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
ODD = ["<final>", "<think-", "\n# 最終回答\n", "東京　大阪", "👨‍👩‍👧", " \n", "<|end|>"]
TEXT = st.text(max_size=20) | st.sampled_from(ODD)


def inside(body: str) -> str:
    return "{{ range $i, $_ := .Messages }}" + body + "{{ end }}"


@EACH_FORMAT
def test_our_templates_can_think(fmt: ThinkingFormat) -> None:
    expected = {"tags": ("<think-", "<final>"), "headings": ("# 思考ステップ", "# 最終回答")}

    assert capability.tags(gotemplate.template(PHI3, fmt)) == expected[fmt.name]
    assert capability.tags(gotemplate.template(PHI3, None)) is None


@pytest.mark.parametrize(
    ("template", "tags"),
    [
        (inside("{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}"), ("<t>", "</t>")),
        (inside("<t>\n{{ .Thinking }}\n</t> "), ("<t>", "</t>")),
        (inside("<a>{{ if .Thinking }}{{ .Thinking }}</t>{{ end }}<b>"), ("<a>", "</t>")),
        ("<t>{{ .Thinking }}</t>", None),
        (inside('{{ "<t>" }}{{ .Thinking }}{{ "</t>" }}'), None),
        (inside("{{ if $.Thinking }}<t>{{ .Content }}</t>{{ end }}"), None),
        ("{{ range $i, $_ := $.Messages }}<t>{{ .Thinking }}</t>{{ end }}", None),
    ],
)
def test_only_text_around_a_literal_field_counts(template: str, tags: tuple[str, str] | None) -> None:
    assert capability.tags(template) == tags


def test_what_a_user_of_ollama_sees() -> None:
    thought = Thinking("営業時間の質問", "危険なし", "答える", Final("ALLOW", 0.98, "一般的な質問", "十時からです。"))

    assert capability.separate(compose(thought, TAGS), ("<think-", "<final>")) == Seen(
        "task>営業時間の質問</think-task><think-safety>危険なし</think-safety><think-policy>答える</think-policy>",
        "判定: ALLOW\n確信度: 0.98\n理由: 一般的な質問\n回答: 十時からです。</final>",
    )
    assert capability.separate(compose(thought, HEADINGS), ("# 思考ステップ", "# 最終回答")) == Seen(
        "## 課題\n営業時間の質問\n## 安全性\n危険なし\n## 方針\n答える\n",
        "判定: ALLOW\n確信度: 0.98\n理由: 一般的な質問\n回答: 十時からです。",
    )


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        ("答えです。", Seen("", "答えです。")),
        ("  <t>　考え</t>\n\n　答え", Seen("考え", "答え")),
        ("<t>考え", Seen("考え", "")),
        ("<t>a</t>b</t>c", Seen("a", "b</t>c")),
        ("まえ<t>考え</t>", Seen("", "まえ<t>考え</t>")),
    ],
)
def test_an_answer_is_parted_at_the_first_closing_tag(output: str, seen: Seen) -> None:
    assert capability.separate(output, ("<t>", "</t>")) == seen


@EACH_FORMAT
@settings(derandomize=True, max_examples=60, deadline=None)
@given(texts=st.tuples(TEXT, TEXT, TEXT, TEXT, TEXT))
@example(texts=(" 空白　", "", "\n", "", "末尾\n"))
def test_a_history_renders_as_the_model_wrote_it(fmt: ThinkingFormat, texts: tuple[str, ...]) -> None:
    task, safety, policy, reason, answer = texts
    output = compose(Thinking(task, safety, policy, Final("DENY", 0.5, reason, answer)), fmt)
    template = gotemplate.template(PHI3, fmt)
    tags = capability.tags(template)
    assert tags is not None
    close = fmt.parts[-1].close
    seen = capability.separate(output.removesuffix(close), tags)  # the closing marker is a stop text
    if fmt.whole_lines and (tags[1] in seen.content or output.count(tags[1]) > 1):
        return  # a heading within a line: Ollama, unlike the format, takes it for the tag

    history = [{"role": "assistant", "content": seen.content, "thinking": seen.thinking}]

    assert goeval.render(template, history, True) == f"<|assistant|>\n{output}<|end|>\n"


def test_the_embedded_template_never_overrules_ours() -> None:
    assert capability.preferred_over_template(jinja_template(PHI3)) == ()
    assert capability.preferred_over_template("{% if tools %}<think>{{ x }}</think>") == ("tools", "</think>")
