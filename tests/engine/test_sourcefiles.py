"""Source patterns: what they match, how files are called, and what is said when nothing matches."""

from fnmatch import fnmatch
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.engine.sourcefiles import expand
from so8t.errors import StageError

FILES = ("a.jsonl", "data/b.jsonl", "data/c.txt", "data/deep/er/日本語.jsonl", "data/.hidden/x.jsonl", ".secret.jsonl")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (tmp_path / "outside.jsonl").touch()
    return root


def names(project: Path, *patterns: str) -> list[str]:
    return [name for name, _ in expand(project, {"one": patterns})["one"]]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.jsonl", ["a.jsonl"]),
        ("./data//../a.jsonl", ["a.jsonl"]),
        ("*.jsonl", ["a.jsonl"]),
        (".*.jsonl", [".secret.jsonl"]),
        ("data/[bc].*", ["data/b.jsonl", "data/c.txt"]),
        ("**/*.jsonl", ["a.jsonl", "data/b.jsonl", "data/deep/er/日本語.jsonl"]),
        ("data/**", ["data/b.jsonl", "data/c.txt", "data/deep/er/日本語.jsonl"]),
        ("data/**/er/*", ["data/deep/er/日本語.jsonl"]),
        ("data/.hidden/*", ["data/.hidden/x.jsonl"]),
        ("../outside.jsonl", ["../outside.jsonl"]),
    ],
)
def test_a_pattern_matches_exactly_these(project: Path, pattern: str, expected: list[str]) -> None:
    assert names(project, pattern) == expected


def test_a_file_that_two_patterns_match_is_given_once_and_all_are_sorted(project: Path) -> None:
    inside = (project / "data").as_posix() + "/*.jsonl"

    assert names(project, "data/**/*.jsonl", "a.jsonl", inside) == [
        "a.jsonl",
        "data/b.jsonl",
        "data/deep/er/日本語.jsonl",
    ]


def test_a_file_outside_is_called_as_it_was_spelled(project: Path) -> None:
    absolute = (project.parent / "outside.jsonl").as_posix()

    assert expand(project, {"one": [absolute]}) == {"one": [(absolute, Path(absolute))]}


def test_each_source_has_its_own_files_and_a_dataset_of_the_hub_none(project: Path) -> None:
    found = expand(project, {"two": ["data/c.txt", "data/b.jsonl"], "one": ["a.jsonl"], "hub": []})

    assert [(source, [name for name, _ in files]) for source, files in found.items()] == [
        ("two", ["data/b.jsonl", "data/c.txt"]),
        ("one", ["a.jsonl"]),
        ("hub", []),
    ]


@pytest.mark.parametrize("pattern", ["**/b.jsonl", "data/b.jsonl", "{inside}/*.jsonl"])
def test_a_file_of_two_sources_is_an_error_that_names_both(project: Path, pattern: str) -> None:
    second = pattern.replace("{inside}", (project / "data").as_posix())
    with pytest.raises(StageError) as error:
        expand(project, {"one": ["data/*.jsonl"], "two": [second], "three": ["a.jsonl"]})

    assert str(error.value) == "data/b.jsonl is matched by the sources one and two: narrow the paths of one of them"


def test_a_link_to_a_parent_folder_does_not_repeat_its_files(project: Path) -> None:
    (project / "data" / "loop").symlink_to(project, target_is_directory=True)

    assert names(project, "**/b.jsonl") == ["data/b.jsonl"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "data/*.gz",
            "source pattern 'data/*.gz' matches no file: looked in data, which holds .hidden/, b.jsonl, c.txt, deep/",
        ),
        (
            "dat/x.jsonl",
            "source pattern 'dat/x.jsonl' matches no file: looked in the project folder, "
            "which holds .secret.jsonl, a.jsonl, data/",
        ),
        ("data", "source pattern 'data' names a folder; write data/*.jsonl for the files in it"),
    ],
)
def test_a_pattern_without_a_file_says_where_it_looked(project: Path, pattern: str, message: str) -> None:
    with pytest.raises(StageError) as error:
        expand(project, {"one": ["a.jsonl", pattern]})

    assert str(error.value) == message


PARTS = st.sampled_from(["**", "*", "data", "deep", "er", "*.jsonl", "?.txt", ".*", "b.jsonl", "[!b]*", "日本語.jsonl"])


def plainly(names: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    """The semantics again, for a name and without a file system."""
    if not parts or not names:
        return not parts and not names
    if parts[0] == "**":
        below = len(names) > 1 and not names[0].startswith(".") and plainly(names[1:], parts)
        return below or plainly(names, parts[1:] or ("*",))
    shown = parts[0].startswith(".") or not names[0].startswith(".")
    return shown and fnmatch(names[0], parts[0]) and plainly(names[1:], parts[1:])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=5), st.booleans())
def test_walking_the_folder_agrees_with_a_plain_matcher_of_names(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], absolute: bool
) -> None:
    root = tmp_path_factory.getbasetemp() / "law"
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    pattern = "/".join([root.as_posix()] * absolute + parts)

    try:
        walked = names(root, pattern)
    except StageError:
        walked = []

    assert walked == sorted(name for name in FILES if plainly(tuple(name.split("/")), tuple(parts)))
