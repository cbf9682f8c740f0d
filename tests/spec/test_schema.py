"""What `doit schema` writes, byte for byte, and what it calls stale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from doit.exceptions import InvalidCommand
from pydantic import Field

from so8t.commands import schema as command
from so8t.engine.contents import Contents
from so8t.spec import schema
from so8t.spec.fields import SpecModel, execution


class Train(SpecModel):
    model: str
    """The model's name."""
    rate: float = Field(1e-4, gt=0, le=1)
    """The learning rate."""


class Jsonl(SpecModel):
    kind: Literal["jsonl"] = "jsonl"
    path: str
    """The file."""
    limit: int | None = None
    """The most records."""


class Hub(SpecModel):
    kind: Literal["hub"]
    repo: str
    """The repository."""
    limit: int | None = None
    """The most records."""


class Adapter(SpecModel):
    """Trains the adapter.  Takes hours."""

    train: Train
    """How to
    train."""
    sources: tuple[Annotated[Jsonl | Hub, Field(discriminator="kind")], ...] = ()
    """Where from."""
    labels: dict[str, Train] = Field(default_factory=dict)
    """By label."""
    words: frozenset[str] = frozenset({"い", "あ", "b", "a|b"})
    workers: int = execution(1, ge=1)
    """How many at once."""
    where: Train = execution(Train(model="m", rate=0.5))
    """Not in the key."""


MODELS = {"adapter": Adapter}


def test_the_schema_of_a_stage_is_exactly_this(tmp_path: Path) -> None:
    class Small(SpecModel):
        """A small one."""

        train: Train
        """How to train."""
        workers: int = execution(1, ge=1)
        """How many at once."""

    schema.write(tmp_path, {"small": Small})

    assert (
        (tmp_path / "specs/schema/small.json").read_bytes().decode()
        == """\
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "small",
  "$defs": {
    "Train": {
      "additionalProperties": false,
      "properties": {
        "model": {
          "description": "The model's name.",
          "type": "string"
        },
        "rate": {
          "default": 0.0001,
          "description": "The learning rate.",
          "exclusiveMinimum": 0,
          "maximum": 1,
          "type": "number"
        }
      },
      "title": "Train",
      "type": "object"
    }
  },
  "additionalProperties": false,
  "description": "A small one.",
  "properties": {
    "train": {
      "$ref": "#/$defs/Train",
      "description": "How to train."
    },
    "workers": {
      "default": 1,
      "description": "How many at once.",
      "minimum": 1,
      "type": "integer",
      "x-so8t-execution": true
    }
  },
  "type": "object"
}
"""
    )


def test_only_what_no_parent_profile_can_give_is_required() -> None:
    found = schema.document("adapter", Adapter)

    assert "required" not in found
    assert "required" not in found["$defs"]["Train"]
    assert found["$defs"]["Jsonl"]["required"] == ["path"]


def test_the_reference_is_exactly_this(tmp_path: Path) -> None:
    schema.write(tmp_path, MODELS)

    page = (tmp_path / "docs/specs.md").read_text(encoding="utf-8")
    assert (
        page[page.index("## adapter") : page.index("## profile")]
        == """\
## adapter

Trains the adapter.
Takes hours.

| key | type | default | kind | what it is |
|---|---|---|---|---|
| `train` | mapping | required | semantic | How to train. |
| `train.model` | string | required | semantic | The model's name. |
| `train.rate` | number > 0, ≤ 1 | `0.0001` | semantic | The learning rate. |
| `sources` | list of mappings | `[]` | semantic | Where from. |
| `sources[].limit` | integer or null | `null` | semantic | The most records. |
| `sources[].kind` | `jsonl` | `jsonl` | semantic | With `kind: jsonl`: its name. |
| `sources[].path` | string | required | semantic | With `kind: jsonl`: The file. |
| `sources[].kind` | `hub` | required | semantic | With `kind: hub`: its name. |
| `sources[].repo` | string | required | semantic | With `kind: hub`: The repository. |
| `labels` | mapping to mapping | `{}` | semantic | By label. |
| `labels.*.model` | string | required | semantic | The model's name. |
| `labels.*.rate` | number > 0, ≤ 1 | `0.0001` | semantic | The learning rate. |
| `words` | list of strings | `["a\\|b", "b", "あ", "い"]` | semantic |  |
| `workers` | integer ≥ 1 | `1` | execution | How many at once. |
| `where` | mapping | see below | execution | Not in the key. |
| `where.model` | string | `m` | execution | The model's name. |
| `where.rate` | number > 0, ≤ 1 | `0.5` | execution | The learning rate. |

"""
    )


