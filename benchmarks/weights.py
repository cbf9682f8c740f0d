"""Merge and bake against PEFT's merge, the same bytes copied, and the naive dense bake.

    python benchmarks/weights.py [--small | --shape phi-3.5-mini] [--rounds 1] [--parity] [--kills 50]

A model of random weights is written first: bfloat16, LoRA on every projection, gates on all layers but the first and
the last. Each work is a fresh process with its own peak of resident memory, hashing included: BLAKE3 for what is
merged, SHA-256 too for what is baked. What was merged is compared with PEFT's, parameter by parameter. Nobody waits
for the disk's sync; dirty pages of one work are flushed before the next begins, and the base is cached. The real shape
needs 40 GB in --folder and 9 GB of memory, PEFT's. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairs import Command, as_json, in_turn, median, ratio, status, table, write_json

ROOT = Path(__file__).resolve().parent.parent
SHARD = 5_000_000_000


@dataclass(frozen=True)
class Shape:
    hidden: int
    inner: int
    heads: int
    layers: int
    words: int
    rank: int
    shard: int = SHARD

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """Phi-3's, by name: outputs and inputs."""
        return {
            "self_attn.qkv_proj": (3 * self.hidden, self.hidden),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_up_proj": (2 * self.inner, self.hidden),
            "mlp.down_proj": (self.hidden, self.inner),
        }


SHAPES = {
    "small": Shape(512, 1408, 8, 6, 4096, 16, shard=20_000_000),
    "quarter": Shape(3072, 8192, 32, 7, 32064, 64, shard=500_000_000),
    "phi-3.5-mini": Shape(3072, 8192, 32, 32, 32064, 64),
}


# ---- the model ---------------------------------------------------------------------------------------------------


def make(folder: Path, shape: Shape) -> None:
    import torch
    from peft import LoraConfig
    from transformers import Phi3Config

    from so8t.weights import writer
    from so8t.weights.header import Tensor
    from so8t.weights.reader import as_rows

    config = Phi3Config(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        architectures=["Phi3ForCausalLM"],
        dtype="bfloat16",
    )
    config.save_pretrained(str(folder / "base"))
    generator = torch.Generator().manual_seed(0)

    def fill(tensor: Tensor, start: int, stop: int, into: memoryview) -> None:
        rows = as_rows(into, tensor, stop - start)
        if "norm" in tensor.name:
            rows.fill_(1)
        else:
            rows.copy_(torch.randn(rows.shape, generator=generator) * 0.02)

    tensors = list(_tensors(shape))
    writer.write(folder / "base", writer.plan(tensors, shape.shard), fill, workers=1)
    low = [
        Tensor(f"base_model.model.model.layers.{layer}.{name}.lora_{half}.weight", "F32", size)
        for layer in range(shape.layers)
        for name, (out, into) in shape.projections.items()
        for half, size in (("A", (shape.rank, into)), ("B", (out, shape.rank)))
    ]
    targets = sorted(name.split(".")[1] for name in shape.projections)
    adapter = LoraConfig(
        r=shape.rank, lora_alpha=2 * shape.rank, target_modules=targets, task_type="CAUSAL_LM", inference_mode=True
    )
    adapter.save_pretrained(str(folder / "adapter"))
    (shard,) = writer.plan(low, 1 << 62)
    writer.write(folder / "adapter", [shard], fill, workers=1)
    (folder / "adapter" / shard.file).rename(folder / "adapter" / "adapter_model.safetensors")
    _make_gates(folder / "adapter", shape)


def _tensors(shape: Shape) -> Any:
    from so8t.weights.header import Tensor

    yield Tensor("model.embed_tokens.weight", "BF16", (shape.words, shape.hidden))
    for layer in range(shape.layers):
        for name, size in shape.projections.items():
            yield Tensor(f"model.layers.{layer}.{name}.weight", "BF16", size)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield Tensor(f"model.layers.{layer}.{name}.weight", "BF16", (shape.hidden,))
    yield Tensor("model.norm.weight", "BF16", (shape.hidden,))
    yield Tensor("lm_head.weight", "BF16", (shape.words, shape.hidden))


