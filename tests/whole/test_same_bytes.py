"""Equal inputs give equal artifacts and manifests, wherever and however they are built; and code edits in the real
graph rebuild exactly the stages that import what changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from so8t.engine import reading
from stages import STAGES
from tests.house import DOIT
from tests.whole.pico import DATA, SPECS, Pico
from tests.whole.test_crashes import digests

PLACE = "a-place-that-no-file-names"


@dataclass(frozen=True)
class Built:
    """What stages left that were built each in a process of its own, and the project's modules that these held then.

    "all" are those that come with the table of contents: it imports every stage module, and what those import.
    """

    left: dict[str, bytes]
    imported: dict[str, set[str]]


def project(folder: Path, root: Path, workers: int | None = None) -> Path:
    folder.mkdir(parents=True)
    Pico(folder, root).write({"cleaned": {**SPECS["cleaned"], "workers": workers}})
    return folder


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Built:
    folder = project(tmp_path_factory.mktemp("here") / PLACE, root)
    env = {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    ensure = "from pathlib import Path; from so8t.engine.ensure import ensure; ensure(Path.cwd(), 'tiny', '{}')"
    imported = {stage: modules_after(ensure.format(stage), folder, env) for stage in DATA}
    return Built(digests(folder), {**imported, "all": modules_after("import stages", root, env)})


def modules_after(code: str, folder: Path, env: dict[str, str]) -> set[str]:
    said = "import sys; print(*[name for name in sys.modules if name.split('.')[0] in ('so8t', 'stages')])"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{said}"],
        cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_two_folders_time_zones_locales_hash_seeds_and_numbers_of_workers_give_the_same_bytes(
    here: Built, tmp_path: Path, root: Path
) -> None:
    """There by doit, which gives its builders a seed of its own; here without."""
    folder = project(tmp_path / "深い" / "所 two", root, workers=2)
    other = {"TZ": "America/Lima", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "2"}
    subprocess.run(
        [*DOIT, "thinking_sft"], cwd=folder, env={**os.environ, **other}, capture_output=True, check=True, timeout=120
    )

    assert {name for name in here.left if name.endswith("manifest.json")} == {
        f"{stage}/manifest.json" for stage in DATA
    }
    assert here.left == digests(folder)


@pytest.mark.slow
def test_no_place_or_time_enters_a_manifest(here: Built) -> None:
    for name, data in here.left.items():
        assert PLACE.encode() not in data, name
        assert not (name.endswith("manifest.json") and re.search(rb"20\d\d-\d\d-\d\d", data)), name


@pytest.mark.slow
@pytest.mark.soak
def test_an_interpreter_without_a_fixed_hash_seed_gives_the_same_bytes(tmp_path: Path, root: Path) -> None:
    """Without the engine, which fixes the seed for its builders."""
    from tests.whole import direct

    outputs = []
    for seed in ("0", "1"):
        folder = tmp_path / seed
        folder.mkdir()
        Pico(folder, root)
        subprocess.run(
            [*DOIT[:1], "-m", direct.__name__, str(folder)],
            cwd=root, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
        outputs.append(digests(folder))

    assert outputs[0] == outputs[1]


LETTERS = {
    "crawl": "w",
    "raw": "r",
    "cleaned": "c",
    "labelled": "l",
    "thinking_sft": "t",
    "base_model": "b",
    "chat_format": "h",
    "so8t_model": "8",
    "adapter": "a",
    "preference": "d",
    "curves": "v",
    "adapter_scores": "s",
    "merged_model": "m",
    "baked_model": "k",
    "gguf": "g",
    "modelfile": "f",
    "evaluation": "e",
    "report": "p",
    "ollama": "o",
}
# module of the project, stages that are built again
CODE = [
    ("so8t/corpus/pii.py", "ctdsep"),
    ("so8t/corpus/rules.py", "lse"),
    ("so8t/formats/thinking.py", "tbhadsmkgfepo"),
    ("so8t/formats/layouts.py", "tbhadsmkgfepo"),
    ("so8t/formats/records.py", "rcltbhadsmkgfepo"),
    ("so8t/corpus/neardup.py", "ctp"),
    ("so8t/corpus/sketches.py", "ctp"),
    ("so8t/corpus/duplicates.py", "c"),
    ("so8t/corpus/workers.py", "c"),
    ("so8t/corpus/jsonl.py", "r"),
    ("so8t/store/publish.py", ""),
    ("so8t/engine/status.py", ""),
    ("so8t/spec/load.py", ""),
    ("so8t/commands/why.py", ""),
    ("so8t/errors.py", ""),
    ("so8t/models/hub.py", "b"),
    ("so8t/web/collector.py", "w"),
    ("so8t/corpus/webpages.py", "r"),
    ("so8t/gate/rotation.py", "h8adsmk"),
    ("so8t/train/trainer.py", "ad"),
    ("so8t/models/loading.py", "8ads"),
    ("so8t/watch/progress.py", ""),
    ("so8t/plots/curves.py", "v"),
    ("so8t/evals/scores.py", "se"),
    ("so8t/weights/merge.py", "mk"),
    ("so8t/weights/bake.py", "k"),
    ("so8t/gguf/writer.py", "hge"),
    ("so8t/formats/grammar.py", "ge"),
    ("so8t/gguf/llamacpp.py", "bhgfe"),
    ("so8t/formats/goeval.py", "hgfeo"),
    ("so8t/ollama/modelfile.py", "fo"),
    ("so8t/ollama/client.py", "o"),
    ("so8t/plots/verdicts.py", "e"),
    ("so8t/report/flow.py", "p"),
    ("so8t/report/__init__.py", "p"),
    ("so8t/serve/policy.py", ""),
    ("stages/labelled.py", "l"),
    ("stages/__init__.py", ""),
]


@pytest.mark.parametrize(("name", "expected"), CODE)
def test_a_code_edit_touches_exactly_the_stages_that_import_it(root: Path, name: str, expected: str) -> None:
    """By the static closure that enters the keys; `test_truth_table` builds such edits for real."""

    module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    touched = "".join(
        LETTERS[stage] for stage, row in STAGES.items() if module in reading.code_of(root, row.build.__module__)
    )

    assert touched == expected


@pytest.mark.slow
@pytest.mark.parametrize("stage", DATA)
def test_a_build_imports_no_project_module_that_its_key_does_not_know(here: Built, root: Path, stage: str) -> None:
    """The static closure against what Python really imported."""
    from so8t.store.code import CONTENTS, MACHINERY

    known = set(reading.code_of(root, f"stages.{stage}"))
    engine = {"so8t", CONTENTS, "so8t.serve", "so8t.serve.settings"}  # a profile is read with the server's settings
    others = {f"stages.{name}" for name in STAGES}
    extra = {name for name in here.imported[stage] - known - engine - others if not name.startswith(MACHINERY)}
    assert extra - here.imported["all"] == set()
