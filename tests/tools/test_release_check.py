"""The wheel alone keeps the package's promises; what is wrong with an archive is said by name."""

from __future__ import annotations

import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import release_check as release


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> release.Built:
    return release.build(tmp_path_factory.mktemp("release"))


@pytest.mark.slow
def test_the_archives_hold_the_package_and_its_licence_alone(built: release.Built) -> None:
    assert release.problems(built) == []


@pytest.mark.soak
def test_the_wheel_alone_lists_the_graph_and_builds_data(built: release.Built, tmp_path: Path) -> None:
    """Unpacked in front of this environment's packages, so that no index is asked; the soak installs it."""
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(built.wheel).extractall(unpacked)
    (tmp_path / "project").mkdir()

    release.promised(sys.executable, release.project(tmp_path / "project"), unpacked, str(unpacked))


@pytest.mark.soak
def test_the_wheel_installs_into_an_empty_environment(capsys: pytest.CaptureFixture[str]) -> None:
    release.main()

    assert capsys.readouterr().out.splitlines() == [
        "built: so8t-0.1.0.tar.gz, so8t-0.1.0-py3-none-any.whl",
        "installed: so8t-0.1.0-py3-none-any.whl and its core dependencies",
        "ran: doit list, doit raw cleaned twice",
    ]


def test_what_is_missing_and_what_does_not_belong_is_named(tmp_path: Path) -> None:
    package = sorted(name for name in release.tracked() if name.startswith("so8t/"))
    with zipfile.ZipFile(tmp_path / "so8t.whl", "w") as wheel:
        for name in [*package[1:], "tests/test_it.py", "so8t-0.1.0.dist-info/METADATA"]:
            wheel.writestr(name, "")
    with tarfile.open(tmp_path / "so8t.tar.gz", "w:gz") as sdist:
        for name in [*package, "README.md", "pyproject.toml"]:
            sdist.addfile(tarfile.TarInfo(f"so8t-0.1.0/{name}"))

    assert release.problems(release.Built(tmp_path / "so8t.tar.gz", tmp_path / "so8t.whl")) == [
        f"the wheel misses {package[0]}",
        "the wheel holds tests/test_it.py, which is not the package's",
        "the sdist misses LICENSE",
        "the wheel misses the licence",
    ]
