"""What is said of a value, shown where a spec writes it.

Whoever refuses a value begins with its key, `lora.targets: ...` or `adapter.lora.targets: ...`, and knows no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from so8t.engine.plan import Plan
from so8t.engine.sourcefiles import NoFile

_KEY = re.compile(r"([a-z_]\w*(?:\.\w+|\[\d+\])*): (?=\S)")
_MEND = "correct the path, which begins in the project's folder, or put the file there"
_PART = re.compile(r"\w+")


def shown(plan: Plan, stage: str, message: str) -> str:
    """The message at file, line and column; one that begins with no key stays as it is."""
    match = _KEY.match(message)
    for owner, key in _readings(plan, stage, match[1]) if match else ():
        if _is_field(plan.rows[owner].values, key):
            return _at(plan, owner, key, message[match.end() :] if match else "")
    return message


def without_file(plan: Plan, stage: str, error: NoFile) -> str:
    """The pattern at its place: the value of the stage's spec that it is, or that it lies below."""
    keys = [key for key, text in _texts(plan.rows[stage].values) if _begins(error.pattern, text)]
    text = f"{error}" if error.hint else f"{error}; {_MEND}"
    return shown(plan, stage, f"{keys[0]}: {text}") if keys else f"{stage}: {text}"


def _readings(plan: Plan, stage: str, written: str) -> Iterator[tuple[str, str]]:
    """Of whom a key may be: of the stage itself, or of the one that it begins with."""
    yield stage, written
    owner, _, key = written.partition(".")
    if owner in plan.rows and key:
        yield owner, key


def _is_field(value: Any, key: str) -> bool:
    for part in _PART.findall(key):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return False
    return True


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _texts(each, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _texts(each, f"{key}[{number}]")


def _begins(pattern: str, text: str) -> bool:
    return bool(text) and (pattern == text or pattern.startswith(f"{text.rstrip('/')}/"))


def _at(plan: Plan, stage: str, key: str, text: str) -> str:
    from so8t.engine import contents
    from so8t.spec import agree, mistakes
    from so8t.spec import profile as profiles
    from so8t.spec.fields import At

    project = plan.layout.project
    found = profiles.read(project, plan.layout.profile, contents.read(project).renamed)
    return str(mistakes.error(agree.mistakes(found, [At(text, f"{stage}.{key}")])))
