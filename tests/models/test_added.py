"""Tokens that a base is given: one token in every engine, a row that begins as its text meant, nothing else moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from so8t.engine.stage import Inputs, Source
from so8t.errors import StageError
from so8t.formats.thinking import HEADINGS, NONE, TAGS
from so8t.gguf import bare, layout
from so8t.gguf.llamacpp import Model
from so8t.models import added, checkpoint, facts
from stages import base_model
from stages.base_model import Spec
from tests.gguf import folders
from tests.weights import workshop

TOKENS = ("<memo>", "</memo>", "<|plan|>", "手順:")
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
FAMILIES = ("phi3", "phi3-tied", "llama3", "qwen3")  # pieces and bytes, each with a head of its own and without


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {name: folders.build(name, root / name, "bfloat16") for name in FAMILIES}


@pytest.fixture(scope="module")
def given(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Each base with the tokens, and what was added."""
    root = tmp_path_factory.mktemp("given")
    return {name: (root / name, added.add(base, root / name, TOKENS)) for name, base in bases.items()}


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_begin_as_the_mean_of_the_pieces_and_no_other_row_moves(
    bases: dict[str, Path], given: dict[str, tuple[Path, Any]], name: str
) -> None:
    folder, tokens = given[name]
    before, after = workshop.weights(bases[name]), workshop.weights(folder)
    plain = AutoTokenizer.from_pretrained(bases[name])
    names = [EMBEDDING, HEAD] if HEAD in before else [EMBEDDING]

    assert after.keys() == before.keys()
    for tensor in names:
        for token in tokens:
            pieces = plain(token.text, add_special_tokens=False)["input_ids"]
            mean = before[tensor].double()[pieces].mean(0).bfloat16()
            assert len(pieces) > 1 and torch.equal(after[tensor][token.number], mean)
        first = tokens[0].number
        assert torch.equal(after[tensor][:first], before[tensor][:first])
    assert [n for n in before if n not in names and not torch.equal(after[n], before[n])] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_they_are_single_tokens_to_hf_and_to_llama_cpp(
    given: dict[str, tuple[Path, Any]], name: str, tmp_path: Path
) -> None:
    folder, tokens = given[name]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bare.write(layout.read_vocabulary(layout.open_source(folder), TOKENS[:2]), tmp_path / "vocabulary.gguf")

    with Model(tmp_path / "vocabulary.gguf", context=8) as engine:
        for token in tokens:
            assert tokenizer.convert_tokens_to_ids(token.text) == token.number
            for text in (token.text, f"ご用件{token.text}です", f"{token.text}{token.text}\n"):
                ids = tokenizer(text, add_special_tokens=False)["input_ids"]
                assert ids.count(token.number) == text.count(token.text)
                assert engine.tokenize(text, token.text not in TOKENS[:2]) == ids
        assert b"".join(map(engine.piece, [tokens[0].number])) == b"<memo>"


@pytest.mark.parametrize(
    ("name", "texts", "rows"),
    [
        ("phi3", TOKENS, 400),  # 396 pieces in 400 rows
        ("phi3", (*TOKENS, "<more>"), 401),
        ("qwen3", ("<memo>",), 400),
    ],
)
def test_rows_to_spare_are_taken_first(
    bases: dict[str, Path], name: str, texts: Any, rows: int, tmp_path: Path
) -> None:
    tokens = added.add(bases[name], tmp_path / "given", texts)
    weights = workshop.weights(tmp_path / "given")
    config = json.loads((tmp_path / "given" / "config.json").read_bytes())

    assert [token.number for token in tokens] == list(range(tokens[0].number, tokens[0].number + len(texts)))
    assert {len(weights[EMBEDDING]), len(weights[HEAD]), config["vocab_size"]} == {rows}
    assert checkpoint.verify(tmp_path / "given").vocab_size == rows


