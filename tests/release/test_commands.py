"""The two commands as a user calls them: what they print, their exit codes, and what they refuse."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from doit.cmd_base import DodoTaskLoader
from doit.exceptions import InvalidCommand

from so8t.commands.release import Release
from so8t.commands.verify_release import VerifyRelease
from so8t.engine.backend import Backend
from tests.release.conftest import Profile


@dataclass(frozen=True)
class Shell:
    profile: Profile

    def release(self, *words: str, **options: object) -> str:
        command = Release(DodoTaskLoader(), cmds={}, config={})
        command.outstream = io.StringIO()
        assert command._execute(list(words), **options) == 0
        return command.outstream.getvalue()

    def verify(self, *words: str, **options: object) -> tuple[int, str]:
        command = VerifyRelease(DodoTaskLoader(), cmds={}, config={})
        command.outstream = io.StringIO()
        return command._execute(list(words), **options), command.outstream.getvalue()


@pytest.fixture
def shell(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> Shell:
    plan = SimpleNamespace(layout=profile.layout, store=profile.store)
    monkeypatch.setattr(Backend, "graph", SimpleNamespace(plan=plan))
    monkeypatch.chdir(profile.layout.project)
    return Shell(profile)


def test_a_release_is_written_signed_and_verified(shell: Shell) -> None:
    said = shell.release("f16", out="out/one", key="own.key")
    assert re.sub(r"[\d,]+ bytes", "N bytes", said) == "out/one: 35 files, N bytes, signed\n"

    assert shell.verify("out/one", key="own.key.pub") == (
        0,
        "35 files, all as they were released; the signature holds\n",
    )
    (Path("out") / "one" / "NOTICE").write_text("mine", "utf-8")
    assert shell.verify("out/one", key="own.key.pub") == (
        1,
        "NOTICE: has 4 bytes and was released with 219\nmodel.sig: signs other bytes of NOTICE\n",
    )


@pytest.mark.parametrize(
    ("words", "options", "message"),
    [
        (["--key"], {}, "options come before words: doit release --key ..."),
        ([], {"key": "a", "keyless": True}, "release: --key and --keyless: name one of them"),
        ([], {"watts": "much"}, "--watts much: a number of watts, such as 250"),
        ([], {"new_key": "own.key"}, "release: own.key is there already; no key is written over"),
        ([], {"key": "no.key"}, "release: no.key: there is no such key; doit release --new-key no.key makes one"),
        ([], {"license": "NONE"}, "release: NONE: no licence text can be read there; name one with --license"),
    ],
)
def test_what_cannot_be_is_refused(shell: Shell, words: list[str], options: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidCommand) as refused:
        shell.release(*words, **options)
    assert str(refused.value) == message


def test_verify_takes_one_folder(shell: Shell) -> None:
    with pytest.raises(InvalidCommand) as refused:
        shell.verify()
    assert str(refused.value) == "doit verify-release takes one folder: doit verify-release release/tiny"
