"""Paths with ~, environment variables and Python packages: what they mean, and that names keep the spelling."""

from pathlib import Path

import pytest

from so8t.engine import spelled
from so8t.engine.sourcefiles import expand
from so8t.errors import StageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with one model, named by variables too; the project lies beside it."""
    for name in ("models/phi/config.json", "models/phi/model.safetensors"):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).touch()
    (tmp_path / "project").mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.setenv("MODELS", str(tmp_path / "home" / "models"))
    monkeypatch.setenv("WHICH", "phi")
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path / "home"


SPELLINGS = ("~/models/phi", "$MODELS/phi", "${MODELS}/$WHICH", "%MODELS%/phi", "~/models/%WHICH%")


@pytest.mark.parametrize("path", SPELLINGS)
def test_every_spelling_finds_the_files_and_stays_their_name(home: Path, path: str) -> None:
    found = expand(home.parent / "project", {"checkpoint": [f"{path}/*"]})["checkpoint"]

    assert found == [
        (f"{path}/config.json", home / "models" / "phi" / "config.json"),
        (f"{path}/model.safetensors", home / "models" / "phi" / "model.safetensors"),
    ]


def test_a_variable_within_the_project_gives_names_of_the_project(home: Path) -> None:
    (home.parent / "project" / "phi").mkdir()
    (home.parent / "project" / "phi" / "config.json").touch()

    assert expand(home.parent / "project", {"one": ["$WHICH/*"]})["one"][0][0] == "phi/config.json"


def test_a_file_of_a_python_package_is_found_wherever_it_is_installed(home: Path) -> None:
    import json

    found = expand(home, {"one": ["python:json/decoder.py"]})["one"]

    assert found == [("python:json/decoder.py", Path(json.__file__).parent / "decoder.py")]


@pytest.mark.parametrize("path", ["a/b.jsonl", "/a/b", "100%.jsonl", "a$/b", "a~/b", "python/x", "C:/models/x"])
def test_a_path_without_any_of_them_stays_as_it_is(path: str) -> None:
    assert spelled.expand(path) == path


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "$NOWHERE/phi",
            "'$NOWHERE/phi' names the environment variable NOWHERE, which is not set: set it, or write it out",
        ),
        (
            "~nobody-of-that-name/phi",
            "'~nobody-of-that-name/phi' names the home folder of somebody who is not known here: write the path out",
        ),
        (
            "python:no_such_model/model.gguf",
            "'python:no_such_model/model.gguf' names a file of the Python package no_such_model, "
            "which is not installed: pip install --no-deps no-such-model",
        ),
    ],
)
def test_what_stands_for_nothing_is_named_with_what_to_do(home: Path, path: str, message: str) -> None:
    with pytest.raises(StageError) as error:
        spelled.read(path)

    assert str(error.value) == message


def test_where_nothing_matches_the_hint_of_the_source_is_said(home: Path) -> None:
    with pytest.raises(StageError) as error:
        expand(home.parent / "project", {"checkpoint": ["~/modles/phi/*"]}, {"checkpoint": "look at ~/models"})

    assert str(error.value) == (
        f"source pattern '~/modles/phi/*' matches no file: looked in {home.as_posix()}, which holds models/; "
        "look at ~/models"
    )
