"""Modelfiles: what we write is what Ollama reads; what it would refuse or change is named with its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from so8t.errors import StageError
from so8t.formats import gotemplate
from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS
from so8t.ollama import modelfile, syntax
from so8t.ollama.modelfile import Modelfile
from so8t.ollama.parameters import Parameters, lines
from so8t.ollama.syntax import Command

MODEL = Modelfile(
    source="../gguf/q4_k_m.gguf",
    template="{{ .Content }}",
    system="あなたは安全なアシスタントです。\n🍣と答えます。",
    parameters=Parameters(num_ctx=4096, use_mmap=True, top_p=0.95),
    stop=("<|end|>", "<|endoftext|>", "</final>", "<|end|>"),
    licence='MIT "as is"',
)
HEAD = 'FROM ./m.gguf\nTEMPLATE "{{ .Content }}"\nPARAMETER stop "</final>"\n'


def test_a_modelfile_looks_like_this() -> None:
    assert modelfile.write(MODEL, "Modelfile") == (
        "FROM ../gguf/q4_k_m.gguf\n"
        'TEMPLATE "{{ .Content }}"\n'
        "PARAMETER num_ctx 4096\n"
        "PARAMETER use_mmap true\n"
        "PARAMETER num_predict 2048\n"
        "# Ollama's /v1 takes temperature 1.0 where a request names none, whatever stands here; top_k 1 holds there.\n"
        "PARAMETER top_k 1\n"
        "PARAMETER top_p 0.95\n"
        "PARAMETER temperature 0.0\n"
        "PARAMETER repeat_penalty 1.0\n"
        'PARAMETER stop "<|end|>"\n'
        'PARAMETER stop "<|endoftext|>"\n'
        'PARAMETER stop "</final>"\n'
        'SYSTEM """あなたは安全なアシスタントです。\n🍣と答えます。"""\n'
        'LICENSE """MIT "as is""""\n'
    )


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({}, "1"),
        ({"temperature": 0.0, "top_k": 40}, "40"),
        ({"temperature": 0.7}, None),
        ({"temperature": 0.7, "top_k": 20}, "20"),
        ({"temperature": None}, None),
    ],
    ids=["greedy", "greedy, but /v1 may sample", "sampled", "sampled from few", "Ollama's own temperature"],
)
def test_greedy_stays_greedy_behind_v1_unless_the_spec_samples_on_purpose(
    given: dict[str, float | None], written: str | None
) -> None:
    found = dict(lines(Parameters.model_validate(given)))

    assert found.get("top_k") == written


def test_our_template_survives() -> None:
    template = gotemplate.template(PHI3, TAGS)
    text = modelfile.write(replace(MODEL, template=template), "Modelfile")

    assert next(command.value for command in syntax.parse(text, "Modelfile") if command.name == "template") == template


PRINTABLE = st.text(st.characters(blacklist_categories=("C", "Z"), whitelist_characters=' \t\r\n"')).filter(
    lambda text: not modelfile._ENDING.search(text)
)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(text=PRINTABLE)
@example('"')
@example('""')
@example('"""')
@example('a"')
@example("\n")
@example(" a ")
@example('a"""')
@example('"""a')
@example("# no comment\nFROM x")
def test_every_text_that_ollama_keeps_comes_back(text: str) -> None:
    written = modelfile.write(replace(MODEL, system=text, licence=text), "Modelfile")

    values = {command.name: command.value for command in syntax.parse(written, "Modelfile")}
    assert (values.get("system", ""), values.get("license", "")) == (text, text)


@pytest.mark.parametrize(
    ("system", "named"),
    [
        ("東京　大阪　京都", "U+3000 IDEOGRAPHIC SPACE"),
        ("a\u00a0b\u200bc\u2028d", "U+00A0 NO-BREAK SPACE, U+200B ZERO WIDTH SPACE, U+2028 LINE SEPARATOR"),
        ("👨‍👩‍👧", "U+200D ZERO WIDTH JOINER"),
        ("\x0b", "U+000B without a name"),
    ],
)
def test_a_system_text_that_ollama_would_change_is_refused(system: str, named: str) -> None:
    with pytest.raises(StageError) as refused:
        modelfile.write(replace(MODEL, system=system), "Modelfile.q8_0")

    assert str(refused.value) == f"Modelfile.q8_0: Ollama would silently drop from SYSTEM: {named}; take them out"


def test_a_triple_quote_at_the_end_of_a_line_is_refused() -> None:
    with pytest.raises(StageError) as refused:
        modelfile.write(replace(MODEL, system='a """ \nb'), "Modelfile")

    assert str(refused.value) == 'Modelfile: SYSTEM would end at the """ that ends one of its lines; take it out'


def test_a_bare_name_is_no_path() -> None:
    with pytest.raises(StageError, match=r"FROM model\.gguf: write \./model\.gguf, or Ollama looks in its registry"):
        modelfile.write(replace(MODEL, source="model.gguf"), "Modelfile")


