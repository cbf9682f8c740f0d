"""How a base is named: a repository of the hub, its commit, or a path; and which of them somebody may have meant."""

from __future__ import annotations

import re

REPOSITORY = r"[\w.-]+/[\w.-]+"
COMMIT = r"[0-9a-f]{40}"
_ADDRESS = re.compile(rf"(?:https?://[^/]+/|hf://)(?:models/)?({REPOSITORY})(?:/.*|@.*)?")
_PATH = re.compile(r"[.~/\\]|\w:|.*[/\\]$|.*\\|.*/.*/|[$%]|python:")


def repository(text: str) -> str:
    """The owner/name of an address of the hub, or nothing."""
    match = _ADDRESS.fullmatch(text)
    return match[1] if match else ""


def is_path(text: str) -> bool:
    """Whether a text can only be a path."""
    return bool(_PATH.match(text))


def as_hub(repo: str) -> str:
    """What to write in a spec."""
    return f"{{kind: hub, repo: {repo}, revision: <the commit's 40 digits>}}"


def commit_of(repo: str, revision: str) -> str:
    """How to find it."""
    return f"`{' '.join(filter(None, ['git ls-remote', f'https://huggingface.co/{repo}', revision]))}`"
