"""Whether a stage is current, and every reason why not.  Reads; never writes an artifact."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from so8t.engine import contents, placed, sourcefiles
from so8t.engine.plan import Plan, Row
from so8t.engine.sourcefiles import Named, NoFile
from so8t.engine.why import Reason, compare
from so8t.errors import StageError
from so8t.store import artifact, missed
from so8t.store.artifact import Artifact
from so8t.store.digest import DigestMemo, Signature, signature
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST
from so8t.store.manifest import Manifest
from so8t.store.missed import Kept


@dataclass(frozen=True)
class Status:
    row: Row
    artifact: Artifact
    wanted: Fingerprint | None  # None while an input is missing
    reasons: tuple[Reason, ...]

    @property
    def current(self) -> bool:
        return not self.reasons


class Session:
    """The state of a graph on the disk, read once and read again where it changed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._artifacts: dict[str, tuple[Signature | None, Artifact]] = {}
        self._assumed: dict[str, Artifact] = {}
        self._current: set[str] = set()
        self._stale: dict[str, tuple[str, Signature | None]] = {}  # stage -> the stage at fault, its manifest

    @cached_property
    def digests(self) -> DigestMemo:
        return DigestMemo(self.plan.layout.shared / "digests.json")

    def artifact(self, name: str) -> Artifact:
        if name in self._assumed:
            return self._assumed[name]
        sig = signature(self.plan.layout.manifest(name))
        known = self._artifacts.get(name)
        if known is None or known[0] != sig:
            known = (sig, artifact.inspect(self.plan.layout, name))
            self._artifacts[name] = known
        return known[1]

    def assume(self, name: str, manifest: Manifest) -> None:
        """From here on, look at the graph as if this were the stage's artifact: for a plan, never for a build."""
        self._assumed[name] = Artifact(manifest, sealed=hashlib.sha256(manifest.encode()).hexdigest())

    def status(self, name: str) -> Status:
        """The stage by itself: its own spec, code and disk against the inputs that are there now."""
        row = self.plan.rows[name]
        have = self.artifact(name)
        wanted, missing = self._wanted(row)
        reasons = [*missing, *(Reason("disk", sentence) for sentence in have.damage)]
        if have.manifest is None and not have.damage:
            reasons.append(Reason("new", name))
        elif have.manifest is not None and wanted is not None:
            reasons += compare(have.manifest.fingerprint, wanted)
        if self.plan.layout.forgotten(name).exists():
            reasons.append(Reason("forgotten", name))
        return Status(row, have, wanted, tuple(reasons))

    def status_outside(self, name: str) -> Status:
        """As `status`; where it finds nothing, what the stage made out of the project is looked at, too."""
        own = self.status(name)
        return replace(own, reasons=self._outside(own)) if own.row.outside and own.current else own

    def deep_status(self, name: str) -> Status:
        """The stage with everything it stands on: not current if anything upstream is not."""
        own = self.status_outside(name)
        named = {reason.name for reason in own.reasons}
        stale = [up for up in own.row.upstream if up not in named and not self.is_current(up)]
        return replace(own, reasons=(*own.reasons, *(Reason("upstream", up) for up in stale)))

    def is_current(self, name: str) -> bool:
        """`deep_status` as yes or no, remembered, so that a long chain is walked once."""
        if name in self._current:
            return True
        if self._is_known_stale(name):
            return False
        stale = next((up for up in self.plan.rows[name].upstream if not self.is_current(up)), None)
        if stale is not None:
            self._stale[name] = self._stale[stale]
            return False
        if not self._is_current_itself(name):
            self._stale[name] = (name, signature(self.plan.layout.manifest(name)))
            return False
        self._current.add(name)
        return True

    def missed(self, name: str) -> Kept | None:
        """What a build of the stage would give again with all above it current: it missed a bound."""
        kept = missed.read(self.plan.layout, name)
        if kept is None or self.plan.layout.forgotten(name).exists():
            return None
        if not all(self.is_current(up) for up in self.plan.rows[name].upstream):
            return None
        wanted = self.status(name).wanted
        return kept if wanted is not None and wanted.key == kept.manifest.key else None

    def _is_known_stale(self, name: str) -> bool:
        """Stale because of a stage above it, of which nothing has been published since; its own fault is looked at."""
        culprit, sig = self._stale.get(name, (name, None))
        return culprit != name and signature(self.plan.layout.manifest(culprit)) == sig

    def _is_current_itself(self, name: str) -> bool:
        """A stage that was never built needs no digest of its sources to be stale."""
        return self.artifact(name).manifest is not None and self.status_outside(name).current

    def lacking(self, names: Iterable[str]) -> list[str]:
        """What the stages that are not current need and this machine has not: files that a spec names, devices."""
        asking = (name for name in names if self.plan.rows[name].lacks or self.plan.rows[name].sources)
        stale = [name for name in asking if not self.is_current(name)]
        return [each for name in stale for each in (*self._without_files(name), *self._without_means(name))]

    def _without_files(self, name: str) -> Iterator[str]:
        try:
            self.files(self.plan.rows[name])
        except NoFile as error:
            yield placed.without_file(self.plan, name, error)
        except StageError as error:
            yield f"{name}: {error}"

    def _without_means(self, name: str) -> Iterator[str]:
        """A node of the cluster says by itself what it has not."""
        here = self.plan.rows[name].lacks and self.plan.runs_here(name)
        for said in self._asked(name, "lacks") if here else ():
            at_its_place = placed.shown(self.plan, name, said)
            yield at_its_place if at_its_place != said else f"{name}: {said}"

    def _outside(self, status: Status) -> tuple[Reason, ...]:
        name = status.row.name
        try:
            return tuple(
                Reason("outside", each) for each in self._asked(name, "outside", self.plan.layout.folder(name))
            )
        except StageError as error:
            return (Reason("unknown", str(error)),)

    def _asked(self, name: str, what: str, *more: Any) -> list[str]:
        """What a stage's `lacks` or `outside` says of its spec."""
        stage = contents.read(self.plan.layout.project).stages[name]
        asked = getattr(stage, what)
        if asked is None:
            raise AssertionError(f"stages/{name}.py lost its {what} while the plan was read")
        return list(asked(stage.spec.model_validate_json(json.dumps(self.plan.rows[name].values)), *more))

    def _wanted(self, row: Row) -> tuple[Fingerprint | None, list[Reason]]:
        inputs: dict[str, str] = {}
        missing: list[Reason] = []
        for taken in row.takes:
            name, _, part = taken.partition("/")
            upstream = self.artifact(name)
            if upstream.manifest is None or upstream.damage:
                missing.append(Reason("missing" if upstream.manifest is None else "upstream", name))
                continue
            inputs |= {
                f"{name}/{path}": digest
                for path, digest in {MANIFEST: upstream.sealed, **upstream.manifest.digests}.items()
                if path == part or (path != MANIFEST and (not part or path.startswith(part.rstrip("/") + "/")))
            }
        try:
            for name, path in self.files(row):
                inputs[f"./{name}" if name in inputs else name] = self.digests.digest(path)
        except StageError as error:
            missing.append(Reason("disk", str(error)))
        except OSError as error:
            missing.append(Reason("disk", f"{error.filename}: {error.strerror}"))
        self.digests.save()
        wanted = Fingerprint(row.name, row.spec, dict(sorted(inputs.items())), row.code, row.packages)
        return (None if missing else wanted), list(dict.fromkeys(missing))  # two parts of one artifact lack it once

    def sources(self, row: Row) -> dict[str, list[Named]]:
        return sourcefiles.expand(self.plan.layout.project, row.sources, row.hints)

    def files(self, row: Row) -> list[Named]:
        """The files of all its sources."""
        return [file for files in self.sources(row).values() for file in files]
