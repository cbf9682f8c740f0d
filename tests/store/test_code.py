"""What counts as a stage's code, and what in it counts."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.store.code import closure, digest

SOURCE = '''
"""Module docstring."""
import os


@staticmethod
def scale(number, *rest, times: int = 0x10, **more):
    """Docstring."""
    half = [None, ..., b"\\x00", 1e-3, 2j, "全角　🫨"]  # U+1FAE8 is newer than Python 3.10's tables
    return f"{number!r:>{times}}" if not rest else {**more, "half": half[1:]}


class Thing(Exception):
    async def run(self):
        match self:
            case Thing(args=[_, *rest]) if rest:
                return await (lambda x: x)(rest)
'''
PINNED = "3e15b86ca91d484109fa3d482bb0735f"


@pytest.fixture
def street(tmp_path: Path):
    """A project of modules by name; the names of what a stage's code needs."""

    def write(files: dict[str, str], start: str = "stages.s") -> list[str]:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return list(closure(start, {"stages": tmp_path / "stages", "so8t": tmp_path / "so8t"}))

    return write


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("import so8t.room.wall", ["so8t", "so8t.room", "so8t.room.wall"]),
        ("import so8t.room.wall as w", ["so8t", "so8t.room", "so8t.room.wall"]),
        ("from so8t.room import wall", ["so8t", "so8t.room", "so8t.room.wall"]),
        ("from so8t.room import door", ["so8t", "so8t.room"]),  # an attribute
        ("from so8t.room import *", ["so8t", "so8t.room"]),
        ("from so8t.room.wall import brick", ["so8t", "so8t.room", "so8t.room.wall"]),
        ("def build():\n    import so8t.room.wall", ["so8t", "so8t.room", "so8t.room.wall"]),
        ("if 0:\n    try:\n        from so8t import room\n    finally: pass", ["so8t", "so8t.room"]),
        ("from . import helper", ["stages.helper"]),
        ("from .helper import h", ["stages.helper"]),
        ("from .. import so8t", []),  # beyond the top: not a module of ours
        ("import stages", []),
        ("import os, json, torch.nn", []),
        ("from so8t.bare import corner", ["so8t", "so8t.bare.corner"]),  # a folder without __init__.py
    ],
)
def test_every_import_of_a_project_module_is_followed(street, statement: str, expected: list[str]) -> None:
    files = {
        "so8t/__init__.py": "",
        "so8t/room/__init__.py": "door = 1",
        "so8t/room/wall.py": "brick = 1",
        "so8t/bare/corner.py": "",
        "stages/__init__.py": "import stages.s, stages.other",
        "stages/helper.py": "h = 1",
        "stages/other.py": "",
        "stages/s.py": statement,
    }

    assert street(files) == sorted([*expected, "stages.s"])


def test_imports_are_followed_from_module_to_module_round_cycles_and_out_of_packages(street) -> None:
    found = street(
        {
            "stages/s.py": "from so8t.a import x",
            "so8t/__init__.py": "",
            "so8t/a/__init__.py": "from .deep import x",
            "so8t/a/deep.py": "from ..b import y\nfrom . import late",
            "so8t/a/late.py": "import stages.s",
            "so8t/b.py": "from so8t.a import deep",
            "so8t/unused.py": "",
        }
    )

    assert found == ["so8t", "so8t.a", "so8t.a.deep", "so8t.a.late", "so8t.b", "stages.s"]


def test_the_machinery_takes_no_part(street) -> None:
    engine = {f"so8t/{name}.py": "import so8t.hidden" for name in ("stage", "errors", "spec/fields", "store/cache")}
    near = {"so8t/stagecraft.py": "", "so8t/hidden.py": "", "so8t/__init__.py": ""}
    imports = "import so8t.engine.stage, so8t.errors, so8t.spec.fields, so8t.store.cache, so8t.stagecraft"

    assert street({**engine, **near, "stages/s.py": imports}) == ["so8t", "so8t.stagecraft", "stages.s"]


def test_a_package_wins_over_a_module_of_its_name_as_it_does_in_python(street) -> None:
    files = {"stages/s.py": "import so8t.x", "so8t/x.py": "import so8t.a", "so8t/x/__init__.py": "import so8t.b"}

    assert street({**files, "so8t/a.py": "", "so8t/b.py": ""}) == ["so8t.b", "so8t.x", "stages.s"]