def test_shards_that_hold_neither_stay_as_they_are_and_the_index_follows(tmp_path: Path) -> None:
    base = folders.build("phi3", tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(base).save_pretrained(tmp_path / "base", max_shard_size=60_000)
    (tmp_path / "base" / "model.safetensors").unlink()
    given = tmp_path / "given"
    added.add(base, given, (*TOKENS, "<more>"))
    index = json.loads((given / "model.safetensors.index.json").read_bytes())
    weights = workshop.weights(given)
    before, after = (
        {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} for folder in (base, given)
    )
    moved = sorted(name for name in before if before[name] != after[name])

    assert moved == sorted({index["weight_map"][EMBEDDING], index["weight_map"][HEAD]})
    assert index["metadata"] == {"total_size": sum(tensor.nbytes for tensor in weights.values())}
    assert checkpoint.verify(given).vocab_size == 401
    assert torch.equal(workshop.plain(given).state_dict()[EMBEDDING], weights[EMBEDDING])


def test_what_the_base_has_is_left_alone(bases: dict[str, Path], tmp_path: Path) -> None:
    tokens = added.add(bases["phi3"], tmp_path / "given", ("<final>", "<|user|>"))
    files = {path.name: path.read_bytes() for path in bases["phi3"].iterdir()}

    assert tokens == ()
    assert {path.name: path.read_bytes() for path in (tmp_path / "given").iterdir()} == files


def test_equal_bases_give_equal_bytes_over_what_a_killed_run_left(bases: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "config.json").write_text("half", "utf-8")
    files = []
    for name in ("one", "two"):
        added.add(bases["llama3"], tmp_path / name, TOKENS)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})

    assert files[0] == files[1]


def test_markers_are_the_thinking_formats_and_headings_have_none() -> None:
    assert added.wanted("markers", lambda: TAGS) == TAGS.markers
    assert added.wanted(("<a>", "<b>", "<a>"), lambda: TAGS) == ("<a>", "<b>")
    with pytest.raises(StageError) as refused:
        added.wanted("markers", lambda: HEADINGS)
    assert str(refused.value) == (
        "base_model: tokens: markers: the format headings marks whole lines, which are not tokens; "
        "set tokens: none, or thinking_sft's format to quadruple or think"
    )
    with pytest.raises(StageError, match="the format none has no thinking to mark; set tokens: none"):
        added.wanted("markers", lambda: NONE)


def test_a_head_that_is_stored_twice_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bases["phi3-tied"], tmp_path / "base")
    rows = workshop.weights(tmp_path / "base")[EMBEDDING]
    workshop.edit(tmp_path / "base" / "model.safetensors", lm_head__weight=rows.clone())
    with pytest.raises(StageError) as refused:
        added.add(tmp_path / "base", tmp_path / "given", TOKENS)
    assert str(refused.value) == (
        "base_model: tokens: model.safetensors holds lm_head.weight, and config.json says that the head shares the "
        "embeddings' weights (tie_word_embeddings): take the second copy out"
    )


@pytest.mark.parametrize("tokens", ["marker", ["two words"], [""]])
def test_what_is_not_a_token_is_refused_by_the_spec(tokens: Any) -> None:
    with pytest.raises(ValidationError):
        Spec(tokens=tokens)


def test_the_stage_says_what_it_added(pico: Path, sft: Path, tmp_path: Path) -> None:
    sources = {"checkpoint": tuple(Source(path.name, path) for path in sorted(pico.iterdir()))}
    spec = Spec(source={"kind": "local", "path": "pico"}, tokens=("<memo>", "<final>"))
    (tmp_path / "out").mkdir()
    base_model.build(Inputs({"thinking_sft": sft}, sources), tmp_path / "out", spec)
    told = facts.read(tmp_path / "out")

    assert (told["added"], told["vocab_size"], facts.added(tmp_path / "out")) == ({"<memo>": 420}, 421, (420,))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["base.json", "model"]
    model = workshop.plain(tmp_path / "out" / "model")
    assert model(input_ids=torch.tensor([[1, 420, 7]])).logits.isfinite().all()
