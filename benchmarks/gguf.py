"""GGUFs of a model of random weights: written here, through numpy as the gguf package has it, and by llama.cpp.

    python benchmarks/gguf.py [--shape phi-3.5-mini] [--types f16 q8_0] [--rounds 1]

The checkpoint is bfloat16 in shards, of Phi-3.5's shape, factors of its long context included; its vocabulary is a
small one, filled up. f16 stands beside the gguf package twice: as its example has it, all tensors added and then
written, and tensor by tensor. q8_0 is made from the checkpoint here and from our f16 by llama.cpp's quantiser; both
must hold the same tensors. q4_k_m is made by llama.cpp on both sides, so there only the door to it is measured.

Each work is a fresh process, imports included, with its input in the page cache and the last one's output on the disk.
`peak` is all resident memory, mapped files and libraries too; `anonymous`, sampled, is what no file is behind.
The real shape needs 35 GB in --folder, and 12 GB of memory for the gguf package's example. Linux.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pairs import Command, Cost, as_json, in_turn, ratio, status, table, write_json
from weights import SHAPES, Shape, _tensors

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2
KINDS = ("digest", "f16", "q8_0", "q4_k_m")
FILE_TYPES = {"q8_0": 7, "q4_k_m": 15}
ROPE_FACTORS = frozenset({"rope_factors_long.weight", "rope_factors_short.weight"})


# ---- the model ---------------------------------------------------------------------------------------------------


def make(folder: Path, shape: Shape) -> None:
    import torch
    from transformers import Phi3Config

    from so8t.weights import writer
    from so8t.weights.header import Tensor
    from so8t.weights.reader import as_rows
    from tests.gguf import folders

    half = shape.hidden // shape.heads // 2
    config = Phi3Config(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=131072,
        original_max_position_embeddings=4096,
        sliding_window=262144,
        rope_parameters={**folders.LONG, "factor": 32.0, "long_factor": [2.0] * half, "short_factor": [1.0] * half},
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=3,
        architectures=["Phi3ForCausalLM"],
        dtype="bfloat16",
    )
    config.save_pretrained(str(folder))
    folders.write_pieces(folder)
    generator = torch.Generator().manual_seed(0)

    def fill(tensor: Tensor, start: int, stop: int, into: memoryview) -> None:
        rows = as_rows(into, tensor, stop - start)
        if "norm" in tensor.name:
            rows.fill_(1)
        else:
            rows.copy_(torch.randn(rows.shape, generator=generator) * 0.02)

    writer.write(folder, writer.plan(list(_tensors(shape)), shape.shard), fill, workers=1)


# ---- the works, each in a process of its own ---------------------------------------------------------------------


def ours(model: Path, target: Path, _shape: Shape, kind: str) -> None:
    from so8t.gguf import layout, writer
    from so8t.gguf.metadata import Provenance

    source = layout.open_source(model)
    writer.write(source, target, kind, Provenance("random", "apache-2.0"), layout.read_vocabulary(source))


def through_the_stage(f16: Path, target: Path, _shape: Shape, kind: str) -> None:
    from so8t.gguf import quantise

    quantise.quantise(f16, target, kind, THREADS)


def by_llama(f16: Path, target: Path, _shape: Shape, kind: str) -> None:
    from cyllama.llama import llama_cpp

    llama_cpp.llama_backend_init()
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype, params.nthread = FILE_TYPES[kind], THREADS
    llama_cpp.model_quantize(str(f16), str(target), params)


def as_its_example(model: Path, target: Path, shape: Shape) -> None:
    writer = _package_writer(target, shape)
    for name, _, read in _package_tensors(model, shape):
        writer.add_tensor(name, read())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def tensor_by_tensor(model: Path, target: Path, shape: Shape) -> None:
    import numpy as np

    writer = _package_writer(target, shape)
    tensors = list(_package_tensors(model, shape))
    for name, size, _ in tensors:
        dtype = np.dtype(np.float16 if len(size) > 1 else np.float32)
        writer.add_tensor_info(name, size, dtype, int(np.prod(size)) * dtype.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, _, read in tensors:
        writer.write_tensor_data(read())
    writer.close()


def _package_writer(target: Path, shape: Shape) -> Any:
    import gguf

    writer = gguf.GGUFWriter(target, "phi3")
    writer.add_block_count(shape.layers)
    return writer


def _package_tensors(model: Path, shape: Shape) -> Iterator[tuple[str, tuple[int, ...], Callable[[], Any]]]:
    """Name, shape and how to read it, with the package's own reader, conversions and table of names."""
    import gguf
    from gguf.utility import SafetensorsLocal

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.PHI3, shape.layers)
    kinds = gguf.GGMLQuantizationType

    def read(tensor: Any) -> Any:
        values = gguf.dequantize(tensor.mmap_bytes(), kinds.BF16).reshape(tensor.shape)
        return gguf.quantize(values, kinds.F16) if len(tensor.shape) > 1 else values

    for file in sorted(model.glob("*.safetensors")):
        for name, tensor in SafetensorsLocal(file).tensors.items():
            new = names.get_name(name, try_suffixes=(".weight",))
            assert new, name
            yield new, tensor.shape, partial(read, tensor)


def digest(model: Path, _target: Path, _shape: Shape) -> None:
    """What the stage does once, whatever the number of files."""
    from stages.gguf import _digest

    _digest(sorted(model.glob("*.safetensors")))


@dataclass(frozen=True)
class Work:
    do: Callable[[Path, Path, Shape], None]
    takes: str = "model"


