"""A checkpoint of the Hugging Face hub, pinned to a commit: into the hub's own cache, which resumes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from so8t.errors import MissingExtra, StageError
from so8t.models.folder import wanted
from so8t.spec.fields import SpecModel, execution


class Hub(SpecModel):
    """A repository of the hub."""

    kind: Literal["hub"]
    """The source's kind."""
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    """The repository, as owner/name."""
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """The commit, all 40 digits: a branch or a tag may move."""
    remote_code: bool = False
    """Whether Python code from the repository may run, here and in later stages."""
    cache_dir: str | None = execution(None)
    """Where downloads are kept, on any drive; by default in the project's own state folder."""
    endpoint: str | None = execution(None)
    """Another address of the hub, such as a mirror."""
    workers: int = execution(4, ge=1, le=64)
    """How many files are downloaded at once."""


def fetch(source: Hub, scratch: Path) -> dict[str, Path]:
    """File name -> where the cache holds it."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra("huggingface_hub", "train", "base_model.source of kind hub") from None
    try:
        folder = snapshot_download(
            source.repo,
            revision=source.revision,
            cache_dir=source.cache_dir or str(scratch / "hub"),
            allow_patterns=list(wanted(source.remote_code)),
            ignore_patterns=["*/*"],  # copies in other formats lie in folders of their own
            max_workers=source.workers,
            endpoint=source.endpoint,
        )
    except (OSError, ValueError) as error:  # every error of the hub and of the connection is one of them
        raise StageError(
            f"base_model: {source.repo}@{source.revision[:12]} cannot be downloaded: {_reason(error)}; "
            "connect and run doit again (it goes on where it stopped), set source.cache_dir to a cache that holds it, "
            "or use a local folder (source.kind: local)"
        ) from error
    return {path.name: path for path in sorted(Path(folder).iterdir()) if path.is_file()}


def _reason(error: BaseException) -> str:
    """The first line of the hub's explanation."""
    return next((line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()), type(error).__name__)
