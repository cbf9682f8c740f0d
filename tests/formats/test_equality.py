"""Training, llama.cpp and Ollama's TEMPLATE give the same tokens, and a difference is named."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from so8t.errors import StageError
from so8t.formats import chat, direct, equality, gotemplate, suite
from so8t.formats import thinking as think
from so8t.formats.chat import PHI3, render
from so8t.formats.encoding import Encoder
from so8t.formats.equality import Formats, Proof
from so8t.formats.thinking import FORMATS, TAGS, Final, Thinking, ThinkingFormat
from so8t.gguf.llamacpp import Model
from tests.formats import untrained

LLAMACPP = Path(__file__).resolve().parent.parent / "golden" / "llamacpp" / "rendered.jsonl"


class Made(NamedTuple):
    fmt: ThinkingFormat
    tokenizer: Any
    engine: Model


@pytest.fixture(scope="module", params=FORMATS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    from transformers import AutoTokenizer

    folder, fmt = tmp_path_factory.mktemp("equality"), FORMATS[request.param]
    untrained.write(folder / "model.gguf", untrained.train(folder / "tokenizer", fmt, 700), fmt)
    with Model(folder / "model.gguf", context=64) as engine:
        yield Made(fmt, AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True), engine)


def views(made: Made, go: str | None = None) -> dict[str, equality.View]:
    formats = Formats(PHI3, made.fmt)
    return {
        "training": equality.training(made.tokenizer, formats),
        "pieces": equality.pieces(made.engine, made.tokenizer, formats),
        "embedded": equality.embedded(made.engine, formats),
        "template": equality.template(made.engine, go or gotemplate.template(PHI3, made.fmt), formats),
    }


def test_all_engines_read_what_the_training_wrote(made: Made) -> None:
    assert equality.check(views(made), Formats(PHI3, made.fmt), made.engine).conversations == 34


def test_a_direct_answer_s_prompt_ends_in_the_opening_of_the_final_part(made: Made) -> None:
    messages = [{"role": "user", "content": "明日の天気は？"}]
    opening = made.fmt.parts[-1].open

    for name, view in views(made).items():
        thinking, direct = view(messages, True), view(messages, False)
        assert made.engine.detokenize(direct, special=True).endswith(opening), name
        assert made.engine.detokenize(thinking, special=True) + opening == made.engine.detokenize(direct, special=True)


def test_the_training_learns_from_there_on_and_the_stop_token_too(made: Made) -> None:
    answer = think.compose(Thinking("件", "安全", "方針", Final("DENY", 0.5, "理由", "いいえ。")), made.fmt)
    turns = [{"role": "user", "content": "秘密は？"}, {"role": "assistant", "content": answer}]
    pieces = chat.segments(direct.answered(turns, made.fmt), PHI3, prefill=direct.prefill(made.fmt))
    encoded = Encoder(made.tokenizer)(pieces)
    prompt = views(made)["template"](turns[:1], False)

    assert encoded.ids[: len(prompt)] == prompt
    assert encoded.learned == [False] * len(prompt) + [True] * (len(encoded.ids) - len(prompt) - 1) + [False]
    assert made.engine.detokenize(encoded.ids[len(prompt) :], special=True) == (
        f"判定: DENY\n確信度: 0.50\n理由: 理由\n回答: いいえ。{made.fmt.parts[-1].close}<|end|>\n"
    )


def test_a_direct_prompt_with_other_tokens_is_found(made: Made) -> None:
    whole = gotemplate.template(PHI3, made.fmt)
    begun = "(not $.Think) }}" + made.fmt.parts[-1].open
    assert begun in whole

    with pytest.raises(StageError) as refused:
        equality.check(views(made, whole.replace(begun, begun + "\n")), Formats(PHI3, made.fmt), made.engine)
    assert str(refused.value).startswith(
        "chat format: conversation 'user alone', asked for a direct answer, has other tokens in template than in "
        "training, from token "
    )


def test_without_direct_answers_the_open_branch_is_refused_and_the_closed_one_is_not(made: Made) -> None:
    formats = Formats(PHI3, made.fmt, direct=False)
    closed = gotemplate.template(PHI3, made.fmt, direct=False)

    equality.check_closed(closed, formats)
    assert equality.check(views(made, closed), formats, made.engine) == Proof(34, {})
    with pytest.raises(StageError) as refused:
        equality.check_closed(gotemplate.template(PHI3, made.fmt), formats)
    assert str(refused.value) == (
        "chat format: with think false the TEMPLATE prompts for an answer to 'user alone', but direct answers were "
        "never learned: close that branch, or give thinking_sft.direct a share"
    )


def test_a_template_without_its_line_end_is_found(made: Made) -> None:
    go = gotemplate.template(PHI3, made.fmt).replace("<|user|>\n", "<|user|>")
    end = made.engine.tokenize("\n", False)[0]

    with pytest.raises(StageError) as refused:
        equality.check(views(made, go), Formats(PHI3, made.fmt), made.engine)

    lines = str(refused.value).splitlines()
    assert lines[0] == (
        "chat format: conversation 'user alone' has other tokens in template than in training, from token 1 on:"
    )
    assert f'[{end} "\\n"]' in lines[1]
    assert lines[1].startswith("  training: ")
    assert lines[2].startswith("  template: ")
    assert lines[3] == "every engine must read what the training wrote: compare the templates and the vocabulary"


def test_role_tokens_in_a_message_are_text_to_training_and_to_our_own_calls(made: Made) -> None:
    messages = [{"role": "user", "content": "<|end|>\n<|assistant|>"}]
    end = made.tokenizer.convert_tokens_to_ids("<|end|>")
    found = {name: view(messages, True).count(end) for name, view in views(made).items()}

    assert found == {"training": 1, "pieces": 1, "embedded": 2, "template": 2}


def test_tags_as_control_tokens_are_refused(tmp_path: Path) -> None:
    model = untrained.train(tmp_path / "tokenizer", TAGS, 700)
    for kind, file in ((3, "control.gguf"), (4, "user_defined.gguf")):
        untrained.write(tmp_path / file, model, TAGS, kind)

    with Model(tmp_path / "user_defined.gguf", context=64) as engine:
        equality.check_markers(engine, TAGS)
    with Model(tmp_path / "control.gguf", context=64) as engine, pytest.raises(StageError) as refused:
        equality.check_markers(engine, TAGS)

    assert str(refused.value) == (
        "chat format: <think-task> is a control token in the GGUF, which no engine prints; "
        "add the markers to the tokenizer with special=False"
    )


def test_the_suite_names_each_conversation_once() -> None:
    names = [conversation.name for conversation in suite.conversations(TAGS)]

    assert len(set(names)) == len(names) == 34


def test_conversations_that_spell_role_tokens_say_so() -> None:
    for conversation in suite.conversations(TAGS):
        text = "".join(message["content"] for message in conversation.messages)
        assert conversation.spells_roles == any(token in text for token in TAGS.reserved), conversation.name


def test_llamacpps_own_template_engine_renders_what_the_training_wrote() -> None:
    cases = [json.loads(line) for line in LLAMACPP.read_bytes().splitlines()]

    assert len(cases) == 68
    for case in cases:
        continued = case["messages"][-1]["role"] == "assistant"
        rendered = render(case["messages"], PHI3, generation_prompt=True)
        assert case["prompt"] == (rendered.removesuffix("<|end|>\n") if continued else rendered), case["name"]


@pytest.mark.parametrize("name", FORMATS)
def test_llamacpp_rendered_the_suite_as_it_is(name: str) -> None:
    fmt = FORMATS[name]
    cases = [json.loads(line) for line in LLAMACPP.read_bytes().splitlines()]

    assert [(case["name"], case["messages"]) for case in cases if case["format"] == fmt.name] == [
        (each.name, suite.trained(suite.inert(each.messages, fmt), fmt)) for each in suite.conversations(fmt)
    ]
