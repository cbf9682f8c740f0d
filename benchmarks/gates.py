"""Do gates earn their place?  The same budget for LoRA, LoRA with gates, gates alone and PEFT's OFT, on one base.

    python benchmarks/gates.py [--profile smol] [--seeds 0 1 2] [--targets 0.1 0.3 0.9] [--rates 1] [--steps N]
        [--threads N] [--ask N] [--out FOLDER]

Needs the profile's base_model, chat_format and thinking_sft (run doit first); smol where it is built, else tiny.
There are two budgets of trainable parameters, and only what has the same budget is compared: `full` is the LoRA of
the profile, beside which gates are next to nothing; `few` is what geodesic gates alone have, and LoRA and OFT get as
much on the projections behind the gates.  Data, steps and losses are the same; a seed draws the first weights and the
order of the rows.  A target is how far gates are open after annealing (adapter.gates.target); a rate multiplies
adapter.gates.learning_rate.
The loss is that of 96 records which nobody trained on; `ask` of each split are answered besides, and judged.
One run after another, each in a process of its own and kept in FOLDER: what is finished is not repeated.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 8  # of a gate, and of the OFT that is compared with gates alone
HELD_OUT = 48  # records of each split, for the loss
FIGURES = (("loss", 4), ("accuracy", 3), ("format_valid", 3), ("angle", 2), ("step_seconds", 3))


# ---- what is compared


@dataclass(frozen=True)
class Variant:
    budget: str  # full or few
    low_rank: str  # lora, oft or none
    kind: str = "none"  # of gates
    target: float = 0.0
    rate: float = 1.0

    @property
    def name(self) -> str:
        parts = [{"lora": "LoRA", "oft": "OFT"}[self.low_rank]] if self.low_rank != "none" else []
        if self.kind != "none":
            opened = f" to {self.target:g}" if self.target else ""
            parts.append(f"gates ({self.kind}{opened}{f', rate x{self.rate:g}' * (self.rate != 1)})")
        return " + ".join(parts)

    @property
    def slug(self) -> str:
        return f"{self.budget}-{self.low_rank}-{self.kind}-{self.target:g}-{self.rate:g}"


def variants(targets: Sequence[float], rates: Sequence[float]) -> list[Variant]:
    """A free gate has no alpha, so no target."""
    opened = [(target, rate) for target in targets for rate in rates]
    return [
        Variant("full", "lora"),
        *(Variant("full", "lora", "geodesic", *each) for each in opened),
        Variant("full", "oft"),
        Variant("few", "lora"),
        *(Variant("few", "none", "geodesic", *each) for each in opened),
        *(Variant("few", "none", "free", 0.0, rate) for rate in rates),
        Variant("few", "oft"),
    ]


Shapes = Sequence[tuple[int, int]]  # inputs and outputs of linear modules


def lora_parameters(shapes: Shapes, rank: int) -> int:
    return sum(rank * (inputs + outputs) for inputs, outputs in shapes)


def gate_parameters(shapes: Shapes) -> int:
    """Of geodesic gates on the inputs of these modules: 28 numbers to a block, and an alpha."""
    return sum(inputs // BLOCK * (BLOCK * (BLOCK - 1) // 2) + 1 for inputs, _ in shapes)


def oft_parameters(shapes: Shapes, block: int) -> int:
    return sum(inputs // block * (block * (block - 1) // 2) for inputs, _ in shapes)


def nearest_rank(shapes: Shapes, wanted: int) -> int:
    most = max(1, -(-wanted // lora_parameters(shapes, 1)))
    return min(range(1, most + 1), key=lambda rank: abs(lora_parameters(shapes, rank) - wanted))


def nearest_block(shapes: Shapes, wanted: int) -> int:
    """The size of OFT's blocks that divides every module's inputs and comes nearest to so many parameters."""
    smallest = min(inputs for inputs, _ in shapes)
    common = [n for n in range(2, smallest + 1) if all(inputs % n == 0 for inputs, _ in shapes)]
    return min(common, key=lambda block: abs(oft_parameters(shapes, block) - wanted))


# ---- one run


@dataclass(frozen=True)
class Plan:
    """What the runs of a profile share."""

    profile: str
    steps: int | None
    ask: int | None
    threads: int | None


def spec_of(plan: Plan, variant: Variant, seed: int) -> Any:
    """The adapter's spec of the profile, with what this run changes."""
    from so8t.engine.plan import load
    from stages import adapter

    values: dict[str, Any] = dict(load(ROOT, plan.profile).rows["adapter"].values)
    train, gates = {**values["train"], "seed": seed}, {**values["gates"], "train": variant.kind != "none"}
    train |= {name: value for name in ("steps", "threads") if (value := getattr(plan, name)) is not None}
    gates["learning_rate"] = min(1.0, gates["learning_rate"] * variant.rate)
    if variant.target:
        gates["target"] = variant.target
    return adapter.Spec.model_validate({**values, "train": train, "gates": gates})


