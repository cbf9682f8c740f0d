"""The twenty traps of doit that were measured beforehand, each sprung once: none closes here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from doit.doit_cmd import DoitMain

from tests.house import DOIT, House

pytestmark = pytest.mark.slow

ALL = ["numbers", "doubled", "total", "card", "parity"]


def test_01_stages_finished_before_a_kill_are_not_forgotten(house: House) -> None:
    house.kill_in("total")

    assert house.doit().ran[:2] == ["total", "card"]


def test_02_a_half_rebuilt_output_is_not_up_to_date_under_reverted_inputs(built: House) -> None:
    built.write("specs/tiny/total.yaml", "cap: 5\n")
    built.kill_in("total")
    built.write("specs/tiny/total.yaml", "")

    assert built.doit().ran == []
    assert built.read("artifacts/tiny/total/total.txt") == "12\n"


def test_03_nothing_is_built_from_what_a_failed_stage_left(house: House) -> None:
    house.edit("stages/doubled.py", 'log.linger("doubled")', '(out / "doubled.txt").write_text("0"); 1 / 0')
    house.doit("doubled")

    run = house.doit("-s", "total")

    assert not house.artifact("doubled").exists()
    assert (run.code, run.ran) == (1, [])
    assert "total cannot be built: doubled is not built; run doit doubled" in run.out


def test_an_artifact_that_is_missing_is_said_once_whatever_is_taken_of_it(house: House) -> None:
    house.edit("stages/total.py", 'takes=("doubled/doubled.txt",)', 'takes=("doubled/doubled.txt", "doubled/ballast/")')

    assert house.why("total")[:3] == [
        "total: waits for what it stands on",
        "  - doubled is not built",
        "  - never built",
    ]


def test_04_inputs_are_recorded_as_they_were_before_the_action(house: House) -> None:
    house.hold("parity")
    doing = house.start("parity")
    house.wait_for("parity")
    house.write("numbers.txt", "9\n")  # parity reads the artifact of numbers, which stays as it was
    house.release("parity")
    doing.communicate(timeout=60)

    assert house.read("artifacts/tiny/parity/parity.txt") == "odd\neven\nodd\n"
    assert house.doit("parity").ran == ["numbers", "parity", "parity of 9"]


def test_05_a_touched_source_is_hashed_once_and_then_known_again(built: House) -> None:
    os.utime(built.path / "numbers.txt", ns=(1, 1))
    subprocess.run(["sleep", "0.05"], check=True)  # out of the tick in which a file is too young to be remembered

    assert built.doit().ran == []
    stat = (built.path / "numbers.txt").stat()
    known = json.loads(built.read("artifacts/.so8t/digests.json"))[str(built.path / "numbers.txt")]
    assert known[0] == [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def test_06_an_equal_modification_time_does_not_hide_another_size(built: House) -> None:
    path = built.path / "numbers.txt"
    stat = path.stat()
    path.write_text("1\n2\n3\n4\n")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert built.doit().ran[0] == "numbers"


def test_07_doit_itself_hashes_no_artifact(house: House) -> None:
    code = "import sys, doit.doit_cmd as d; code = d.DoitMain().run(['-n', '2']); print('blake3' in sys.modules, code)"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=house.path, env=house.env, capture_output=True, text=True, timeout=60
    )

    assert ran.stdout.splitlines()[-1] == "False 0", ran.stderr


def test_08_a_folder_is_a_good_target_and_a_good_dependency(built: House) -> None:
    built.write("specs/tiny/doubled.yaml", "size: 10\n")
    built.doit()
    (built.artifact("doubled") / "ballast" / "bytes.bin").write_text("y")

    assert built.why("doubled")[1] == "  - ballast/bytes.bin: changed since it was built (10 -> 1 bytes)"
    assert built.doit().code == 0
    assert (built.artifact("doubled") / "ballast" / "bytes.bin").read_text() == "x" * 10
    built.doit("clean", "doubled")
    assert not built.artifact("doubled").exists()


def test_09_every_dependency_inside_the_graph_is_spelled_like_its_target(house: House) -> None:
    listed = house.doit("list", "--deps", "--all", "--quiet").out.splitlines()
    needed = {line[4:] for line in listed if line.startswith(" -  artifacts/")}
    targets = {f"artifacts/tiny/{name}/manifest.json" for name in ALL}

    assert needed == {f"artifacts/tiny/{name}/manifest.json" for name in ("numbers", "doubled", "total")}
    assert needed <= targets


def test_10_a_build_gets_its_inputs_by_name_and_the_key_has_them_in_order(built: House) -> None:
    manifest = json.loads(built.read("artifacts/tiny/total/manifest.json"))

    assert list(manifest["inputs"]) == ["doubled/doubled.txt"]  # not the ballast: it takes one file
    assert built.doit().ran == []


def test_11_one_reason_does_not_hide_another(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    built.edit("stages/arithmetic.py", "number * times", "times * number")
    (built.artifact("doubled") / "doubled.txt").unlink()

    assert built.why("doubled")[1:4] == [
        "  - doubled.txt: missing",
        "  - spec times: 2 -> 3",
        "  - code stages.arithmetic: changed",
    ]


def test_12_a_promised_file_that_is_never_written_fails_the_stage(house: House) -> None:
    house.edit("stages/numbers.py", 'gives=("numbers.txt",)', 'gives=("numbers.txt", "also.txt")')

    run = house.doit()

    assert run.code == 1
    assert "numbers promised also.txt and did not write it" in run.out
    assert not house.artifact("numbers").exists()


def test_12_an_undeclared_file_fails_the_stage(house: House) -> None:
    house.edit("stages/numbers.py", 'log.linger("numbers")', '(out / "more.txt").touch()')

    assert "numbers wrote more.txt, which it does not declare in gives" in house.doit().out


def test_13_a_stage_meets_no_forked_parent(house: House) -> None:
    house.edit("stages/card.py", 'log.linger("card")', "import sys; log.note(str('doit' in sys.modules))")

    assert house.cold("-n", "2", "card").ran[-1] == "False"


@pytest.mark.parametrize("args", [("-n", "2"), ()])
def test_14_killing_doit_alone_never_publishes_behind_its_back(house: House, args: tuple[str, ...]) -> None:
    house.hold("numbers")
    doing = house.start(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    house.wait_for("numbers")
    doing.kill()
    doing.wait()
    run = house.start("card")  # waits for the lock until the orphan has gone
    house.release("numbers")
    run.communicate(timeout=60)

    assert run.returncode == 0
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 12\n"


def test_15_no_database_file_is_written_so_none_depends_on_the_python_build(built: House) -> None:
    names = {path.name for path in built.path.rglob("*") if path.is_file()}

    assert not {name for name in names if name.startswith((".doit", "doit"))}


def test_16_damaged_state_costs_time_and_nothing_else(built: House) -> None:
    for path in [
        *built.path.glob("artifacts/.so8t/*.json"),
        *built.path.glob("artifacts/.so8t/plans/*.json"),
        *built.path.glob("artifacts/tiny/.so8t/seen/*.json"),
    ]:
        path.write_bytes(b"\x00{not json")

    run = built.doit()

    assert (run.code, run.ran) == (0, [])


def test_17_a_copy_of_the_project_with_its_artifacts_is_up_to_date(built: House, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("copy") / "project"
    shutil.copytree(built.path, other)

    ran = subprocess.run([*DOIT], cwd=other, env=built.env, capture_output=True, text=True, timeout=60)

    assert ran.stdout.splitlines() == [f"-- {name}" for name in ALL]


@pytest.mark.parametrize(
    ("spelling", "shown"),
    [("017", "17"), ("1e1", None), ("no", None), ("0o17", "15"), ("1:30", None), ("1_000", None)],
)
def test_18_yaml_numbers_mean_what_they_say_or_are_refused(built: House, spelling: str, shown: str | None) -> None:
    built.write("specs/tiny/doubled.yaml", f"times: {spelling}\n")

    run = built.doit("why", "doubled")

    if shown is None:
        assert (run.code, run.err.split(":")[1:4]) == (3, [" specs/tiny/doubled.yaml", "1", "8"])
    else:
        assert run.out.splitlines()[1] == f"  - spec times: 2 -> {shown}"


def test_19_no_stage_has_the_name_of_a_command_or_an_equals_sign() -> None:
    from stages import STAGES

    taken = set(DoitMain().get_cmds())

    assert {"run", "list", "why", "verify", "accept", "gc", "graph", "schema"} <= taken
    assert not [name for name in STAGES if name in taken or "=" in name]


def test_20_what_a_stage_prints_is_not_kept_in_memory(house: House) -> None:
    house.edit("stages/numbers.py", 'log.linger("numbers")', 'print(("あ" * 99 + "\\n") * 300_000)')  # 90 MB
    code = (
        "import doit.doit_cmd as d; d.DoitMain().run(['numbers'])\n"
        # not ru_maxrss, which a child inherits from the process that started it
        "print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=house.path, env=house.env, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, timeout=60)  # fmt: skip

    assert ran.stdout.splitlines()[0] == ".  numbers"
    assert int(ran.stdout.splitlines()[-1]) < 80 << 10  # KiB
