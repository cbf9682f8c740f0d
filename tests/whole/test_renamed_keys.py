"""Every key that this release renames: its old name is read where it stood, with a warning, and means the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.errors import SpecError
from so8t.spec import load, profile
from so8t.spec.renames import Moved, Rename
from stages import RENAMED, SETTINGS, STAGES

VALUES = {"kl": 0.5, "top1": 0.5, "conversations": 3, "perplexity": 0.5}
OWN = {  # stages whose profile says nothing of the key; and what else must stand beside it
    "gguf.bounds": "bounds:\n  q8_0: {{perplexity: 0.5, {others}{key}: {value}}}\n",
    "gguf.parity": "parity:\n  {key}: {value}\n",
    "merged_model.parity": "parity:\n  {key}: {value}\n",
    "baked_model.parity": "parity:\n  {key}: {value}\n",
    "adapter.validation": "validation:\n  {key}: {value}\n",
    "adapter_scores": "{key}: {value}\n",
    "evaluation": "{key}: {value}\n",
    "evaluation.grammar": "grammar:\n  {key}: {value}\n",
}
MODELS = {**{name: stage.spec for name, stage in STAGES.items()}, **SETTINGS}


def text(rename: Rename, key: str) -> str:
    place = ".".join((rename.file, *rename.old.split(".")[:-1])).removesuffix(".*")
    others = {"kl": "top1: 0.5, ", "top1": "kl: 0.5, "}.get(rename.new, "")
    return OWN[place].format(key=key, value=VALUES[rename.new], others=others)


RENAMES = [each for each in RENAMED if isinstance(each, Rename)]
MOVES = [each for each in RENAMED if isinstance(each, Moved)]


@pytest.mark.parametrize("rename", RENAMES, ids=lambda rename: f"{rename.file}.{rename.old}")
def test_the_old_name_means_the_new_one_and_is_told(rename: Rename, tmp_path: Path) -> None:
    old, folder = rename.old.rpartition(".")[2], tmp_path / "specs" / "mine"
    folder.mkdir(parents=True)
    file = folder / f"{rename.file}.yaml"
    file.write_text(text(rename, rename.new), "utf-8")
    model = {rename.file: MODELS[rename.file]}
    expected = load.load(profile.read(tmp_path, "mine", RENAMED), model)
    file.write_text(text(rename, old), "utf-8")
    found = profile.read(tmp_path, "mine", RENAMED)

    assert load.load(found, model) == expected
    (warning,) = found.warnings
    assert warning.startswith(f"specs/mine/{rename.file}.yaml:")
    assert f" is called {rename.new} now: doit schema --upgrade rewrites it; the next release reads " in warning
    assert profile.upgrade(tmp_path, RENAMED)
    assert file.read_text("utf-8") == text(rename, rename.new)


@pytest.mark.parametrize("move", MOVES, ids=lambda move: f"{move.file}.{move.old}")
def test_a_key_that_moved_is_refused_with_its_new_place(move: Moved, tmp_path: Path) -> None:
    folder = tmp_path / "specs" / "mine"
    folder.mkdir(parents=True)
    (folder / f"{move.file}.yaml").write_text(f"{move.old}: llama-bpe\n", "utf-8")

    with pytest.raises(SpecError) as caught:
        load.load(profile.read(tmp_path, "mine", RENAMED), {move.file: MODELS[move.file]})

    assert str(caught.value) == (
        f"specs/mine/{move.file}.yaml:1:1: {move.old} is pre_tokenizer of chat_format.yaml now: "
        f"write it there, and remove it here\n    {move.old}: llama-bpe\n    ^"
    )
    assert "pre_tokenizer" in STAGES["chat_format"].spec.model_fields


def test_shipped_profiles_have_no_old_names() -> None:
    project = Path(__file__).parents[2]

    for name in profile.names(project):
        assert profile.read(project, name, RENAMED).warnings == ()