# What the parser of a real Ollama accepts, and what it makes of it.
@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("FROM x\n  # comment\nSYSTEM a b \n", Command("system", "a b", 3)),
        ("FROM x\nsystem \tquiet\r\n", Command("system", "quiet", 2)),
        ('FROM x\nSYSTEM "one\n# two"\n', Command("system", "one\n# two", 2)),
        ('FROM x\nSYSTEM "a\\n"\n', Command("system", "a\\n", 2)),
        ('FROM x\nSYSTEM "a" and "b"\n', Command("system", 'a" and "b', 2)),
        ('FROM x\nSYSTEM """a"b"""', Command("system", 'a"b', 2)),
        ("FROM x\nSYSTEM 全角　空白\n", Command("system", "全角空白", 2, lost=("　",))),
        ("FROM x\nPARAMETER temperature 0.5 # x\n", Command("parameter", "0.5 # x", 2, "temperature")),
        ("FROM x\nMESSAGE user こんにちは\n", Command("message", "こんにちは", 2, "user")),
        ("FROM x\n　SYSTEM a\n", Command("system", "a", 2)),
        ("\ufeffFROM x\nREQUIRES 0.14.0\n", Command("requires", "0.14.0", 2)),
    ],
)
def test_values_are_read_as_ollama_reads_them(text: str, command: Command) -> None:
    assert syntax.parse(text, "Modelfile")[1] == command


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# only a comment\n", "Modelfile:1: no FROM line: name the model that this one is made from"),
        (
            "FROM x\nSTOP y\n",
            "Modelfile:2: a line is a command, one space, and a value, not 'STOP'; commands: "
            "FROM, LICENSE, TEMPLATE, SYSTEM, ADAPTER, DRAFT, RENDERER, PARSER, PARAMETER, MESSAGE, REQUIRES",
        ),
        (
            "FROM\n",
            "Modelfile:1: a line is a command, one space, and a value, not 'FROM'; commands: "
            "FROM, LICENSE, TEMPLATE, SYSTEM, ADAPTER, DRAFT, RENDERER, PARSER, PARAMETER, MESSAGE, REQUIRES",
        ),
        ('FROM x\nSYSTEM "a\nb\n', "Modelfile:2: a quote is opened and never closed"),
        ("FROM x\nPARAMETER top-p 1\n", "Modelfile:2: PARAMETER takes a name, one space, and a value"),
        ("FROM x\nMESSAGE User a\n", "Modelfile:2: MESSAGE takes one of system, user, assistant, not 'User'"),
    ],
)
def test_what_ollama_cannot_read_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(StageError) as refused:
        syntax.parse(text, "Modelfile")

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("PARAMETER temperature 0.5", None),
        ("PARAMETER temperature 9", "temperature 9: input should be less than or equal to 5"),
        ("PARAMETER temperature 0.5 # x", "temperature takes a number, not '0.5 # x'"),
        ("PARAMETER temperature inf", "temperature takes a number, not 'inf'"),
        (
            "PARAMETER Temperature 0.5",
            "Ollama knows no parameter 'Temperature' (names are case-sensitive: temperature)",
        ),
        ("PARAMETER tfs_z 1", "Ollama knows no parameter 'tfs_z'"),
        ("PARAMETER  top_p 1", "Ollama knows no parameter ''"),
        ("PARAMETER top_p 1.2", "top_p 1.2: input should be less than or equal to 1"),
        ("PARAMETER num_ctx 4096.0", "num_ctx takes a whole number, not '4096.0'"),
        ("PARAMETER num_ctx 0", "num_ctx 0: input should be greater than or equal to 1"),
        ("PARAMETER use_mmap yes", "use_mmap takes true or false, not 'yes'"),
        ("PARAMETER mirostat 1", "mirostat is deprecated: Ollama warns and drops it"),
        ("PARAMETER stop ", "an empty stop text would end every answer"),
        ("SYSTEM 全角　空白", "Ollama silently drops from SYSTEM: U+3000 IDEOGRAPHIC SPACE"),
        ("SYSTEM ", "SYSTEM has no value"),
        ("FROM ./other.gguf", "FROM again; Ollama takes the last one"),
        ("REQUIRES newest", "REQUIRES takes a version such as 0.14.0, not 'newest'"),
    ],
)
def test_what_ollama_would_refuse_or_drop_is_a_problem(line: str, problem: str | None) -> None:
    assert modelfile.problems(f"{HEAD}{line}\n", "Modelfile") == (
        [] if problem is None else [f"Modelfile:4: {problem}"]
    )


def test_a_modelfile_without_template_or_stop_is_guessed_at() -> None:
    assert modelfile.problems("FROM ./m.gguf\n", "Modelfile") == [
        "Modelfile:1: without PARAMETER stop an answer does not end",
        "Modelfile:1: without TEMPLATE Ollama guesses one",
    ]


def test_a_parameter_that_is_not_set_is_not_written() -> None:
    assert lines(Parameters(temperature=None, repeat_penalty=None, num_predict=None, seed=-7)) == [("seed", "-7")]
