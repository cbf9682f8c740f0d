"""`doit init`, then `doit`: four files of data on three bases to the end, and every other format to an adapter."""

import gzip
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from so8t.commands.init import run
from so8t.formats import records, thinking
from so8t.gguf import layout, writer
from so8t.gguf.metadata import Provenance
from so8t.models import tiny
from so8t.models.tiny import Tiny
from tests.drafts.test_profile import DATA, PAIRS
from tests.house import DOIT
from tests.models.conftest import PICO, conversation, declaration

pytestmark = pytest.mark.soak

SMALL = {"kind": "tiny", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 64, "layers": 3, "heads": 2}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A checkout with data and bases; its tiny base is smaller than usual, and nothing else is."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("stages", "specs"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "dodo.py", folder)
    for name, write in DATA.items():
        write(folder / name)
    spec = {"source": {**SMALL, "kv_heads": 2, "steps": 60, "batch": 8, "sequence": 128, "threads": 2}}
    (folder / "specs/tiny/base_model.yaml").write_text(yaml.safe_dump(spec), "utf-8")
    pico(folder)
    return folder


def pico(folder: Path) -> None:
    """A small Phi-3 with its tokenizer and template, as a folder and as a GGUF."""
    train = folder / "train.jsonl"
    records.write(train, (conversation("", "ALLOW", ask, "手続きの確認", say) for ask, say in PAIRS))
    shape = {**PICO, "vocab_size": 600, "hidden_size": 64, "intermediate_size": 64, "context": 1024}
    model = tiny.build(Tiny(**shape), train, declaration(), folder / "work")
    shutil.copytree(model, folder / "models" / "pico")
    source = layout.open_source(model)
    vocabulary = layout.read_vocabulary(source, thinking.TAGS.tokens)
    writer.write(source, folder / "models" / "pico-f16.gguf", "f16", Provenance("pico"), vocabulary)


def sharegpt(path: Path) -> None:
    rows = [{"conversations": [{"from": "human", "value": ask}, {"from": "gpt", "value": say}]} for ask, say in PAIRS]
    path.write_text(json.dumps(rows, ensure_ascii=False), "utf-8")


def completions(path: Path) -> None:
    lines = [json.dumps({"prompt": ask, "completion": say}, ensure_ascii=False) for ask, say in PAIRS]
    path.write_text("\n".join(lines), "utf-8")


def preferences(path: Path) -> None:
    rows = [{"prompt": ask, "chosen": say, "rejected": "知りません。"} for ask, say in PAIRS]
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def tabs(path: Path) -> None:
    lines = ["question\tanswer", *("\t".join(pair) for pair in PAIRS)]
    path.write_bytes("\r\n".join(lines).encode("utf-16"))


def columns(path: Path) -> None:
    pq.write_table(pa.table({"instruction": [ask for ask, _ in PAIRS], "output": [say for _, say in PAIRS]}), path)


MORE: dict[str, Callable[[Path], None]] = {
    "sharegpt.json": sharegpt,
    "completions.jsonl": completions,
    "pairs.jsonl.gz": preferences,
    "tabs.tsv": tabs,
    "rows.parquet": columns,
}


@pytest.mark.parametrize("file", MORE)
def test_three_hundred_records_of_every_other_format_train_an_adapter(project: Path, file: str) -> None:
    MORE[file](project / file)
    name = f"more-{list(MORE).index(file)}"
    run(project, project / file, "models/pico", name)

    ran = doit(project, f"profile={name}", "adapter")

    assert ran.returncode == 0, ran.stderr[-3000:]
    rows = [json.loads(line) for line in (project / f"artifacts/{name}/raw/raw.jsonl").read_bytes().splitlines()]
    assert (len(rows), rows[0]["text"], rows[0]["answer"]) == (300, *PAIRS[0])
    assert (project / f"artifacts/{name}/adapter/adapter_model.safetensors").is_file()


def doit(project: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DOIT, *args], cwd=project, capture_output=True, encoding="utf-8", timeout=1200, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize("base", [None, "models/pico", "models/pico-f16.gguf"], ids=["tiny", "folder", "gguf"])
@pytest.mark.parametrize("file", DATA)
def test_a_drafted_profile_builds(project: Path, file: str, base: str | None) -> None:
    name = f"{list(DATA).index(file)}-{(base or 'tiny').rpartition('.')[2].rpartition('/')[2]}"
    run(project, project / file, base, name)

    ran = doit(project, f"profile={name}")

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert len(list((project / f"artifacts/{name}/gguf/models").glob("*.gguf"))) == 3
