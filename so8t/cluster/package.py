"""What travels with a job: the code, the profile's YAML files, and the local files that the stage reads.

Nothing else of a project does: no artifact, no key, no source of another stage.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from so8t.cluster.order import FILE, Order
from so8t.errors import StageError
from so8t.store import code

LIMIT = 100 << 20  # bytes that Ray takes as a working directory
_SHOWN = 3  # files named in a message


def contents(project: Path, profiles: Sequence[str], sources: Sequence[Path], secret: Path | None) -> dict[str, Path]:
    """By the place that it has there, each file that goes along."""
    found = {f"so8t/{name}": path for name, path in _below(code.SO8T)}
    found |= {f"stages/{name}": path for name, path in _below(project / "stages")}
    for profile in profiles:
        found |= {f"specs/{profile}/{path.name}": path for path in sorted((project / "specs" / profile).glob("*.yaml"))}
    found |= {_inside(project, path): path for path in sources}
    return {name: path for name, path in found.items() if secret is None or not _is(path, secret)}


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in name.parts):
            yield name.as_posix(), path


def _inside(project: Path, path: Path) -> str:
    if not path.is_relative_to(project):
        raise StageError(f"{path} lies outside of the project, and so it cannot travel to a node: put it inside")
    return path.relative_to(project).as_posix()


def _is(path: Path, secret: Path) -> bool:
    return path.resolve() == secret.resolve()


def check_size(stage: str, sizes: Mapping[str, int]) -> None:
    total = sum(sizes.values())
    if total <= LIMIT:
        return
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_SHOWN]
    named = ", ".join(f"{name} ({_mib(sizes[name])})" for name in largest)
    raise StageError(
        f"{stage}: what would travel with the job has {_mib(total)}, and Ray takes {_mib(LIMIT)}; the largest files: "
        f"{named}; build this stage here (leave it out of run), and those behind it on the cluster"
    )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.1f} MiB"


@contextmanager
def packed(files: Mapping[str, Path], order: Order) -> Iterator[Path]:
    """A folder with all of it, for as long as it is needed; the same contents have the same name for Ray."""
    check_size(order.stage, {name: path.stat().st_size for name, path in files.items()})
    with tempfile.TemporaryDirectory(prefix="so8t-job-") as place:
        write(files, order, Path(place))
        yield Path(place)


def write(files: Mapping[str, Path], order: Order, folder: Path) -> None:
    """The working directory of a job, made anew."""
    folder.mkdir(exist_ok=True)
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / FILE).write_bytes(order.encode())
