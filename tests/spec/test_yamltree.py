"""YAML 1.2 values, their places, and what a spec file may not hold."""

from __future__ import annotations

import math

import pytest

from so8t.spec import mistakes, yamltree


def values(text: str | bytes) -> object:
    tree = yamltree.read(text if isinstance(text, bytes) else text.encode(), "specs/tiny/a.yaml")
    assert not tree.mistakes, mistakes.error(tree.mistakes)
    return yamltree.plain(tree.root)


def refusal(text: str | bytes) -> str:
    tree = yamltree.read(text if isinstance(text, bytes) else text.encode(), "specs/tiny/a.yaml")
    return str(mistakes.error(tree.mistakes))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2e-4", 0.0002),
        ("0.0002", 0.0002),
        ("1e5", 100000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1", -1),
        ("+1", 1),
        ("017", 17),
        ("0o17", 15),
        ("0xFf", 255),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0b1", "0b1"),
        ("１０", "１０"),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("null", None),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("2026-11-01", "2026-11-01"),
        ("'2'", "2"),
        ('"\\u3042"', "あ"),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written: str, meant: object) -> None:
    found = values(f"a: {written}\n")["a"]  # type: ignore[index]

    assert (type(found), found) == (type(meant), meant)


def test_nan_is_read_for_the_models_to_refuse() -> None:
    assert math.isnan(values("a: .NaN")["a"])  # type: ignore[index]


@pytest.mark.parametrize("text", ["", "\n", "# a comment\n", "---\n", "---\n...\n", "{}"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert values(text) == {}


def test_a_bom_and_windows_line_ends_change_neither_values_nor_places() -> None:
    data = b"\xef\xbb\xbfa: 1\r\nb:\r\n  c: \xe3\x81\x82\r\n"

    tree = yamltree.read(data, "a.yaml")

    assert yamltree.plain(tree.root) == {"a": 1, "b": {"c": "あ"}}
    assert isinstance(tree.root.value, dict)
    inner = tree.root.value["b"].node.value
    assert isinstance(inner, dict)
    mark = inner["c"].node.mark
    assert (mark.line, mark.column, mark.file.line(3)) == (3, 6, "  c: あ")
    assert (tree.root.mark.line, tree.root.mark.column) == (1, 1)


def test_columns_count_characters_and_carets_count_terminal_columns() -> None:
    assert refusal("名前: {説明: x, 説明: y}\n") == (
        "specs/tiny/a.yaml:1:13: 名前.説明: duplicate key, first given in line 1\n"
        "    名前: {説明: x, 説明: y}\n"
        "                    ^"
    )


def test_aliases_are_written_out() -> None:
    assert values("a: &x {k: [1, 2]}\nb: *x\n") == {"a": {"k": [1, 2]}, "b": {"k": [1, 2]}}


def test_the_child_s_values_win_and_each_keeps_its_file() -> None:
    child = yamltree.read(b"a: {x: 1}\nl: [3]\n", "child.yaml").root
    parent = yamltree.read(b"a: {x: 0, y: 2}\nl: [1, 2]\nz: 9\n", "parent.yaml").root

    merged = yamltree.merge(child, parent)

    assert yamltree.plain(merged) == {"a": {"x": 1, "y": 2}, "l": [3], "z": 9}
    assert isinstance(merged.value, dict)
    inner = merged.value["a"].node.value
    assert isinstance(inner, dict)
    assert [inner[key].node.mark.file.name for key in "xy"] == ["child.yaml", "parent.yaml"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: 2\na: 3\n",
            "specs/tiny/a.yaml:3:1: a: duplicate key, first given in line 1\n    a: 3\n    ^",
        ),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "specs/tiny/a.yaml:1:4: tags are refused (got !!python/object/apply:os.system): a spec holds plain values\n"
            "    a: !!python/object/apply:os.system [ls]\n"
            "       ^",
        ),
        (
            "a: !!binary aGk=\n",
            "specs/tiny/a.yaml:1:4: tags are refused (got !!binary): a spec holds plain values\n"
            "    a: !!binary aGk=\n"
            "       ^",
        ),
        (
            "a: !env HOME\n",
            "specs/tiny/a.yaml:1:4: tags are refused (got !env): a spec holds plain values\n    a: !env HOME\n       ^",
        ),
        (
            "a: &x {k: 1}\nb:\n  <<: *x\n",
            "specs/tiny/a.yaml:3:3: merge keys are not part of YAML 1.2: share values with extends\n    <<: *x\n    ^",
        ),
        (
            "1: x\n",
            'specs/tiny/a.yaml:1:1: a key must be a string (got 1): write "1"\n    1: x\n    ^',
        ),
        (
            "? [a]\n: x\n",
            "specs/tiny/a.yaml:1:3: a key must be a string (got a list)\n    ? [a]\n      ^",
        ),
        (
            "a: &a [*a]\n",
            "specs/tiny/a.yaml:1:8: *a stands inside &a: an anchor must not hold itself\n    a: &a [*a]\n           ^",
        ),
        (
            "a: *x\n",
            "specs/tiny/a.yaml:1:4: *x: the anchor &x is not defined above\n    a: *x\n       ^",
        ),
        (
            "a: 1\n---\nb: 2\n",
            "specs/tiny/a.yaml:2:1: a second document: a spec is one YAML document\n    ---\n    ^",
        ),
        (
            "- a\n",
            "specs/tiny/a.yaml:1:1: the top of a spec must be a mapping (got a list)\n    - a\n    ^",
        ),
        (
            "train\n",
            "specs/tiny/a.yaml:1:1: the top of a spec must be a mapping (got 'train')\n    train\n    ^",
        ),
        (
            "a:\n\tb: 1\n",
            "specs/tiny/a.yaml:2:1: a tab cannot indent YAML: use spaces\n     b: 1\n    ^",
        ),
        (
            "a: x\nb: 'y\n",
            "specs/tiny/a.yaml:2:4: not YAML: found unexpected end of stream while scanning a quoted scalar\n"
            "    b: 'y\n"
            "       ^",
        ),
        (
            "a: x\n\x00",
            "specs/tiny/a.yaml:2:1: the invisible character U+0000 must not stand in a spec: "
            'write its escape in "double quotes"\n'
            "    \N{REPLACEMENT CHARACTER}\n"
            "    ^",
        ),
        (
            "a: x\u2028b: y\n",
            "specs/tiny/a.yaml:1:5: the invisible character U+2028 must not stand in a spec: "
            'write its escape in "double quotes"\n'
            "    a: x\N{REPLACEMENT CHARACTER}b: y\n"
            "        ^",
        ),
        (
            'a: "\\0"\n',
            'specs/tiny/a.yaml:1:4: must not hold NUL or half of a surrogate pair\n    a: "\\0"\n       ^',
        ),
        (
            b"a: 1\nb: \x83\x65\n",
            "specs/tiny/a.yaml:2:4: not UTF-8 (byte 0x83 at offset 8): save the file as UTF-8\n"
            "    b: \N{REPLACEMENT CHARACTER}e\n"
            "       ^",
        ),
        (
            "a: 1\n".encode("utf-16"),
            "specs/tiny/a.yaml:1:1: UTF-16: save the file as UTF-8",
        ),
    ],
)
def test_what_a_spec_may_not_hold_is_named_with_its_place(text: str | bytes, message: str) -> None:
    assert refusal(text) == message


