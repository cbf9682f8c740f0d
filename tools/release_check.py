"""Build sdist and wheel, install the wheel alone into an empty environment, and run what it promises.

python tools/release_check.py: needs an index of packages for the wheel's own dependencies, and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ("dodo.py", "stages", "specs", "pyproject.toml")
DATA = ("raw", "cleaned")  # what builds on the core dependencies; labelled learns, and asks for scikit-learn


@dataclass(frozen=True)
class Built:
    """Names inside are relative to the archive's own folder."""

    sdist: Path
    wheel: Path

    def sdist_names(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}

    def wheel_names(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())


def build(folder: Path) -> Built:
    """Both from a copy of the tracked files, the wheel from the unpacked sdist, as a publisher builds them."""
    copy, out = folder / "checkout", folder / "dist"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(copy)], folder)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return Built(sdist, wheel)


def tracked() -> list[str]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, encoding="utf-8").stdout.split("\0")
    return [name for name in names if name and (ROOT / name).is_file()]


def problems(built: Built) -> list[str]:
    """What is missing from the archives, and what is in them and should not be."""
    package = {name for name in tracked() if name.startswith("so8t/")}
    sdist, wheel = built.sdist_names(), built.wheel_names()
    about = {name for name in wheel if re.match(r"so8t-[^/]+\.dist-info/", name)}
    return [
        *(f"the wheel misses {name}" for name in sorted(package - wheel)),
        *(f"the wheel holds {name}, which is not the package's" for name in sorted(wheel - package - about)),
        *(f"the sdist misses {name}" for name in sorted({*package, "LICENSE", "README.md", "pyproject.toml"} - sdist)),
        *(["the wheel misses the licence"] if not any(name.endswith("licenses/LICENSE") for name in about) else []),
    ]


def project(folder: Path) -> Path:
    """A project beside the wheel: the graph and its specs, and no so8t to import from here."""
    for name in PROJECT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def install(wheel: Path, environment: Path) -> str:
    """An empty environment with this wheel and its core dependencies; its interpreter."""
    run([sys.executable, "-m", "venv", str(environment)], ROOT)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    run([str(python), "-m", "pip", "install", "-q", str(wheel)], ROOT)
    return str(python)


def promised(python: str, folder: Path, home: Path, path: str = "") -> None:
    """The package comes from the wheel; the graph loads; the data stages build; a second run builds nothing."""
    env = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"}
    found = run([python, "-c", "import so8t; print(so8t.__file__)"], folder, env).strip()
    if home.resolve() not in Path(found).resolve().parents:
        raise SystemExit(f"so8t came from {found}, not from the wheel in {home}")
    listed = run([python, "-m", "doit", "list"], folder, env)
    missing = [stage for stage in (*DATA, "evaluation") if not re.search(rf"^{stage}\b", listed, re.MULTILINE)]
    if missing:
        raise SystemExit(f"doit list does not name {', '.join(missing)}")
    first, second = (run([python, "-m", "doit", *DATA], folder, env).splitlines() for _ in range(2))
    if (first, second) != ([f".  {stage}" for stage in DATA], [f"-- {stage}" for stage in DATA]):
        raise SystemExit(f"doit {' '.join(DATA)} said {first}, and the second time {second}")


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=env, check=False, capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        built = build(folder)
        found = problems(built)
        if found:
            raise SystemExit("\n".join(found))
        print(f"built: {built.sdist.name}, {built.wheel.name}")
        python = install(built.wheel, folder / "environment")
        print(f"installed: {built.wheel.name} and its core dependencies")
        (folder / "project").mkdir()
        promised(python, project(folder / "project"), folder / "environment")
        print(f"ran: doit list, doit {' '.join(DATA)} twice")


if __name__ == "__main__":
    main()
