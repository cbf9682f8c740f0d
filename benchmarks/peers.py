"""The build tools that the benchmarks compare with: found on the PATH, or set up with pip in a folder of their own.

    python benchmarks/peers.py [--folder FOLDER] [--refresh]     set up what is missing, say what there is

A peer that cannot be had is named with the reason: a comparison that was left out must not look like one that was won.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(tempfile.gettempdir()) / "so8t-peers"
PINNED = {"dvc": "3.67.1", "snakemake": "9.27.1", "ninja": "1.13.2"}  # what docs and targets were measured with
ON_PATH = ("make", "ninja")  # the distribution's own will do: their cost is known to be small and steady


@dataclass(frozen=True)
class Peer:
    name: str
    command: str | None  # the program; None if it is not available here
    note: str  # its version, or why it is not available

    @property
    def line(self) -> str:
        return f"{self.name} {self.note}" if self.command else f"{self.name}: not available here ({self.note})"


def find(name: str, folder: Path = FOLDER) -> Peer:
    """The peer, set up first if need be."""
    on_path = shutil.which(name) if name in ON_PATH else None
    if on_path:
        return _asked(name, on_path)
    if name not in PINNED:
        return Peer(name, None, "not on the PATH")
    program = _program(folder / name, name)
    if not program.exists():
        trouble = _install(name, folder / name)
        if trouble:
            return Peer(name, None, trouble)
    return _asked(name, str(program))


def missing(peers: list[Peer]) -> list[str]:
    return [peer.line for peer in peers if peer.command is None]


def _install(name: str, home: Path) -> str | None:
    """A virtual environment with the pinned peer; what went wrong, if anything did."""
    print(f"setting up {name} {PINNED[name]} (once)", file=sys.stderr, flush=True)
    venv.create(home, with_pip=True, clear=True)
    pip = [str(_program(home, "python")), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    done = subprocess.run([*pip, f"{name}=={PINNED[name]}"], check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    shutil.rmtree(home, ignore_errors=True)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
    return errors[-1]


def _program(home: Path, name: str) -> Path:
    return home / ("Scripts" if os.name == "nt" else "bin") / (f"{name}.exe" if os.name == "nt" else name)


def _asked(name: str, command: str) -> Peer:
    """The peer with the version that it tells; one that does not start is not available."""
    try:
        done = subprocess.run([command, "--version"], check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Peer(name, None, f"does not start: {type(error).__name__}")
    version = re.search(r"[0-9]+(\.[0-9]+)+", done.stdout)
    if done.returncode or not version:
        return Peer(name, None, f"--version ended with exit code {done.returncode}")
    return Peer(name, command, version[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the peers live")
    parser.add_argument("--refresh", action="store_true", help="set them up anew")
    asked = parser.parse_args()
    if asked.refresh:
        shutil.rmtree(asked.folder, ignore_errors=True)
    for name in ("make", "ninja", "dvc", "snakemake"):
        print(find(name, asked.folder).line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
