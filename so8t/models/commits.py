"""Which commit a repository of the hub has now: asked once, when a profile is drafted, and pinned there."""

from __future__ import annotations

from so8t.errors import MissingExtra, StageError
from so8t.models import naming


def newest(repo: str, endpoint: str | None = None) -> str:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingExtra("huggingface_hub", "train", f"asking the hub for {repo}") from None
    try:
        return str(HfApi(endpoint=endpoint).model_info(repo, timeout=20).sha)
    except Exception as error:  # errors of the connection are those of the HTTP library that the hub's client has today
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StageError(
            f"the hub cannot be asked for the commit of {repo} ({said}): write {repo}@<the commit's 40 digits>, "
            f"which {naming.commit_of(repo, 'main')} prints"
        ) from error
