"""doit watch: another process sees how far a build is, and nobody else does."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.engine.test_screen import telling
from tests.house import House
from tests.serve import browser
from tests.serve.served import wait_for

pytestmark = pytest.mark.slow

WATCH = (  # as the entry point has it, whatever is installed
    "import sys; from doit.doit_cmd import DoitMain; "
    "commands = {'COMMAND': {'watch': 'so8t.commands.watch:Watch'}}; "
    "sys.exit(DoitMain(extra_config=commands).run(sys.argv[1:]))"
)


@dataclass(frozen=True)
class Watched:
    process: subprocess.Popen[str]
    url: str

    def ask(self, path: str, host: str = "") -> tuple[int, str]:
        where = urlsplit(self.url)
        talk = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        talk.request("GET", path, headers={"Host": host or where.netloc})
        reply = talk.getresponse()
        return reply.status, reply.read().decode()

    @property
    def state(self) -> dict[str, Any]:
        status, text = self.ask(f"{urlsplit(self.url).path}state")
        assert status == 200, text
        found: dict[str, Any] = json.loads(text)
        return found


@pytest.fixture
def watched(house: House) -> Iterator[Watched]:
    """Beside a build that is held at the first of three numbers."""
    telling(house)
    house.hold("parity")
    building = house.start("parity", "total")
    house.wait_for("parity")
    watching = subprocess.Popen(
        [sys.executable, "-c", WATCH, "watch"], cwd=house.path, env=house.env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert watching.stderr is not None
    yield Watched(watching, watching.stderr.readline().removeprefix("watch: ").strip())
    watching.kill()
    watching.communicate()
    house.release("parity")
    building.communicate(timeout=60)


def test_a_build_in_another_process_is_shown_to_who_knows_the_address(house: House, watched: Watched) -> None:
    state = watched.state
    stages = {each["name"]: each for each in state["stages"]}
    assert (state["profile"], state["whole"]["facts"][:18]) == ("tiny", " 20%  1 of 5 stage")
    assert {name: each["state"] for name, each in stages.items()} == {
        "numbers": "up to date",
        "doubled": "not up to date",
        "total": "not up to date",
        "card": "not up to date",
        "parity": "running",
    }
    assert stages["parity"]["facts"] == " 33%  奇数か偶数か number 1 of 3"
    assert (stages["doubled"]["why"], stages["card"]["why"]) == (
        "never built",
        "total is not built, and 1 more",
    )
    assert [(each["stage"], each["outcome"]) for each in state["told"]] == [("numbers", "built")]

    where = urlsplit(watched.url)
    assert watched.ask(where.path)[1].startswith("<!doctype html>")
    assert watched.ask(where.path, f"evil.example:{where.port}")[0] == 421
    assert (watched.ask("/")[0], watched.ask("/state")[0], watched.ask(f"{where.path}../state")[0]) == (404, 404, 404)

    watched.process.send_signal(signal.SIGINT)
    said = watched.process.communicate(timeout=30)
    assert (watched.process.returncode, *said) == (0, "", "interrupted: nothing is watched any more; builds go on\n")


@pytest.mark.soak
def test_the_page_in_a_browser_wide_and_narrow(house: House, watched: Watched, tmp_path: Path) -> None:
    with browser.page(tmp_path / "browser", watched.url, 1280, 900) as page:
        wait_for(lambda: page.value("document.querySelectorAll('#stages li').length") == 5)
        assert page.value("document.querySelector('li.running b').textContent") == "parity"
        spoken = "[...document.querySelectorAll('[role=progressbar]')].map(e => e.ariaLabel + ' ' + e.ariaValueNow)"
        assert page.value(spoken) == ["whole build 20", "parity 33"]
        for width in (1280, 400):
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
            page.call("Emulation.setDeviceMetricsOverride", **size)
            assert page.value("document.documentElement.scrollWidth") == width
            page.picture(tmp_path / f"watch-{width}.png")
        status, text = watched.ask(f"{urlsplit(watched.url).path}report")
        assert (status, text[:15], ">parity<" in text) == (200, "<!doctype html>", True)

        house.release("parity")
        wait_for(lambda: page.value("document.querySelectorAll('li.current').length") == 4, 60)
        house.hold("parity")  # for the fixture, which lets it go

        watched.process.send_signal(signal.SIGINT)
        wait_for(lambda: page.value("find('word').textContent").startswith("doit watch has ended"))
        complaints = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        assert [each for each in page.events if each["method"] in complaints] == []
