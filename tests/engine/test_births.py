"""On Linux the processes of stages are forked from one that has imported what they share; nothing else differs."""

from __future__ import annotations

import json
import re
import sys

import pytest
import torch

from so8t.engine import nursery
from tests.house import House

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each process is fresh")]

BORN = """
import json, os, sys
from pathlib import Path
born = {"torch": "torch" in sys.modules, "main": sys.modules["__main__"].__spec__.name, "parent": os.getppid()}
Path(os.environ["HOUSE_LOG"]).with_name("born-NAME.json").write_text(json.dumps(born))
"""


def tell(house: House, *stages: str, packages: str = "") -> None:
    """These stages leave how they were born, and need these packages."""
    for name in stages:
        lines = "".join(f"    {line}\n" for line in BORN.strip().replace("NAME", name).splitlines())
        house.edit(f"stages/{name}.py", f'    log.note("{name}")\n', f'    log.note("{name}")\n{lines}')
        house.edit(f"stages/{name}.py", "gives=", f"packages=({packages}), gives=")


def born(house: House, stage: str) -> dict[str, object]:
    return json.loads(house.read(f"born-{stage}.json"))


def test_stages_share_one_import_of_what_they_need_and_nothing_else(house: House) -> None:
    tell(house, "numbers")
    tell(house, "doubled", "total", packages='"torch",')

    run = house.cold("total")

    assert run.code == 0, run.err
    numbers, doubled, total = (born(house, stage) for stage in ("numbers", "doubled", "total"))
    assert [one["torch"] for one in (numbers, doubled, total)] == [False, True, True]
    assert numbers["parent"] == doubled["parent"] == total["parent"]
    assert re.findall(r"\S+: built", run.err) == ["numbers: built", "doubled: built", "total: built"]


@pytest.mark.parametrize(
    ("cuda", "shared"), [(None, ["torch", "transformers", "peft"]), ("13.0", ["torch", "transformers"])]
)
def test_what_looks_for_gpus_is_shared_only_where_none_can_be(
    monkeypatch: pytest.MonkeyPatch, cuda: str | None, shared: list[str]
) -> None:
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.version, "hip", None)
    versions: dict[str, str] = {}

    nursery._share(["orjson", "torch", "transformers", "peft"], versions)

    assert list(versions) == shared


def test_what_the_store_has_waits_for_no_import(house: House) -> None:
    fork = "class cuda:\n    @staticmethod\n    def _is_in_bad_fork(): return False\n"
    house.write("torch.py", f"from pathlib import Path\n\nPath('imported').touch()\n{fork}")
    tell(house, "numbers", packages='"torch",')
    imported = house.path / "imported"

    assert house.cold("numbers").code == 0
    assert imported.exists()
    house.edit("specs/tiny/numbers.yaml", "offset: 0", "offset: 1")
    assert house.cold("numbers").ran == ["numbers"]
    imported.unlink()
    house.edit("specs/tiny/numbers.yaml", "offset: 1", "offset: 0")
    run = house.cold("numbers")

    assert (run.code, run.ran, imported.exists()) == (0, [], False)
    assert re.findall(r"\S+: restored", run.err) == ["numbers: restored"]


def test_a_package_replaced_during_the_run_is_imported_anew(house: House) -> None:
    tell(house, "doubled", "total", packages='"torch",')
    house.edit("stages/doubled.py", 'log.linger("doubled")', "replace()")
    house.write(
        "stages/doubled.py",
        house.read("stages/doubled.py")
        + "\n\ndef replace():\n    folder = Path('torch-99.dist-info')\n    folder.mkdir()\n"
        "    (folder / 'METADATA').write_text('Name: torch\\nVersion: 99\\n')\n",
    )

    run = house.cold("total")

    assert run.code == 0, run.err
    assert (born(house, "doubled")["torch"], born(house, "doubled")["main"]) == (True, "so8t.engine.nursery")
    assert (born(house, "total")["torch"], born(house, "total")["main"]) == (False, "so8t.engine.process")


def test_a_nursery_that_is_killed_takes_no_result_along(house: House) -> None:
    house.edit("stages/numbers.py", 'log.linger("numbers")', "import os, signal; os.kill(os.getppid(), signal.SIGKILL)")

    run = house.cold("total")

    assert (run.code, run.ran) == (0, ["numbers", "doubled", "total"])


def test_what_a_fork_cannot_import_the_stage_says(house: House) -> None:
    house.write("torch.py", "raise OSError('libcudart.so.99: cannot open shared object file')\n")
    tell(house, "numbers", packages='"torch",')

    run = house.cold("numbers")

    assert (run.code, born(house, "numbers")["main"]) == (0, "so8t.engine.process")
