"""llama.cpp itself, on a small Phi-3: what our own evaluation and server ask of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from so8t.errors import StageError
from so8t.gguf import llamacpp
from so8t.gguf.llamacpp import Generated, Model, Sampling

TEXT = "<|user|>\n東京　😢🏳️‍🌈 don't<|end|>\n<think-task>"
USER, END, THINK = 5, 7, 8


@pytest.fixture(scope="module")
def model(phi3_f16: Path) -> Iterator[Model]:
    with Model(phi3_f16, context=700, threads=1) as loaded:
        yield loaded


def test_role_tokens_are_structure_or_text_as_the_caller_says(model: Model) -> None:
    structure, text = model.tokenize(TEXT, special=True), model.tokenize(TEXT, special=False)

    assert (structure[0], structure[-1], structure.count(END)) == (USER, THINK, 1)
    assert text[-1] == THINK  # a marker is always itself: it is printed
    assert USER not in text
    assert model.detokenize(text) == TEXT


def test_hidden_tokens_are_printed_on_request_only(model: Model) -> None:
    ids = model.tokenize(TEXT, special=True)

    assert model.detokenize(ids) == "\n東京　😢🏳️‍🌈 don't\n<think-task>"
    assert model.detokenize(ids, special=True) == TEXT


def test_half_a_character_is_a_piece(model: Model) -> None:
    pieces = [model.piece(number) for number in model.tokenize("鬱", special=False)]

    assert pieces == [b"\xe9", b"\xac", b"\xb1"]


def test_logits_of_a_prefix_are_those_of_the_whole(model: Model) -> None:
    ids = [5 + (at * 37) % 390 for at in range(600)]  # longer than one batch

    whole, prefix = model.logits(ids), model.logits(ids[:30])

    assert whole.shape == (600, 400)
    np.testing.assert_allclose(whole[:30], prefix, atol=2e-3)  # other batches, other order of float16 sums


def test_generation_is_repeatable_and_draws_by_seed(model: Model) -> None:
    ids = model.tokenize(TEXT, special=True)
    drawn = [model.generate(ids, 12, (), sampling=Sampling(1.0, seed=seed)).ids for seed in (1, 1, 2)]

    assert model.generate(ids, 12, ()) == model.generate(ids, 12, ())
    assert drawn[0] == drawn[1] != drawn[2]


def test_generation_says_what_ended_it(model: Model) -> None:
    ids = model.tokenize(TEXT, special=True)
    first = model.generate(ids, 1, ()).ids[0]
    seen: list[int] = []

    assert model.generate(ids, 5, {first}) == Generated((), "stop")
    assert model.generate(ids, 3, (), on_token=seen.append) == Generated(tuple(seen), "length")
    assert model.generate(ids, 5000, ()).ended == "context"


def test_a_long_prompt_can_be_cancelled(model: Model) -> None:
    asked = iter(range(1000))

    assert model.generate([USER] * 600, 5, (), cancel=lambda: next(asked) > 3) == Generated((), "cancelled")
    assert model.generate([USER] * 600, 2, ()).ended == "length"  # and the model goes on


def test_a_grammar_binds_every_token(model: Model) -> None:
    made = model.generate(model.tokenize("あ", special=False), 30, (), grammar='root ::= "x" [ab] [ab] [ab] "y"')

    assert model.detokenize(made.ids).startswith("x")
    assert set(model.detokenize(made.ids[:5])) <= set("xaby")


def test_a_grammar_that_cannot_be_read_is_an_error_and_no_crash(model: Model) -> None:
    with pytest.raises(StageError, match=r"llama.cpp cannot read the grammar; it says above where, on stderr"):
        model.generate([USER], 1, (), grammar="root ::= nowhere")

    assert model.generate([USER], 1, ()).ended == "length"


def test_a_text_longer_than_the_context_is_refused(model: Model) -> None:
    with pytest.raises(StageError, match=r"pico-f16.gguf: 701 tokens do not fit into a context of 700"):
        model.logits([USER] * 701)


@pytest.mark.parametrize(("kind", "number"), [("q8_0", 7), ("q4_k_m", 15), ("q6_k", 18)])
def test_quantised_models_compute_on_this_processor(phi3_f16: Path, tmp_path: Path, kind: str, number: int) -> None:
    """Some builds of llama.cpp die on quantised weights where the processor has AMX."""
    target = tmp_path / f"pico-{kind}.gguf"
    llamacpp.quantize(phi3_f16, target, number, threads=2)

    with Model(target, 64, 1) as quantised:
        assert np.isfinite(quantised.logits(list(range(5, 45)))).all()


def test_a_truncated_file_is_named_with_llama_cpps_own_words(phi3_f16: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(phi3_f16.read_bytes()[:-20_000])

    with pytest.raises(StageError, match=r"llama.cpp cannot load broken.gguf: .*is not within the file bounds"):
        Model(broken, 64)
    with pytest.raises(StageError, match=r"llama.cpp cannot quantise broken.gguf: .*is not within the file bounds"):
        llamacpp.quantize(broken, tmp_path / "out.gguf", 15, threads=1)


def test_nothing_is_logged_past_us(phi3_f16: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Model(phi3_f16, 64, 1) as model:
        model.generate([USER], 2, ())

    assert capfd.readouterr() == ("", "")


def test_the_version_names_wheel_and_engine() -> None:
    assert llamacpp.version().startswith("cyllama ")
    assert "(llama.cpp b" in llamacpp.version()
