"""Which commit a repository of the hub has now: asked once, when a profile is drafted, and pinned there."""

from __future__ import annotations

from so8t.errors import MissingExtra, StageError
from so8t.models import naming


def newest(repo: str) -> str:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    except ImportError:
        raise MissingExtra("huggingface_hub", "train", f"asking the hub for {repo}") from None
    try:
        return str(HfApi().model_info(repo, timeout=20).sha)
    except (OSError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        said = str(error).strip().split("\n")[0]
        raise StageError(
            f"the hub cannot be asked for the commit of {repo} ({said}): write {repo}@<the commit's 40 digits>, "
            f"which {naming.commit_of(repo, 'main')} prints"
        ) from error