def settings(plan: Plan, variant: Variant, seed: int) -> dict[str, Any]:
    """Whatever a result depends on: a run that was kept under other settings is run again."""
    folder = ROOT / "artifacts" / plan.profile
    inputs = {
        name: hashlib.sha256((folder / name / "manifest.json").read_bytes()).hexdigest()
        for name in ("base_model", "chat_format", "thinking_sft")
    }
    return {"plan": asdict(plan), "inputs": inputs, "adapter": spec_of(plan, variant, seed).model_dump(mode="json")}


def learn(plan: Plan, variant: Variant, seed: int, work: Path) -> dict[str, Any]:
    """Train and ask in this process, by the code of the stages."""
    import torch

    from so8t.engine.stage import Inputs
    from so8t.models.numerics import deterministic
    from so8t.train import callbacks, lora, run, splits
    from so8t.train.trainer import GatedTrainer
    from stages import adapter

    folder = ROOT / "artifacts" / plan.profile
    names = ("base_model", "so8t_model", "thinking_sft", "chat_format")
    job = adapter._job(Inputs({name: folder / name for name in names}), spec_of(plan, variant, seed))
    device = lora.device(job.train)
    work.mkdir(parents=True, exist_ok=True)
    with deterministic(job.train.threads, device, job.train.matmul):
        data = splits.prepare(job, work)
        learner, gates = build(plan, variant, job, device)
        trainer = GatedTrainer(learner, data.rows, run._recipe(job, data, device), gates, work)
        trainer.add_callback(callbacks.Finite(lambda: float(trainer.parts.total)))
        if any(gate.kind.opens for gate in gates.values()):
            start = next(float(gate.alpha.detach()) for gate in gates.values())
            trainer.add_callback(callbacks.Anneal(gates, callbacks.annealing(job.gates, start, trainer.recipe.steps)))
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
        learned = sum(parameter.numel() for parameter in lora.trainable(learner).values())
        with torch.no_grad():
            turned = angle(learner, gates)
        return {
            "parameters": learned,
            "angle": turned,
            "step_seconds": seconds / trainer.recipe.steps,
            **ask(plan, learner.eval(), job, folder, work),
        }


def build(plan: Plan, variant: Variant, job: Any, device: Any) -> tuple[Any, dict[int, Any]]:
    """The base with what this variant trains."""
    from so8t.engine.plan import load
    from so8t.gate import attach
    from so8t.models import loading
    from so8t.train import lora

    base = loading.load(job.base, job.precision, job.quantise, device, job.remote_code, job.train.attention)
    gated = load(ROOT, plan.profile).rows["so8t_model"].values
    found = attach.attach(base, gated["layers"], variant.kind if variant.kind != "none" else "geodesic", gated["alpha"])
    behind = [f"{name}.o_proj" for layer, name in attach.names(base).items() if layer in found]
    few = shapes_of(base, behind)
    learner: Any = base
    if variant.low_rank != "none":
        learner = low_rank(base, variant, job, few, behind)
    if variant.kind != "none":
        attach.train(found, alpha=job.gates.then == "learned")
    lora.ready(learner, job.quantise, job.train.gradient_checkpointing)
    return learner, found if variant.kind != "none" else {}


def low_rank(base: Any, variant: Variant, job: Any, few: Shapes, behind: Sequence[str]) -> Any:
    import torch
    from peft import OFTConfig, get_peft_model

    from so8t.train import lora, targets

    names = targets.choose(base, job.lora.targets) if variant.budget == "full" else list(behind)
    shapes = shapes_of(base, names)
    wanted = lora_parameters(shapes, job.lora.r) if variant.budget == "full" else gate_parameters(few)
    if variant.low_rank == "lora":
        rank = nearest_rank(shapes, wanted)
        scale = job.lora.alpha / job.lora.r
        chosen = job.lora.model_copy(update={"r": rank, "alpha": scale * rank, "targets": tuple(names)})
        return lora.add_lora(base, chosen, job.train.seed)
    block = nearest_block(shapes, wanted) if variant.budget == "full" else BLOCK
    with torch.random.fork_rng():
        torch.manual_seed(job.train.seed)
        return get_peft_model(base, OFTConfig(r=0, oft_block_size=block, target_modules=names, task_type="CAUSAL_LM"))


