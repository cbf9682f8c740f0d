"""NOTICE of a release: whose work is in it, and under which terms.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from so8t.release.told import Told
from so8t.report import sources


def render(told: Told) -> str:
    return "\n".join(_lines(told))


def _lines(told: Told) -> Iterator[str]:
    product = told.product
    yield product.name
    if told.publisher:
        yield f"Published by {told.publisher}."
    yield f"Licence of this model: {product.license}; its text is in LICENSE."
    yield ""
    base = product.base
    if base.name or base.repo:
        yield f"Tuned from {base.repo or base.name}{f' by {base.organization}' if base.organization else ''}."
        yield from [base.url] if base.url else []
    elif told.facts.find("base_model/base.json", "source") == "tiny":
        yield "The base model was made for this one, from the same data."
    else:
        yield "Tuned from a base model that its maker's files name, where they are in base/."
    if theirs := [file.path for file in told.files if file.path.startswith("base/")]:
        yield f"Its own terms: {', '.join(theirs)}."
    yield ""
    yield "Data:"
    for one in sources.origins(told.facts):
        yield f"- {one.name}: {' '.join(one.terms.split()) or 'terms not told here'}"
    yield ""
    yield "Made with:"
    yield from (f"- {name} {version}" for name, version in packages(told))
    yield ""


def packages(told: Told) -> list[tuple[str, str]]:
    """Of all stages, each once."""
    found = {
        (name, version) for stage in told.facts.stages if stage.made for name, version in stage.made.packages.items()
    }
    return sorted(found)
