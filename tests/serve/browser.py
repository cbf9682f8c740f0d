"""Headless Chromium by its DevTools protocol: one page, a few commands, screenshots."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.serve.served import wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def executable() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A WebSocket with what DevTools needs of it: masked text frames out, whole text frames in."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._socket = socket.create_connection(
            (where.hostname or "", where.port or 0), timeout=120
        )  # a busy machine is no fault
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._in = self._socket.makefile("rb")
        while self._in.readline() not in (b"\r\n", b""):
            pass
        self._ids = itertools.count(1)
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        self._send(json.dumps({"id": number, "method": method, "params": params}).encode())
        while True:
            message = json.loads(self._receive())
            if message.get("id") == number:
                assert "error" not in message, message
                found: dict[str, Any] = message["result"]
                return found
            self.events.append(message)

    def value(self, expression: str) -> Any:
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, modifiers: int = 0) -> None:
        text = "\r" if key == "Enter" else ""
        code = {"Enter": 13, "Escape": 27, "Tab": 9}[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                modifiers=modifiers,
                **more,
            )

    def write(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._in.close()
        self._socket.close()

    def _send(self, data: bytes) -> None:
        size = len(data)
        if size < 126:
            length = bytes([0x80 | size])
        else:
            length = (
                bytes([0x80 | 126]) + struct.pack(">H", size) if size < 1 << 16 else b"\xff" + struct.pack(">Q", size)
            )
        self._socket.sendall(b"\x81" + length + bytes(4) + data)  # masked with zeros

    def _receive(self) -> bytes:
        whole, last = b"", False
        while not last:
            first, size = self._in.read(2)
            if size == 126:
                (size,) = struct.unpack(">H", self._in.read(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._in.read(8))
            whole, last = whole + self._in.read(size), bool(first & 0x80)
        return whole


@contextlib.contextmanager
def page(folder: Path, url: str, width: int = 900, height: int = 720) -> Iterator[Page]:
    chromium = executable()
    assert chromium, f"no Chromium: install one of {', '.join(NAMES)}, or name it in CHROMIUM"
    options = [
        "--headless=new",
        "--remote-debugging-port=0",
        "--no-first-run",
        "--disable-gpu",
        "--disable-dev-shm-usage",
    ]
    options += ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    options += ["--no-proxy-server", f"--window-size={width},{height}", f"--user-data-dir={folder / 'profile'}"]
    browser = subprocess.Popen(
        [chromium, *options, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port = folder / "profile" / "DevToolsActivePort"
        wait_for(lambda: port.exists() and port.read_text().count("\n") > 0, 60)
        targets = httpx.get(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list", trust_env=False).json()
        opened = Page(next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"))
        (
            opened.call("Page.enable"),
            opened.call("Runtime.enable"),
            opened.call("Network.enable"),
            opened.call("Log.enable"),
        )
        opened.call("Page.navigate", url=url)
        wait_for(
            lambda: opened.value("document.readyState") == "complete" and opened.value("location.href") != "about:blank"
        )
        yield opened
        opened.close()
    finally:
        browser.terminate()
        browser.wait(20)
