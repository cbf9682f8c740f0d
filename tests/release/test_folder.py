"""A release is whole or not there; what it takes is what the manifests say; the same twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.errors import UserError
from so8t.release import folder
from so8t.store import artifact
from tests.release import made
from tests.release.conftest import FORMS, Profile


def names(root: Path) -> list[str]:
    return [name for name in made.digests(root) if not name.startswith(("manifests/", "attestations/"))]


def test_it_holds_what_was_asked_for_and_the_papers(released: Path) -> None:
    assert names(released) == [
        "DATA.md", "LICENSE", "Modelfile.f16", "Modelfile.q4_k_m", "NOTICE", "README.md", "SHA256SUMS", "base/LICENSE",
        "bom.cdx.json", "config.json", "croissant.json", "model.safetensors", "model.sig", "pico-f16.gguf",
        "pico-q4_k_m.gguf", "pico.gbnf", "release.json", "tokenizer.json", "verify_release.py",
    ]  # fmt: skip


def test_one_type_brings_its_modelfile_and_no_other(profile: Profile, tmp_path: Path) -> None:
    folder.write(profile.shelf("q4_k_m"), profile.order("q4_k_m"), tmp_path / "out")

    assert names(tmp_path / "out") == [
        "DATA.md", "LICENSE", "Modelfile.q4_k_m", "NOTICE", "README.md", "SHA256SUMS", "base/LICENSE",
        "bom.cdx.json", "croissant.json", "pico-q4_k_m.gguf", "pico.gbnf", "release.json", "verify_release.py",
    ]  # fmt: skip
    assert (tmp_path / "out" / "Modelfile.q4_k_m").read_text("utf-8").splitlines()[0] == "FROM ./pico-q4_k_m.gguf"


def test_a_modelfile_finds_its_gguf_beside_it_whatever_its_name() -> None:
    quoted = 'FROM "../../gguf/models/my model-f16.gguf"\nSYSTEM """FROM ../../gguf/models/x"""\n'

    assert folder.beside("FROM ../../gguf/models/a-f16.gguf\n") == "FROM ./a-f16.gguf\n"
    assert folder.beside(quoted) == 'FROM "./my model-f16.gguf"\nSYSTEM """FROM ../../gguf/models/x"""\n'


def test_the_same_manifests_give_the_same_bytes(profile: Profile, released: Path, tmp_path: Path) -> None:
    folder.write(profile.shelf(*FORMS), profile.order(*FORMS), tmp_path / "own")

    again, first = made.digests(tmp_path / "own"), made.digests(released)
    assert again == {name: digest for name, digest in first.items() if name != "model.sig"}


def test_the_index_knows_every_byte_of_a_file_with_tensors(released: Path) -> None:
    index = json.loads((released / "release.json").read_bytes())["files"]

    parts = index["pico-f16.gguf"]["parts"]
    assert [part["what"] for part in parts] == [
        "the header",
        "tensor token_embd.weight",
        "the filling before tensor output_norm.weight",
        "tensor output_norm.weight",
    ]
    assert [part["start"] for part in parts] == [0, *(part["stop"] for part in parts[:-1])]
    assert parts[-1]["stop"] == index["pico-f16.gguf"]["size"] == (released / "pico-f16.gguf").stat().st_size
    assert [part["what"] for part in index["model.safetensors"]["parts"]] == [
        "the header",
        "tensor model.embed.weight",
        "tensor model.norm.weight",
    ]


def test_no_folder_is_left_where_signing_fails(profile: Profile, tmp_path: Path) -> None:
    def fail(whole: Path) -> None:
        raise UserError("no key today")

    with pytest.raises(UserError, match="no key today"):
        folder.write(profile.shelf("f16"), replace(profile.order("f16"), sign=fail), tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_an_earlier_release_makes_way_and_another_folder_does_not(profile: Profile, tmp_path: Path) -> None:
    folder.write(profile.shelf("f16"), profile.order("f16"), tmp_path / "out")
    folder.write(profile.shelf("q4_k_m"), profile.order("q4_k_m"), tmp_path / "out")
    assert not (tmp_path / "out" / "pico-f16.gguf").exists()

    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError) as refused:
        folder.write(profile.shelf("f16"), profile.order("f16"), tmp_path / "mine")
    assert str(refused.value) == (
        f"release: {tmp_path / 'mine'} is there and is not a release; name another folder with --out"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "release: LICENSE is empty; name the text of apache-2.0 with --license FILE"),
        ("MIT License", "release: LICENSE is not the text of apache-2.0, the licence that gguf.license names; "
                        "name the right text with --license FILE"),
    ],
)  # fmt: skip
def test_a_wrong_licence_is_refused(profile: Profile, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "LICENSE").write_text(text, "utf-8")
    with pytest.raises(UserError) as refused:
        folder.write(profile.shelf("f16"), replace(profile.order("f16"), license=tmp_path / "LICENSE"), tmp_path / "o")
    assert str(refused.value) == message


def test_an_unknown_type_is_refused_with_those_that_there_are(profile: Profile, tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        folder.write(profile.shelf("q3"), profile.order("q3"), tmp_path / "out")
    assert str(refused.value) == "release: q3 must be one of gguf, f16, q4_k_m, safetensors"


def test_artifacts_that_do_not_belong_together_are_refused(tmp_path: Path, unsynced: None) -> None:
    layout, store = made.profile(tmp_path)
    whole = Profile(layout, store, tmp_path)
    taken = made.put(layout, "adapter", {"adapter_model.safetensors": b"other"}, {}, {"raw/raw.jsonl": "ab" * 32})

    with pytest.raises(UserError) as refused:
        whole.shelf("safetensors")
    assert str(refused.value) == (
        "release: adapter was not made from the raw/raw.jsonl that is there (and 2 more); "
        "run doit, so that all belongs together"
    )

    path = layout.folder("gguf") / "models" / "pico.gbnf"
    path.write_text("root ::= other", "utf-8")
    assert artifact.inspect(layout, "gguf").damage and taken
    with pytest.raises(UserError) as damaged:
        whole.shelf("gguf")
    assert str(damaged.value) == (
        "release: gguf/models/pico.gbnf: changed since it was built (13 -> 14 bytes); run doit verify --heal gguf"
    )