@pytest.mark.parametrize(
    ("text", "place"), [("def f(:\n", "1:7: invalid syntax"), ("x = 1\ny = (\n", "2:5: '(' was never closed")]
)
def test_code_that_does_not_parse_is_named_by_line(street, tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(StageError) as caught:
        street({"stages/s.py": text})

    assert str(caught.value).startswith(f"{tmp_path / 'stages' / 's.py'}:{place}")


def of(text: str) -> str:
    return digest(ast.parse(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1  # why"),
        ("x = 1", "\n\nx   =   (\n 1)\n"),
        ("x = 1000", "x = 0x3E8"),
        ("x = 1000", "x = 1_000"),
        ("x = 2e-4", "x = 0.0002"),
        ("x = 'a'", 'x = """a"""'),
        ("x = 'ab'", "x = 'a' 'b'"),
        ("x = u'a'", "x = '\\x61'"),
        ("def f(): return 1", 'def f():\n  """Doc."""\n  return 1'),
        ("class A:\n  x = 1", 'class A:\n  """Doc."""\n  x = 1\n  """About x."""'),
        ("x = 1", '"""Doc."""\nx = 1'),
        ("f(1, 2)", "f(\n    1,\n    2,\n)"),
    ],
)
def test_spelling_does_not_count(one: str, other: str) -> None:
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 2"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 1", "x = '1'"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a'", "x = a"),
        ("x = None", "x = 'None'"),
        ("x = ''", "x = []"),
        ("x = ()", "x = []"),
        ("x = [[], a]", "x = [[a]]"),
        ("x = [None]", "x = [[]]"),
        ("x = a, b", "x = b, a"),
        ("x = a[1:]", "x = a[:1]"),
        ("x = a - b - c", "x = a - (b - c)"),
        ("x = 'が'", "x = 'か\u3099'"),  # composed or not
        ("from a import b", "from .a import b"),
        ("from a import b", "import a, b"),
        ("def f(a, b): pass", "def f(a, *, b): pass"),
        ("def f(a=1): pass", "def f(a=2): pass"),
        ("def f(): pass", "async def f(): pass"),
        ("def f(): pass", "@d\ndef f(): pass"),
        ("{**a}", "{None: a}"),
        ("x: int", "x: str"),
        ("a\nb", "b\na"),
        ("if a: b\nc", "if a:\n  b\n  c"),
    ],
)
def test_anything_else_counts(one: str, other: str) -> None:
    assert of(one) != of(other)


def test_the_digest_is_pinned_and_every_python_at_hand_agrees(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text(SOURCE, "utf-8")
    script = (
        "import ast, sys; from so8t.store.code import digest; "
        "print(digest(ast.parse(open(sys.argv[1], 'rb').read())), sys.version_info >= (3, 10))"
    )
    root = Path(__file__).resolve().parents[2]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    versions = sorted(pyenv.glob("versions/3.1[0-9]*/bin/python"))
    others = [shutil.which(f"python3.{minor}") for minor in range(10, 16)]
    said = {}
    for python in {sys.executable, *map(str, versions), *filter(None, others)}:
        ran = subprocess.run(
            [python, "-S", "-c", script, str(tmp_path / "source.py")],
            env={**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True,
        )  # fmt: skip
        if ran.returncode == 0:  # a pyenv shim may stand for a version that is not there
            said[python] = ran.stdout.split()

    assert said[sys.executable] == [PINNED, "True"]
    assert {found for found, _ in said.values()} == {PINNED}


def test_files_beside_a_package_that_are_not_python_are_its_code(tmp_path: Path) -> None:
    room = tmp_path / "so8t" / "room"
    files = {
        "so8t/__init__.py": "",
        "so8t/room/__init__.py": "",
        "so8t/room/wall.py": "",
        "so8t/room/look/page.css": "a {}",
        "so8t/other/__init__.py": "",
        "so8t/other/page.css": "a {}",
        "stages/s.py": "import so8t.room.wall",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")

    def found() -> dict[str, str]:
        return closure("stages.s", {"stages": tmp_path / "stages", "so8t": tmp_path / "so8t"})

    def changed(path: Path, text: str) -> list[str]:
        before = found()
        path.write_text(text, "utf-8")
        after = found()
        return [name for name in after if after[name] != before[name]]

    assert changed(room / "look" / "page.css", "b {}") == ["so8t.room"]
    assert changed(room / "look" / "page.css~", "an editor's copy") == []
    assert changed(room / "wall.js", "added") == ["so8t.room"]
    assert changed(tmp_path / "so8t" / "other" / "page.css", "b {}") == []