def test_one_file_s_problems_are_all_found_at_once() -> None:
    text = "a: 1\na: 2\nb: !x 3\n4: d\n<<: {}\n"

    assert [line.split(": ")[0] for line in refusal(text).splitlines() if line.startswith("specs")] == [
        "specs/tiny/a.yaml:2:1",
        "specs/tiny/a.yaml:3:4",
        "specs/tiny/a.yaml:4:1",
        "specs/tiny/a.yaml:5:1",
    ]


def test_a_long_line_is_clipped_around_the_caret() -> None:
    head, shown, caret = refusal("{" + "あ: 1, " * 500 + "b: 1}\n").splitlines()[-3:]

    assert head.startswith("specs/tiny/a.yaml:1:2996: ")
    assert shown.startswith("    …")
    assert len(shown) <= 110
    assert shown[mistake_column(shown, caret)] == "あ"


def mistake_column(shown: str, caret: str) -> int:
    """The index of the character above the caret."""
    return next(i for i in range(len(shown)) if mistakes.width(shown[:i]) == caret.index("^"))


@pytest.mark.parametrize("without_libyaml", [False, True])
def test_values_are_the_same_with_and_without_libyaml(monkeypatch: pytest.MonkeyPatch, without_libyaml: bool) -> None:
    if without_libyaml:
        monkeypatch.delattr("yaml.CSafeLoader", raising=False)

    assert values("a: &x [1, 'two', 3.0]\r\n日本: {b: *x, c: 😀}\nd: |\n  行\n  行\n") == {
        "a": [1, "two", 3.0],
        "日本": {"b": [1, "two", 3.0], "c": "😀"},
        "d": "行\n行\n",
    }
    assert refusal('a: "\\ud800"\n').startswith("specs/tiny/a.yaml:1:")
    assert refusal('a: "\\Uffffffff"\n').startswith("specs/tiny/a.yaml:1:")


def test_nesting_that_aliases_deepen_does_not_exhaust_the_stack() -> None:
    rows = ["k0: &k0 1"] + [f"k{i}: &k{i} {'[' * 30}*k{i - 1}{']' * 30}" for i in range(1, 100)]

    assert "nested deeper than 64 levels" in refusal("\n".join(rows))
