"""The manifest's bytes, and every way in which one can lie."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.store.fingerprint import Fingerprint
from so8t.store.manifest import BadManifest, File, Manifest, decode, is_inside
from tests.yard import Yard

WHOLE = """\
{
 "code": {
  "stages.thing": "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
 },
 "files": [
  {
   "blake3": "06c158e21ef581da647c4286ccc58725e0444eca652000ddc250483cf4f030ff",
   "path": "model/a.bin",
   "size": 6
  },
  {
   "blake3": "3894edfc6d7dd4423e489369de60f79cec22634101217be8d6f4073674270422",
   "path": "model/b.bin",
   "size": 15
  },
  {
   "blake3": "93602b4b0d67dcf74d6aaddd7d4f04ccdeaf1d822b659bcab45e1b9ef000937c",
   "path": "text.txt",
   "size": 9
  }
 ],
 "format": 1,
 "inputs": {
  "raw/raw.jsonl": "abababababababababababababababababababababababababababababababab"
 },
 "key": "d9dbc4ba84775723e55f48731e5d4dcbfbceec0cd2cd6e5eebc66d04560989c5",
 "packages": {},
 "spec": {
  "version": "1"
 },
 "stage": "thing"
}
"""

TABLES = st.dictionaries(st.text(), st.text(), max_size=3)
PATHS = st.text(min_size=1).filter(is_inside)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


def test_the_manifest_of_a_small_artifact_is_exactly_this(tmp_path) -> None:
    manifest = Yard(tmp_path).build("1")

    assert (Yard(tmp_path).folder() / "manifest.json").read_text("utf-8") == WHOLE
    assert decode(WHOLE.encode()) == manifest


def test_the_same_build_elsewhere_has_the_same_bytes(tmp_path) -> None:
    one, other = Yard(tmp_path / "one"), Yard(tmp_path / "二つ目", copy_below=0, profile="other")

    assert one.build("1").encode() == other.build("1").encode() == WHOLE.encode()


@st.composite
def manifests(draw) -> Manifest:
    fingerprint = Fingerprint(draw(st.text()), draw(TABLES), draw(TABLES), draw(TABLES), draw(TABLES))
    names = sorted({name.replace("/", "_") for name in draw(st.lists(PATHS, max_size=4))})
    files = [File(name, draw(st.integers(0)), draw(DIGESTS), draw(st.none() | DIGESTS)) for name in names]
    return Manifest(fingerprint, tuple(files), tuple(draw(st.lists(st.text(), max_size=2))))


@pytest.mark.slow
@given(manifests())
@settings(derandomize=True, max_examples=60, deadline=None)
def test_what_is_encoded_is_decoded(manifest: Manifest) -> None:
    assert decode(manifest.encode()) == manifest
    assert decode(manifest.encode()).encode() == manifest.encode()


def test_a_value_that_is_not_quite_text_survives_too() -> None:
    odd = Manifest(Fingerprint("s", {"text": "\ud800"}, {}, {}, {}), ())

    assert decode(odd.encode()) == odd


def lying(**changes: object) -> bytes:
    return json.dumps({**json.loads(WHOLE), **changes}).encode()


def with_file(**changes: object) -> bytes:
    (file, *_) = json.loads(WHOLE)["files"]
    return lying(files=[{**file, **changes}])


def with_paths(*paths: str) -> bytes:
    (file, *_) = json.loads(WHOLE)["files"]
    return lying(files=[{**file, "path": path} for path in paths])


LEAVES = [
    "../x",
    "a/../x",
    "/etc/passwd",
    "a//b",
    "a/",
    "./a",
    "",
    "..",
    "a\\b",
    "C:/x",
    "C:x",
    "a/b:c",
    "\x00",
    "a/\ud800",
]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a manifest: JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "not a manifest: TypeError: list indices must be integers or slices, not str"),
        (b"null", "not a manifest: TypeError: 'NoneType' object is not subscriptable"),
        (b"{}", "not a manifest: KeyError: 'format'"),
        (lying(format=2), "format 2, this so8t writes format 1"),
        (lying(key="0" * 64), "the key does not belong to its values"),
        (lying(spec={"version": "2"}), "the key does not belong to its values"),
        (lying(stage="other"), "the key does not belong to its values"),
        (lying(inputs=[]), "inputs is not a table"),
        (lying(spec="version"), "spec is not a table"),
        (lying(files=3), "not a manifest: TypeError: 'int' object is not iterable"),
        (lying(files=["text.txt"]), "not a manifest: TypeError: string indices must be integers"),
        (lying(accepted="code"), "accepted is not a list of reasons"),
        (lying(accepted=[1]), "accepted is not a list of reasons"),
        (with_paths("b", "a"), "the files are not in order, or one stands there twice"),
        (with_paths("a", "a"), "the files are not in order, or one stands there twice"),
        (with_paths("a", "a.b", "a/b"), "a is a file and a folder"),
        (with_paths("manifest.json"), "path 'manifest.json' leaves the artifact"),
        (with_paths("manifest.json.part"), "path 'manifest.json.part' leaves the artifact"),
        *[(with_paths(path), f"path {path!r} leaves the artifact") for path in LEAVES],
        (with_file(path=3), "not a manifest: TypeError: expected string or bytes-like object"),
        *[(with_file(size=size), f"model/a.bin: size {size!r}") for size in (-1, True, 9.0, "9", None)],
        *[(with_file(blake3=digest), "model/a.bin: not a digest") for digest in ("", "ab", "AB" * 32, "g" * 64)],
        (with_file(blake3="ab" * 32 + "\n"), "model/a.bin: not a digest"),
        (with_file(sha256=""), "model/a.bin: not a digest"),
        (with_file(sha256="../x"), "model/a.bin: not a digest"),
    ],
)
def test_a_manifest_that_lies_is_refused_and_the_lie_is_named(data: bytes, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        decode(data)

    assert str(caught.value).startswith(message)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(BadManifest, match="not a manifest: "):
        decode(b'{"format": 1, "spec": ' + b"[" * 200_000)


def test_not_a_number_has_no_place_in_a_spec() -> None:
    with pytest.raises(BadManifest, match="Out of range float values are not JSON compliant"):
        decode(WHOLE.replace('"version": "1"', '"version": NaN').encode())


@pytest.mark.parametrize(
    "path", ["a", "a/b", "a.b/c-d", "日本/語.txt", "...", "a b", "manifest.json/x", "sub/manifest.json"]
)
def test_names_that_every_system_can_hold_are_inside(path: str) -> None:
    assert is_inside(path)
