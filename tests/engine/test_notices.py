"""A long build says that it has ended; a way that fails is one plain line."""

from __future__ import annotations

import io
import json
import threading
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from so8t.engine import notices
from so8t.engine.notices import CHIME, Notice, desktop, give, player
from so8t.errors import StageError
from tests.house import House
from tools import chime

NOTICE = Notice("so8t: tiny is built", "15 stages in 4:10; 「完成」")
NO_PLAYER = "none of pw-play, paplay, aplay is on PATH; install one, or leave sound out"
NOTHING = {"bell": False, "sound": False, "desktop": False}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of what apprise posts, and its URL."""
    found: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing on the test's screen."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"json://127.0.0.1:{server.server_port}/secret", found
        server.shutdown()


def test_the_chime_is_what_its_script_makes_and_any_player_can_read_it() -> None:
    assert CHIME.read_bytes() == chime.chime()
    with wave.open(str(CHIME)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 1, 11025)
        samples = sound.readframes(sound.getnframes())
    assert (len(samples), min(samples), max(samples), samples[-1]) == (4800, 68, 187, 128)


def test_each_platform_has_a_player_of_its_own() -> None:
    there = {"paplay": "/usr/bin/paplay", "aplay": "/usr/bin/aplay"}
    assert player("darwin") == ["afplay", str(CHIME)]
    assert player("linux", there.get) == ["paplay", str(CHIME)]
    assert player("linux", {"aplay": "/usr/bin/aplay"}.get) == ["aplay", "-q", str(CHIME)]
    with pytest.raises(
        StageError, match=r"^none of pw-play, paplay, aplay is on PATH; install one, or leave sound out$"
    ):
        player("linux", {}.get)


def test_a_text_is_never_a_part_of_a_command() -> None:
    sly = Notice('"; rm -rf ~', "$(reboot) -e 'x'")
    assert desktop(sly, "linux") == ["notify-send", "--app-name=so8t", "--", sly.title, sly.text]
    assert desktop(sly, "darwin")[-3:] == ["end run", sly.title, sly.text]
    windows = desktop(sly, "win32")
    assert (windows[:-1], sly.title in windows[-1], sly.text in windows[-1]) == (
        ["powershell", "-NoProfile", "-NonInteractive", "-Command"],
        False,
        False,
    )


def test_the_bell_rings_on_a_terminal_alone() -> None:
    terminal, file = Terminal(), io.StringIO()
    give(NOTICE, {**NOTHING, "bell": True}, terminal, {})
    give(NOTICE, {**NOTHING, "bell": True}, file, {})
    assert (terminal.getvalue(), file.getvalue()) == ("\a", "")


def test_apprise_posts_to_the_urls_of_the_environment(received: tuple[str, list[dict[str, Any]]]) -> None:
    url, found = received
    said = io.StringIO()
    give(NOTICE, NOTHING, said, {notices.URLS: url})
    assert (said.getvalue(), [(each["title"], each["message"]) for each in found]) == (
        "",
        [(NOTICE.title, NOTICE.text)],
    )


def test_what_fails_is_one_line_without_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said = io.StringIO()
    give(
        NOTICE,
        {**NOTHING, "sound": True, "desktop": True},
        said,
        {notices.URLS: "json://127.0.0.1:9/secret nobody://x"},
    )
    assert said.getvalue().splitlines() == [
        f"notification (sound) was not given: {NO_PLAYER}",
        "notification (desktop) was not given: notify-send is not on PATH; install it, or leave this way out",
        "notification (apprise) was not given: nothing was sent to json, nobody: is the URL in SO8T_NOTIFY_URLS right, "
        "and does it answer?",
    ]


@pytest.mark.slow
def test_a_build_tells_when_it_fails_and_keeps_its_exit_code(
    house: House, received: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, found = received
    monkeypatch.setenv(notices.URLS, f"{url} json://127.0.0.1:9")
    house.write("specs/tiny/profile.yaml", "notify: {minutes: 0}\n")
    house.edit("stages/numbers.py", 'log.note("numbers")', "raise OSError(28, '空きがない')")

    run = house.doit("numbers")

    assert (run.code, [each["title"] for each in found]) == (1, ["so8t: tiny: numbers failed"])
    assert found[0]["message"].startswith("after 0:0")
    assert (
        found[0]["message"].partition(": ")[2].startswith("numbers: 空きがない; nothing was published; free some space")
    )
    assert run.err.splitlines()[-1].startswith("notification (apprise) was not given: nothing was sent to json: ")
