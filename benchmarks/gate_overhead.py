"""What gates add to a training step: plain PEFT LoRA against the same with gates, on the same model in one run.

    python benchmarks/gate_overhead.py [--shape small phi-3.5-layer] [--rounds 7] [--checkpointing] [--kind geodesic]

Steps alternate, plain and gated, in one process; the ratio is the median of the rounds' own ratios.
Peak memory comes from a process of each (resident set on a CPU, allocated bytes on CUDA), whole, and above what the
model took before its first step. The gated step includes the orthogonality loss; one micro-batch is one step, so the
gates' share is the largest that it can be: accumulation divides the optimiser's part, nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pairs import Cost, as_json, median, ratio, status, table, write_json


@dataclass(frozen=True)
class Shape:
    """A Phi-3 and a batch; `layers` says which of its layers are gated."""

    hidden: int
    inner: int
    heads: int
    depth: int
    words: int
    batch: int
    length: int
    rank: int
    dtype: str
    layers: str

    @property
    def blocks(self) -> int:
        return self.hidden // 8


SHAPES = {
    "small": Shape(256, 768, 4, 4, 2048, 8, 128, 8, "float32", "intermediate"),
    # one layer, gated, and next to no vocabulary: nothing that would hide the gate's cost
    "phi-3.5-layer": Shape(3072, 8192, 32, 1, 64, 1, 2048, 64, "bfloat16", "all"),
}


def model(shape: Shape, gated: bool, kind: str, checkpointing: bool) -> tuple[Any, list[Any]]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Phi3Config

    from so8t.gate import attach

    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=shape.words,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.depth,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    made = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, shape.dtype)).to(device())
    if checkpointing:
        made.enable_input_require_grads()
        made.activation_checkpointing_enable({"use_reentrant": False})
    made = get_peft_model(made, LoraConfig(r=shape.rank, target_modules="all-linear", task_type="CAUSAL_LM")).train()
    gates = list(attach.attach(made, shape.layers, kind, alpha=0.0).values()) if gated else []  # type: ignore[arg-type]
    attach.train(dict(enumerate(gates)))
    with torch.no_grad():
        for gate in gates:
            next(gate.parameters()).normal_(std=0.1)
    return made, gates


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def stepper(shape: Shape, gated: bool, kind: str, checkpointing: bool) -> Callable[[], Cost]:
    """A function that takes one training step and returns its seconds, on the wall and of the CPU."""
    import torch

    from so8t.gate import attach
    from so8t.gate.orthogonality import orthogonality_loss

    made, gates = model(shape, gated, kind, checkpointing)
    ids = torch.randint(3, shape.words, (shape.batch, shape.length), device=device())
    optimizer = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=1e-5)

    def step() -> Cost:
        started, used = time.perf_counter(), time.process_time()
        with attach.shared(gates):
            loss = made(input_ids=ids, labels=ids).loss
            if gates:
                loss = loss + 0.01 * orthogonality_loss(gates, loss)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device() == "cuda":
            torch.cuda.synchronize()
        return Cost(time.perf_counter() - started, time.process_time() - used)

    return step


def times(shape: Shape, rounds: int, kind: str, checkpointing: bool) -> dict[str, list[Cost]]:
    steps = {name: stepper(shape, name == "gated", kind, checkpointing) for name in ("plain", "gated")}
    costs: dict[str, list[Cost]] = {name: [] for name in steps}
    for number in range(-1, rounds):
        for name in list(steps)[:: 1 if number % 2 else -1]:
            cost = steps[name]()
            if number >= 0:  # the first step of each sets the optimiser up
                costs[name].append(cost)
    return costs


def peak(shape: Shape, gated: bool, kind: str, checkpointing: bool) -> dict[str, int]:
    """Bytes before the first step and at most during three; in this process, which did nothing else."""
    step = stepper(shape, gated, kind, checkpointing)
    before = memory()[0]
    if device() == "cpu":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins again here
    for _ in range(3):
        step()
    return {"before": before, "peak": memory()[1]}


def memory() -> tuple[int, int]:
    """Now, and at most so far."""
    import torch

    if device() == "cuda":
        return torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    return status("self", "VmRSS"), status("self", "VmHWM")


def peak_elsewhere(name: str, gated: bool, options: argparse.Namespace) -> dict[str, int]:
    argv = [sys.executable, __file__, "--peak", "gated" if gated else "plain", "--shape", name]
    argv += ["--kind", options.kind, "--threads", str(options.threads)]
    argv += ["--checkpointing"] if options.checkpointing else []
    said = subprocess.run(argv, check=True, capture_output=True, text=True, encoding="utf-8").stdout
    facts: dict[str, int] = json.loads(said.splitlines()[-1])
    return facts


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    costs = times(SHAPES[name], options.rounds, options.kind, options.checkpointing)
    plain, gated = costs["plain"], costs["gated"]
    lean, full = (peak_elsewhere(name, each, options) for each in (False, True))
    return {
        "steps": as_json(costs),
        "plain_s": median(plain),
        "gated_s": median(gated),
        "time_ratio": ratio(gated, plain),
        "cpu_ratio": ratio(gated, plain, "cpu"),
        "plain_peak": lean["peak"],
        "gated_peak": full["peak"],
        "peak_ratio": full["peak"] / lean["peak"],
        "step_memory_ratio": (full["peak"] - full["before"]) / (lean["peak"] - lean["before"]),
    }


def row(name: str, facts: dict[str, Any]) -> Sequence[str]:
    return (
        name,
        f"{facts['plain_s'] * 1e3:.1f}",
        f"{facts['gated_s'] * 1e3:.1f}",
        f"{facts['time_ratio']:.4f}",
        f"{facts['cpu_ratio']:.4f}",
        f"{facts['plain_peak'] / 2**20:.0f}",
        f"{facts['gated_peak'] / 2**20:.0f}",
        f"{facts['peak_ratio']:.4f}",
        f"{facts['step_memory_ratio']:.4f}",
    )


HEAD = (
    "shape",
    "plain ms",
    "gated ms",
    "ratio",
    "of CPU",
    "plain MiB",
    "gated MiB",
    "ratio",
    "ratio of the step's own",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--kind", default="geodesic")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", choices=["plain", "gated"], help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    if options.peak:
        facts = peak(SHAPES[options.shape[0]], options.peak == "gated", options.kind, options.checkpointing)
        print(json.dumps(facts))
        return
    measured = {name: measure(name, options) for name in options.shape}
    print(table(HEAD, [row(name, facts) for name, facts in measured.items()]))
    write_json(options.json, measured)


if __name__ == "__main__":
    main()
