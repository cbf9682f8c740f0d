"""The whole graph on the pico corpus: specs so small that a stage takes little longer than its imports."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.store import artifact
from so8t.store.layout import Layout
from stages import STAGES
from tests import warm
from tests.house import DOIT
from tests.whole.pico import Pico

FLOW = [name for name, stage in STAGES.items() if not stage.on_request and not stage.asked]

# Every bound is the usual one: parity holds for a model that learned nothing, too. Such a model breaks the thinking
# format, in PyTorch as in llama.cpp, so that evaluation compares two accuracies of nought.
BASE = {"kind": "tiny", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 64, "layers": 3, "heads": 2}
COMPARED = {"conversations": 2, "tokens": 32}
MODELS: dict[str, Any] = {
    "base_model": {"source": {**BASE, "kv_heads": 2, "steps": 8, "batch": 4, "sequence": 64, "threads": 1}},
    "chat_format": {"strings": 80},
    "so8t_model": {"threads": 1},
    "adapter": {
        "quantise": "none",
        "precision": "float32",
        "lora": {"r": 4, "alpha": 8},
        "train": {"steps": 12, "batch": 2, "micro_batch": 2, "sequence": 512, "attention": "eager", "threads": 1},
        "validation": {"every": 6, "conversations": 2},
        "checkpoints": {"steps": 2},
        "monitor": {"every": 2},
    },
    "curves": {"width": 6, "dpi": 40},
    "adapter_scores": {"conversations": 4, "longest": 8, "precision": "float32", "threads": 1},
    "merged_model": {"parity": COMPARED, "threads": 1, "workers": 1},
    "baked_model": {"parity": COMPARED, "threads": 1, "workers": 1},
    "gguf": {"types": ["f16", "q8_0"], "parity": {"conversations": 2, "tokens": 64}, "threads": 1},
    "modelfile": {},
    "evaluation": {"conversations": 4, "longest": 8, "bootstrap": {"draws": 100}, "workers": 1},
}


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def stages(self, how: str) -> list[str]:
        """Those that were built, or restored, in their order."""
        return re.findall(rf"^   (\w+): {how} in ", self.err, re.MULTILINE)


class Chain(Pico):
    """A project of every stage, driven by doit."""

    def __init__(self, folder: Path, root: Path, env: Mapping[str, str]) -> None:
        folder.mkdir()
        super().__init__(folder, root)
        self._env = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **env}
        self.write(MODELS)

    @property
    def env(self) -> dict[str, str]:
        return self._env

    def start(self, *args: str, cold: bool = not warm.IS_POSSIBLE) -> subprocess.Popen[str] | warm.Doit:
        """In a process group of its own; forked, unless it is to be one that Python starts, as a user's."""
        if not cold:
            return warm.Doit(args, self.path, self.env, of="models")
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*DOIT, *args], cwd=self.path, env=self.env, text=True, encoding="utf-8", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe,
        )  # fmt: skip

    def doit(self, *args: str, cold: bool = False) -> Said:
        doing = self.start(*args, cold=True) if cold else self.start(*args)
        out, err = doing.communicate(timeout=300)
        return Said(doing.wait(), out, err)

    def doit_with(self, edits: Mapping[str, Any], *args: str) -> Said:
        """With other values in some specs, which stay."""
        self.write(edits)
        return self.doit(*args)

    def kill_when(self, reached: Callable[[Path], bool], stage: str, later: float = 0.0) -> str:
        """SIGKILL to the whole group, so many seconds after its work folder has come so far; what it had said."""
        doing = self.start(stage)
        deadline = time.monotonic() + 300
        while not any(map(reached, self.work(stage))):
            assert doing.poll() is None, f"{stage} ended before it was killed: {doing.communicate()}"
            assert time.monotonic() < deadline, f"{stage} never came so far"
            time.sleep(0.005)
        time.sleep(later)
        os.killpg(doing.pid, signal.SIGKILL)
        _, err = doing.communicate(timeout=60)
        assert doing.returncode == -signal.SIGKILL
        return err

    def work(self, stage: str) -> list[Path]:
        return list((self.path / "artifacts" / "tiny" / ".so8t" / "work").glob(f"{stage}-*/out"))

    def published(self) -> list[str]:
        """Stages of which something whole is published; a damaged one fails the test."""
        layout = Layout(self.path, self.path / "artifacts", "tiny")
        found = {stage: artifact.inspect(layout, stage, thorough=True) for stage in FLOW}
        assert {stage: have.damage for stage, have in found.items() if have.damage} == {}
        return [stage for stage in FLOW if self.folder(stage).exists()]

    def digests(self, *stages: str) -> dict[str, str]:
        """Of every file of every artifact, manifests included."""
        base = self.path / "artifacts" / "tiny"
        return {
            path.relative_to(base).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for stage in stages or FLOW
            for path in sorted((base / stage).rglob("*"))
            if path.is_file()
        }


def changed(stage: str, field: str, value: Any) -> dict[str, Any]:
    """One stage's spec with another value in it."""
    *groups, name = field.split(".")
    top = here = {**MODELS[stage]}
    for group in groups:
        here[group] = {**here.get(group, {})}
        here = here[group]
    here[name] = value
    return {stage: top}
