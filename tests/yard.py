"""The store room without doit, stages or processes: artifacts of a few bytes in a temporary checkout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from so8t.engine import bring
from so8t.engine.bring import Target
from so8t.store import artifact
from so8t.store.artifact import Artifact
from so8t.store.cache import Store
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST, Layout
from so8t.store.manifest import Manifest
from so8t.store.mirror import Mirror
from so8t.store.publish import publish, seal

BIG = 0  # copy_below under which every file with a byte in it is too big to be copied


def fingerprint(version: str, stage: str = "thing") -> Fingerprint:
    return Fingerprint(stage, {"version": version}, {"raw/raw.jsonl": "ab" * 32}, {"stages.thing": "cd" * 16}, {})


def files_of(version: str) -> dict[str, str]:
    return {"model/a.bin": f"A of {version}", "model/b.bin": "the same in all", "text.txt": f"本文 {version}\n"}


class Yard:
    def __init__(
        self, folder: Path, copy_below: int = 1 << 20, mirror: str | Mirror | None = None, profile: str = "tiny"
    ) -> None:
        self.layout = Layout(folder, folder / "artifacts", profile)
        self.store = Store(self.layout.artifacts, copy_below, Mirror(mirror) if isinstance(mirror, str) else mirror)

    def folder(self, stage: str = "thing") -> Path:
        return self.layout.folder(stage)

    def out(self, version: str, stage: str = "thing") -> Path:
        return self.layout.work(stage, fingerprint(version, stage).key) / "out"

    def write(self, version: str, files: Mapping[str, str] | None = None, stage: str = "thing") -> Path:
        out = self.out(version, stage)
        for name, text in (files_of(version) if files is None else files).items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(text.encode())
        return out

    def seal(self, version: str, files: Mapping[str, str] | None = None, stage: str = "thing") -> Manifest:
        out = self.write(version, files, stage)
        return seal(out, fingerprint(version, stage), ("model/", "text.txt") if files is None else tuple(files))

    def build(
        self, version: str, files: Mapping[str, str] | None = None, stage: str = "thing", precious: bool = False
    ) -> Manifest:
        manifest = self.seal(version, files, stage)
        publish(self.layout, self.out(version, stage), manifest, self.store, precious)
        shutil.rmtree(self.out(version, stage).parent)
        return manifest

    def ensure(self, version: str, stage: str = "thing") -> str:
        """The engine's own way under a stage's lock, and how it came by the artifact."""

        def noted(*args: Any) -> Manifest:
            """What was sealed before a kill is not built again: the mark tells tests that it was."""
            manifest = seal(*args)
            (self.layout.project / f"sealed-{version}").touch()
            return manifest

        target = Target(self.layout, self.store, fingerprint(version, stage), ("model/", "text.txt"))
        with patch.object(bring, "seal", noted):
            return bring.bring(target, lambda out: self.write(version, stage=stage) and None)

    def inspect(self, stage: str = "thing", thorough: bool = False) -> Artifact:
        return artifact.inspect(self.layout, stage, thorough)

    def texts(self, stage: str = "thing") -> dict[str, str]:
        """Every file of an artifact but its manifest."""
        folder = self.folder(stage)
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        return {name: (folder / name).read_bytes().decode() for name in names if name != MANIFEST}

    def blobs(self) -> list[str]:
        return sorted(path.read_bytes().decode() for path in self.store.root.glob("blobs/*/*"))

    def seen(self, stage: str = "thing") -> dict[str, object]:
        whole: dict[str, object] = json.loads(self.layout.seen(stage).read_bytes())
        return whole
