"""doit's own verbs tell the truth, and the engine's commands say what they mean."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

NUMBERS = ["numbers", "doubled", "total", "card", "parity"]


def test_list_says_run_before_the_first_build_and_up_to_date_after_it(house: House) -> None:
    assert house.status() == dict.fromkeys(NUMBERS, "R")
    house.doit()
    assert house.status() == dict.fromkeys(NUMBERS, "U")


def test_list_does_not_call_a_stage_current_that_stands_on_a_stale_one(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")

    assert built.status() == {"numbers": "U", "doubled": "R", "total": "R", "card": "R", "parity": "U"}


def test_the_database_of_doit_is_not_needed(built: House) -> None:
    for path in [*built.path.glob(".doit*"), *built.path.glob("artifacts/.so8t/doit*")]:
        path.unlink()

    run = built.doit()

    assert (run.code, run.ran) == (0, [])
    assert run.out.splitlines() == [f"-- {name}" for name in NUMBERS]


def test_why_gives_every_reason_with_old_and_new_values_and_what_follows(built: House) -> None:
    built.edit("specs/tiny/numbers.yaml", "offset: 0", "offset: 5")
    built.edit("specs/tiny/numbers.yaml", "rate: 0.5", "rate: 2e-4")
    built.edit("stages/numbers.py", "+ spec.offset", "- spec.offset")
    built.write("numbers.txt", "7\n")

    run = built.doit("why", "numbers")

    was, now = (line.split()[-1] for line in run.out.splitlines()[3].split(" -> "))
    assert run.code == 1
    assert run.out.splitlines() == [
        "numbers: would be built",
        "  - spec offset: 0 -> 5",
        "  - spec rate: 0.5 -> 0.0002",
        f"  - input numbers.txt: {was} -> {now}",
        "  - code stages.numbers: changed",
        "  then, if its content changes: doubled, total, card, parity",
    ]
    assert len(was) == len(now) == 12 and was != now


def test_why_fits_a_screen_unless_all_is_asked_for(built: House) -> None:
    built.edit("stages/doubled.py", "    size: int = 0\n", "    size: int = 0\n    more: dict[str, int] = {}\n")
    built.write("specs/tiny/doubled.yaml", "times: 3\nmore: {" + ", ".join(f"k{n}: {n}" for n in range(30)) + "}\n")

    assert built.why() == [
        "up to date: numbers, parity",
        "doubled: would be built: spec times: 2 -> 3, and 31 more",
        "total: waits for what it stands on: doubled is not up to date",
        "card: waits for what it stands on: total is not up to date",
        "doit why --all says every reason",
    ]
    everything = built.why("--all")
    assert len(everything) == 41
    assert everything[-3:] == ["card: waits for what it stands on", "  - total is not up to date", "parity: up to date"]


def test_info_shows_reasons_dependencies_and_targets(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")

    assert built.doit("info", "doubled").out.splitlines() == [
        "",
        "doubled",
        "",
        "twice the numbers",
        "",
        "status     : run",
        " * The following uptodate objects evaluate to false:",
        "    - spec times: 2 -> 4 (args=[], kwargs={})",
        "",
        "file_dep   : ",
        " - artifacts/tiny/numbers/manifest.json",
        "",
        "targets    : ",
        " - artifacts/tiny/doubled/doubled.txt",
        " - artifacts/tiny/doubled/ballast",
        " - artifacts/tiny/doubled/manifest.json",
    ]


def test_a_target_can_be_built_by_its_path_with_what_it_needs_and_nothing_else(house: House) -> None:
    run = house.doit("artifacts/tiny/total/total.txt")

    assert (run.code, run.ran) == (0, ["numbers", "doubled", "total"])
    assert house.status() == {"numbers": "U", "doubled": "U", "total": "U", "card": "R", "parity": "R"}


def test_forget_builds_again_although_the_store_has_the_result(built: House) -> None:
    assert built.doit("forget", "total").code == 0

    assert built.why("total") == ["total: would be built", "  - forgotten by doit forget",
                                  "  then, if its content changes: card"]  # fmt: skip
    assert built.doit().ran == ["total"]
    assert built.doit().ran == []


def test_always_execute_builds_again(built: House) -> None:
    assert built.doit("run", "--always-execute", "--single", "total").ran == ["total"]


def test_clean_takes_artifacts_away_and_the_store_brings_them_back(built: House) -> None:
    before = built.digests()

    assert "card - removing artifacts/tiny/card" in built.doit("clean", "--dry-run").out
    assert built.digests() == before
    assert built.doit("clean").code == 0
    assert built.digests() == {}
    assert (built.doit().ran, built.digests()) == ([], before)


def test_clean_with_forget_builds_anew(built: House) -> None:
    built.doit("clean", "--forget", "card")

    assert built.doit().ran == ["card"]


def test_ignore_is_remembered_until_forget(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")
    built.doit("ignore", "doubled")

    assert built.doit("doubled").out.splitlines()[1] == "!! doubled"
    built.doit("forget", "doubled")
    assert built.doit("doubled").ran == ["doubled"]


def test_graph_draws_what_is_up_to_date(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")

    drawn = built.doit("graph").out

    assert '  "numbers" [style=filled, fillcolor="#dff0d8"];' in drawn
    assert '  "total" [style=dashed];' in drawn
    assert '  "doubled" -> "total";' in drawn


def test_graph_of_a_stage_draws_it_and_what_it_stands_on(built: House) -> None:
    drawn = built.doit("graph", "total")

    assert (drawn.code, drawn.out.splitlines()) == (
        0,
        [
            "digraph so8t {",
            "  rankdir=LR; node [shape=box, fontname=Helvetica];",
            '  "numbers" [style=filled, fillcolor="#dff0d8"];',
            '  "doubled" [style=filled, fillcolor="#dff0d8"];',
            '  "total" [style=filled, fillcolor="#dff0d8"];',
            '  "numbers" -> "doubled";',
            '  "doubled" -> "total";',
            "}",
        ],
    )
    assert built.doit("graph", "totl").code == 3


def test_two_processes_build_independent_stages_at_the_same_time(house: House) -> None:
    house.hold("doubled")
    house.hold("parity")
    doing = house.start("-n", "2")
    house.wait_for("doubled")
    house.wait_for("parity")
    house.release("parity")
    house.release("doubled")
    doing.communicate(timeout=60)

    assert doing.returncode == 0
    assert house.status() == dict.fromkeys(NUMBERS, "U")


def test_two_threads_build_too(house: House) -> None:
    assert house.doit("-n", "2", "-P", "thread").code == 0
    assert house.status() == dict.fromkeys(NUMBERS, "U")


def test_a_failed_stage_is_told_without_a_traceback_and_the_rest_goes_on(house: House) -> None:
    house.edit(
        "stages/doubled.py", "values = [", 'raise DoubledError("2 番目の数がない: numbers.txt:2")\n    values = ['
    )
    house.edit("stages/doubled.py", "from so8t.engine.stage import Stage", "from so8t.engine.stage import Stage\n"
               "from so8t.errors import StageError as DoubledError")  # fmt: skip

    run = house.doit("--continue")

    assert run.code == 2  # doit's code when dependents could not run
    assert "TaskFailed - taskid:doubled\n2 番目の数がない: numbers.txt:2\n" in run.out + run.err
    assert "Traceback" not in run.out + run.err
    assert "parity" in run.ran
    assert house.status() == {"numbers": "U", "doubled": "R", "total": "R", "card": "R", "parity": "U"}


def test_a_failed_rebuild_leaves_the_artifact_before_it(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    built.edit("stages/arithmetic.py", "return number", "raise ValueError(number)\n    return number")

    run = built.doit()

    assert run.code == 2
    assert "a bug in so8t or in the stage; please report it" in run.out + run.err
    assert "ValueError: 1" in run.out + run.err
    assert built.read("artifacts/tiny/doubled/doubled.txt") == "2\n4\n6\n"
    built.edit("stages/arithmetic.py", "raise ValueError(number)\n    return number", "return number")
    built.edit("specs/tiny/doubled.yaml", "times: 3", "times: 2")
    assert built.doit().ran == []


def test_accept_declares_a_result_current_under_new_code_and_says_so_in_the_manifest(built: House) -> None:
    built.edit("stages/arithmetic.py", "number * times", "times * number")

    run = built.doit("accept", "doubled")

    assert run.out == "doubled: accepted, overruling code stages.arithmetic: changed\n"
    manifest = json.loads(built.read("artifacts/tiny/doubled/manifest.json"))
    assert manifest["accepted"] == ["code stages.arithmetic: changed"]
    assert (built.doit().ran, built.doit("verify").code) == ([], 0)


def test_accept_refuses_what_changes_the_result(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")

    run = built.doit("accept", "doubled")

    assert (run.code, run.err) == (
        3,
        "ERROR: doubled cannot be accepted: spec times: 2 -> 4; only code and packages can be overruled\n",
    )


def test_gc_keeps_what_is_in_use_and_empties_the_rest(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    built.doit()

    swept = built.doit("gc", "--budget", "0")
    built.edit("specs/tiny/doubled.yaml", "times: 3", "times: 2")

    assert swept.out.startswith("removed: 3 results, 20 bytes, 0 unfinished builds; kept: 5 results, ")
    assert built.doit().ran == ["doubled", "total", "card"]
    assert built.doit("gc", "--budget", "much").err == (
        "ERROR: gc: --budget: must be a size such as 20GiB, or a number of bytes (got 'much')\n"
    )


def test_spec_errors_of_all_files_come_at_once_before_anything_runs(house: House) -> None:
    house.edit("specs/tiny/doubled.yaml", "times: 2", "tims: 2")
    house.edit("specs/tiny/numbers.yaml", "offset: 0", "offset: ten")

    run = house.doit()

    assert (run.code, run.ran) == (3, [])
    assert run.err == (
        "ERROR: specs/tiny/doubled.yaml:1:1: tims: unknown key, did you mean times?\n"
        "    tims: 2\n"
        "    ^\n"
        "specs/tiny/numbers.yaml:3:9: offset: must be an integer (got 'ten')\n"
        "    offset: ten\n"
        "            ^\n"
    )


def test_an_unknown_profile_is_named_with_the_ones_there_are(house: House) -> None:
    run = house.doit("profile=tinny")

    assert run.code == 3
    assert run.err == "ERROR: specs/ has no profile 'tinny' (there are: tiny), did you mean tiny?\n"


def test_a_source_that_is_not_there_is_named(house: House) -> None:
    house.edit("specs/tiny/numbers.yaml", "path: numbers.txt", "path: data/*.txt")

    run = house.doit()

    assert run.code == 1
    assert "specs/tiny/numbers.yaml:2:7: path: source pattern 'data/*.txt' matches no file: looked in " in run.out
    assert "path: data/*.txt\n          ^\nnothing was built\n" in run.out


def test_profiles_share_the_store_and_stay_apart(built: House) -> None:
    built.write("specs/other/profile.yaml", "extends: tiny\n")
    built.write("specs/other/doubled.yaml", "times: 5\n")

    run = built.doit("profile=other")

    assert run.ran == ["doubled", "total", "card"]
    assert built.digests("other")["numbers/numbers.txt"] == built.digests("tiny")["numbers/numbers.txt"]
    assert built.doit().ran == []


def test_loading_the_graph_imports_nothing_heavy(house: House, root) -> None:
    """Nor does an unchanged plan import what reads specs."""
    heavy = {"torch", "transformers", "datasets", "sklearn", "matplotlib", "numpy", "scipy", "rensa", "uvicorn"}
    code = (
        "import sys, doit.doit_cmd as d; code = d.DoitMain().run(['list', '--status']); "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    artifacts = house.path / "elsewhere"  # the real graph, with nothing built
    artifacts.mkdir()
    for name in ("dodo.py", "stages", "specs"):
        (artifacts / name).symlink_to(root / name)

    for light in (heavy, heavy | {"pydantic", "yaml", "blake3", "filelock", "orjson", "fsspec"}):
        ran = subprocess.run(
            [sys.executable, "-c", code], cwd=artifacts, capture_output=True, text=True, env={**os.environ}, check=True
        )
        assert light & set(ran.stderr.split()) == set()
        assert "R cleaned " in ran.stdout
