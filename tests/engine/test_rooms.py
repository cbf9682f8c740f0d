"""Rooms point one way: the floors as docs/architecture.md draws them, against every import of the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROW = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)


def floors(root: Path) -> dict[str, int]:
    page = (root / "docs" / "architecture.md").read_text("utf-8")
    return {room: int(floor) for floor, rooms in ROW.findall(page) for room in re.findall(r"`(\w+)`", rooms)}


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows(root: Path) -> Iterator[tuple[str, str, str]]:
    """(room, room, sentence) for every import between rooms."""
    for path in sorted((root / "so8t").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        here = path.relative_to(root / "so8t").parts[0].removesuffix(".py")
        for module in imports(path):
            top, *rest = module.split(".")
            if top in ("stages", "dodo", "tests", "tools"):
                yield here, top, f"{name} imports {module}"
            elif top == "so8t" and rest and rest[0] != here:
                yield here, rest[0], f"{name} imports {module}"


def test_every_room_has_a_floor_and_every_floor_its_rooms(root: Path) -> None:
    there = {path.stem for path in (root / "so8t").iterdir() if path.name != "__init__.py" and path.name[0] not in "._"}
    assert set(floors(root)) == there - {"__pycache__"}


def test_no_import_goes_up_or_across(root: Path) -> None:
    floor = floors(root)
    wrong = [why for here, there, why in arrows(root) if floor.get(there, 99) >= floor[here]]
    assert wrong == []


def test_parent_packages_are_empty(root: Path) -> None:
    """A parent package is part of a key: a re-export there would retrain models."""
    full = [path for path in (root / "so8t").glob("*/__init__.py") if path.read_bytes()]
    assert full == []
