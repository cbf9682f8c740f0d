"""A second home of the store at any fsspec URL, shared between machines.  Every file is verified on arrival.

An entry is taken if a key that the profile trusts has signed it, so writing to the mirror alone offers nobody anything.
An entry is made once: whoever comes second with other bytes is told so, and what lies there stays.
Whoever can read the mirror reads the entries, and the files unless they are encrypted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from so8t.errors import UserError
from so8t.store import blobs, probe, remote, s3, troubles
from so8t.store.encryption import Encryption
from so8t.store.manifest import BadManifest, File, Manifest, decode
from so8t.store.objects import Found, MirrorError, Objects, put
from so8t.store.trust import Distrust, Trust

_TURNS = 20  # others who write the same entry at the same moment
_TOO_BUSY = "is written by others all the time; try again"


class Differs(MirrorError):
    """The same key was built elsewhere with other bytes."""


@dataclass(frozen=True)
class Mirror:
    url: str
    trust: Trust = field(default_factory=Trust)
    fence: Callable[[], None] = lambda: None  # asked right before an entry is made: may this builder still publish?
    notes: Path | None = None  # where uploads in parts are noted while they run
    encryption: Encryption | None = None

    def upload(self, folder: Path, manifest: Manifest) -> None:
        """Every file that is not there yet, then the signature, the manifest last."""
        if not self.trust.offers:
            return
        self.fence()
        data = manifest.encode()
        signed = self.trust.sign(data)
        self._meet(manifest)  # before gigabytes travel
        try:
            blobs.agree(self.url, self.encryption)
            blobs.send(self.url, self.notes, folder, manifest.files, self.encryption)
        except (UserError, MirrorError):
            raise
        except Exception as error:  # each fsspec backend raises errors of its own
            raise MirrorError(f"mirror {self.url}: cannot upload: {troubles.explain(error)}") from error
        if signed:
            self._add_signature(f"entries/{manifest.key}.{signed[0]}", signed[1])
        self._enter(manifest, data)

    def _add_signature(self, name: str, line: bytes) -> None:
        """Beside what the same key signed under this name: of two results of one key, both keep theirs."""
        objects = remote.objects(self.url)
        for _ in range(_TURNS):
            found = objects.read(name)
            lines = found.data.splitlines() if found else []
            if line.strip() in lines:
                return
            whole = b"\n".join([*lines, line])
            if put(objects, name, whole, found.version if found else None) is not None:
                return
        raise MirrorError(f"mirror {self.url}: {name} {_TOO_BUSY}")

    def _enter(self, manifest: Manifest, data: bytes) -> None:
        """Make the entry, or find that it is there; one that is torn, or that nobody trusted signed, is replaced."""
        objects, name = remote.objects(self.url), f"entries/{manifest.key}.json"
        version = None
        for _ in range(_TURNS):
            self.fence()
            if put(objects, name, data, version) is not None:
                return
            found, is_sound = self._meet(manifest)
            if is_sound:
                return
            version = found.version if found else None
        raise MirrorError(f"mirror {self.url}: {name} {_TOO_BUSY}")

    def _meet(self, manifest: Manifest) -> tuple[Found | None, bool]:
        """What lies under the key, and whether it is a result like ours; Differs if it is another."""
        name = f"entries/{manifest.key}.json"
        found = remote.objects(self.url).read(name)
        other = self._sound(manifest.key, found.data) if found else None
        if other is not None and other.files != manifest.files:
            raise Differs(f"mirror {self.url}: {name}: {_difference(other, manifest)}")
        return found, other is not None

    def _sound(self, key: str, data: bytes) -> Manifest | None:
        """What an entry says, if it is one that this profile would take."""
        try:
            manifest = self._checked(key, data)
        except (Distrust, BadManifest):
            return None
        return manifest if manifest.key == key else None

    def _checked(self, key: str, data: bytes) -> Manifest:
        fs, base = remote.open_fs(self.url)
        self.trust.check(data, lambda name: _read(fs, f"{base}/entries/{key}.{name}"))
        return decode(data)

    def fencing(self) -> Objects:
        """Its objects, for leases; refused where the store does not keep the conditions on which they stand."""
        if not s3.is_s3(self.url):
            raise UserError(f"store.mirror: {self.url}: {_NO_CLUSTER}: only S3 can be written under a condition")
        ignored = _ignored(self.url)
        if ignored:
            raise UserError(f"store.mirror: {self.url}: {_NO_CLUSTER}: it ignores {' and '.join(ignored)}")
        return remote.objects(self.url)

    def manifest(self, key: str) -> Manifest | None:
        found = remote.objects(self.url).read(f"entries/{key}.json")
        if found is None:
            return None
        try:
            return self._checked(key, found.data)
        except Distrust as error:
            raise MirrorError(f"mirror {self.url}: entries/{key}.json {error}") from error
        except BadManifest as error:
            raise MirrorError(f"mirror {self.url}: entries/{key}.json: {error}") from error
        except (UserError, MirrorError):
            raise
        except Exception as error:
            raise MirrorError(f"mirror {self.url}: cannot read: {troubles.explain(error)}") from error

    def download(self, files: Sequence[tuple[File, Path]]) -> bool:
        """Every file to its path, verified; False if the mirror lacks one."""
        try:
            blobs.fetch(self.url, files, self.encryption)
        except FileNotFoundError:
            return False
        except (UserError, MirrorError):
            raise
        except Exception as error:
            raise MirrorError(f"mirror {self.url}: cannot download: {troubles.explain(error)}") from error
        return True


_NO_CLUSTER = "builders on a cluster cannot share this store, though one machine at a time can"


@cache
def _ignored(url: str) -> tuple[str, ...]:
    return tuple(probe.ignored(remote.objects(url)))


def _difference(there: Manifest, here: Manifest) -> str:
    """Two builds of one key and the first file in which they differ, by both digests."""
    names = sorted(there.digests.keys() | here.digests.keys())
    names = [name for name in names if there.digests.get(name) != here.digests.get(name)]
    first = (
        f"{names[0]} is {there.digests.get(names[0], 'missing')} there and {here.digests.get(names[0], 'missing')} here"
    )
    more = f", and {len(names) - 1} more differ" if len(names) > 1 else ""
    stage = here.fingerprint.stage
    return (
        f"{stage} was built twice under this key, with other bytes: {first}{more}; what lies there stays. "
        f"The stage is not deterministic between these two machines: compare their threads, devices and packages"
    )


def _read(fs: Any, path: str) -> bytes | None:
    try:
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return None
    return data
