"""A checkpoint of the Hugging Face hub, pinned to a commit: into the hub's own cache, which resumes by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo

from so8t.engine import spelled
from so8t.errors import MissingExtra, StageError
from so8t.models import naming
from so8t.models.folder import wanted
from so8t.spec.fields import SpecModel, execution


def _repo(value: Any) -> Any:
    if not isinstance(value, str) or (re.fullmatch(naming.REPOSITORY, value) and not naming.is_path(value)):
        return value
    if repo := naming.repository(value):
        raise ValueError(f"must be owner/name: write {repo}")
    if naming.is_path(value):
        raise ValueError(f"must be owner/name, and {value} is a path: write {{kind: local, path: {value}}}")
    raise ValueError(f"must be owner/name, as on the hub (got {value!r})")


def _commit(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str) or re.fullmatch(naming.COMMIT, value):
        return value
    if re.fullmatch(naming.COMMIT, value.lower()):
        raise ValueError(f"must be written in small letters: {value.lower()}")
    repo = info.data.get("repo", "owner/name")
    if re.fullmatch("[0-9a-f]{7,39}", value):
        raise ValueError(
            f"must be a commit, all 40 digits (got {len(value)}): {naming.commit_of(repo, '')} prints those of "
            "branches and tags, and the commit's own page on the hub has it whole"
        )
    raise ValueError(
        f"must be a commit, all 40 digits, and {value} is a branch or a tag, which can move: "
        f"{naming.commit_of(repo, value)} prints the commit"
    )


class Hub(SpecModel):
    """A repository of the hub."""

    kind: Literal["hub"]
    """The source's kind."""
    repo: Annotated[str, BeforeValidator(_repo)] = Field(pattern=f"^{naming.REPOSITORY}$")
    """The repository, as owner/name."""
    revision: Annotated[str, BeforeValidator(_commit)] = Field(pattern=f"^{naming.COMMIT}$")
    """The commit, all 40 digits: a branch or a tag may move."""
    remote_code: bool = False
    """Whether Python code from the repository may run, here and in later stages."""
    cache_dir: str | None = execution(None)
    """Where downloads are kept, on any drive, with ~ or environment variables; by default in the project's own state
    folder."""
    endpoint: str | None = execution(None)
    """Another address of the hub, such as a mirror."""
    workers: int = execution(4, ge=1, le=64)
    """How many files are downloaded at once."""


def fetch(source: Hub, scratch: Path) -> dict[str, Path]:
    """File name -> where the cache holds it."""
    if Path(source.repo).is_dir():
        raise StageError(
            f"base_model: {source.repo} is a folder here, and source.kind is hub: write "
            f"{{kind: local, path: {source.repo}}}, or move the folder away"
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra("huggingface_hub", "train", "base_model.source of kind hub") from None
    try:
        folder = snapshot_download(
            source.repo,
            revision=source.revision,
            cache_dir=spelled.expand(source.cache_dir) if source.cache_dir else str(scratch / "hub"),
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
