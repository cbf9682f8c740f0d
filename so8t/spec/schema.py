"""JSON Schema files for editors, and whether they, the reference and the YAML files' first lines are fresh."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

from so8t.spec.profile import FOLDER, SCHEMAS, SETTINGS, names
from so8t.spec.reference import reference
from so8t.spec.settings import Settings

REFERENCE = "docs/specs.md"
_NONE: Mapping[Path, str] = {}


def write(project: Path, models: Mapping[str, type[BaseModel]], pages: Mapping[Path, str] = _NONE) -> list[Path]:
    """Bring the generated files up to date and return those that changed; `pages` are others, as they should be."""
    wanted = {**_files(project, models), **pages}
    changed = stale(project, models, pages)
    for path in changed:
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8", newline="\n")
        else:
            path.unlink()
    return changed


def stale(project: Path, models: Mapping[str, type[BaseModel]], pages: Mapping[Path, str] = _NONE) -> list[Path]:
    """The generated files that are missing, differ, or belong to no stage any more."""
    wanted = {**_files(project, models), **pages}
    left_over = set((project / FOLDER / SCHEMAS).glob("*.json")) - wanted.keys()
    differ = [path for path, text in wanted.items() if not path.is_file() or path.read_bytes() != text.encode()]
    return sorted([*left_over, *differ])


def unmarked(project: Path, models: Iterable[str]) -> list[Path]:
    """The profiles' YAML files that do not name their schema in the first line."""
    known = {*models, SETTINGS}
    paths = (path for name in names(project) for path in sorted((project / FOLDER / name).glob("*.yaml")))
    return [path for path in paths if path.stem in known and _first_line(path) != first_line(path.stem)]


def first_line(stage: str) -> str:
    """What tells an editor which schema a YAML file follows."""
    return f"# yaml-language-server: $schema=../{SCHEMAS}/{stage}.json"


def document(stage: str, model: type[BaseModel]) -> dict[str, Any]:
    """The schema of one file of a profile; it may leave out what a parent profile gives."""
    schema = _full(stage, model)
    _relax(schema, schema.get("$defs", {}), set())
    return schema


def _files(project: Path, models: Mapping[str, type[BaseModel]]) -> dict[Path, str]:
    all_models: dict[str, type[BaseModel]] = {**models, SETTINGS: Settings}
    files = {
        project / FOLDER / SCHEMAS / f"{name}.json": _text(document(name, model)) for name, model in all_models.items()
    }
    files[project / REFERENCE] = reference({name: _full(name, model) for name, model in all_models.items()})
    return files


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline().rstrip("\n")


# ---------------------------------------------------------------------------------------------------------------------
# pydantic's schema, tidied


class _Generate(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False  # "Learning Rate" beside learning_rate tells nobody anything

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory: Any = schema.get("default_factory")
        if factory is not None and not schema.get("default_factory_takes_data"):
            return factory()
        return schema.get("default", NoDefault)


def _full(stage: str, model: type[BaseModel]) -> dict[str, Any]:
    generated = model.model_json_schema(schema_generator=_Generate)
    if "$ref" in generated:  # a model that holds itself is a definition of its own
        generated = {"$defs": generated["$defs"], **generated["$defs"][generated["$ref"].removeprefix("#/$defs/")]}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": stage}
    tidy: dict[str, Any] = _tidy({**head, **{key: value for key, value in generated.items() if key != "title"}})
    return tidy


def _tidy(value: Any) -> Any:
    """Docstrings on one line."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidy = {key: _tidy(item) for key, item in value.items()}
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    return tidy


def _relax(schema: Any, definitions: dict[str, Any], seen: set[str]) -> None:
    """Require no key of a mapping, because a parent profile may give it; a list's items stay, it is replaced whole."""
    if not isinstance(schema, dict):
        return
    schema.pop("required", None)
    schema.pop("discriminator", None)  # OpenAPI's word, and unknown to JSON Schema
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")  # several branches may accept a mapping without its `kind`
    reference = schema.get("$ref", "").removeprefix("#/$defs/")
    if reference and reference not in seen:
        seen.add(reference)
        _relax(definitions[reference], definitions, seen)
    for part in (*schema.get("properties", {}).values(), schema.get("additionalProperties"), *schema.get("anyOf", ())):
        _relax(part, definitions, seen)
