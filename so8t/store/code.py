"""The code of a stage: the parsed syntax of its module and of every project module that it imports.

Found statically, so nothing is imported; comments, docstrings and formatting do not count.
Files in a package's folder that are not Python, such as the template of a page, belong to the package, byte for byte.
It does not see modules whose names are computed at run time.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from so8t.errors import StageError
from so8t.store.digest import Signature, signature

SO8T = Path(__file__).parent.parent  # not `so8t.__path__`, which an empty folder of that name in a project becomes
# The engine carries builds and does not take part in them, and `watch` only tells of them on the side:
# editing either must never retrain a model.
MACHINERY = ("so8t.engine", "so8t.spec", "so8t.store", "so8t.errors", "so8t.watch")
_MACHINERY = tuple(f"{part}." for part in MACHINERY)
_PYTHON = (".py", ".pyc")
CONTENTS = "stages"  # the table of contents imports every stage and changes none


# By module: its digest and imports; None: the module does not exist.
Known = dict[str, tuple[str, tuple[str, ...]] | None]


def closure(module: str, roots: Mapping[str, Path], known: Known | None = None) -> dict[str, str]:
    """Digest of each module that `module` needs, itself included, machinery left out.

    `roots` maps top-level package names to their folders.  Calls that share `known` look at each file once.
    """
    known = {} if known is None else known
    digests: dict[str, str] = {}
    seen, waiting = {module}, [module]
    while waiting:
        name = waiting.pop()
        if _is_machinery(name):
            continue
        if name not in known:
            path = find(name, roots)
            known[name] = _read(name, path, *_signatures(path)) if path else None
        if found := known[name]:
            digests[name], imports = found
            waiting += (fresh := set(imports) - seen)
            seen |= fresh
    return dict(sorted(digests.items()))


@lru_cache(maxsize=4096)
def _read(name: str, path: Path, *sigs: Signature | None) -> tuple[str, tuple[str, ...]]:
    """A module's digest and imports; stages share most of their modules, so each is parsed once."""
    tree = _parse(path)
    imports = tuple(dict.fromkeys(imported(tree, name, is_package=path.name == "__init__.py")))
    return _with_data(digest(tree), path, data_files(path)), imports


def _signatures(path: Path) -> list[Signature | None]:
    return [signature(each) for each in (path, *data_files(path))]


def data_files(path: Path) -> list[Path]:
    """The files beside a package's `__init__.py` that are not Python; those of packages in it are theirs."""
    if path.name != "__init__.py":
        return []
    beside = sorted(path.parent.iterdir())
    below = [folder for folder in beside if folder.is_dir() and not (folder / "__init__.py").exists()]
    return [
        each for each in (*beside, *(each for folder in below for each in sorted(folder.rglob("*")))) if is_data(each)
    ]


def is_data(path: Path) -> bool:
    """A file that is not Python, nor what editors leave beside one."""
    return path.suffix not in _PYTHON and not path.name.startswith(".") and path.name[-1] != "~" and path.is_file()


def _with_data(code: str, path: Path, files: list[Path]) -> str:
    if not files:
        return code
    seen = hashlib.blake2b(code.encode(), digest_size=16)
    for file in files:
        seen.update(file.relative_to(path.parent).as_posix().encode() + b"\x00" + file.read_bytes())
    return seen.hexdigest()


def _parse(path: Path) -> ast.AST:
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        raise StageError(f"{path}:{error.lineno or 1}:{error.offset or 1}: {error.msg}") from error
    except ValueError as error:  # null bytes
        raise StageError(f"{path}:1:1: {error}") from error


def find(name: str, roots: Mapping[str, Path]) -> Path | None:
    """The file of a module of one of the root packages."""
    top, *rest = name.split(".")
    if top not in roots:
        return None
    base = os.path.join(roots[top], *rest)  # hundreds of names a plan, and most are not modules: no Path for these
    for path in (os.path.join(base, "__init__.py"), f"{base}.py"):
        if os.path.isfile(path):  # noqa: PTH113
            return Path(path)
    return None


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Every name that an import statement in the tree could mean, and the packages on the way to it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, module, is_package)
            yield from _with_parents(base)
            for alias in node.names:
                yield f"{base}.{alias.name}"


def _base(node: ast.ImportFrom, module: str, is_package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
    return ".".join([*parts, node.module] if node.module else parts)


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


def _is_machinery(name: str) -> bool:
    return name == CONTENTS or f"{name}.".startswith(_MACHINERY)


def digest(tree: ast.AST) -> str:
    """Digest of what the syntax means; empty fields are skipped, so Python versions agree."""
    seen = hashlib.blake2b(digest_size=16)
    for token in _tokens(tree):
        seen.update(token.encode("utf-8", "surrogatepass") + b"\x00")
    return seen.hexdigest()


def _tokens(node: object) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for name, value in ast.iter_fields(node):
            if isinstance(node, ast.JoinedStr):
                value = [part for part in value if not _is_empty(part)]  # noqa: PLW2901 - Python 3.12.1 adds some
            if value is None or value == [] or name == "kind":
                continue
            yield name
            yield from _tokens(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            if not _is_docstring(item):
                yield from _tokens(item)
        yield "]"
    else:
        yield ascii(node)


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_empty(part: object) -> bool:
    return isinstance(part, ast.Constant) and part.value == ""
