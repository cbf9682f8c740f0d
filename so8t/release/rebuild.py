"""The door to the engine: a stage of a release is built again, and every byte compared."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from blake3 import blake3

from so8t.engine import building
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.engine.why import compare
from so8t.release.folder import MANIFESTS, beside
from so8t.release.verifier import CannotTell
from so8t.store.digest import blake3_of
from so8t.store.layout import MANIFEST
from so8t.store.manifest import BadManifest, Manifest, decode


def rebuild(plan: Plan, release: Path, stage: str) -> tuple[int, list[str]]:
    """The exit code, and what there is to say; CannotTell where this project would make another result."""
    released = _released(release, stage)
    _check_same(plan, released)
    place = plan.layout.state / "again" / stage
    try:
        ended = building.again(plan, stage, place)
        if not ended.how:
            raise CannotTell(ended.message)
        made = decode((place / "out" / MANIFEST).read_bytes())
        there = ", ".join(_in_folder(release, _as_released(place / "out", made)))
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if differing := list(_differing(released, made)):
        return 1, [f"{stage}/{path}: built again, and it has other bytes" for path in differing]
    there = there or "none of them is in the folder"
    return 0, [f"{stage}: built again in {ended.seconds:.1f} s, {len(made.files)} files, every byte the same: {there}"]


def _released(release: Path, stage: str) -> Manifest:
    folder = release / MANIFESTS
    try:
        return decode((folder / f"{stage}.json").read_bytes())
    except FileNotFoundError:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.json")))
        why = f"it has {known}" if known else "it is redacted, and has none"
        raise CannotTell(f"{stage}: the release has no such manifest: {why}") from None
    except BadManifest as error:
        raise CannotTell(f"{stage}: {error}") from error


def _check_same(plan: Plan, released: Manifest) -> None:
    """The project at hand makes this very result: the same values, inputs, code and packages."""
    stage = released.fingerprint.stage
    if stage not in plan.rows:
        raise CannotTell(f"{stage}: this project has no such stage")
    status = Session(plan).status(stage)
    if status.wanted is None:
        lacking = "; ".join(reason.sentence for reason in status.reasons if reason.kind == "missing")
        raise CannotTell(f"{stage}: cannot be built here: {lacking}; run doit {stage} first")
    if apart := compare(released.fingerprint, status.wanted):
        shown = [f"  - {reason.sentence}" for reason in apart[:20]]
        more = [f"  and {len(apart) - 20} more"] if len(apart) > 20 else []
        raise CannotTell(
            "\n".join([f"{stage}: this project would make another one, so it was not built", *shown, *more])
        )


def _differing(released: Manifest, made: Manifest) -> Iterator[str]:
    paths = sorted(released.digests.keys() | made.digests.keys())
    yield from (path for path in paths if released.digests.get(path) != made.digests.get(path))


def _as_released(out: Path, made: Manifest) -> set[str]:
    """The digests of what was built, as a release would hold it."""
    modelfiles = [file.path for file in made.files if Path(file.path).name.startswith("Modelfile.")]
    texts = [beside((out / path).read_text("utf-8")) for path in modelfiles]
    return {*made.digests.values(), *(blake3(text.encode()).hexdigest() for text in texts)}


def _in_folder(release: Path, digests: set[str]) -> Iterator[str]:
    """The files of the release that are among those that were built."""
    for path in sorted(release.rglob("*")):
        if path.is_file() and blake3_of(path) in digests:
            yield path.relative_to(release).as_posix()
