"""Every mistake of every file in one error: where, what was expected, what there was, what may have been meant."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from so8t.errors import SpecError
from so8t.spec import load, profile
from so8t.spec.fields import SpecModel


class Train(SpecModel):
    model: str
    learning_rate: float = Field(1e-4, gt=0, le=1)
    epochs: int = Field(1, ge=1)
    shuffle: bool = True


class Layer(SpecModel):
    index: int = 0
    name: str = Field("xx", min_length=2, max_length=4, pattern="^[a-z]+$")


class Hub(SpecModel):
    kind: Literal["hub"]
    repo: str
    revision: str = "main"


class Tiny(SpecModel):
    kind: Literal["tiny"] = "tiny"
    hidden: int = 32


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Everything(SpecModel):
    train: Train = Train(model="m")
    format: Literal["tags", "headings"] = "tags"
    min_chars: int = 1
    threshold: float = Field(0.5, ge=0, le=1)
    base: Annotated[Hub | Tiny, Field(discriminator="kind")] = Tiny()
    layers: Literal["all", "intermediate"] | tuple[int, ...] = "all"
    list_of: tuple[Layer, ...] = Field((), max_length=2)
    pair: tuple[int, str] = (1, "a")
    words: frozenset[str] = frozenset()
    weights: dict[Literal["a", "b"], float] = Field(default={})
    numbered: dict[int, str] = Field(default={})
    colour: Colour = Colour.RED
    pattern: re.Pattern[str] = re.compile("")
    limit: int | None = None
    step: int = Field(8, multiple_of=8)
    either: Layer | Train | None = None
    low: int = 1
    high: int = 2

    @field_validator("min_chars")
    @classmethod
    def _lucky(cls, value: int) -> int:
        if value == 13:
            raise ValueError("13 is taken")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Everything:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self


class Needy(SpecModel):
    train: Train


def loaded(folder: Path, text: str, model: type[BaseModel] = Everything) -> BaseModel:
    path = folder / "specs/tiny/adapter.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return load.load(profile.read(folder, "tiny"), {"adapter": model})["adapter"]


def refusal(folder: Path, text: str, model: type[BaseModel] = Everything) -> str:
    with pytest.raises(SpecError) as caught:
        loaded(folder, text, model)
    return str(caught.value)


def test_an_unknown_key_is_shown_with_its_line_and_the_nearest_known_one(tmp_path: Path) -> None:
    text = "format: tags\ntrain:\n        model: m\n        lerning_rate: 0.0002\n"

    assert refusal(tmp_path, text) == (
        "specs/tiny/adapter.yaml:4:9: train.lerning_rate: unknown key, did you mean learning_rate?\n"
        "    lerning_rate: 0.0002\n"
        "    ^"
    )


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("format: tag", 9, "format: must be 'tags' or 'headings' (got 'tag'), did you mean tags?"),
        ("format: xyz", 9, "format: must be 'tags' or 'headings' (got 'xyz')"),
        ("format: null", 9, "format: must be 'tags' or 'headings' (got null)"),
        ("format:", 8, "format: must be 'tags' or 'headings' (got null)"),
        ("threshold: 1.5", 12, "threshold: must be less than or equal to 1 (got 1.5)"),
        ("threshold: -.inf", 12, "threshold: must be a finite number (got -.inf)"),
        ("threshold: .nan", 12, "threshold: must be a finite number (got .nan)"),
        ("threshold: '0.5'", 12, "threshold: must be a number (got '0.5'), did you mean 0.5?"),
        ("threshold: true", 12, "threshold: must be a number (got true)"),
        ("min_chars: ten", 12, "min_chars: must be an integer (got 'ten')"),
        ("min_chars: １０", 12, "min_chars: must be an integer (got '１０'), did you mean 10?"),
        ("min_chars: 1_000", 12, "min_chars: must be an integer (got '1_000'), did you mean 1000?"),
        ("min_chars: 1e3", 12, "min_chars: must be an integer (got 1e3), did you mean 1000?"),
        ("min_chars: 2.0", 12, "min_chars: must be an integer (got 2.0), did you mean 2?"),
        ("min_chars: 2.5", 12, "min_chars: must be an integer (got 2.5)"),
        ("min_chars: true", 12, "min_chars: must be an integer (got true)"),
        ("min_chars: [1]", 12, "min_chars: must be an integer (got a list)"),
        ("min_chars: 13", 12, "min_chars: 13 is taken"),
        ("train: {model: m, shuffle: yes}", 28, "train.shuffle: must be true or false (got 'yes'), did you mean true?"),
        (
            "train: {model: m, shuffle: off}",
            28,
            "train.shuffle: must be true or false (got 'off'), did you mean false?",
        ),
        ("train: {model: m, shuffle: 1}", 28, "train.shuffle: must be true or false (got 1)"),
        ("train: {model: 1.10}", 16, 'train.model: must be a string (got 1.10), did you mean "1.10"?'),
        ("train: {model: m, epochs: 0}", 27, "train.epochs: must be greater than or equal to 1 (got 0)"),
        ("train: {model: m, learning_rate: 0}", 34, "train.learning_rate: must be greater than 0 (got 0)"),
        ("train: {epochs: 2}", 1, "train.model: required, but missing"),
        ("train: 5", 8, "train: must be a mapping (got 5)"),
        ("train:", 7, "train: must be a mapping (got null)"),
        ("layers: al", 9, "layers: must be 'all' or 'intermediate' or a list (got 'al'), did you mean all?"),
        ("layers: {a: 1}", 9, "layers: must be 'all' or 'intermediate' or a list (got a mapping)"),
        ("layers: [1, x]", 13, "layers[1]: must be an integer (got 'x')"),
        ("base: {kind: hubb}", 14, "base.kind: must be 'hub' or 'tiny' (got 'hubb'), did you mean hub?"),
        ("base: {repo: r}", 1, "base.kind: required, but missing"),
        ("base: {kind: hub}", 1, "base.repo: required, but missing"),
        ("base: {kind: hub, repo: r, revison: x}", 28, "base.revison: unknown key, did you mean revision?"),
        ("base: {kind: tiny, repo: r}", 20, "base.repo: unknown key; the keys here are kind, hidden"),
        ("base: {kind: hub, repo: 1}", 25, 'base.repo: must be a string (got 1), did you mean "1"?'),
        ("base: hub", 7, "base: must be a mapping (got 'hub')"),
        ("list_of: [{index: a}]", 19, "list_of[0].index: must be an integer (got 'a')"),
        ("list_of: [{}, {name: a}]", 22, "list_of[1].name: must have at least 2 characters (got 1)"),
        ("list_of: [{name: abcde}]", 18, "list_of[0].name: must have at most 4 characters (got 5)"),
        ("list_of: [{name: AB}]", 18, "list_of[0].name: must match ^[a-z]+$ (got 'AB')"),
        ("list_of: [{}, {}, {}]", 10, "list_of: must have at most 2 items (got 3)"),
        ("list_of: {}", 10, "list_of: must be a list (got a mapping)"),
        ("pair: [1]", 1, "pair[1]: required, but missing"),
        ("pair: [1, 2]", 11, 'pair[1]: must be a string (got 2), did you mean "2"?'),
        ("words: a", 8, "words: must be a list (got 'a')"),
        ("weights: {c: 1}", 11, "weights.c: must be 'a' or 'b' (got 'c')"),
        ("weights: {a: x}", 14, "weights.a: must be a number (got 'x')"),
        ("numbered: {x: y}", 12, "numbered.x: must be an integer (got 'x')"),
        ("colour: rde", 9, "colour: must be 'red' or 'blue' (got 'rde'), did you mean red?"),
        ("pattern: '('", 10, "pattern: must be a valid regular expression (got '(')"),
        ("limit: x", 8, "limit: must be an integer (got 'x')"),
        ("step: 12", 7, "step: must be a multiple of 8 (got 12)"),
        ("either: {index: x}", 17, "either.index: must be an integer (got 'x')"),
        ("either: {indx: 1}", 10, "either.indx: unknown key, did you mean index?"),
        ("low: 5", 1, "low 5 is above high 2"),
        (
            "日本語: 1",
            1,
            "日本語: unknown key; the keys here are train, format, min_chars, threshold, base, layers, list_of, pair, "
            "words, weights, numbered, colour, pattern, limit, step, either, low, high",
        ),
    ],
)
def test_a_wrong_value_says_what_was_expected(tmp_path: Path, line: str, column: int, text: str) -> None:
    head, source, caret = refusal(tmp_path, f"{line}\n").split("\n")

    assert head == f"specs/tiny/adapter.yaml:1:{column}: {text}"
    assert source == f"    {line}"
    assert caret.endswith("^")


def test_the_caret_allows_for_wide_characters(tmp_path: Path) -> None:
    assert refusal(tmp_path, "train: {model: 日本語のモデル, lerning_rate: 1}\n") == (
        "specs/tiny/adapter.yaml:1:25: train.lerning_rate: unknown key, did you mean learning_rate?\n"
        "    train: {model: 日本語のモデル, lerning_rate: 1}\n"
        "                                   ^"
    )


def test_all_problems_of_all_files_come_at_once_in_reading_order(tmp_path: Path) -> None:
    folder = tmp_path / "specs/tiny"
    folder.mkdir(parents=True)
    (folder / "b.yaml").write_text("low: x\nformat: tag\nhigh: [\n", encoding="utf-8")
    (folder / "a.yaml").write_text("step: 9\nlow: x\n", encoding="utf-8")
    (folder / "profile.yaml").write_text("desciption: x\n", encoding="utf-8")

    with pytest.raises(SpecError) as caught:
        load.load(profile.read(tmp_path, "tiny"), {"b": Everything, "a": Everything, "c": Needy})

    heads = [line for line in str(caught.value).splitlines() if not line.startswith(" ")]
    assert heads == [
        "specs/tiny/a.yaml:1:7: step: must be a multiple of 8 (got 9)",
        "specs/tiny/a.yaml:2:6: low: must be an integer (got 'x')",
        "specs/tiny/b.yaml:3:8: not YAML: did not find expected node content while parsing a flow node",
        "specs/tiny/c.yaml: train: required, but missing (the file does not exist)",
        "specs/tiny/profile.yaml:1:1: desciption: unknown key, did you mean description?",
    ]


def test_a_refused_part_does_not_make_required_keys_look_missing(tmp_path: Path) -> None:
    assert refusal(tmp_path, "train: {model: !x y, epochs: 0}\n", Needy) == (
        "specs/tiny/adapter.yaml:1:16: tags are refused (got !x): a spec holds plain values\n"
        "    train: {model: !x y, epochs: 0}\n"
        "                   ^\n"
        "specs/tiny/adapter.yaml:1:30: train.epochs: must be greater than or equal to 1 (got 0)\n"
        "    train: {model: !x y, epochs: 0}\n"
        "                                 ^"
    )


def test_a_required_key_is_missed_in_the_file_that_should_hold_it(tmp_path: Path) -> None:
    assert refusal(tmp_path, "# nothing yet\n", Needy) == (
        "specs/tiny/adapter.yaml:1:1: train: required, but missing\n    # nothing yet\n    ^"
    )


def test_values_are_taken_as_they_are_meant(tmp_path: Path) -> None:
    text = (
        "threshold: 1\nlayers: [1, 2]\nlist_of: [{index: 3}]\npair: [2, b]\nwords: [い, あ]\nweights: {a: 1e-3}\n"
        "numbered: {'7': x}\ncolour: blue\npattern: '^a'\nbase: {kind: hub, repo: r}\nlimit: null\neither: {index: 5}\n"
    )

    model = loaded(tmp_path, text)

    assert isinstance(model, Everything)
    assert (model.threshold, type(model.threshold)) == (1.0, float)
    assert model.layers == (1, 2)
    assert model.list_of == (Layer(index=3),)
    assert model.pair == (2, "b")
    assert model.words == frozenset({"い", "あ"})
    assert model.weights == {"a": 0.001}
    assert model.numbered == {7: "x"}
    assert model.colour is Colour.BLUE
    assert model.pattern == re.compile("^a")
    assert model.base == Hub(kind="hub", repo="r")
    assert model.either == Layer(index=5)


def test_spelling_of_the_same_values_gives_the_same_model(tmp_path: Path) -> None:
    one = loaded(tmp_path, "train: {model: m, learning_rate: 2e-4}\nwords: [a, b]\nformat: tags\n")
    other = loaded(
        tmp_path, '# why\n"format": \'tags\'\nwords:\n- b\n- a\ntrain:\n    learning_rate: .0002\n    model: "m"\n'
    )

    assert one == other
    assert one.model_dump_json(exclude={"words"}) == other.model_dump_json(exclude={"words"})


def test_models_are_frozen(tmp_path: Path) -> None:
    model = loaded(tmp_path, "low: 1\n")

    with pytest.raises(ValueError, match="frozen"):
        model.low = 2  # type: ignore[attr-defined]
