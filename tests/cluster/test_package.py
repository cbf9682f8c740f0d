"""What travels with a job, and what does not."""

from __future__ import annotations

import pytest

from so8t.cluster import order, package
from so8t.cluster.order import Order
from so8t.errors import StageError
from so8t.store.fingerprint import Fingerprint
from tests.house import House

WANTED = Fingerprint(
    "doubled", {"times": 2}, {"numbers/numbers.txt": "ab" * 32}, {"stages.doubled": "cd"}, {"torch": "2.13.0"}
)
ORDER = Order("tiny", WANTED, {"numbers": "ef" * 32}, "3.11")


def test_code_specs_and_the_stages_own_sources_travel_and_nothing_else(house: House) -> None:
    house.write("specs/other/numbers.yaml", "offset: 1\n")
    house.write("specs/tiny/corpus/private.jsonl", "{}\n")
    house.write("specs/tiny/key.pem.yaml", "the private key\n")
    house.write("artifacts/tiny/raw/raw.jsonl", "{}\n")
    house.write("stages/.secret", "x")
    own = house.path / "numbers.txt"

    found = package.contents(house.path, ["tiny"], [own], house.path / "specs/tiny/key.pem.yaml")

    assert [name for name in found if not name.startswith("so8t/")] == [
        "stages/__init__.py",
        "stages/arithmetic.py",
        "stages/card.py",
        "stages/doubled.py",
        "stages/log.py",
        "stages/numbers.py",
        "stages/parity.py",
        "stages/total.py",
        "specs/tiny/doubled.yaml",
        "specs/tiny/numbers.yaml",
        "numbers.txt",
    ]
    assert {"so8t/__init__.py", "so8t/cluster/node.py", "so8t/report/look/page.css"} & set(found) >= {
        "so8t/__init__.py",
        "so8t/cluster/node.py",
    }
    assert [name for name in found if "__pycache__" in name] == []


def test_a_source_outside_of_the_project_does_not_travel(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "numbers.txt"

    with pytest.raises(StageError) as refused:
        package.contents(house.path, ["tiny"], [elsewhere], None)

    assert str(refused.value) == (
        f"{elsewhere} lies outside of the project, and so it cannot travel to a node: put it inside"
    )


def test_the_order_lies_in_the_folder_and_reads_as_it_was(house: House) -> None:
    files = {"stages/card.py": house.path / "stages" / "card.py"}

    with package.packed(files, ORDER) as folder:
        there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert there == [".so8t-order.json", "stages/card.py"]
        assert order.decode((folder / order.FILE).read_bytes()) == ORDER
    assert not folder.exists()


def test_too_much_is_refused_before_anything_is_sent_with_the_largest_files() -> None:
    sizes = {"so8t/a.py": 1 << 20, "numbers.txt": 99 << 20, "more.txt": 7 << 20, "specs/tiny/x.yaml": 10}

    with pytest.raises(StageError) as refused:
        package.check_size("numbers", sizes)

    assert str(refused.value) == (
        "numbers: what would travel with the job has 107.0 MiB, and Ray takes 100.0 MiB; the largest files: "
        "numbers.txt (99.0 MiB), more.txt (7.0 MiB), so8t/a.py (1.0 MiB); build this stage here (leave it out of run), "
        "and those behind it on the cluster"
    )
    package.check_size("numbers", {"numbers.txt": 100 << 20})


def test_a_node_with_other_versions_says_which_before_it_computes() -> None:
    found = list(order.differences(ORDER, "node-b", "3.10", {"torch": "2.12.1"}))

    assert found == ["Python 3.10 on node-b, 3.11 here", "torch 2.12.1 on node-b, 2.13.0 here"]
    assert order.refusal(ORDER, "node-b", found) == (
        "doubled: node-b would compute something else: Python 3.10 on node-b, 3.11 here; torch 2.12.1 on node-b, "
        "2.13.0 here; install the same versions on the node, or name another interpreter with cluster.python in "
        "profile.yaml"
    )
    assert list(order.differences(ORDER, "node-b", "3.11", {"torch": "2.13.0"})) == []
