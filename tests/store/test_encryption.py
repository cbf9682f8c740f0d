"""Files of a mirror that only named machines can read: age's format, to the letter, and what is said where it fails."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from so8t.errors import UserError
from so8t.store import blobs, carried, encryption, keys, uploads
from so8t.store.carried import Place
from so8t.store.digest import blake3_of
from so8t.store.encryption import Encryption
from so8t.store.manifest import File
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError
from tests.conftest import ROOT
from tests.store import ageformat
from tests.store.test_transfers import made
from tests.yard import Yard, files_of

SIZES = [0, 3, 65_536, 65_537, 200_000]
# what age-keygen 1.1.1 wrote, and what `age -r` then made of the text b"from age\n"
AGES_KEY = "AGE-SECRET-KEY-1TR7C25JSH6ZUU7PFCCPYZNN52EC6LYL2RNLH23RRRT8GMK5F3NFQJ6YQHM"
AGES_FILE = (
    "6167652d656e6372797074696f6e2e6f72672f76310a2d3e2058323535313920797243386445356b6c457a78665849565467"
    "6954584536324f5155354e68776d6d666767715835423641730a454e337a523278447a3137763961596b4942726574517a43"
    "45692b47674645774d517271445362743432490a2d2d2d2059427678436336555a7a6b526363595074307452667850383437"
    "467a4f65394347485052305847394656410a52001641e09d4c53f8510ed354c39ffcd95e534120f8883a08d70ba42a9ae505"
    "44b330e77e3e8622d8"
)


def machine(folder: Path, name: str, *others: str) -> Encryption:
    """One with an identity of its own, which encrypts for itself and for others."""
    return Encryption((encryption.new_identity(folder / f"{name}.age"), *others), folder / f"{name}.age")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/mirror"


@pytest.fixture
def ours(tmp_path: Path) -> Encryption:
    return machine(tmp_path, "ours")


def secret(of: Encryption) -> str:
    assert of.identity is not None
    return of.identity.read_text().splitlines()[-1]


def lying(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "mirror").rglob("*") if path.is_file())


def blob(tmp_path: Path, file: File) -> Path:
    return tmp_path / "mirror" / "blobs" / file.blake3[:2] / f"{file.blake3}.age"


def refusal(call: object, *args: object) -> str:
    with pytest.raises((MirrorError, UserError)) as refused:
        call(*args)  # type: ignore[operator]
    return str(refused.value)


def test_files_come_back_and_nothing_readable_lies_there(tmp_path: Path, url: str, ours: Encryption) -> None:
    here = Yard(tmp_path / "here", mirror=Mirror(url, encryption=ours))
    here.build("1")

    there = Yard(tmp_path / "there", mirror=Mirror(url, encryption=ours))
    assert there.ensure("1") == "restored"
    assert there.texts() == files_of("1")
    texts = [text.encode() for text in files_of("1").values()]
    assert [path.name for path in lying(tmp_path) for text in texts if text in path.read_bytes()] == []
    assert [path.suffix for path in lying(tmp_path)] == [".age", ".age", ".age", ".txt", ".json"]


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_ages_format_and_what_others_write_in_it_is_read(
    tmp_path: Path, url: str, ours: Encryption, size: int
) -> None:
    file = made(tmp_path, "file", size)
    plain = (tmp_path / "file").read_bytes()

    blobs.send(url, tmp_path / "notes", tmp_path, [file], ours)
    assert ageformat.opened(blob(tmp_path, file).read_bytes(), secret(ours)) == plain

    blob(tmp_path, file).write_bytes(ageformat.closed(plain, ours.recipients[0]))
    blobs.fetch(url, [(file, tmp_path / "back")], ours)
    assert (tmp_path / "back").read_bytes() == plain
    assert list((tmp_path / "notes").iterdir()) == []


def test_a_file_of_the_age_program_is_read(tmp_path: Path, url: str) -> None:
    (tmp_path / "age.txt").write_text(AGES_KEY)
    (tmp_path / "plain").write_bytes(b"from age\n")
    file = File("plain", 9, blake3_of(tmp_path / "plain"))
    blob(tmp_path, file).parent.mkdir(parents=True)
    blob(tmp_path, file).write_bytes(bytes.fromhex(AGES_FILE))

    blobs.fetch(url, [(file, tmp_path / "back")], Encryption(("age1unused",), tmp_path / "age.txt"))

    assert (tmp_path / "back").read_bytes() == b"from age\n"


@pytest.mark.skipif(shutil.which("age") is None, reason="age is not here (Debian's package age)")
def test_the_age_program_reads_ours_and_we_read_what_it_writes(tmp_path: Path, url: str, ours: Encryption) -> None:
    file = made(tmp_path, "file", 200_000)
    blobs.send(url, None, tmp_path, [file], ours)
    place = blob(tmp_path, file)

    opened = subprocess.run(["age", "-d", "-i", str(ours.identity), str(place)], capture_output=True, check=True)
    assert opened.stdout == (tmp_path / "file").read_bytes()

    place.unlink()
    subprocess.run(["age", "-r", ours.recipients[0], "-o", str(place), str(tmp_path / "file")], check=True)
    blobs.fetch(url, [(file, tmp_path / "back")], ours)
    assert blake3_of(tmp_path / "back") == file.blake3


def test_all_who_are_named_read_and_the_others_are_told_what_to_do(tmp_path: Path, url: str) -> None:
    theirs, stranger = machine(tmp_path, "theirs"), machine(tmp_path, "stranger")
    ours = machine(tmp_path, "ours", *theirs.recipients)
    file = made(tmp_path, "file", 5)
    blobs.send(url, None, tmp_path, [file], ours)

    blobs.fetch(url, [(file, tmp_path / "back")], theirs)
    said = refusal(blobs.fetch, url, [(file, tmp_path / "again")], stranger)
    assert said == (
        f"mirror {url}: file is encrypted for others: store.encrypt.identity: {stranger.identity} does not open it; "
        f"who uploaded it must add {stranger.recipients[0]} to store.encrypt.recipients, remove the file there and "
        "upload it again"
    )
    assert not list(tmp_path.glob("again*"))


def test_the_commands_that_make_keys_make_two_files_and_say_for_whom_they_are(tmp_path: Path) -> None:
    path = tmp_path / "ours.age"
    public = encryption.new_identity(path)

    assert keys.told(path, "opens") == f"{path} opens; {path}.pub is for everybody:\n{public}\n"
    assert Path(f"{path}.pub").read_text() == f"{public}\n"
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    assert refusal(encryption.new_identity, path) == f"{path}.pub is there already; no key is written over"


def test_the_variable_goes_before_the_file(
    tmp_path: Path, url: str, ours: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = made(tmp_path, "file", 5)
    blobs.send(url, None, tmp_path, [file], ours)
    monkeypatch.setenv("SO8T_STORE_IDENTITY", secret(ours))

    blobs.fetch(url, [(file, tmp_path / "back")], Encryption(ours.recipients, tmp_path / "none"))

    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


def test_a_missing_or_wrong_identity_is_explained(tmp_path: Path, url: str, ours: Encryption) -> None:
    file = made(tmp_path, "file", 5)
    blobs.send(url, None, tmp_path, [file], ours)
    none, lost, pem = Encryption(ours.recipients), tmp_path / "lost.age", tmp_path / "key.pem"
    pem.write_text("-----BEGIN PRIVATE KEY-----\n")

    def said(by: Encryption) -> str:
        return refusal(blobs.fetch, url, [(file, tmp_path / "back")], by)

    assert said(none) == (
        f"mirror {url}: file is encrypted, and this machine has no identity: name its file in store.encrypt.identity "
        "(doit mirror --new-identity FILE makes one), or set SO8T_STORE_IDENTITY"
    )
    assert said(Encryption(ours.recipients, lost)) == (
        f"store.encrypt.identity: {lost}: there is no such file; doit mirror --new-identity {lost} makes one"
    )
    assert said(Encryption(ours.recipients, pem)) == (
        f"store.encrypt.identity: {pem}: not an age identity, a line AGE-SECRET-KEY-1...; doit mirror --new-identity "
        "FILE makes one"
    )


def test_a_profile_that_could_not_read_what_it_uploads_is_refused_before_a_build(tmp_path: Path) -> None:
    ours, theirs = machine(tmp_path, "ours"), machine(tmp_path, "theirs")
    mistyped = ours.recipients[0][:-1] + ("q" if ours.recipients[0][-1] != "q" else "p")

    assert refusal(Encryption(theirs.recipients, ours.identity).check) == (
        f"store.encrypt.identity: {ours.identity}: this machine could not read what it uploads: add its "
        f"{ours.recipients[0]} to store.encrypt.recipients"
    )
    assert refusal(Encryption((mistyped,), ours.identity).check) == (
        f"store.encrypt.recipients: {mistyped} has a mistake in it (invalid Bech32 encoding): copy it again"
    )
    Encryption(theirs.recipients).check()  # one that only uploads
    ours.check()


@pytest.mark.parametrize(("at", "why"), [(-5, "decryption error"), (3, "Header is invalid")])
def test_a_changed_file_is_named_and_not_taken(tmp_path: Path, url: str, ours: Encryption, at: int, why: str) -> None:
    file = made(tmp_path, "file", 70_000)
    blobs.send(url, None, tmp_path, [file], ours)
    data = bytearray(blob(tmp_path, file).read_bytes())
    data[at] ^= 1
    blob(tmp_path, file).write_bytes(data)

    said = refusal(blobs.fetch, url, [(file, tmp_path / "back")], ours)

    assert said == f"mirror {url}: file is damaged: {why}; remove it there, and who has it uploads it again"
    assert not (tmp_path / "back").exists()


def test_another_file_under_the_name_is_not_taken(tmp_path: Path, url: str, ours: Encryption) -> None:
    file, other = made(tmp_path, "file", 5), made(tmp_path, "other", 5, seed=1)
    blobs.send(url, None, tmp_path, [file, other], ours)
    shutil.copy(blob(tmp_path, other), blob(tmp_path, file))

    assert refusal(blobs.fetch, url, [(file, tmp_path / "back")], ours) == (
        f"mirror {url}: file arrived with other content than its digest says"
    )


@pytest.mark.parametrize("size", SIZES)
def test_what_is_there_whole_is_not_sent_again_and_a_torn_one_is(
    tmp_path: Path, url: str, ours: Encryption, size: int
) -> None:
    file = made(tmp_path, "file", size)
    blobs.send(url, None, tmp_path, [file], ours)
    whole = blob(tmp_path, file).read_bytes()
    blobs.send(url, None, tmp_path, [file], ours)
    assert blob(tmp_path, file).read_bytes() == whole  # encrypted anew, it would differ

    for left in (whole[:-1], whole[:30], b""):
        blob(tmp_path, file).write_bytes(left)
        blobs.send(url, None, tmp_path, [file], ours)
        assert ageformat.opened(blob(tmp_path, file).read_bytes(), secret(ours)) == (tmp_path / "file").read_bytes()


def test_a_mirror_holds_encrypted_files_or_plain_ones_and_never_both(
    tmp_path: Path, url: str, ours: Encryption, capsys: pytest.CaptureFixture[str]
) -> None:
    Yard(tmp_path / "here", mirror=Mirror(url, encryption=ours)).build("1")
    before = lying(tmp_path)
    Yard(tmp_path / "careless", mirror=Mirror(url)).build("2")
    assert lying(tmp_path) == before
    assert capsys.readouterr().err == (
        f"warning: mirror {url}: its files are encrypted (encrypted.txt says so), and this profile would add plain "
        "ones: set store.encrypt, or name another mirror; going on without the mirror\n"
    )

    plain = f"file://{tmp_path}/plain"
    Yard(tmp_path / "open", mirror=Mirror(plain)).build("1")
    Yard(tmp_path / "late", mirror=Mirror(plain, encryption=ours)).build("2")
    assert capsys.readouterr().err == (
        f"warning: mirror {plain}: its files are not encrypted, and store.encrypt is set: name another mirror, or "
        "remove all that lies in this one; going on without the mirror\n"
    )


def test_who_wants_the_other_kind_of_file_is_told_so(tmp_path: Path, url: str, ours: Encryption) -> None:
    file = made(tmp_path, "file", 5)
    wanted = [(file, tmp_path / "back")]
    blobs.send(url, None, tmp_path, [file], ours)
    assert refusal(blobs.fetch, url, wanted) == (
        f"mirror {url}: file is encrypted: set store.encrypt, with an identity that opens it"
    )

    shutil.rmtree(tmp_path / "mirror")
    blobs.send(url, None, tmp_path, [file])
    assert refusal(blobs.fetch, url, wanted, ours) == (
        f"mirror {url}: file lies there unencrypted, and store.encrypt is set: remove it there, or leave store.encrypt "
        "out to read it"
    )


def test_checkpoints_travel_encrypted_and_come_back(tmp_path: Path, url: str, ours: Encryption) -> None:
    mirror = Mirror(url, encryption=ours)
    here, there = (Place(mirror, "adapter", "ab" * 32, tmp_path / name / "out") for name in ("here", "there"))
    version = None
    for step in (4, 6):
        model = here.out / "training" / f"checkpoint-{step}" / "model"
        model.parent.mkdir(parents=True)
        model.write_text(f"weights of {step}")
        assert carried.snapshot(here.out, here.aside)
        version = carried.send(here, here.aside, version)

    assert [path.suffix for path in lying(tmp_path) if "weights of" in path.read_text(errors="ignore")] == []
    assert len([path for path in lying(tmp_path) if path.suffix == ".age"]) == 1  # the newest
    carried.take(there, (tmp_path / "mirror" / here.name).read_bytes())
    assert (there.out / "training" / "checkpoint-6" / "model").read_text() == "weights of 6"


def test_what_a_dead_upload_left_on_the_disk_is_removed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with uploads.room(notes) as alive:
        (notes / "room-dead").mkdir()
        (notes / "room-dead.lock").touch()
        with uploads.room(notes) as room:
            assert sorted(path.name for path in notes.iterdir() if path.is_dir()) == sorted([alive.name, room.name])
    assert list(notes.iterdir()) == []


def test_without_pyrage_the_line_that_installs_it_is_printed(
    tmp_path: Path, ours: Encryption, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)

    assert refusal(ours.check) == "store.encrypt needs pyrage: pip install 'so8t[age]'"


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="the most that a process ever held is read from /proc")
def test_a_gibibyte_goes_through_little_memory(tmp_path: Path, ours: Encryption) -> None:
    """Encrypted and decrypted in a process of its own; nothing is hashed, for that maps the file."""
    large = made(tmp_path, "large", 1 << 30)
    script = (
        "import sys; from pathlib import Path; from so8t.store.encryption import Encryption\n"
        "folder, identity, recipient = sys.argv[1:]; by = Encryption((recipient,), Path(identity)); by.check()\n"
        "def peak():\n"
        "    (line,) = [line for line in Path('/proc/self/status').open() if line.startswith('VmHWM')]\n"
        "    return int(line.split()[1]) // 1024\n"
        "before, here = peak(), Path(folder)\n"
        "by.encrypt(here / 'large', here / 'closed', lambda count: None)\n"
        "by.decrypt(here / 'closed', here / 'back', by.identities(), lambda count: None)\n"
        "print(peak() - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(ours.identity), ours.recipients[0]]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)

    assert blake3_of(tmp_path / "back") == large.blake3
    print(f"{int(run.stdout)} MiB more")
    assert int(run.stdout) < 16