def test_a_model_that_holds_itself_has_a_reference(tmp_path: Path) -> None:
    class Node(SpecModel):
        child: Node | None = None
        """More of it."""

    Node.model_rebuild(_types_namespace={"Node": Node})
    schema.write(tmp_path, {"node": Node})

    assert "| `child.child` | mapping or null |" in (tmp_path / "docs/specs.md").read_text(encoding="utf-8")


def test_written_files_are_fresh_until_a_model_or_a_file_changes(tmp_path: Path) -> None:
    page, one, settings = (
        tmp_path / name for name in ("docs/specs.md", "specs/schema/adapter.json", "specs/schema/profile.json")
    )

    assert schema.stale(tmp_path, MODELS) == [page, one, settings]
    assert schema.write(tmp_path, MODELS) == [page, one, settings]
    assert schema.stale(tmp_path, MODELS) == []
    assert schema.write(tmp_path, MODELS) == []

    one.write_bytes(one.read_bytes() + b"\n")
    assert schema.stale(tmp_path, MODELS) == [one]
    assert schema.write(tmp_path, {"other": Train}) == [page, one, tmp_path / "specs/schema/other.json"]
    assert not one.exists()


def test_schemas_are_json_with_a_description_for_every_documented_key(tmp_path: Path) -> None:
    schema.write(tmp_path, MODELS)

    for path in (tmp_path / "specs/schema").iterdir():
        assert json.loads(path.read_bytes())["additionalProperties"] is False
        assert path.read_bytes().endswith(b"}\n")
    settings: dict[str, Any] = json.loads((tmp_path / "specs/schema/profile.json").read_bytes())
    assert [name for name, each in settings["properties"].items() if "description" not in each] == []


def test_a_yaml_file_that_does_not_name_its_schema_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "specs/tiny"
    folder.mkdir(parents=True)
    (folder / "adapter.yaml").write_text("# yaml-language-server: $schema=../schema/adapter.json\n", encoding="utf-8")
    (folder / "profile.yaml").write_text("# yaml-language-server: $schema=../schema/adapter.json\n", encoding="utf-8")

    assert schema.unmarked(tmp_path, MODELS) == [folder / "profile.yaml"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "specs/tiny").mkdir(parents=True)
    (tmp_path / "specs/tiny/adapter.yaml").write_text("a: 1\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.contents, "read", lambda project: Contents({}, MODELS))
    return tmp_path


def test_check_writes_nothing_and_exits_with_1(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.Schema().parse_execute(["--check"]) == 1

    assert capsys.readouterr().out == (
        "docs/specs.md: stale: run doit schema\n"
        "specs/schema/adapter.json: stale: run doit schema\n"
        "specs/schema/profile.json: stale: run doit schema\n"
        "specs/tiny/adapter.yaml: the first line should be # yaml-language-server: $schema=../schema/adapter.json\n"
    )
    assert not (project / "docs").exists()


def test_schema_writes_and_a_check_after_it_succeeds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked = f"{schema.first_line('adapter')}\na: 1\n"
    (project / "specs/tiny/adapter.yaml").write_text(marked, encoding="utf-8")

    assert command.Schema().parse_execute([]) == 0
    assert capsys.readouterr().out == (
        "docs/specs.md: written\nspecs/schema/adapter.json: written\nspecs/schema/profile.json: written\n"
    )
    assert command.Schema().parse_execute(["--check"]) == 0
    assert capsys.readouterr().out == ""


def test_a_problem_of_the_user_becomes_doit_s_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.contents, "read", lambda project: Contents({}, MODELS))
    (tmp_path / "specs").write_text("", encoding="utf-8")

    with pytest.raises(InvalidCommand, match="specs: this folder does not exist"):
        command.Schema().parse_execute(["--check"])
    with pytest.raises(InvalidCommand, match="schema takes no arguments"):
        command.Schema().parse_execute(["x"])
