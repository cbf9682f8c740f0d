"""Where a line lives: the table of docs/architecture.md against every import, and every name on that page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.engine.test_rooms import floors

TELL = re.compile(r"^\| [a-z].+? \| (.+?) \| (.+?) \|$", re.MULTILINE)
NAME = re.compile(r"`([^`\n]+)`")
DRAWN = re.compile(r"^ ?(\d+) \|  (.+)$", re.MULTILINE)


def page(root: Path) -> str:
    return (root / "docs" / "architecture.md").read_text("utf-8")


def tells(root: Path) -> dict[str, set[str]]:
    """What is imported -> the rooms that may."""
    return {name: set(NAME.findall(rooms)) for names, rooms in TELL.findall(page(root)) for name in NAME.findall(names)}


def uses(path: Path) -> Iterator[tuple[str, int]]:
    """(dotted name, line): packages imported, names called as module.name, bases of classes."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0], node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node.lineno
        elif isinstance(node, ast.ClassDef):
            yield from (
                ("torch." + ast.unparse(base), node.lineno) for base in node.bases if ast.unparse(base) == "nn.Module"
            )


def found(root: Path) -> Iterator[tuple[str, str, str]]:
    """(tell, room, place) for every use of something in the table."""
    table = tells(root)
    for path in sorted((root / "so8t").rglob("*.py")):
        name = path.relative_to(root).as_posix()
        room = path.relative_to(root / "so8t").parts[0].removesuffix(".py")
        yield from ((use, room, f"{name}:{line}: {use}") for use, line in uses(path) if use in table)


def test_a_line_lives_in_the_room_that_its_import_tells(root: Path) -> None:
    table = tells(root)
    assert len(table) > 20
    assert [place for tell, room, place in found(root) if room not in table[tell]] == []


def test_no_room_is_named_for_what_it_does_not_do(root: Path) -> None:
    there = {(tell, room) for tell, room, _ in found(root)}
    named = {(tell, room) for tell, rooms in tells(root).items() for room in rooms}
    assert named - there == set()


def test_the_drawing_has_the_floors_of_the_table(root: Path) -> None:
    drawn = {room: int(floor) for floor, rooms in DRAWN.findall(page(root)) for room in rooms.split()}
    assert drawn == floors(root)


def test_every_room_has_its_paragraph(root: Path) -> None:
    headings = re.findall(r"^\*\*(`.+`)\.\*\*$", page(root), re.MULTILINE)
    assert {name for heading in headings for name in NAME.findall(heading)} == set(floors(root))


def test_every_name_on_the_pages_for_maintainers_exists(root: Path) -> None:
    maintaining = (root / "docs" / "maintaining.md").read_text("utf-8")
    text = re.sub(r"^```.*?^```$", "", page(root) + maintaining, flags=re.DOTALL | re.MULTILINE)
    named = [name for name in NAME.findall(text) if re.match(r"(so8t|stages|tests|specs)[./]", name)]
    assert len(named) > 70
    assert [name for name in named if not exists(root, name)] == []


def exists(root: Path, name: str) -> bool:
    if "/" in name:
        return any(root.glob(name))
    parts = name.split(".")
    if root.joinpath(*parts, "__init__.py").is_file():
        return True
    for at in range(len(parts), 0, -1):
        file = root.joinpath(*parts[:at]).with_suffix(".py")
        if file.is_file():
            return _defines(file, parts[at:])
    return False


def _defines(file: Path, names: list[str]) -> bool:
    body: list[ast.stmt] = ast.parse(file.read_bytes()).body
    for name in names:
        inside = [node for node in body if getattr(node, "name", None) == name]
        if not inside:
            return False
        body = getattr(inside[0], "body", [])
    return True
