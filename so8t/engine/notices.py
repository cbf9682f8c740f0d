"""A build that took long says that it has ended: with a bell, a sound, a word on the desktop, or by any apprise URL.

A notice that cannot be given is one plain line, and never a reason for a build to fail.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from so8t.errors import MissingExtra, StageError

URLS = "SO8T_NOTIFY_URLS"  # in the environment alone, for they hold secrets
CHIME = Path(__file__).parent / "sound" / "chime.wav"
_PATIENCE = 10.0  # seconds for a player or a desktop
_PLAYERS = (("pw-play",), ("paplay",), ("aplay", "-q"))
_SHOW = "display notification (item 2 of argv) with title (item 1 of argv)"
_POWERSHELL = r"{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\WindowsPowerShell\v1.0\powershell.exe"  # as Windows calls it
_TOAST = (
    "$m = [Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime];"
    "$x = $m::GetTemplateContent([Windows.UI.Notifications.ToastTemplateType]::ToastText02);"
    "$t = $x.GetElementsByTagName('text');"
    "[void]$t.Item(0).AppendChild($x.CreateTextNode($env:SO8T_TITLE));"
    "[void]$t.Item(1).AppendChild($x.CreateTextNode($env:SO8T_TEXT));"
    f"$m::CreateToastNotifier('{_POWERSHELL}').Show([Windows.UI.Notifications.ToastNotification]::new($x))"
)

Which = Callable[[str], str | None]


@dataclass(frozen=True)
class Notice:
    title: str
    text: str


def give(notice: Notice, wanted: Mapping[str, Any], stream: TextIO, env: Mapping[str, str] = os.environ) -> None:
    """By every way that the profile wants, and by the URLs of the environment."""
    ways: dict[str, Callable[[], None]] = {}
    if wanted["bell"] and stream.isatty():
        ways["bell"] = lambda: print("\a", end="", file=stream, flush=True)
    if wanted["sound"]:
        ways["sound"] = lambda: _play(sys.platform)
    if wanted["desktop"]:
        ways["desktop"] = lambda: _run(desktop(notice, sys.platform), notice)
    if urls := env.get(URLS, "").split():
        ways["apprise"] = lambda: _post(notice, urls)
    for name, way in ways.items():
        try:
            way()
        except Exception as error:  # whatever it is: the build has ended, and its result stands
            print(f"notification ({name}) was not given: {_one_line(error)}", file=stream, flush=True)


def desktop(notice: Notice, platform: str) -> list[str]:
    """The command that shows it; texts are arguments of their own, or in the environment, and never code."""
    if platform == "darwin":
        return ["osascript", "-e", "on run argv", "-e", _SHOW, "-e", "end run", notice.title, notice.text]
    if platform == "win32":
        return ["powershell", "-NoProfile", "-NonInteractive", "-Command", _TOAST]
    return ["notify-send", "--app-name=so8t", "--", notice.title, notice.text]


def player(platform: str, which: Which = shutil.which) -> list[str]:
    """The command that plays the chime."""
    if platform == "darwin":
        return ["afplay", str(CHIME)]
    for name, *options in _PLAYERS:
        if which(name):
            return [name, *options, str(CHIME)]
    raise StageError(f"none of {', '.join(name for name, *_ in _PLAYERS)} is on PATH; install one, or leave sound out")


def _play(platform: str) -> None:
    if platform == "win32":
        import winsound

        winsound.PlaySound(str(CHIME), winsound.SND_FILENAME)  # type: ignore[attr-defined,unused-ignore]
    else:
        _run(player(platform))


def _run(command: list[str], notice: Notice | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise StageError(f"{command[0]} is not on PATH; install it, or leave this way out")
    told = {"SO8T_TITLE": notice.title, "SO8T_TEXT": notice.text} if notice else {}
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=_PATIENCE, env={**os.environ, **told},
    )  # fmt: skip
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip()
        raise StageError(f"{command[0]} ended with exit code {done.returncode}" + (f": {said}" if said else ""))


def _post(notice: Notice, urls: list[str]) -> None:
    try:
        import apprise
    except ImportError:
        raise MissingExtra("apprise", "notify", URLS) from None
    with _silent("apprise"):
        refused = [url.partition(":")[0] for url in urls if not _posted(apprise.Apprise(), url, notice)]
    if refused:
        raise StageError(f"nothing was sent to {', '.join(refused)}: is the URL in {URLS} right, and does it answer?")


def _posted(service: Any, url: str, notice: Notice) -> bool:
    return bool(service.add(url)) and bool(service.notify(title=notice.title, body=notice.text))


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """What a library logs could hold a URL with its secret."""
    logger = logging.getLogger(name)
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