def _make_gates(folder: Path, shape: Shape) -> None:
    import torch
    from safetensors.torch import save_file

    from so8t.gate.layer import Gate

    names = {str(layer): f"model.layers.{layer}.self_attn" for layer in range(1, shape.layers - 1)}
    tensors = {}
    for layer, name in names.items():
        gate = Gate(shape.hidden, alpha=-2.0)
        torch.nn.init.normal_(gate.theta, std=0.3, generator=torch.Generator().manual_seed(int(layer)))
        tensors |= {f"{name}.so8_gate.{key}": value for key, value in gate.state_dict().items()}
    save_file(tensors, folder / "gates.safetensors")
    described = json.dumps({"kind": "geodesic", "attentions": names})
    (folder / "so8t.json").write_text(described, encoding="utf-8")


# ---- the works, each in a process of its own ---------------------------------------------------------------------


def merge(folder: Path, shape: Shape) -> None:
    from so8t.weights import lora, reader
    from so8t.weights import merge as merging

    with (
        reader.open_folder(folder / "base", "base_model") as base,
        closing(lora.read(folder / "adapter", base)) as adapter,
    ):
        merging.merge(folder / "base", base, adapter, folder / "merged", shape.shard, workers=4)


def bake(folder: Path, shape: Shape) -> None:
    from so8t.weights import bake as baking
    from so8t.weights import gatefiles, lora, reader
    from so8t.weights import merge as merging

    with (
        reader.open_folder(folder / "base", "base_model") as base,
        reader.open_folder(folder / "merged", "merged_model") as merged,
        closing(lora.read(folder / "adapter", base)) as adapter,
    ):
        gates = gatefiles.read(folder / "adapter").matrices()
        exact = merging.Merging(base, adapter)
        baking.bake(folder / "merged", merged, exact, gates, folder / "baked", shape.shard, workers=4)


def peft(folder: Path, shape: Shape) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(2)
    base = AutoModelForCausalLM.from_pretrained(str(folder / "base"), dtype=torch.bfloat16)
    merged: Any = PeftModel.from_pretrained(base, str(folder / "adapter")).merge_and_unload()
    merged.save_pretrained(str(folder / "peft"), max_shard_size=shape.shard)


def copy(folder: Path, _shape: Shape) -> None:
    subprocess.run(["cp", "-r", "--reflink=never", str(folder / "base"), str(folder / "copy")], check=True)


def parity(folder: Path, shape: Shape) -> None:
    """As baked_model proves itself: 8 prompts of 64 tokens."""
    import torch

    from so8t.parity import layerwise
    from so8t.weights import gatefiles, lora, reader, streamed

    torch.set_num_threads(2)
    ids = torch.randint(3, shape.words, (8, 64), generator=torch.Generator().manual_seed(0))
    gates = gatefiles.read(folder / "adapter")
    with (
        reader.open_folder(folder / "base", "base_model") as base,
        reader.open_folder(folder / "baked", "baked_model") as baked,
        closing(lora.read(folder / "adapter", base)) as adapter,
    ):
        reference = streamed.adapted(folder / "base", base, folder / "adapter", adapter, gates)
        candidate = streamed.dense(folder / "baked", baked)
        prompts = {str(number): row for number, row in enumerate(ids.tolist())}
        found = layerwise.compare(reference, candidate, prompts, folder)
    (folder / "parity.json").write_text(json.dumps(found.as_json()), encoding="utf-8")


WORKS: dict[str, tuple[Callable[[Path, Shape], None], str]] = {
    "merge": (merge, "merged"),
    "bake": (bake, "baked"),
    "peft": (peft, "peft"),
    "copy": (copy, "copy"),
    "parity": (parity, ""),
}


def work(name: str, folder: Path, shape: Shape) -> None:
    WORKS[name][0](folder, shape)
    (folder / f"{name}.peak").write_text(str(status("self", "VmHWM")), encoding="ascii")  # rusage has the parent's, too


def command(name: str, folder: Path, shape: str) -> Command:
    def before() -> None:
        if WORKS[name][1]:
            shutil.rmtree(folder / WORKS[name][1], ignore_errors=True)
        os.sync()
        for path in (folder / "base").iterdir():
            with path.open("rb", buffering=0) as data:
                while data.read(8 << 20):
                    pass

    argv = [sys.executable, __file__, "--work", name, "--shape", shape, "--folder", str(folder)]
    return Command(argv, ROOT, {"PYTHONPATH": str(ROOT)}, before)


# ---- what is said of them ----------------------------------------------------------------------------------------


