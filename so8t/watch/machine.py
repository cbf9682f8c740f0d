"""What this machine is and has, for a person who asks why something does not run here."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

_GIB = 1 << 30
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Torch:
    """`built_for`: the CUDA that the wheel was built for, None for a wheel without; `why`: why it cannot be used."""

    version: str
    built_for: str | None
    devices: tuple[str, ...]
    why: str = ""


def host(folder: Path) -> Iterator[str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores{_memory()}"
    yield f"disk: {shutil.disk_usage(folder).free / _GIB:.0f} GiB free where the artifacts lie"


def memory() -> int | None:
    """All that there is."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().total)


def _memory() -> str:
    try:
        import psutil
    except ImportError:
        return ""
    found = psutil.virtual_memory()
    return f", {found.available / _GIB:.0f} of {found.total / _GIB:.0f} GiB of memory free"


def interface(address: str) -> str | None:
    """The network interface that has this address."""
    try:
        import psutil
    except ImportError:
        return None
    there = psutil.net_if_addrs().items()
    return next((name for name, found in there if any(each.address == address for each in found)), None)


def torch() -> Torch | None:
    try:
        import torch as library
    except ImportError:
        return None
    usable = library.cuda.is_available()
    names = tuple(_device(library, number) for number in range(library.cuda.device_count())) if usable else ()
    return Torch(str(library.__version__), library.version.cuda, names)


def _device(library: object, number: int) -> str:
    cuda = library.cuda  # type: ignore[attr-defined]
    free, total = cuda.mem_get_info(number)
    return f"cuda:{number}: {cuda.get_device_name(number)}, {free / _GIB:.1f} of {total / _GIB:.1f} GiB free"


def gpu(found: Torch | None) -> Iterator[str]:
    if found is None:
        yield "torch: not installed"
        return
    yield f"torch {found.version}"
    yield from (f"  {device}" for device in found.devices)
    if not found.devices and found.built_for:
        yield f"  built for CUDA {found.built_for}, and no device answers: look at what nvidia-smi says of the driver"
    elif not found.devices:
        yield "  a build without CUDA; with an NVIDIA card, take the wheel that PyTorch's Get Started page names for it"


def extras(distribution: str) -> Mapping[str, str]:
    """By package, the extra of ours that installs it."""
    found: dict[str, str] = {}
    for line in metadata.requires(distribution) or ():
        requirement, _, marker = line.partition(";")
        name = _NAME.match(requirement)
        extra = marker.partition("extra ==")[2].strip().strip("\"'")
        if name and extra and extra != "all":
            found.setdefault(name[0].lower(), extra)
    return found
