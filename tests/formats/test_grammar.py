"""The grammar, judged by llama.cpp's own engine: all that compose() writes, nothing that split() refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from so8t.formats.grammar import grammar
from so8t.formats.records import LABELS
from so8t.formats.thinking import FORMATS, HEADINGS, TAGS, Final, Thinking, compose, split
from so8t.gguf.llamacpp import Model, Sampling, _library
from tests.formats import untrained

CERTAIN = 1e9  # a bias that makes any token the likeliest, unless the grammar forbids it


EACH_FORMAT = pytest.mark.parametrize("name", FORMATS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Model]]:
    folder, found = tmp_path_factory.mktemp("grammar"), {}
    for name, fmt in FORMATS.items():
        untrained.write(folder / f"{name}.gguf", untrained.train(folder / name, fmt, 700), fmt)
        found[name] = Model(folder / f"{name}.gguf", context=4096, threads=1)
        found[name].generate([5], 1, ())  # logits to sample from
    yield found
    for model in found.values():
        model.close()


@cache
def written(name: str, longest: int | None) -> str:
    return grammar(FORMATS[name], longest)


class Judge:
    """llama.cpp's sampler, token by token: each is forced, and the grammar may still refuse it."""

    def __init__(self, model: Model, text: str) -> None:
        self._model, self._llama = model, _library()
        self._grammar = self._sampler()
        self._grammar.add_grammar(model._vocab, text, "root")

    def refused(self, text: str) -> int | None:
        """The character at which the first refused token begins; len(text): it must not end there; None: admitted."""
        state, done = self._grammar.clone(), 0
        for token in self._model.tokenize(text, False):
            if self._likeliest(state, [(token, CERTAIN)]) != token:
                return len(text.encode()[:done].decode("utf-8", "ignore"))
            state.accept(token)
            done += len(self._model.piece(token))
        return None if self._model._vocab.is_eog(self._likeliest(state, self._ends())) else len(text)

    def _ends(self) -> list[tuple[int, float]]:
        return [(token, CERTAIN) for token in range(self._model.vocab_size) if self._model._vocab.is_eog(token)]

    def _likeliest(self, state: Any, bias: Sequence[tuple[int, float]]) -> int:
        sampler = state.clone()
        sampler.add_logit_bias(self._model.vocab_size, list(bias))
        sampler.add_greedy()
        token: int = sampler.sample(self._model._context, -1)
        return token

    def _sampler(self) -> Any:
        return self._llama.LlamaSampler(self._llama.LlamaSamplerChainParams())


LIKE_STRUCTURE = [
    "<final>",
    "</final>",
    "<think-task>",
    "<|end|>",
    "<s>",
    "\n回答: ",
    "\n# 最終回答\n",
    "## 方針",
    "<<",
]
PIECES = st.sampled_from([*LIKE_STRUCTURE, "東京　", "👨‍👩‍👧", "a", "<", "\\", "\n", "\n\n"]) | st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3
)  # llama.cpp refuses NUL
TEXT = st.lists(PIECES, max_size=6).map("".join)
FINAL = st.builds(Final, st.sampled_from(LABELS), st.floats(0, 1), TEXT, TEXT)


@pytest.mark.slow
@EACH_FORMAT
@settings(
    derandomize=True,
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(thinking=st.builds(Thinking, TEXT, TEXT, TEXT, FINAL))
@example(thinking=Thinking("", "", "", Final("REFUSE", 1, "", "")))
@example(thinking=Thinking("<<<<<<< HEAD", "a\n\n\n\n", "\n## 方針", Final("DENY", 0, "<", "回答: <final")))
@example(thinking=Thinking("あ" * 63, "い" * 64, "う" * 65, Final("ALLOW", 0.05, "え" * 128, "お" * 200)))
def test_every_composed_output_is_admitted(models: dict[str, Model], name: str, thinking: Thinking) -> None:
    output = compose(thinking, FORMATS[name])

    for longest in (None, 200):
        assert Judge(models[name], written(name, longest)).refused(output) is None


TAGGED = compose(Thinking("課題", "安全", "方針", Final("ALLOW", 0.5, "理由", "答え")), TAGS)
HEADED = compose(Thinking("課題", "安全", "方針", Final("ALLOW", 0.5, "理由", "答え")), HEADINGS)


@pytest.mark.parametrize(
    ("output", "before", "after", "refused"),
    [
        (TAGGED, "課題", "課<final>", "<final></think-task>"),
        (TAGGED, "課題", "課</think-safety>", "</think-safety></think-task>"),
        (TAGGED, "課題", "課<|end|>", "|></think-task>"),
        (TAGGED, "ALLOW", "PERMIT", "PERMIT"),
        (TAGGED, "0.50", "0.5", "\n理由"),
        (TAGGED, "0.50", "1.01", "1\n理由"),
        (TAGGED, "理由: 理由", "理由: 理由\n回答: 一", " 答え"),
        (TAGGED, "回答: 答え", "回答: 答え\n回答: 二", " 二</final>"),
        (TAGGED, "</final>", "", ""),
        (TAGGED, "</final>", "</final>\n", "\n"),
        (HEADED, "\n課題\n", "\n## 方針\n", "\n## 安全性\n"),
        (HEADED, "\n安全\n", "\n安全\n# 最終回答\n", "\n## 方針\n"),
        (HEADED, "答え", "答え\n## 課題", ""),
        (HEADED, "答え", "答え\n## 課題\n", "\n"),
    ],
)
def test_what_breaks_the_format_is_refused_where_it_breaks(
    models: dict[str, Model], output: str, before: str, after: str, refused: str
) -> None:
    name, text = "quadruple" if output is TAGGED else "headings", output.replace(before, after, 1)

    for longest in (None, 200):
        at = Judge(models[name], written(name, longest)).refused(text)
        assert at is not None
        assert text[at:].startswith(refused) if refused else at == len(text)


@EACH_FORMAT
def test_a_bounded_text_ends(models: dict[str, Model], name: str) -> None:
    long = compose(Thinking("", "", "", Final("DENY", 1, "", "あ" * 40)), FORMATS[name])

    assert Judge(models[name], written(name, 40)).refused(long) is None
    assert Judge(models[name], written(name, 39)).refused(long) == long.index("あ" * 40) + 39


@EACH_FORMAT
@pytest.mark.parametrize("seed", range(8))
def test_an_untrained_model_writes_valid_answers_and_nothing_else(
    models: dict[str, Model], name: str, seed: int
) -> None:
    model = models[name]
    ends = [token for token in range(model.vocab_size) if model._vocab.is_eog(token)]
    for temperature in (0.0, 1.0, 3.0):
        generated = model.generate(
            model.tokenize(f"<|user|>\n質問{seed}<|end|>\n<|assistant|>\n", True),
            3500,
            ends,
            grammar=written(name, 12),
            sampling=Sampling(temperature, seed=seed),
        )
        assert generated.ended == "stop"
        split(model.detokenize(generated.ids), FORMATS[name])


def test_spaces_of_the_vocabularys_are_admitted_where_it_reads_them(models: dict[str, Model]) -> None:
    output, spaced = TAGGED.replace("<final>", "<final> "), grammar(replace(TAGS, spaced=True))

    assert Judge(models["quadruple"], spaced).refused(f" {output}") is None
    assert Judge(models["quadruple"], spaced).refused(TAGGED) is None
    assert Judge(models["quadruple"], written("quadruple", None)).refused(f" {TAGGED}") == 0
