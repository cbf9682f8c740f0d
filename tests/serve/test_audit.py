"""The audit log: chained, sealed, on the disk before anyone is answered, and honest about what happened to it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from so8t.errors import UserError
from so8t.serve import audit, chain, keys
from so8t.serve.audit import Log, Unavailable
from so8t.serve.chain import verify
from tests.serve.served import KEYS, SECRET, output, records, says, served

OTHER = keys.parse(["test " + "ab" * 32, "next " + "cd" * 32], "test")


def write(folder: Path, count: int, rotate: int = 1 << 20, known: keys.Keys = KEYS, start: int = 0) -> None:
    log = Log(folder, known, rotate)
    for number in range(start, start + count):
        log.append({"id": f"{number:032x}", "outcome": "answered", "class": "ALLOW"}).result(10)
    log.close()


def broken(folder: Path) -> str | None:
    return verify(folder, KEYS).broken


def test_a_record_is_exactly_this(tmp_path: Path) -> None:
    write(tmp_path, 1)

    assert (tmp_path / "audit-000001.jsonl").read_text() == (
        '{"class":"ALLOW","hash":"9a","id":"00000000000000000000000000000000","key":"test","outcome":"answered",'
        f'"prev":"{"0" * 64}","seal":"5e","seq":1}}\n'
    ).replace('"9a"', f'"{records(tmp_path)[0]["hash"]}"').replace('"5e"', f'"{records(tmp_path)[0]["seal"]}"')


def test_the_chain_goes_on_after_a_restart_and_over_files(tmp_path: Path) -> None:
    write(tmp_path, 5, rotate=600)
    write(tmp_path, 5, rotate=600, start=5)

    found = verify(tmp_path, KEYS)
    assert (found.broken, found.first, found.head.seq, found.unsealed) == (None, 1, 10, frozenset())
    assert found.files > 2
    assert [record["seq"] for record in records(tmp_path)] == list(range(1, 11))


def change(line: str) -> str:
    return line.replace("ALLOW", "REFUSE")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda lines: [lines[0], change(lines[1]), *lines[2:]],
            "audit-000001.jsonl:2: record 2: its content was changed",
        ),
        (
            lambda lines: [lines[0], *lines[2:]],
            "audit-000001.jsonl:2: record 2: its number is 3: records are missing or moved",
        ),
        (
            lambda lines: [lines[0], lines[2], lines[1], lines[3]],
            "audit-000001.jsonl:2: record 2: its number is 3: records are missing or moved",
        ),
        (lambda lines: [*lines[:2], "{}", *lines[2:]], "audit-000001.jsonl:3: record 3: not a record"),
        (lambda lines: [*lines[:3], lines[3][:40]], "audit-000001.jsonl:4: record 4: not a record"),
        (lambda lines: [" " + lines[0], *lines[1:]], "audit-000001.jsonl:1: record 0: not a record"),
    ],
)
def test_verify_names_the_first_broken_record(tmp_path: Path, edit: Any, message: str) -> None:
    write(tmp_path, 4)
    path = tmp_path / "audit-000001.jsonl"
    path.write_text("\n".join(edit(path.read_text().splitlines())) + "\n")

    assert (broken(tmp_path) or "").replace("record 0", "record 1") == message.replace("record 0", "record 1")


def test_a_chain_made_anew_without_the_key_is_known_by_its_seals(tmp_path: Path) -> None:
    write(tmp_path, 3)
    forger = keys.parse(["test " + "99" * 32], "forger")
    head, lines = chain.Head(), b""
    for record in records(tmp_path):
        own = {name: value for name, value in record.items() if name in ("id", "outcome")}
        whole = chain.seal({**own, "class": "DENY"}, head, forger)
        head, lines = chain.Head(whole["seq"], whole["hash"]), lines + chain.encode(whole)
    (tmp_path / "audit-000001.jsonl").write_bytes(lines)

    assert verify(tmp_path, None).broken is None
    assert broken(tmp_path) == "audit-000001.jsonl:1: record 1: its seal is not by the key that it names"


def test_keys_change_and_old_records_verify_with_the_old_one(tmp_path: Path) -> None:
    write(tmp_path, 2)
    write(tmp_path, 2, known=OTHER, start=2)

    assert [record["key"] for record in records(tmp_path)] == ["test", "test", "next", "next"]
    assert verify(tmp_path, OTHER).broken is None
    assert verify(tmp_path, KEYS).unsealed == {"next"}


def test_a_line_that_was_cut_off_is_taken_away_and_the_chain_goes_on(tmp_path: Path) -> None:
    write(tmp_path, 2)
    with (tmp_path / "audit-000001.jsonl").open("ab") as log:
        log.write(b'{"class":"ALL')
    write(tmp_path, 1, start=2)

    assert (broken(tmp_path), len(records(tmp_path))) == (None, 3)


def test_a_log_whose_last_record_was_changed_is_not_written_on(tmp_path: Path) -> None:
    write(tmp_path, 2)
    path = tmp_path / "audit-000001.jsonl"
    path.write_text(change(path.read_text()))

    with pytest.raises(UserError, match=r"^audit-000001.jsonl: its last record is broken: run doit audit"):
        write(tmp_path, 1)


def test_two_servers_cannot_write_one_log(tmp_path: Path) -> None:
    log = Log(tmp_path / "audit", KEYS, 1000)

    with pytest.raises(UserError, match="another server writes this audit log"):
        Log(tmp_path / "audit", KEYS, 1000)
    log.close()


def test_a_stream_that_nothing_ended_is_recorded_by_the_next_start(tmp_path: Path) -> None:
    log = Log(tmp_path, KEYS, 1 << 20)
    log.begin({"id": "a" * 32, "class": "ALLOW"}).result(10)
    log.begin({"id": "b" * 32, "class": "ALLOW"}).result(10)
    log.append({"id": "b" * 32, "outcome": "answered"}).result(10)
    log._arrived.put(None)  # the thread ends, and nothing is put in order: a killed process
    log._thread.join()
    log._lock.release()

    write(tmp_path, 1)

    assert [(each["id"][0], each["outcome"]) for each in records(tmp_path)] == [
        ("b", "answered"),
        ("a", "interrupted"),
        ("0", "answered"),
    ]
    assert broken(tmp_path) is None
    assert not (tmp_path / "streams.jsonl").exists()


def test_a_full_disk_fails_every_waiting_record_and_leaves_a_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(tmp_path, KEYS, 1 << 20)
    log.append({"id": "1", "outcome": "answered"}).result(10)
    whole = (tmp_path / "audit-000001.jsonl").read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for number in (2, 3):
            with pytest.raises(Unavailable):
                log.append({"id": str(number), "outcome": "answered"}).result(10)
        assert log.failing
    log.append({"id": "4", "outcome": "answered"}).result(10)
    log.close()

    assert (tmp_path / "audit-000001.jsonl").read_bytes().startswith(whole)
    assert ([each["id"] for each in records(tmp_path)], broken(tmp_path)) == (["1", "4"], None)


def test_a_server_with_a_full_disk_answers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes, synced: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with served(tmp_path / "audit", says(output())) as here:
        with monkeypatch.context() as patch:
            patch.setattr(audit.appendlog, "append", full)
            for reply in (here.think(), here.think(stream=True), here.chat(), here.chat(stream=True)):
                assert (reply.status_code, reply.json()["type"]) == (503, "urn:so8t:problem:audit")
                assert "締め切り" not in reply.text
            assert here.client.get("/healthz").status_code == 503
        assert here.think().status_code == 200
        assert here.client.get("/healthz").json() == {"status": "ok"}


def test_the_log_holds_keyed_hashes_and_no_text(tmp_path: Path) -> None:
    with served(tmp_path / "audit", says(output())) as here:
        here.think("給与の質問"), here.think("給与の質問"), here.think("別の質問")

    one, two, three = records(tmp_path / "audit")
    assert one["prompt_hmac"] == two["prompt_hmac"] != three["prompt_hmac"]
    assert one["thinking_hmac"] == KEYS.hash(output().split("判定: ")[0] + "判定: ")
    written = b"".join(path.read_bytes() for path in (tmp_path / "audit").iterdir()).decode()
    for text in ("給与", SECRET, "月末"):
        assert text not in written and json.dumps(text)[1:-1] not in written


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["short abcd"], "k:1: a key's line is an id, a blank, and 64 or more hex digits"),
        (["# only a comment"], "k: no key in it; `doit audit --new-key` writes one"),
        (["a " + "0" * 64, "a " + "1" * 64], "k:2: a second key with the id a"),
    ],
)
def test_a_key_that_is_none_is_refused_without_being_shown(lines: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        keys.parse(lines, "k")

    assert str(refused.value) == message


def test_keys_come_from_the_environment_or_a_file_and_the_last_is_in_use(tmp_path: Path) -> None:
    first, second = keys.new("2026-11"), keys.new("2026-12")
    (tmp_path / "keys").write_text(f"# audit\n{first}\n{second}\n")

    assert keys.read(tmp_path / "keys", {}) == keys.read(None, {"SO8T_AUDIT_KEY": f"{first},{second}"})
    assert keys.parse([first, second], "").current == "2026-12"
    assert keys.read(None, {}) is None
