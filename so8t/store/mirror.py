"""A second home of the store at any fsspec URL, shared between machines.  Every file is verified on arrival.

An entry is taken if a key that the profile trusts has signed it, so writing to the mirror alone offers nobody anything.
It does not promise secrecy: whoever can read the mirror reads the artifacts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from so8t.errors import MissingExtra, UserError
from so8t.store.digest import blake3_of
from so8t.store.manifest import BadManifest, File, Manifest, decode
from so8t.store.trust import Distrust, Trust


class MirrorError(Exception):
    """The mirror cannot be reached or used; local work goes on."""


@dataclass(frozen=True)
class Mirror:
    url: str
    trust: Trust = field(default_factory=Trust)

    def upload(self, folder: Path, manifest: Manifest) -> None:
        """Every file that is not there yet, then the signature, the manifest last."""
        if not self.trust.offers:
            return
        data = manifest.encode()
        signed = self.trust.sign(data)
        fs, base = self._open()
        try:
            for file in manifest.files:
                target = _blob(base, file)
                if not (fs.exists(target) and fs.size(target) == file.size):
                    fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
                    fs.put_file(str(folder / file.path), target)
            fs.makedirs(f"{base}/entries", exist_ok=True)
            if signed:
                fs.pipe_file(f"{base}/entries/{manifest.key}.{signed[0]}", signed[1])
            fs.pipe_file(f"{base}/entries/{manifest.key}.json", data)
        except Exception as error:  # each fsspec backend raises errors of its own
            raise MirrorError(f"mirror {self.url}: cannot upload: {error}") from error

    def manifest(self, key: str) -> Manifest | None:
        fs, base = self._open()
        try:
            data = fs.cat_file(f"{base}/entries/{key}.json")
            self.trust.check(data, lambda name: _read(fs, f"{base}/entries/{key}.{name}"))
            return decode(data)
        except FileNotFoundError:
            return None
        except Distrust as error:
            raise MirrorError(f"mirror {self.url}: entries/{key}.json {error}") from error
        except BadManifest as error:
            raise MirrorError(f"mirror {self.url}: entries/{key}.json: {error}") from error
        except UserError:
            raise
        except Exception as error:
            raise MirrorError(f"mirror {self.url}: cannot read: {error}") from error

    def download(self, file: File, target: Path) -> bool:
        fs, base = self._open()
        part = target.with_name(f"{target.name}.part")
        try:
            fs.get_file(_blob(base, file), str(part))
            if blake3_of(part) != file.blake3:
                raise MirrorError(f"mirror {self.url}: {file.path} arrived with other content than its digest says")
            os.replace(part, target)
        except FileNotFoundError:
            return False
        except MirrorError:
            raise
        except Exception as error:
            raise MirrorError(f"mirror {self.url}: cannot download: {error}") from error
        finally:
            part.unlink(missing_ok=True)
        return True

    def _open(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise MissingExtra("fsspec", "cluster", "a mirror of the store") from error
        try:
            fs, base = url_to_fs(self.url)
        except Exception as error:  # some backends connect here
            raise MirrorError(f"mirror {self.url}: {error}") from error
        return fs, str(base).rstrip("/")


def _read(fs: Any, path: str) -> bytes | None:
    try:
        data: bytes = fs.cat_file(path)
    except FileNotFoundError:
        return None
    return data


def _blob(base: str, file: File) -> str:
    return f"{base}/blobs/{file.blake3[:2]}/{file.blake3}"