def shapes_of(model: Any, names: Iterable[str]) -> list[tuple[int, int]]:
    ends = tuple(names)
    return [
        (module.in_features, module.out_features)
        for name, module in model.named_modules()
        if hasattr(module, "in_features") and any(f".{name}".endswith(f".{end}") for end in ends)
    ]


def angle(learner: Any, gates: Mapping[int, Any]) -> float | None:
    """The mean rotation angle in degrees over all blocks, of gates or of OFT; None where nothing turns."""
    import torch

    from so8t.train.probes import Probes

    if gates:
        return float(torch.cat([each.flatten() for each in Probes(learner, gates).gates().angles]).mean())
    found = []
    for module in learner.modules():
        if hasattr(module, "oft_R") and len(module.oft_R):
            part = module.oft_R["default"]
            whole = part.get_weight().double()
            cut = whole.unflatten(0, (-1, part.block_size)).unflatten(2, (-1, part.block_size))
            blocks = torch.diagonal(cut, dim1=0, dim2=2).permute(2, 0, 1)
            found.append(torch.linalg.eigvals(blocks).angle().abs().flatten())
    return float(torch.rad2deg(torch.cat(found)).mean()) if found else None


def ask(plan: Plan, model: Any, job: Any, folder: Path, work: Path) -> dict[str, Any]:
    """The loss over held-out records; classes and format of the answers to the first of them."""
    from transformers import AutoTokenizer

    from so8t.corpus.conversations import heldout
    from so8t.engine.plan import load
    from so8t.evals import greedy
    from so8t.formats import chat
    from so8t.formats.encoding import Encoder

    spec = load(ROOT, plan.profile).rows["adapter_scores"].values
    tokenizer = AutoTokenizer.from_pretrained(str(job.base), local_files_only=True, trust_remote_code=job.remote_code)
    split = heldout(folder / "thinking_sft", spec["splits"], HELD_OUT, "adapter_scores: splits")
    every = [record for found in split.values() for record in found]
    encoded = list(Encoder(tokenizer).each(chat.segments(record["messages"], job.chat) for record in every))
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    most = spec["conversations"] if plan.ask is None else plan.ask
    told = answers([record for found in split.values() for record in found[:most]], model, tokenizer, job, spec, work)
    return {"loss": greedy.loss(model, encoded, spec["batch"], fill), **told}


def answers(
    records: Sequence[Any], model: Any, tokenizer: Any, job: Any, spec: Mapping[str, Any], work: Path
) -> dict[str, Any]:
    from so8t.evals import greedy
    from so8t.evals.scores import Scores
    from so8t.store.answers import Answers

    if not records:
        return {"accuracy": None, "format_valid": None, "records": 0}
    scores = Scores()
    prompts = [record["messages"][:-1] for record in records]
    with Answers(work / "answers.jsonl", lag=1.0) as kept:
        texts = greedy.generate(model, tokenizer, prompts, job.chat, spec["batch"], spec["longest"], kept, "gates")
        for record, text in zip(records, texts, strict=True):
            scores.add(record["label"], text, job.thinking)
    figures = scores.figures()
    return {name: figures[name] for name in ("accuracy", "format_valid", "records")}


# ---- all runs


