"""llama.cpp's own evaluation callback, as llama-imatrix uses it: what goes into each product with a weight.

cyllama has no door to it, so the pointer is put where llama.h of one version has it, and structures of ggml.h are read.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import CFUNCTYPE, c_bool, c_char, c_float, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from so8t.gguf import llamacpp

VERSION = "llama.cpp b9190"
_BEFORE, _CALLBACK, _TYPES = 92, 96, 112  # bytes from the object: defrag_thold, cb_eval, type_k and type_v
_F32 = 0


class Tensor(ctypes.Structure):
    """ggml_tensor."""


Tensor._fields_ = [  # type: ignore[misc]
    ("type", c_int), ("buffer", c_void_p), ("ne", c_int64 * 4), ("nb", c_size_t * 4), ("op", c_int),
    ("op_params", c_int * 16), ("flags", c_int), ("src", ctypes.POINTER(Tensor) * 10), ("view_src", c_void_p),
    ("view_offs", c_size_t), ("data", c_void_p), ("name", c_char * 64),
]  # fmt: skip
Callback = CFUNCTYPE(c_bool, ctypes.POINTER(Tensor), c_bool, c_void_p)


def squares(path: Path, talks: Sequence[Sequence[int]]) -> dict[str, NDArray[np.float64]]:
    """The mean of the squares of what each weight of a layer is multiplied with, by column."""
    if VERSION not in llamacpp.version():
        pytest.skip(f"the callback is reached in {VERSION} alone, and this is {llamacpp.version()}")
    sums: dict[str, NDArray[np.float64]] = {}

    def hear(tensor: ctypes._Pointer[Tensor], ask: bool, _: int) -> bool:
        made_of = tensor.contents.src
        name = made_of[0].contents.name.decode() if made_of[0] and made_of[1] else ""
        if not name.startswith("blk.") or len(name.split(".")) < 4 or made_of[0].contents.ne[1] == 1:
            return False  # norms are one row
        if not ask:
            given = made_of[1].contents
            columns, rows = given.ne[0], given.ne[1]
            assert given.type == _F32 and given.nb[1] == 4 * columns
            values = np.ctypeslib.as_array((c_float * (columns * rows)).from_address(given.data))
            sums[name] = sums.get(name, 0) + np.square(values.reshape(rows, columns).astype(np.float64)).sum(0)
        return True

    library, callback = llamacpp._library(), Callback(hear)
    size = library.LlamaContextParams()
    size.n_ctx, size.n_threads, size.n_threads_batch = 256, 1, 1
    size.type_k = size.type_v = _F32
    size.flash_attn_type = 0  # it rounds to float16
    assert c_float.from_address(id(size) + _BEFORE).value == -1.0
    assert list((c_int * 2).from_address(id(size) + _TYPES)) == [_F32, _F32]
    c_void_p.from_address(id(size) + _CALLBACK).value = ctypes.cast(callback, c_void_p).value
    model = llamacpp._model_class()(path_model=str(path), params=library.LlamaModelParams(), verbose=False)
    context = library.LlamaContext(model, size, verbose=False)
    batch = library.LlamaBatch(n_tokens=256, embd=0, n_seq_max=1, verbose=False)
    for ids in talks:
        context.kv_cache_clear()
        batch.set_batch(list(ids), 0, True)
        context.decode(batch)
    for each in (batch, context, model):
        each.close()
    return {name: total / sum(map(len, talks)) for name, total in sums.items()}
