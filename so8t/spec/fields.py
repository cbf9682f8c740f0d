"""Marks on spec fields: *semantic* ones (the default) enter a stage's key, *execution* ones do not; and what only one
task reads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

TASK = "x-so8t-task"
INSTEAD = "x-so8t-instead-of"


class SpecModel(BaseModel):
    """The base of every spec: frozen, no unknown keys; the string under a field is its documentation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, validate_default=True, allow_inf_nan=False
    )


class At(ValueError):
    """What a model's own check finds: a mistake at the first of these keys that is written, with the places of all."""

    def __init__(self, text: str, *keys: str) -> None:
        super().__init__(text)
        self.keys = keys


def execution(default: Any = ..., *, task: str | None = None, **constraints: Any) -> Any:
    """A field that says how to work, not what to make: a change of it rebuilds nothing; perhaps for one task alone."""
    extra: dict[str, Any] = {"x-so8t-execution": True, **(only(task) if task else {})}
    return Field(default, json_schema_extra=extra, **constraints)


def only(task: str) -> dict[str, Any]:
    """For a field that this task alone reads: `Field(..., json_schema_extra=only("chat"))`."""
    return {TASK: task}


def instead_of(key: str) -> dict[str, Any]:
    """For a field that counts in place of another, so that both together are a mistake."""
    return {INSTEAD: key}


def each(**values: str) -> dict[str, Any]:
    """For a field whose value is a task's own and is not inherited by another; these values belong to one task."""
    return {TASK: dict(values)}


def is_execution(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and extra.get("x-so8t-execution") is True


def semantic(model: BaseModel) -> dict[str, Any]:
    """The JSON-able values that enter the key: everything but execution fields, defaults included."""
    return {
        name: _plain(getattr(model, name))
        for name, field in type(model).model_fields.items()
        if not is_execution(field)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return semantic(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if hasattr(value, "value"):  # an enum
        return value.value
    return value
