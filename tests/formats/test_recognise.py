"""A base's own template becomes a declaration, and the declaration writes what the template writes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tokenizers import processors

from so8t.errors import StageError
from so8t.formats import owntemplate, recognise
from so8t.formats.chat import CHATML, GEMMA, LLAMA3, MISTRAL, PHI3, ChatFormat, Turn
from so8t.formats.thinking import TAGS
from tests.bases import templates

SMOL = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
TRIMS = {"white_space_at_ends"}


@pytest.mark.parametrize(
    ("template", "bos", "eos", "stop", "expected", "accepted"),
    [
        (templates.PHI35, "<s>", "<|endoftext|>", ("<|end|>", "<|endoftext|>"), PHI3, ()),
        (templates.CHATML, None, "<|im_end|>", ("<|im_end|>",), CHATML, ()),
        (templates.SMOLLM2, "<|im_start|>", "<|im_end|>", ("<|im_end|>",), replace(CHATML, default_system=SMOL), ()),
        (templates.LLAMA3, "<|begin|>", "<|end_of_text|>", ("<|eot_id|>", "<|end_of_text|>"), LLAMA3, TRIMS),
        (templates.GEMMA, "<bos>", "<eos>", ("<end_of_turn>", "<eos>"), GEMMA, TRIMS),
        (templates.GEMMA3, "<bos>", "<end_of_turn>", ("<end_of_turn>",), GEMMA, TRIMS),
        (templates.MISTRAL, "<s>", "</s>", ("</s>",), MISTRAL, ()),
    ],
    ids=["phi3.5", "chatml", "smollm2", "llama3", "gemma2", "gemma3", "mistral"],
)
def test_a_published_template_is_recognised_as_a_preset_and_proven(
    template: str, bos: str | None, eos: str, stop: tuple[str, ...], expected: ChatFormat, accepted: set[str]
) -> None:
    tokenizer = templates.tokenizer(template, bos, eos)

    found = recognise.declare(tokenizer)

    ends = {"bos": bos or "", "eos": eos, "stop": stop}
    assert replace(found, role_tokens=()) == replace(expected, **ends, role_tokens=())
    assert set(found.role_tokens) == set(expected.role_tokens)
    if template != templates.GEMMA:  # which refuses a system's message
        owntemplate.check(owntemplate.own(tokenizer), found, TAGS, accepted)


def test_llama2s_template_is_declared_with_its_frame_around_the_system_and_a_begin_before_every_question() -> None:
    tokenizer = templates.tokenizer(templates.LLAMA2, "<s>", "</s>")

    found = recognise.declare(tokenizer)

    assert (found.system, found.system_in_user) == (Turn("<<SYS>>\n", "\n<</SYS>>\n\n"), True)
    assert (found.user, found.assistant) == (Turn("[INST] ", ""), Turn(" [/INST] ", " </s><s>"))
    assert (found.generation, found.stop) == (" [/INST]", ("</s>",))
    owntemplate.check(owntemplate.own(tokenizer), found, TAGS, TRIMS)


def test_white_space_that_a_template_trims_is_refused_unless_it_is_accepted() -> None:
    tokenizer = templates.tokenizer(templates.GEMMA3, "<bos>", "<end_of_turn>")
    found, write = recognise.declare(tokenizer), owntemplate.own(tokenizer)

    with pytest.raises(StageError) as refused:
        owntemplate.check(write, found, TAGS)

    assert str(refused.value) == (
        "chat format: the base's own template writes conversation 'white space at the ends' otherwise than the "
        "declared format gemma\n"
        "  declared: 'start_of_turn>user\\n末尾に空白  \\n\\n<end_of_turn>\\n<start'\n"
        "  own:      'start_of_turn>user\\n末尾に空白<end_of_turn>\\n<start_of_' (from character 25 on)\n"
        "declare the format that the base was trained with (chat in thinking_sft.yaml), "
        "or accept white_space_at_ends (in chat_format.yaml)"
    )
    accepted = owntemplate.check(write, found, TAGS, TRIMS)
    assert list(accepted) == ["white space at the ends", "only white space", "full-width space"]


def test_a_bos_of_the_template_alone_is_refused() -> None:
    tokenizer = templates.tokenizer(templates.LLAMA3, "<|begin|>", "<|end_of_text|>")
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()

    with pytest.raises(StageError) as refused:
        recognise.declare(tokenizer)

    assert str(refused.value) == (
        "chat format: the base's own template begins with <|begin|>, which its tokenizer does not add; llama.cpp would "
        'not either: set "add_bos_token": true and its post_processor in the base\'s tokenizer files'
    )


def test_nemos_system_stands_in_the_last_question() -> None:
    tokenizer = templates.tokenizer(templates.NEMO, "<s>", "</s>")

    found = recognise.declare(tokenizer)

    assert (found.system, found.system_in_user, found.system_last) == (Turn("", "\n\n"), True, True)
    assert (found.user, found.assistant) == (Turn("[INST]", "[/INST]"), Turn("", "</s>"))
    assert (found.generation, found.stop, found.lead) == ("", ("</s>",), "")
    owntemplate.check(owntemplate.own(tokenizer), found, TAGS)


def test_a_template_that_writes_the_question_last_is_shown_and_refused() -> None:
    odd = "{{ bos_token }}{% for message in messages | reverse %}{{ '[INST]' + message['content'] }}{% endfor %}"
    with pytest.raises(StageError) as refused:
        recognise.declare(templates.tokenizer(odd, "<s>", "</s>"))

    assert str(refused.value) == (
        "chat format: the base's own template does not write messages one behind another, each once:\n"
        "  '[INST]ﾕｰｻﾞｰ丁[INST]ｱﾝｻｰ丙[INST]ﾕｰｻﾞｰ乙'\n"
        "declare a format yourself (chat in thinking_sft.yaml)"
    )