def kept(path: Path, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of a run that finished under these settings."""
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found["figures"] if found["settings"] == wanted else None


def keep(path: Path, wanted: Mapping[str, Any], figures: Mapping[str, Any]) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps({"settings": wanted, "figures": figures}, indent=2) + "\n", "utf-8")
    part.replace(path)


def columns(found: Mapping[Variant, Sequence[Mapping[str, Any]]]) -> tuple[tuple[str, int], ...]:
    """The figures that some run has, with their digits."""
    there = [run for runs in found.values() for run in runs]
    return tuple(each for each in FIGURES if any(run[each[0]] is not None for run in there))


def rows(found: Mapping[Variant, Sequence[Mapping[str, Any]]]) -> list[list[str]]:
    """For each variant: the mean over seeds, and from the lowest to the highest."""
    lines = [["budget", "what learns", "parameters", *(name for name, _ in columns(found))]]
    for variant, runs in found.items():
        parameters = " to ".join(f"{count:,}" for count in sorted({run["parameters"] for run in runs}))
        figures = [_cell([run[name] for run in runs], digits) for name, digits in columns(found)]
        lines.append([variant.budget, variant.name, parameters, *figures])
    return lines


def table(lines: Sequence[Sequence[str]]) -> str:
    head, *others = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([head, "|---" * len(lines[0]) + "|", *others])


def worth(plan: Plan, seeds: int, lines: Sequence[Sequence[str]]) -> str:
    """What the report shows of it: figures that do not depend on what else the machine did."""
    kept = [at for at, name in enumerate(lines[0]) if name != "step_seconds"]
    lines = [[line[at] for at in kept] for line in lines]
    steps = spec_of(plan, Variant("full", "lora"), 0).train.steps
    told = {"profile": plan.profile, "steps": steps, "seeds": seeds, "held_out": 2 * HELD_OUT}
    return json.dumps({**told, "columns": lines[0], "rows": lines[1:]}, indent=2) + "\n"


def _cell(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    spread = f" ({min(known):.{digits}f} to {max(known):.{digits}f})" if len(set(known)) > 1 else ""
    return f"{statistics.mean(known):.{digits}f}{spread}"


def chosen(profile: str | None) -> str:
    built = [name for name in ("smol", "tiny") if (ROOT / "artifacts" / name / "base_model" / "manifest.json").exists()]
    if profile is None and not built:
        raise SystemExit("gates: neither smol nor tiny is built here; run doit first, or name a profile")
    return profile or built[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", help="smol if it is built, else tiny")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--targets", type=float, nargs="+", default=[0.1, 0.3, 0.9], help="how far gates are opened")
    parser.add_argument("--rates", type=float, nargs="+", default=[1.0], help="multiples of the gates' learning rate")
    parser.add_argument("--steps", type=int, help="of training, instead of the profile's")
    parser.add_argument("--threads", type=int, help="of torch, instead of the profile's")
    parser.add_argument("--ask", type=int, help="records of each split that are answered, instead of the profile's")
    parser.add_argument("--only", nargs="+", default=[], help="variants whose names in FOLDER begin so")
    parser.add_argument("--out", type=Path, default=ROOT / "artifacts" / "gates", help="where runs are kept")
    parser.add_argument("--json", type=Path, help="where the table goes besides, as so8t/report/look/gates.json is")
    parser.add_argument("--one", nargs=2, metavar=("VARIANT", "SEED"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    plan = Plan(chosen(asked.profile), asked.steps, asked.ask, asked.threads)
    every = {variant.slug: variant for variant in variants(asked.targets, asked.rates)}
    folder = asked.out / plan.profile
    if asked.one:
        slug, seed = asked.one[0], int(asked.one[1])
        wanted = settings(plan, every[slug], seed)
        figures = learn(plan, every[slug], seed, folder / f"{slug}-{seed}.work")
        keep(folder / f"{slug}-{seed}.json", wanted, figures)
        return
    chosen_ones = [each for slug, each in every.items() if not asked.only or slug.startswith(tuple(asked.only))]
    found: dict[Variant, list[dict[str, Any]]] = {variant: [] for variant in chosen_ones}
    for seed in asked.seeds:  # so that a table of fewer seeds is there early
        for variant in chosen_ones:
            found[variant].append(one(plan, variant, seed, folder))
            print(f"gates: {variant.budget}: {variant.name}: seed {seed}", file=sys.stderr, flush=True)
    lines = rows(found)
    print(table(lines))
    if asked.json:
        asked.json.write_text(worth(plan, len(asked.seeds), lines), "utf-8")


def one(plan: Plan, variant: Variant, seed: int, folder: Path) -> dict[str, Any]:
    """The figures of a run: those that are kept, or of a run now, in a process of its own."""
    import shutil

    path, wanted = folder / f"{variant.slug}-{seed}.json", settings(plan, variant, seed)
    if (figures := kept(path, wanted)) is None:
        work = folder / f"{variant.slug}-{seed}.work"
        shutil.rmtree(work, ignore_errors=not work.exists())
        subprocess.run([sys.executable, __file__, *sys.argv[1:], "--one", variant.slug, str(seed)], check=True)
        shutil.rmtree(work)
        figures = kept(path, wanted)
        assert figures is not None
    return figures


if __name__ == "__main__":
    main()
