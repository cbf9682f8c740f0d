"""`doit init`, then `doit`: four files of data on three bases, to the end."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from so8t.commands.init import run
from so8t.formats import thinking
from so8t.gguf import layout, writer
from so8t.gguf.metadata import Provenance
from so8t.models import tiny
from so8t.models.tiny import Tiny
from tests.drafts.test_profile import DATA, PAIRS
from tests.house import DOIT
from tests.models.conftest import PICO, SYSTEM, declaration

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
    asked = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": ""}]
    train.write_text("".join(_line(asked, ask, say) for ask, say in PAIRS), "utf-8")
    shape = {**PICO, "vocab_size": 600, "hidden_size": 64, "intermediate_size": 64, "context": 1024}
    model = tiny.build(Tiny(**shape), train, declaration(), folder / "work")
    shutil.copytree(model, folder / "models" / "pico")
    source = layout.open_source(model)
    vocabulary = layout.read_vocabulary(source, thinking.TAGS.tokens)
    writer.write(source, folder / "models" / "pico-f16.gguf", "f16", Provenance("pico"), vocabulary)


def _line(asked: list[dict[str, str]], ask: str, say: str) -> str:
    import json

    from so8t.formats import chat

    messages = [asked[0], {**asked[1], "content": ask}, {"role": "assistant", "content": say}]
    return json.dumps({"messages": messages, "text": chat.render(messages, chat.PHI3)}, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("base", [None, "models/pico", "models/pico-f16.gguf"], ids=["tiny", "folder", "gguf"])
@pytest.mark.parametrize("file", DATA)
def test_a_drafted_profile_builds(project: Path, file: str, base: str | None) -> None:
    name = f"{list(DATA).index(file)}-{(base or 'tiny').rpartition('.')[2].rpartition('/')[2]}"
    run(project, project / file, base, name)

    ran = subprocess.run(
        [*DOIT, f"profile={name}"], cwd=project, capture_output=True, encoding="utf-8", timeout=1200,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert len(list((project / f"artifacts/{name}/gguf/models").iterdir())) == 3
