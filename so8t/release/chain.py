"""From a few artifacts up to the sources: the manifests that a release tells of belong together.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from so8t.errors import UserError
from so8t.store.manifest import Manifest


def above(wanted: Iterable[str], manifests: Mapping[str, Manifest]) -> dict[str, Manifest]:
    """These stages and every one that they were made from, each below those that it was made from."""
    found: dict[str, Manifest] = {}

    def visit(stage: str) -> None:
        if stage not in found:
            for up in upstream(manifests[stage], manifests):
                visit(up)
            found[stage] = manifests[stage]

    for stage in wanted:
        if stage not in manifests:
            raise UserError(f"release: {stage} is not built; run doit {stage}")
        visit(stage)
    return found


def upstream(manifest: Manifest, manifests: Mapping[str, Manifest]) -> list[str]:
    """The stages that it took something of; what is of none is a source."""
    taken = dict.fromkeys(name.partition("/")[0] for name in manifest.fingerprint.inputs)
    return [stage for stage in taken if stage in manifests]


def check(manifests: Mapping[str, Manifest]) -> None:
    """Every stage was made from exactly the files that the stages above it have."""
    broken = [f"{stage} was not made from the {name} that is there" for stage, name in _strangers(manifests)]
    if broken:
        more = f" (and {len(broken) - 1} more)" if len(broken) > 1 else ""
        raise UserError(f"release: {broken[0]}{more}; run doit, so that all belongs together")


def _strangers(manifests: Mapping[str, Manifest]) -> Iterator[tuple[str, str]]:
    for stage, manifest in manifests.items():
        for name, digest in manifest.fingerprint.inputs.items():
            up, _, path = name.partition("/")
            if up in manifests and manifests[up].digests.get(path) != digest:
                yield stage, name
