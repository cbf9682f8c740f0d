"""One flipped byte in each kind of file is named; the verifier runs where no so8t is."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from so8t.release import verifier
from tests.release.conftest import Profile


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def parts(folder: Path, name: str) -> dict[str, tuple[int, int]]:
    entry = json.loads((folder / "release.json").read_bytes())["files"][name]
    return {part["what"]: (part["start"], part["stop"]) for part in entry["parts"]}


def test_a_sound_release_says_so(released: Path, profile: Profile) -> None:
    count = len(json.loads((released / "release.json").read_bytes())["files"]) + 1

    assert verifier.report(released, key=profile.key.with_name("own.key.pub")) == (
        0,
        [f"{count} files, all as they were released; the signature holds"],
    )
    assert verifier.report(released, digests_only=True) == (
        0,
        [f"{count} files agree with SHA256SUMS; who released them was not asked"],
    )
    assert verifier.report(released) == (
        2,
        [f"{count} files agree with SHA256SUMS; whose signature must it be? --key FILE, or --digests-only"],
    )


@pytest.mark.parametrize("name", ["pico-f16.gguf", "model.safetensors"])
def test_the_tensor_with_a_flipped_byte_is_named(copied: Path, name: str) -> None:
    for what, (start, stop) in parts(copied, name).items():
        for at in (start, stop - 1):
            flip(copied / name, at)
            assert verifier.wrong(copied) == [f"{name}: {what} is not what was released"]
            flip(copied / name, at)
    assert verifier.wrong(copied) == []


def test_a_flipped_byte_of_any_other_file_names_that_file(copied: Path) -> None:
    others = [path for path in copied.iterdir() if path.is_file() and path.suffix not in (".gguf", ".safetensors")]
    files = [*others, copied / "base/LICENSE", copied / "manifests/gguf.json", copied / "attestations/gguf.intoto.json"]
    for path in files:
        name = path.relative_to(copied).as_posix()
        for at in (path.stat().st_size // 2, -1):
            flip(path, at)
            found = verifier.wrong(copied)
            flip(path, at)
            if name == "model.sig":
                assert found == []  # the key says it
            else:
                assert [sentence.partition(":")[0] for sentence in found] == [name], found
    assert len(files) == 18


def test_a_flipped_byte_of_the_signature_names_it(copied: Path, profile: Profile) -> None:
    public = profile.key.with_name("own.key.pub")
    for at in range(0, (copied / "model.sig").stat().st_size, 997):
        flip(copied / "model.sig", at)
        code, lines = verifier.report(copied, public)
        flip(copied / "model.sig", at)
        assert (code, [line.partition(":")[0] for line in lines]) == (1, ["model.sig"])


def test_a_forger_who_writes_all_digests_anew_is_named_by_the_signature(copied: Path, profile: Profile) -> None:
    flip(copied / "README.md", 9)
    index = json.loads((copied / "release.json").read_bytes())
    index["files"]["README.md"]["sha256"] = verifier._sha256(copied / "README.md")
    (copied / "release.json").write_text(json.dumps(index), "utf-8")
    digests = {name: entry["sha256"] for name, entry in index["files"].items()}
    digests["release.json"] = verifier._sha256(copied / "release.json")
    (copied / "SHA256SUMS").write_bytes(verifier.sums_text(digests).encode())

    assert verifier.wrong(copied) == []
    assert verifier.report(copied, profile.key.with_name("own.key.pub")) == (
        1,
        ["model.sig: signs other bytes of README.md, SHA256SUMS, release.json"],
    )


def test_what_is_missing_and_what_came_is_named(copied: Path) -> None:
    (copied / "NOTICE").unlink()
    (copied / "base" / "more.txt").write_text("", "utf-8")
    (copied / ".gitattributes").write_text("", "utf-8")

    assert verifier.wrong(copied) == ["NOTICE: is missing", "base/more.txt: is not part of the release"]

    (copied / "release.json").unlink()
    flip(copied / "README.md", 9)
    assert verifier.wrong(copied) == [
        "release.json: is missing",
        "NOTICE: is missing",
        "README.md: not what was released",
        "base/more.txt: is not part of the release",
    ]


def test_lists_that_lie_read_nothing_else(copied: Path) -> None:
    index = json.loads((copied / "release.json").read_bytes())
    index["files"]["../../etc/passwd"] = {"size": 1, "sha256": "ab" * 32}
    (copied / "release.json").write_text(json.dumps(index), "utf-8")

    assert verifier.wrong(copied) == ["release.json: not what was released: it cannot be read"]


def test_a_signature_of_something_else_by_the_same_key_says_nothing_of_a_release(
    copied: Path, profile: Profile, tmp_path: Path
) -> None:
    from so8t.release import signing

    (tmp_path / "notes").mkdir()
    for place in (tmp_path / "notes", copied):
        (place / "notes.txt").write_text("mine", "utf-8")
    signing.with_key(tmp_path / "notes", profile.key)
    shutil.copy(tmp_path / "notes" / "model.sig", copied / "model.sig")

    assert verifier.unsigned(copied, profile.key.with_name("own.key.pub")) == (
        "model.sig: does not sign SHA256SUMS and release.json: it was made for something else"
    )


def test_another_key_and_no_signature_are_told(copied: Path, profile: Profile, tmp_path: Path) -> None:
    from so8t.release import signing

    other = signing.new_key(tmp_path / "other.key")
    assert verifier.unsigned(copied, other) == (
        "model.sig: does not hold for this key: ValueError: Key mismatch: The public key hash in the signature's "
        "verification material does not match the provided public key."
    )
    (copied / "model.sig").unlink()
    assert verifier.unsigned(copied, other) == (
        "model.sig: is missing: nobody signed this folder, or somebody took the signature away"
    )
    assert verifier.report(tmp_path) == (
        2,
        [f"{tmp_path} is not a release: it has neither SHA256SUMS nor release.json"],
    )


def test_the_script_in_the_folder_runs_without_so8t(copied: Path, tmp_path: Path) -> None:
    script = shutil.copy(copied / "verify_release.py", tmp_path / "verify.py")
    flip(copied / "pico-f16.gguf", -1)

    done = subprocess.run(
        [sys.executable, "-I", "-S", script, str(copied), "--digests-only"], capture_output=True, text=True
    )  # -I and -S: no site-packages, so neither so8t nor anything else

    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "pico-f16.gguf: tensor output_norm.weight is not what was released\n",
        "",
    )


def test_the_script_needs_the_standard_library_and_one_package() -> None:
    tree = ast.parse(Path(verifier.__file__).read_bytes())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in names} - sys.stdlib_module_names == {"model_signing"}


@pytest.mark.soak
def test_the_signature_is_checked_where_so8t_cannot_be_imported(released: Path, profile: Profile) -> None:
    alone = (
        "import sys, runpy; sys.modules['so8t'] = None; sys.argv[:] = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", alone, str(released / "verify_release.py"), str(released)]

    done = subprocess.run([*command, "--key", f"{profile.key}.pub"], capture_output=True, text=True)

    assert (done.returncode, done.stdout.partition(", ")[2]) == (0, "all as they were released; the signature holds\n")
