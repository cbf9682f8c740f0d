"""llama.cpp asked with a model of random weights, which says anything: order, limits, pace, and the grammar."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.corpus import pii
from so8t.errors import MissingExtra, StageError
from so8t.evals import asking, bench, harness, pace
from so8t.evals.asking import Answer, Way
from so8t.evals.bench import Bench, Guided, Question, Sheet
from so8t.evals.harness import Reader
from so8t.evals.leaks import Watch
from so8t.evals.withheld import Withhold
from so8t.formats import chat, direct, equality, gotemplate, published, suite
from so8t.formats.chat import PHI3
from so8t.formats.encoding import Encoder
from so8t.formats.equality import Formats
from so8t.formats.thinking import FORMATS, TAGS, Final, Thinking, ThinkingFormat
from so8t.gguf import bare, names, vocabulary
from so8t.gguf.llamacpp import Model
from so8t.store.answers import Answers
from tests.bases import phi35
from tests.formats import untrained

TEXTS = ("東京支店の営業時間は？", "　全角の空白😢", "What time is it?", "<|end|>爆弾", "")
OWN = Thinking("課題", "安全", "方針", Final("ALLOW", 1.0, "理由", "回答"))
WATCH = Watch(TAGS, [], [])
WITHHOLD = Withhold(pii.kinds([]), TAGS)
PROMPTS = [[{"role": "user", "content": text}] for text in TEXTS]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asking")
    untrained.write(folder / "random.gguf", untrained.train(folder / "words", TAGS, 700), TAGS)
    return folder / "random.gguf"


@pytest.fixture(scope="module")
def model(gguf: Path) -> Iterator[Model]:
    with Model(gguf, 64, 1) as model:
        yield model


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Answers]:
    with Answers(tmp_path / "answers.jsonl", lag=1.0) as kept:
        yield kept


def said(answers: Sequence[Answer]) -> list[tuple[str, str, int]]:
    return [(answer.text, answer.ended, answer.tokens) for answer in answers]


def test_answers_are_the_same_whatever_the_workers_and_threads(gguf: Path, tmp_path: Path) -> None:
    found = []
    for number, way in enumerate((Way(12), Way(12, workers=2), Way(12, workers=9, threads=2))):
        with Answers(tmp_path / f"{number}.jsonl") as fresh:
            found.append(said(asking.ask(gguf, PROMPTS, PHI3, way, fresh)))

    assert found[1:] == [found[0], found[0]]
    assert len(set(found[0])) == len(PROMPTS)


def test_what_was_answered_is_not_asked_again(
    gguf: Path, tmp_path: Path, kept: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    asking.ask(gguf, PROMPTS[:3], PHI3, Way(12), kept)
    silent = capsys.readouterr().err
    together = asking.ask(gguf, PROMPTS, PHI3, Way(12, workers=2), kept)
    with Answers(tmp_path / "fresh.jsonl") as fresh:
        alone = asking.ask(gguf, PROMPTS, PHI3, Way(12), fresh)

    assert silent == ""
    assert capsys.readouterr().err == "evaluation: random.gguf: 3 of 5 answers are kept from an earlier run\n"
    assert said(together) == said(alone)
    assert len(kept) == 5


def test_another_length_grammar_chat_format_or_model_asks_anew(gguf: Path, tmp_path: Path, kept: Answers) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf.read_bytes() + b"\0")  # llama.cpp does not mind
    sizes = []
    for path, fmt, way, grammar in (
        (gguf, PHI3, Way(4), None),
        (gguf, PHI3, Way(5), None),
        (gguf, PHI3, Way(4), 'root ::= "はい"'),
        (gguf, replace(PHI3, stop=("<|user|>",)), Way(4), None),
        (other, PHI3, Way(4), None),
        (gguf, PHI3, Way(4, workers=3, threads=2), None),  # which change no answer
    ):
        asking.ask(path, PROMPTS[:2], fmt, way, kept, grammar)
        sizes.append(len(kept))

    assert sizes == [2, 4, 6, 8, 10, 10]


def test_each_prompt_is_encoded_as_training_encodes_it(model: Model) -> None:
    ids = asking.encode(model, PROMPTS[3], PHI3)

    assert model.detokenize(ids, special=True) == "<|user|>\n<|end|>爆弾<|end|>\n<|assistant|>\n"
    assert ids.count(model.tokenize("<|end|>", special=True)[0]) == 1  # the one in the content is text


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_each_prompt_has_the_tokens_of_the_template_s_branch(fmt: ThinkingFormat, tmp_path: Path) -> None:
    untrained.write(tmp_path / "random.gguf", untrained.train(tmp_path / "words", fmt, 700), fmt)
    go = gotemplate.template(PHI3, fmt)

    with Model(tmp_path / "random.gguf", 64, 1) as model:
        ollama = equality.template(model, go, Formats(PHI3, fmt))
        for each in suite.conversations(fmt):
            if each.messages[-1]["role"] != "user" or any("thinking" in message for message in each.messages):
                continue
            asked = suite.inert(each.messages, fmt)
            messages = suite.trained(asked, fmt)
            for think, begun in ((True, ""), (False, direct.prefill(fmt))):
                assert asking.encode(model, messages, PHI3, begun) == ollama(asked, think), (each.name, think)


def test_a_prefill_asks_anew_and_the_answer_goes_on_from_it(gguf: Path, kept: Answers) -> None:
    thought = asking.ask(gguf, PROMPTS[:2], PHI3, Way(6), kept)
    direct_ones = asking.ask(gguf, PROMPTS[:2], PHI3, Way(6), kept, prefill="<final>")

    assert len(kept) == 4
    assert [answer.prompt_tokens for answer in direct_ones] == [answer.prompt_tokens + 1 for answer in thought]


def test_a_prompt_beyond_the_model_s_context_is_refused(gguf: Path, kept: Answers) -> None:
    with pytest.raises(StageError, match=r"^random.gguf: a prompt has 20\d\d tokens, and the model's context is 1024$"):
        asking.ask(gguf, [[{"role": "user", "content": "😢" * 500}]], PHI3, Way(4), kept)


def test_the_grammar_makes_even_random_answers_valid_and_hard_questions_come_first(gguf: Path, kept: Answers) -> None:
    questions = [Question(f"r{at}", "ALLOW", prompt, OWN) for at, prompt in enumerate(PROMPTS)]
    table, sheet = Bench({"test": questions}, PHI3, TAGS, Way(8, workers=2), kept, WATCH, WITHHOLD), Sheet()
    table.ask(sheet, "random", gguf)
    table.guide(sheet, "random", gguf, Guided(conversations=3, text=8, longest=400))

    assert [one.problem is None for one in sheet.free["test"]["random"]] == [False] * 5
    assert [(one.id, one.problem) for one in sheet.guided["test"]["random"]] == [
        ("r0", None),
        ("r1", None),
        ("r2", None),
    ]
    assert bench.guided_figures(sheet.guided["test"]["random"])["format_valid"] == 1.0


def test_an_answer_that_the_grammar_could_not_finish_fails(gguf: Path, kept: Answers) -> None:
    table, sheet = (
        Bench({"test": [Question("r0", "ALLOW", PROMPTS[0], OWN)]}, PHI3, TAGS, Way(8), kept, WATCH, WITHHOLD),
        Sheet(),
    )
    table.ask(sheet, "random", gguf)

    with pytest.raises(StageError) as caught:
        table.guide(sheet, "random", gguf, Guided(conversations=None, text=8, longest=3))
    message = str(caught.value)
    assert message.startswith(
        "evaluation: test: random.gguf answers r0 without the format though the grammar holds it (ended by length): "
    )
    assert message.endswith("; lower grammar.text, or raise grammar.longest, in evaluation.yaml")


def test_the_pace_is_that_of_an_answer_alone() -> None:
    answers = [
        Answer("", "stop", 10, 11, 0.5, 1.5),
        Answer("", "stop", 20, 21, 0.1, 2.1),
        Answer("", "stop", 5, 0, 1, 1),
    ]

    assert pace.figures(answers) == {
        "answers": 3,
        "prompt_tokens": 35,
        "prompt_tokens_per_second": 21.9,
        "tokens": 32,
        "tokens_per_second": 10.0,
        "first_token_ms": {"median": 500.0, "p90": 900.0},
    }
    assert pace.sentence(pace.figures(answers)) == "10 tokens/s, first after 500.0 ms"
    assert pace.sentence(pace.figures(answers[2:])) == "no token"


# ---- as the harness asks


def test_a_likelihood_is_the_sum_over_the_continuation_alone(model: Model) -> None:
    import numpy

    reader = Reader(model)
    ids = [1, *model.tokenize("東京支店", special=False)]
    logits = model.logits(ids).astype(numpy.float64)
    each = logits - numpy.log(numpy.exp(logits).sum(axis=1, keepdims=True))
    expected = sum(each[at, token] for at, token in enumerate(ids[1:]))

    assert reader.likelihood("", "東京支店")[0] == pytest.approx(expected, rel=1e-6)
    assert reader.rolling("東京支店") == pytest.approx(expected, rel=1e-6)
    first, second = reader.likelihood("", "東京"), reader.likelihood("東京 ", "支店")
    assert first[0] < 0 and second[0] < 0 and not first[1]


def test_a_text_longer_than_the_context_is_read_in_windows(model: Model) -> None:
    long = "営業時間は十時から" * 80
    count = len(model.tokenize(long, special=False))
    assert count > 3 * model.context

    assert -20 * count < Reader(model).rolling(long) < -count


def test_a_text_of_the_harness_ends_before_what_it_asked_for(model: Model) -> None:
    reader = Reader(model)
    text = reader.complete("営業時間は", [], 6)
    stop = text[2:4]

    assert reader.complete("営業時間は", [stop], 6) == text[: text.index(stop)]


def test_a_harness_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lm_eval", None)

    with pytest.raises(MissingExtra) as caught:
        harness.open_tasks("0.4.13", ("arc_easy",), "", None, None)
    assert str(caught.value) == "evaluation: harness needs lm_eval: pip install 'so8t[harness]'"


def test_a_prompt_has_the_tokens_of_the_training_where_role_tokens_swallow_white_space(tmp_path: Path) -> None:
    """Phi-3.5's, whose vocabulary reads a space before every text, too."""
    phi35.write_tokenizer(tmp_path, phi35.train(["東京支店の営業時間は？ What time is it?"] * 9, 320))
    (tmp_path / "config.json").write_text('{"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}', "utf-8")
    rows = 320 + len(phi35.AFTER_PIECES) + phi35.PADDING
    bare.write(vocabulary.read(tmp_path, names.family("Phi3ForCausalLM"), rows, None), tmp_path / "words.gguf")
    trained = Encoder(published.tokenizer(tmp_path))

    with Model(tmp_path / "words.gguf", 8, 1) as model:
        for each in suite.conversations(TAGS):
            for begun in ("", "<final>") if each.messages[-1]["role"] == "user" else ("",):
                messages = suite.trained(each.messages, TAGS)
                expected = trained(chat.segments(messages, PHI3, True, begun)).ids
                assert asking.encode(model, messages, PHI3, begun) == expected, each.name
