"""Where things live.  One artifacts root holds the profiles' artifacts and the store that they share.

artifacts/<profile>/<stage>/             the artifact and its manifest.json
artifacts/<profile>/.so8t/work/          private folders of builds under way, named by stage and key
artifacts/<profile>/.so8t/seen/          size, times and inode of published files, to spare re-hashing
artifacts/<profile>/.so8t/missed/        results that missed a bound, by stage: for people, no stage reads them
artifacts/<profile>/.so8t/running/       what runs now and how far it is, by stage: for people
artifacts/<profile>/.so8t/{locks,forgotten,scratch,set-aside}/
artifacts/.so8t/{store,plans,locks}/     shared by profiles
artifacts/.so8t/said/                    what stages printed while they were built, by key
artifacts/.so8t/uploads/                 large files on their way to a mirror
artifacts/.so8t/{digests.json,journal.jsonl}
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Layout:
    project: Path
    artifacts: Path
    profile: str

    @property
    def shared(self) -> Path:
        return self.artifacts / ".so8t"

    @property
    def state(self) -> Path:
        return self.artifacts / self.profile / ".so8t"

    def folder(self, stage: str) -> Path:
        return self.artifacts / self.profile / stage

    def manifest(self, stage: str) -> Path:
        return self.folder(stage) / MANIFEST

    def seen(self, stage: str) -> Path:
        return self.state / "seen" / f"{stage}.json"

    def forgotten(self, stage: str) -> Path:
        return self.state / "forgotten" / stage

    def ignored(self, stage: str) -> Path:
        return self.state / "ignored" / stage

    def work(self, stage: str, key: str) -> Path:
        return self.state / "work" / f"{stage}-{key[:16]}"

    def said(self, key: str) -> Path:
        return self.shared / "said" / f"{key}.log"

    @property
    def uploads(self) -> Path:
        return self.shared / "uploads"

    @property
    def running(self) -> Path:
        return self.state / "running"

    def missed(self, stage: str) -> Path:
        return self.state / "missed" / stage

    def shown(self, path: Path) -> str:
        """How messages and doit call a path: relative to the project where it lies inside."""
        shown = os.path.relpath(path, self.project) if path.is_relative_to(self.project) else str(path)
        return shown.replace(os.sep, "/")
