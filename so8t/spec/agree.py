"""What two specs say against each other, shown where one of them says it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from so8t.spec.fields import At
from so8t.spec.mistakes import Mark, Mistake, SpecText
from so8t.spec.profile import Profile, label
from so8t.spec.yamltree import Entry

_PART = re.compile(r"\w+")


def mistakes(profile: Profile, causes: Iterable[At]) -> list[Mistake]:
    return [_mistake(profile, cause) for cause in causes]


def _mistake(profile: Profile, cause: At) -> Mistake:
    """At the first of its keys, such as `evaluation.types`, that the nearest profile writes."""
    written = {key: entry for key in cause.keys if (entry := _entry(profile, key))}
    if not written:
        stage, _, key = cause.keys[0].partition(".")
        name = label(profile.project, profile.chain[0] / f"{stage}.yaml")
        return Mistake(Mark(SpecText(name, ""), 0, 0), f"{key}: {cause}")
    first = min(written, key=lambda key: profile.distance(written[key]))
    others = [f"{key}: {each.key.file.name}:{each.key.line}" for key, each in written.items() if key != first]
    beside = f" ({', '.join(others)})" if others else ""
    return Mistake(written[first].node.mark, f"{first.partition('.')[2]}: {cause}{beside}")


def _entry(profile: Profile, key: str) -> Entry | None:
    """Of a part of a list too, as `raw.sources[1].paths`."""
    stage, *path = _PART.findall(key)
    node, entry = profile.files.get(stage), None
    for part in path:
        if node and isinstance(node.value, tuple) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            entry = Entry(node.mark, node)
        else:
            entry = node.value.get(part) if node and isinstance(node.value, dict) else None
            node = entry.node if entry else None
    return entry
