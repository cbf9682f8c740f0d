"""Whether a release is what was released: the digest of every file, of every tensor, and the signature.

A copy of this file works alone: it needs Python 3.10, and for a signature model-signing and pyOpenSSL.

    python verify_release.py FOLDER --key publisher.pub

Exit code 0: all of it is what was released.  1: something is not, and it is named.  2: nobody can tell.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

SUMS, INDEX, SIGNATURE = "SHA256SUMS", "release.json", "model.sig"
NOT_OURS = (".git", ".gitattributes", ".gitignore", ".github", ".cache")  # what git and hf leave in a folder
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_BLOCK = 1 << 20


class CannotTell(Exception):
    """Neither yes nor no; the message says what is missing."""


# ---- digests -------------------------------------------------------------------------------------------------


def wrong(folder: Path) -> list[str]:
    """One sentence for each file, or tensor of a file, that is not what was released."""
    if not (folder / SUMS).is_file() and not (folder / INDEX).is_file():
        raise CannotTell(f"{folder} is not a release: it has neither {SUMS} nor {INDEX}")
    there = {name: _sha256(folder / name) for name in _names(folder)}
    index, sums = _index(folder), _sums(folder)
    of_lists = list(_of_lists(folder, there, index, sums))
    expected = index if index is not None else {name: {"sha256": digest} for name, digest in sums.items()}
    found = []
    for name in sorted(expected.keys() - {INDEX}):
        right = {expected[name]["sha256"], *([sums[name]] if of_lists and name in sums else [])}
        if name not in there:
            found.append(f"{name}: is missing")
        elif there[name] not in right:  # where the two lists do not agree, a file that one of them knows is right
            found += _changed(folder, name, expected[name])
    known = {*expected, SUMS, INDEX, SIGNATURE}
    return of_lists + found + [f"{name}: is not part of the release" for name in sorted(there.keys() - known)]


def _of_lists(
    folder: Path, there: Mapping[str, str], index: Mapping[str, Any] | None, sums: Mapping[str, str]
) -> Iterator[str]:
    """What is wrong with the two lists of digests themselves: one can be written from the other."""
    if index is None:
        yield f"{INDEX}: not what was released: it cannot be read" if INDEX in there else f"{INDEX}: is missing"
        return
    digests = {**{name: entry["sha256"] for name, entry in index.items()}, INDEX: there[INDEX]}
    text = (folder / SUMS).read_bytes() if (folder / SUMS).is_file() else b""
    if text == sums_text(digests).encode():
        return
    apart = [name for name, digest in digests.items() if sums.get(name) != digest]
    if not text:
        yield f"{SUMS}: is missing"
    elif INDEX in apart and any(there.get(name) == sums.get(name) for name in apart if name in sums):
        yield f"{INDEX}: not what was released"
    elif apart == [INDEX] and text == sums_text(sums).encode():
        yield f"{INDEX}: not what was released, or its line in {SUMS} is not"
    else:
        yield f"{SUMS}: not what was released" + (f": its line of {apart[0]}" if len(apart) == 1 else "")


def sums_text(digests: Mapping[str, str]) -> str:
    """As sha256sum writes it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def _index(folder: Path) -> dict[str, Any] | None:
    try:
        files = json.loads((folder / INDEX).read_bytes())["files"]
        return dict(files) if all(_is_inside(name) and _is_entry(entry) for name, entry in files.items()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_entry(entry: Any) -> bool:
    parts = [(part["what"], part["sha256"], part["start"], part["stop"]) for part in entry.get("parts", [])]
    texts = [entry["sha256"], *(text for what, digest, _, _ in parts for text in (what, digest))]
    numbers = [entry["size"], *(number for _, _, start, stop in parts for number in (start, stop))]
    return all(type(text) is str for text in texts) and all(type(one) is int and one >= 0 for one in numbers)


def _sums(folder: Path) -> dict[str, str]:
    try:
        lines = (folder / SUMS).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found = [match for line in lines if (match := _LINE.fullmatch(line)) and _is_inside(match[2])]
    return {match[2]: match[1] for match in found}


def _is_inside(name: str) -> bool:
    return not {"", ".", ".."} & set(name.split("/")) and not re.search(r"[\\:\x00]", name)


def _names(folder: Path) -> Iterator[str]:
    """Every file but the list of digests and the signature; a link is none."""
    for place, folders, names in os.walk(folder):
        if Path(place) == folder:
            folders[:] = [name for name in folders if name not in NOT_OURS]
            names[:] = [name for name in names if name not in (SUMS, SIGNATURE, *NOT_OURS)]
        for name in [*names, *folders]:
            path = Path(place, name)
            if path.is_symlink():
                raise CannotTell(f"{path.relative_to(folder).as_posix()}: is a link; a release holds files only")
        yield from (Path(place, name).relative_to(folder).as_posix() for name in names)


def _changed(folder: Path, name: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """The parts of a file that are not what was released; the file, where it has no parts."""
    if (size := (folder / name).stat().st_size) != entry.get("size", size):
        yield f"{name}: has {size:,} bytes and was released with {entry['size']:,}"
        return
    parts = entry.get("parts", [])
    with (folder / name).open("rb") as file:
        changed = [part["what"] for part in parts if _sha256_of_part(file, part) != part["sha256"]]
    yield from (f"{name}: {what} is not what was released" for what in changed)
    if not changed:
        yield f"{name}: not what was released"


def _sha256_of_part(file: Any, part: Mapping[str, Any]) -> str:
    file.seek(part["start"])
    return _sha256_of(file, part["stop"] - part["start"])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return _sha256_of(file, path.stat().st_size)


def _sha256_of(file: Any, size: int) -> str:
    """Of the next bytes."""
    hasher = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, _BLOCK))):
        hasher.update(block)
        size -= len(block)
    return hasher.hexdigest()


