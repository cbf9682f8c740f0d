"""The table of build tools' mistakes (edits, kills, tampering, races): each row comes out right here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

ALL = ["numbers", "doubled", "total", "card", "parity", "parity of 1", "parity of 2", "parity of 3"]

# file, before, after, what runs
EDITS = [
    ("specs/tiny/numbers.yaml", "offset: 0", "offset: 10", [*ALL[:5], "parity of 11", "parity of 12", "parity of 13"]),
    ("specs/tiny/doubled.yaml", "times: 2", "times: 3", ["doubled", "total", "card"]),
    ("stages/arithmetic.py", "number * times", "times * number + 1", ["doubled", "total", "card"]),
    ("stages/card.py", "{spec.title}: ", "{spec.title}= ", ["card"]),
    ("numbers.txt", "3\n", "4\n", [*ALL[:5], "parity of 1", "parity of 2", "parity of 4"]),
]
COSMETIC = [
    ("specs/tiny/numbers.yaml", "# the source\n", "# 出典\n\n"),
    ("specs/tiny/numbers.yaml", "path: numbers.txt\noffset: 0\n", "offset: 0\npath: numbers.txt\n"),
    ("specs/tiny/numbers.yaml", "path: numbers.txt", 'path: "numbers.txt"'),
    ("specs/tiny/numbers.yaml", "rate: 0.5", "rate: 5e-1"),
    ("specs/tiny/numbers.yaml", "rate: 0.5", "rate: 0.5\nworkers: 7"),
    ("specs/tiny/doubled.yaml", "times: 2", "times: 0x2\nsize: 0"),
    ("stages/arithmetic.py", "  # plainly", "  # 掛け算"),
    ("stages/arithmetic.py", '"""One number, times over."""', '"""Another sentence."""'),
    ("stages/arithmetic.py", "return number * times", "return (\n        number\n        * times\n    )"),
]


@pytest.mark.parametrize(("name", "old", "new", "expected"), EDITS)
def test_an_edit_runs_exactly_what_depends_on_it_and_undoing_it_restores_the_rest(
    built: House, name: str, old: str, new: str, expected: list[str]
) -> None:
    before = built.digests()

    built.edit(name, old, new)
    there = built.doit()
    changed = built.digests()
    built.edit(name, new, old)
    back = built.doit()

    assert there.ran == expected
    assert changed != before
    assert (back.code, back.ran) == (0, [])
    assert built.digests() == before


def test_cosmetic_edits_run_nothing(built: House) -> None:
    for name, old, new in COSMETIC:
        built.edit(name, old, new)

        assert (built.doit().ran, built.doit("why").code) == ([], 0), (name, new)

        built.edit(name, new, old)


def test_an_output_that_stays_the_same_stops_the_rebuild_there(built: House) -> None:
    built.write("specs/tiny/total.yaml", "cap: 999\n")

    assert built.doit().ran == ["total"]


def test_a_touched_file_runs_nothing(built: House) -> None:
    for path in [built.path / "numbers.txt", built.artifact("doubled") / "doubled.txt"]:
        os.utime(path)

    assert built.doit().ran == []


def test_killed_in_its_first_build_a_stage_starts_over_and_the_finished_ones_do_not(house: House) -> None:
    house.hold("doubled")
    doing = house.start()
    house.wait_for("doubled")
    house.kill(doing)
    left = sorted(path.name for path in house.artifact("").iterdir() if path.name != ".so8t")
    house.release("doubled")

    assert left == ["numbers"]
    assert house.doit().ran == ALL[1:]


def test_killed_while_it_rebuilds_a_deleted_output_no_half_file_is_taken_as_good(built: House) -> None:
    before = built.digests()
    (built.artifact("doubled") / "doubled.txt").unlink()
    built.doit("forget", "doubled")
    built.kill_in("doubled")

    assert not (built.artifact("doubled") / "doubled.txt").exists()
    assert built.doit().ran == ["doubled"]
    assert built.digests() == before


def test_killed_on_the_way_to_b_the_way_back_to_a_runs_nothing(built: House) -> None:
    before = built.digests()
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    built.kill_in("doubled")
    built.edit("specs/tiny/doubled.yaml", "times: 3", "times: 2")

    assert built.doit().ran == []
    assert built.digests() == before


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"0\n")


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"9")


def flip_and_hide(path: Path) -> None:
    stat = path.stat()
    flip(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def swap(path: Path) -> None:
    stat = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"9" + path.read_bytes()[1:])
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (append, "doubled.txt: changed since it was built (6 -> 8 bytes)"),
        (flip, "doubled.txt: changed since it was built (6 bytes as before, other content)"),
        (flip_and_hide, "doubled.txt: changed since it was built (6 bytes as before, other content)"),
        (swap, "doubled.txt: changed since it was built (6 bytes as before, other content)"),
        (Path.unlink, "doubled.txt: missing"),
    ],
)
def test_a_damaged_artifact_is_named_restored_and_nothing_downstream_runs(built: House, damage, sentence: str) -> None:
    before = built.digests()
    damage(built.artifact("doubled") / "doubled.txt")

    assert built.why("doubled")[:2] == ["doubled: would be restored from the store", f"  - {sentence}"]
    assert built.doit("verify").out.splitlines()[1] == f"artifacts/tiny/doubled/{sentence}"
    run = built.doit()
    assert (run.code, run.ran) == (0, [])
    assert built.digests() == before
    assert built.read("artifacts/tiny/doubled/doubled.txt") == "2\n4\n6\n"
    assert built.doit("verify").code == 0


def test_what_a_person_wrote_into_an_artifact_is_set_aside_not_lost(built: House) -> None:
    (built.artifact("card") / "card.txt").write_text("手で直した\n", "utf-8")

    run = built.doit()

    place = "artifacts/tiny/.so8t/set-aside/card/card.txt"
    assert f"card: a file that doit did not write was set aside as {place}" in run.err
    assert built.read(place) == "手で直した\n"


def test_a_bit_that_rotted_unseen_by_the_file_system_is_found_by_verify_and_healed_by_doit(built: House) -> None:
    path = built.artifact("total") / "total.txt"
    flip(path)
    seen = built.artifact(".so8t") / "seen" / "total.json"
    record = json.loads(seen.read_bytes())
    stat = path.stat()
    record["files"]["total.txt"] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    seen.write_text(json.dumps(record))  # as if the disk had changed the bit by itself

    assert built.doit().ran == []
    found = built.doit("verify")
    healed = built.doit()

    assert (found.code, found.out.splitlines()[-1]) == (1, "damaged: total; run doit to heal")
    assert (healed.code, healed.ran) == (0, [])
    assert built.read("artifacts/tiny/total/total.txt") == "12\n"


def test_a_forged_manifest_is_not_believed(built: House) -> None:
    path = built.artifact("total") / "manifest.json"
    path.write_text(path.read_text("utf-8").replace('"size": 3', '"size": 4'), "utf-8")

    assert built.why("total")[1] == "  - manifest.json: changed since it was built"
    assert built.doit().ran == []
    assert '"size": 3' in path.read_text("utf-8")


def test_two_builds_at_once_run_each_stage_once(house: House) -> None:
    house.hold("doubled")
    first = house.start()
    house.wait_for("doubled")
    second = house.start()
    while "waiting" not in (said := second.stderr.readline()):
        assert said, "the second build ended early"
    house.release("doubled")
    ends = [first.communicate(timeout=60), second.communicate(timeout=60)]

    assert (first.returncode, second.returncode) == (0, 0), ends
    assert said.startswith("doubled: waiting for another build of it (process ")
    assert house.noted() == ALL


def test_an_input_edited_during_the_build_is_built_in_not_mixed_in(house: House) -> None:
    house.hold("numbers")
    doing = house.start()
    house.wait_for("numbers")
    house.edit("numbers.txt", "3\n", "5\n")
    house.release("numbers")
    said = doing.communicate(timeout=60)[1]

    assert doing.returncode == 0
    assert "numbers: an input changed during the build; starting over" in said
    assert house.read("artifacts/tiny/numbers/numbers.txt") == "1\n2\n5\n"
    assert house.noted()[:3] == ["numbers", "numbers", "doubled"]
    assert house.doit().ran == []


def test_a_spec_edited_during_the_build_is_seen_by_the_next_run(house: House) -> None:
    house.hold("doubled")
    doing = house.start()
    house.wait_for("doubled")
    house.edit("specs/tiny/doubled.yaml", "times: 2", "times: 5")
    house.release("doubled")
    doing.communicate(timeout=60)

    assert house.read("artifacts/tiny/doubled/doubled.txt") == "2\n4\n6\n"
    assert house.why("doubled")[1] == "  - spec times: 2 -> 5"
    assert house.doit().ran == ["doubled", "total", "card"]
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 30\n"


def test_code_edited_during_the_build_is_seen_by_the_next_run(house: House) -> None:
    house.hold("doubled")
    doing = house.start()
    house.wait_for("doubled")
    house.edit("stages/arithmetic.py", "number * times", "number * times * 10")
    house.release("doubled")
    doing.communicate(timeout=60)

    assert house.read("artifacts/tiny/doubled/doubled.txt") == "2\n4\n6\n"
    assert house.why("doubled")[1] == "  - code stages.arithmetic: changed"
    assert house.doit().ran == ["doubled", "total", "card"]
    assert house.read("artifacts/tiny/total/total.txt") == "120\n"
