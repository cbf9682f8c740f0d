"""Quantisation by an importance matrix through cyllama, whose Python has no way to give one.

llama.cpp's parameters lie inside cyllama's object as llama.h declares them.  Where they lie is found by values that
were set from Python, and all that was not found as expected is refused before llama.cpp sees it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import c_bool, c_char_p, c_float, c_int, c_int32, c_size_t, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.gguf import llamacpp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SWITCHES = ("allow_requantize", "quantize_output_tensor", "only_copy", "pure", "keep_split", "dry_run")
_POINTERS = ("imatrix", "kv_overrides", "tt_overrides", "prune_layers")


class _Parameters(ctypes.Structure):
    """llama_model_quantize_params."""

    _fields_ = (
        ("nthread", c_int32),
        ("ftype", c_int),
        ("output_tensor_type", c_int),
        ("token_embedding_type", c_int),
        *((name, c_bool) for name in _SWITCHES),
        *((name, c_void_p) for name in _POINTERS),
    )


class _Entry(ctypes.Structure):
    """llama_model_imatrix_data; one without a name ends the list."""

    _fields_ = (("name", c_char_p), ("data", ctypes.POINTER(c_float)), ("size", c_size_t))


def quantize(source: Path, target: Path, ftype: int, threads: int, squares: Mapping[str, NDArray[np.float32]]) -> None:
    """What `llama-quantize --imatrix` does."""
    library = llamacpp._library()
    given = library.LlamaModelQuantizeParams()
    inside = _inside(given)
    given.ftype, given.nthread = ftype, threads
    entries = (_Entry * (len(squares) + 1))()
    for entry, (name, values) in zip(entries, squares.items(), strict=False):
        entry.name, entry.size = name.encode(), len(values)
        entry.data = values.ctypes.data_as(ctypes.POINTER(c_float))
    inside.imatrix = ctypes.addressof(entries)
    llamacpp._log.clear()
    try:
        library.model_quantize(str(source), str(target), given)
    except RuntimeError as error:
        target.unlink(missing_ok=True)
        raise StageError(f"llama.cpp cannot quantise {source.name}: {llamacpp._said(error)}") from error
    finally:
        inside.imatrix = None  # the list goes, and the object may stay
    if not any(f"importance matrix data with {len(squares)} entries" in text for _, text in llamacpp._log):
        target.unlink(missing_ok=True)
        raise StageError(f"gguf: imatrix: llama.cpp did not say that it took the {len(squares)} entries; {_ADVICE}")


_ADVICE = "use your own llama-quantize (quantiser in gguf.yaml), or leave the imatrix out"


def _inside(given: Any) -> _Parameters:
    """The parameters in the object; they end it, and every field answers to its name in Python."""
    start = type(given).__basicsize__ - ctypes.sizeof(_Parameters)
    found = _Parameters.from_address(id(given) + start) if start >= object.__basicsize__ else None
    if found is None or not _answers(given, found):
        raise StageError(f"gguf: imatrix: this cyllama keeps llama.cpp's parameters in another way; {_ADVICE}")
    return found


def _answers(given: Any, found: _Parameters) -> bool:
    usual = {name: getattr(given, name) for name, *_ in _Parameters._fields_[:-4]}
    try:
        for number, name in enumerate(("nthread", "ftype"), 5):
            setattr(given, name, number)
            if getattr(found, name) != number:
                return False
        for name in _SWITCHES:
            for value in (True, False):
                setattr(given, name, value)
                if [getattr(found, other) for other in _SWITCHES] != [getattr(given, other) for other in _SWITCHES]:
                    return False
    finally:
        for name, value in usual.items():
            setattr(given, name, value)
    return all(getattr(found, name) is None for name in _POINTERS)