# ---- the signature -------------------------------------------------------------------------------------------


def unsigned(folder: Path, key: Path | None, identity: str | None = None, issuer: str | None = None) -> str | None:
    """Why the signature does not hold; None if it does."""
    if not (folder / SIGNATURE).is_file():
        return f"{SIGNATURE}: is missing: nobody signed this folder, or somebody took the signature away"
    try:
        from model_signing import verifying
    except ImportError:
        raise CannotTell("a signature needs two packages: pip install model-signing pyOpenSSL") from None
    config = verifying.Config().set_ignore_unsigned_files(True)
    if key is not None and not key.is_file():
        raise CannotTell(f"{key}: there is no such key")
    try:
        if key is not None:
            config.use_elliptic_key_verifier(public_key=key)
        elif identity and issuer:
            config.use_sigstore_verifier(identity=identity, oidc_issuer=issuer)
        else:
            raise CannotTell("a keyless signature is checked with --identity and --issuer, both")
        config.verify(folder, folder / SIGNATURE)
        lists = {SUMS, INDEX} - _signed(folder / SIGNATURE)
    except CannotTell:
        raise
    except Exception as error:  # whatever is wrong with a bundle: it is not a signature of this folder
        return f"{SIGNATURE}: {_said(error)}"
    # a signature of something else by the same key holds for that, and says nothing of this folder
    return (
        f"{SIGNATURE}: does not sign {' and '.join(sorted(lists))}: it was made for something else" if lists else None
    )


def _signed(signature: Path) -> set[str]:
    """The names of the files that a bundle, which was found to be sound, is about."""
    envelope = json.loads(signature.read_bytes())["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    return {resource["name"] for resource in statement["predicate"]["resources"]}


def _said(error: Exception) -> str:
    changed = re.findall(r"Hash mismatch for \\*'(.+?)\\*':", str(error))
    if changed:
        return f"signs other bytes of {', '.join(changed)}"
    words = " ".join(str(error).split())[:200]
    return f"does not hold for this key: {type(error).__name__}" + (f": {words}" if words else "")


# ---- the command line ----------------------------------------------------------------------------------------


def report(
    folder: Path,
    key: Path | None = None,
    identity: str | None = None,
    issuer: str | None = None,
    digests_only: bool = False,
) -> tuple[int, list[str]]:
    """The exit code, and what there is to say."""
    try:
        found = wrong(folder)
        signed = (folder / SIGNATURE).is_file()
        whose = any(one is not None for one in (key, identity, issuer))
        if whose and not digests_only and (broken := unsigned(folder, key, identity, issuer)):
            found.append(broken)
    except CannotTell as error:
        return 2, [str(error)]
    if found:
        return 1, ["".join(char if char.isprintable() else "?" for char in line) for line in found]
    count = sum(1 for _ in _names(folder))
    if whose and not digests_only:
        return 0, [f"{count} files, all as they were released; the signature holds"]
    if signed and not digests_only:
        return 2, [f"{count} files agree with {SUMS}; whose signature must it be? --key FILE, or --digests-only"]
    return 0, [f"{count} files agree with {SUMS}; who released them was not asked"]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Is a release what was released?")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--key", type=Path, help="the publisher's public key, a PEM file from a place that you trust")
    parser.add_argument("--identity", help="of a keyless signature: whose it must be, such as an e-mail address")
    parser.add_argument("--issuer", help="of a keyless signature: who vouches for the identity")
    parser.add_argument("--digests-only", action="store_true", help="do not ask who released it")
    given = parser.parse_args(argv)
    code, lines = report(given.folder, given.key, given.identity, given.issuer, given.digests_only)
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
