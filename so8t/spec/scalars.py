"""YAML 1.2's core schema: what an unquoted scalar means."""

from __future__ import annotations

import re

Scalar = None | bool | int | float | str

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"[-+]?\.(?:inf|Inf|INF)")
_NAN = frozenset((".nan", ".NaN", ".NAN"))
_DIGITS = 400  # Python itself refuses to convert more than 4,300


def scalar(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INF.fullmatch(text) or text in _NAN:
        return float(text.replace(".", ""))
    number = _number(text)
    return text if number is None else number


def _number(text: str) -> int | float | None:
    whole, based = _INT.fullmatch(text), _BASE.fullmatch(text)
    if not whole and not based and not _FLOAT.fullmatch(text):
        return None
    if len(text) > _DIGITS:
        raise ValueError("this number is too long for a spec")
    if whole:
        return int(text)
    return int(text, 0) if based else float(text)
