"""Small trained models on disk: a base of any family, an adapter by PEFT, gates that turn visibly."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from so8t.gate import attach
from so8t.train.trainer import save_weights
from so8t.weights import bake, gatefiles, lora, merge, reader
from so8t.weights.gatefiles import Stored
from so8t.weights.writer import Written
from tests.gate import families

SHARD = 40_000  # bytes: several shards, even of these
PROMPTS = {"短い": [5, 9, 4], "長い": [7, 3, 11, 20, 31, 42, 53, 64, 75, 86], "one": [3]}


@dataclass(frozen=True)
class Trained:
    """`model` is what training leaves in memory: base, gates and LoRA, nothing merged."""

    root: Path
    model: Any

    @property
    def base(self) -> Path:
        return self.root / "base"

    @property
    def adapter(self) -> Path:
        return self.root / "adapter"

    @property
    def gates(self) -> Stored:
        return gatefiles.read(self.adapter)


def train(
    root: Path,
    family: str = "phi3",
    dtype: str = "float32",
    kind: Any = "geodesic",
    shape: dict[str, Any] | None = None,
    targets: Any = "all-linear",
    **settings: Any,
) -> Trained:
    """As if it had been trained: LoRA, magnitudes and gates with random values."""
    from peft import LoraConfig

    base = families.model(family, shape, dtype=getattr(torch, dtype))
    base.save_pretrained(str(root / "base"), max_shard_size=SHARD)
    return adapt(root, base, kind, LoraConfig(target_modules=targets, task_type="CAUSAL_LM", **{"r": 4, **settings}))


def adapt(root: Path, base: Any, kind: Any, config: Any) -> Trained:
    from peft import get_peft_model

    gates = attach.attach(base, "intermediate" if base.config.num_hidden_layers > 2 else "all", kind)
    families.open_up(gates, spread=0.05 if kind == "free" else 0.4)
    model = get_peft_model(base, config).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_magnitude" in name or "modules_to_save" in name:
                parameter.mul_(1 + 0.2 * torch.rand(parameter.shape, generator=generator))
            elif "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    save_weights(model, root / "adapter")
    return Trained(root, model)


def merge_it(trained: Trained, out: str = "merged", adapter: Path | None = None, shard: int = SHARD) -> Path:
    with (
        reader.open_folder(trained.base, "base_model") as base,
        closing(lora.read(adapter or trained.adapter, base)) as opened,
    ):
        merge.merge(trained.base, base, opened, trained.root / out, shard, workers=2)
    return trained.root / out


def bake_it(trained: Trained, gates: dict[str, Tensor] | None = None, shard: int = SHARD) -> Path:
    """From `merged`, with the gates' own matrices or others."""
    bake_into(trained, trained.root / "baked", gates, shard)
    return trained.root / "baked"


def bake_into(
    trained: Trained, target: Path, gates: dict[str, Tensor] | None = None, shard: int = SHARD
) -> Mapping[str, Written]:
    source = trained.root / "merged"
    matrices = trained.gates.matrices() if gates is None else gates
    with (
        reader.open_folder(trained.base, "base_model") as base,
        reader.open_folder(source, "merged_model") as merged,
        closing(lora.read(trained.adapter, base)) as adapter,
    ):
        return bake.bake(source, merged, merge.Merging(base, adapter), matrices, target, shard, workers=2)


def weights(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def edit(path: Path, **changes: Any) -> None:
    """Tensors of one file replaced, or taken out where they are None; a name's dots are written as __."""
    tensors = load_file(path)
    for name, tensor in changes.items():
        tensors.pop(name.replace("__", "."), None)
        if tensor is not None:
            tensors[name.replace("__", ".")] = tensor.contiguous()
    save_file(tensors, path, metadata={"format": "pt"})


@torch.no_grad()
def logits(model: Any) -> Tensor:
    found: Tensor = model(input_ids=families.tokens()).logits.float()
    return found


def plain(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(folder), dtype="auto", local_files_only=True).eval()


def gated(folder: Path, gates: Path) -> Any:
    model = plain(folder)
    gatefiles.load(model, gates)
    return model


def apart(left: Tensor, right: Tensor) -> float:
    """The largest difference as part of the largest logit."""
    return float((left - right).abs().max() / left.abs().max())
