"""A cable between machines and their store, which is pulled, slow, or answers for a store that is too busy.

python -m tests.cluster.cables HOST PORT STORE_PORT FLAGS      one from HOST:PORT to the store beside it
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

DELAY = 0.05  # seconds, of every piece that comes through a slow one
_BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Cable:
    """All that goes to the store and comes from it.  What is wrong with it is a file, which any process may write."""

    def __init__(self, store: tuple[str, int], flags: Path, at: tuple[str, int] = ("127.0.0.1", 0)) -> None:
        self._store, self._flags = store, flags
        self._door = socket.create_server(at)
        self.port: int = self._door.getsockname()[1]

    def start(self) -> Cable:
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def close(self) -> None:
        self.set("pulled")
        self._door.close()

    def set(self, what: str) -> None:
        self._flag(what).touch()

    def clear(self, what: str) -> None:
        self._flag(what).unlink(missing_ok=True)

    def has(self, what: str) -> bool:
        return self._flag(what).exists()

    def _flag(self, what: str) -> Path:
        return self._flags.with_name(f"{self._flags.name}-{what}")

    def serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return  # the door is closed
            try:
                far = socket.create_connection(self._store)
            except OSError:  # the store is not there yet
                near.close()
                continue
            threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket, asks: bool) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                if self.has("slow"):
                    time.sleep(DELAY)
                if self.has("pulled"):
                    break
                if asks and self.has("busy"):
                    one.sendall(_BUSY)
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def main(argv: Sequence[str]) -> None:
    host, port, store, flags = argv
    Cable((host, int(store)), Path(flags), (host, int(port))).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