WORKS = {
    "digest": Work(digest),
    "f16": Work(partial(ours, kind="f16")),
    "f16, gguf package": Work(as_its_example),
    "f16, gguf package, tensor by tensor": Work(tensor_by_tensor),
    "q8_0": Work(partial(ours, kind="q8_0")),
    "q8_0, llama.cpp": Work(partial(by_llama, kind="q8_0"), "f16.gguf"),
    "q4_k_m": Work(partial(through_the_stage, kind="q4_k_m"), "f16.gguf"),
    "q4_k_m, llama.cpp": Work(partial(by_llama, kind="q4_k_m"), "f16.gguf"),
}


def work(name: str, folder: Path, shape: Shape) -> None:
    (folder / "running").write_text(f"{os.getpid()} {name}", "utf-8")
    WORKS[name].do(folder / WORKS[name].takes, folder / f"{name}.gguf", shape)
    (folder / f"{name}.peak").write_text(str(status("self", "VmHWM")), "ascii")  # rusage has the parent's, too


def command(name: str, folder: Path, shape: str) -> Command:
    argv = [sys.executable, __file__, "--work", name, "--shape", shape, "--folder", str(folder)]
    return Command(argv, ROOT, before=lambda: ready(name, folder))


def ready(name: str, folder: Path) -> None:
    """What it reads is in the page cache; what others wrote is on the disk and no longer in memory."""
    (folder / f"{name}.gguf").unlink(missing_ok=True)
    os.sync()
    source = folder / WORKS[name].takes
    read = sorted(source.iterdir()) if source.is_dir() else [source]
    for path in [*folder.glob("*.gguf"), *(folder / "model").iterdir()]:
        with path.open("rb", buffering=0) as data:
            if path not in read:
                os.posix_fadvise(data.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while path in read and data.read(1 << 24):
                pass


@contextmanager
def sampled(folder: Path) -> Iterator[dict[str, int]]:
    """The most anonymous memory that each work was seen with."""
    most: dict[str, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            with suppress(OSError, ValueError):  # nothing has begun, or it has just ended
                process, name = (folder / "running").read_text("utf-8").split(" ", 1)
                most[name] = max(most.get(name, 0), status(int(process), "RssAnon"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield most
    finally:
        over.set()
        watcher.join()


# ---- what is said of them ----------------------------------------------------------------------------------------


def check_same(ours: Path, theirs: Path) -> None:
    """A tool that made something else is no peer."""
    from gguf import GGUFReader

    left, right = ({each.name: each for each in GGUFReader(path).tensors} for path in (ours, theirs))
    assert right.keys() <= left.keys() and left.keys() - right.keys() <= ROPE_FACTORS, f"{theirs.name}: other tensors"
    for name, tensor in right.items():
        same = left[name].tensor_type == tensor.tensor_type and (left[name].data == tensor.data).all()
        assert same, f"{theirs.name}: another {name}"


def measure(folder: Path, name: str, rounds: int, kinds: Sequence[str]) -> dict[str, Any]:
    costs: dict[str, list[Cost]] = {}
    with sampled(folder) as anonymous:
        for kind in kinds:
            group = [each for each in WORKS if each.split(",")[0] == kind]
            costs |= in_turn({each: command(each, folder, name) for each in group}, rounds)
            for theirs in group[1:]:
                check_same(folder / f"{kind}.gguf", folder / f"{theirs}.gguf")
            if kind == "q4_k_m":
                both = [folder / f"{each}.gguf" for each in group]
                assert filecmp.cmp(both[0], both[1], shallow=False), "q4_k_m is not llama.cpp's file"
            for done in group:
                if done != "f16":
                    (folder / f"{done}.gguf").unlink(missing_ok=True)
    peaks = {each: int((folder / f"{each}.peak").read_text("ascii")) for each in costs}
    return {
        "bytes": sum(path.stat().st_size for path in (folder / "model").glob("*.safetensors")),
        "costs": as_json(costs),
        "peaks": peaks,
        "anonymous": {each: anonymous.get(each, 0) for each in costs},
        "ratios": {each: ratio(costs[each.split(",")[0]], costs[each]) for each in costs if "," in each},
    }


def report(facts: dict[str, Any]) -> str:
    rows: list[Sequence[str]] = [
        (
            name,
            f"{cost['wall_median_s']:.1f}",
            f"{cost['cpu_median_s']:.1f}",
            f"{facts['peaks'][name] / 2**20:.0f}",
            f"{facts['anonymous'][name] / 2**20:.0f}",
            f"{facts['ratios'][name]:.2f}" if name in facts["ratios"] else "",
        )
        for name, cost in facts["costs"].items()
    ]
    return "\n".join(
        [
            table(("work", "seconds", "of CPU", "peak MiB", "anonymous", "ours by it"), rows),
            f"{facts['bytes'] / 1e9:.2f} GB of bfloat16; all that stands beside each other holds the same tensors",
            *(["q4_k_m is llama.cpp's quantiser on both sides"] if "q4_k_m" in facts["costs"] else []),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--types", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the model lies, removed afterwards")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path[0] = str(ROOT)  # in this script's own folder, `gguf` would be this script
    if options.work:
        work(options.work, options.folder, SHAPES[options.shape])
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "model").mkdir()
        kinds = [kind for kind in KINDS if kind in ("f16", *options.types)]  # llama.cpp's quantiser reads f16
        make(folder / "model", SHAPES[options.shape])
        facts = measure(folder, options.shape, options.rounds, kinds)
        print(report(facts))
        write_json(options.json, facts)


if __name__ == "__main__":
    main()
