"""Which personal data a profile looks for, for the stages behind `cleaned` that look for the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from so8t.corpus.pii import Table

FIELDS = ("cleaned.pii.kinds", "cleaned.pii.public_phones", "cleaned.pii.internal")  # what such a stage reads


def table(reads: Mapping[str, Any]) -> Table:
    from so8t.corpus import pii

    return pii.kinds(*(tuple(reads[each]) for each in FIELDS))