def unlike(folder: Path) -> int:
    """How many parameters of ours are not PEFT's."""
    import torch

    from so8t.weights import reader

    count = 0
    with reader.open_folder(folder / "merged", "merged") as ours, reader.open_folder(folder / "peft", "peft") as theirs:
        assert ours.tensors.keys() == theirs.tensors.keys(), "PEFT's checkpoint holds other tensors"
        for name in ours.tensors:
            left, right = (side.rows(name).view(torch.int16) for side in (ours, theirs))
            count += int((left != right).sum())
    return count


def folds(shape: Shape, rounds: int) -> dict[str, float]:
    """Seconds a layer, in float32: the dense product, and ours."""
    import torch

    from so8t.gate.fold import fold

    torch.set_num_threads(2)
    weight = torch.randn(shape.hidden, shape.hidden)
    blocks = torch.linalg.qr(torch.randn(shape.hidden // 8, 8, 8)).Q
    ways = {"dense": lambda: weight @ torch.block_diag(*blocks), "ours": lambda: fold(weight, blocks)}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


def kills(folder: Path, shape: Shape, count: int) -> str:
    argv = [sys.executable, "-m", "tests.weights.killed", str(folder), "0", str(count), str(shape.shard)]
    done = subprocess.run(argv, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    killed, survived, whole, length = done.stdout.split()
    return (
        f"{killed} bakes of {length} s killed, {survived} of them published before, {whole} came through between: "
        "nothing half-written, every rerun the same bytes"
    )


def measure(folder: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    names = ["merge", "bake", "peft", "copy"]
    commands = {each: command(each, folder, name) for each in names}
    rounds = [in_turn(commands, 1) for _ in range(options.rounds)]  # in this order: baked is what was merged
    costs = {each: [cost for one in rounds for cost in one[each]] for each in names}
    if options.parity:
        costs |= in_turn({"parity": command("parity", folder, name)}, 1)
    both = [type(a)(a.wall + b.wall, a.cpu + b.cpu) for a, b in zip(costs["merge"], costs["bake"], strict=True)]
    size = sum(path.stat().st_size for path in (folder / "base").glob("*.safetensors"))
    peaks = {each: int((folder / f"{each}.peak").read_text("ascii")) for each in costs}
    return {
        "bytes": size,
        "costs": as_json(costs),
        "peaks": peaks,
        "both_s": median(both),
        "of_peft": ratio(both, costs["peft"]),
        "of_copy": ratio(both, costs["copy"]),
        "unlike_peft": unlike(folder),
        "folds": folds(SHAPES[name], 5),
        "parity": json.loads((folder / "parity.json").read_text("utf-8")) if options.parity else None,
    }


def report(facts: dict[str, Any]) -> str:
    rows: list[Sequence[str]] = [
        (name, f"{cost['wall_median_s']:.1f}", f"{cost['cpu_median_s']:.1f}", f"{facts['peaks'][name] / 2**20:.0f}")
        for name, cost in facts["costs"].items()
    ]
    dense, ours = facts["folds"]["dense"], facts["folds"]["ours"]
    return "\n".join(
        [
            table(("work", "seconds", "of CPU", "peak MiB"), rows),
            f"{facts['bytes'] / 1e9:.2f} GB; merge and bake: {facts['both_s']:.1f} s, "
            f"{facts['of_peft']:.2f} of PEFT's merge alone, {facts['of_copy']:.2f} of cp",
            f"parameters that are not PEFT's: {facts['unlike_peft']:,}",
            f"a layer's gate: dense product {dense * 1e3:.0f} ms, here {ours * 1e3:.0f} ms",
            *([f"parity: {json.dumps(facts['parity'])}"] if facts["parity"] else []),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--small", action="store_const", dest="shape", const="small")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--parity", action="store_true", help="the comparison of baked_model, too")
    parser.add_argument("--kills", type=int, default=0, help="instead: so many bakes killed at random moments")
    parser.add_argument("--folder", type=Path, help="where the models lie, removed afterwards")
    parser.add_argument("--work", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    shape = SHAPES[options.shape]
    sys.path.insert(0, str(ROOT))
    if options.work:
        work(options.work, options.folder, shape)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        make(folder, shape)
        if options.kills:
            merge(folder, shape)
            print(kills(folder, shape, options.kills))
            return
        facts = measure(folder, options.shape, options)
        print(report(facts))
        write_json(options.json, facts)


if __name__ == "__main__":
    main()
