"""Whether CUDA can be had here, found out without importing torch, which takes seconds."""

from __future__ import annotations

import ctypes
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_BUILT_FOR = re.compile(r"^cuda\b.*= *(.+)$", re.MULTILINE)
_VERSION = re.compile(r"^__version__ *= *'([\w.]+)", re.MULTILINE)


def lacks(field: str, wanted: str) -> Iterator[str]:
    """Why the device that a spec names is not here."""
    if wanted.startswith("cuda") and (why := why_not(int(wanted.partition(":")[2] or 0))):
        yield f"{field}: {wanted}: {why}; to compute on a processor, which may take days, set {field}: cpu"


def why_not(number: int = 0) -> str:
    """Why the CUDA device of this number cannot be used, and what to do; empty if nothing speaks against it."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return "torch is not installed"
    told = (Path(found.origin).parent / "version.py").read_text("utf-8")
    version, built_for = _VERSION.search(told), _BUILT_FOR.search(told)
    if not built_for or built_for[1].strip() == "None":
        return f"torch {version[1] if version else ''} is a build without CUDA; {_wheel(version[1] if version else '')}"
    count = devices()
    if count is None:
        return "no NVIDIA driver answers: install it, and look at what nvidia-smi says"
    return "" if number < count else f"the driver knows {count} devices, which are numbered from 0"


def _wheel(version: str) -> str:
    if sys.platform == "win32":
        return "PyPI has no other for Windows: take the line that https://pytorch.org/get-started/locally gives"
    return f"pip install --force-reinstall torch=={version} brings PyPI's, which has it"


def memory(number: int = 0) -> int | None:
    """All bytes of the device of this number; None where there is no such device."""
    driver = _driver()
    if driver is None or number >= (devices() or 0):
        return None
    device, total = ctypes.c_int(), ctypes.c_size_t()
    if driver.cuDeviceGet(ctypes.byref(device), number) or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device):
        return None
    return total.value


def devices() -> int | None:
    """How many the driver has; None where there is none to ask."""
    driver = _driver()
    if driver is None:
        return None
    count = ctypes.c_int()
    return count.value if not driver.cuInit(0) and not driver.cuDeviceGetCount(ctypes.byref(count)) else 0


def _driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
