"""Fused kernels on a CUDA device: each part is tried on the first row, and stays where it changes next to nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from so8t.gate import attach, varlen
from so8t.train import kernels, lora, losses
from so8t.train.kernels import ON, Here, Part
from so8t.train.losses import FusedLoss
from so8t.train.sharding import is_sharded

if TYPE_CHECKING:
    from so8t.train.job import Job
    from so8t.train.trainer import GatedTrainer

_SCALED = ("final_logit_softcapping", "logit_scale", "logits_scaling")
_METHODS = ("forward", "extra_repr", "_get_name")  # that liger-kernel gives a module of its own
Found = tuple[float, Tensor]  # loss, and all gradients


def settle(trainer: GatedTrainer, job: Job) -> dict[str, str]:
    """By part: on, or why not."""
    chosen = kernels.choose(job.train.kernels, here(trainer, job, families(), varlen.torchs() is not None))
    said: dict[str, str] = {part: f"off: {why}" for part, why in chosen.items() if why}
    if tried := [part for part, why in chosen.items() if not why]:
        before = measured(trainer)
        for part in tried:
            said[part] = attempt(trainer, part, before, job.train.kernel_error)
    for part in kernels.PARTS:
        print(f"{job.stage}: kernels: {part}: {said[part]}", file=sys.stderr, flush=True)
    return {part: said[part] for part in kernels.PARTS}


def follow(trainer: GatedTrainer, chosen: Mapping[str, str]) -> None:
    """Turn on what another process found to be right."""
    for part in kernels.PARTS:
        if chosen[part] == ON:
            _turn_on(trainer, part)


def here(trainer: GatedTrainer, job: Job, liger: Collection[str] | None, has_varlen: bool) -> Here:
    config = attach.text_config(trainer.learner)
    return Here(
        device=trainer.args.device.type,
        family=config.model_type,
        precision=job.precision,
        packing=job.train.packing,
        attention=job.train.attention,
        row=job.train.sequence,
        window=getattr(config, "sliding_window", None),
        plain_head=_is_plain(trainer.learner, config),
        pairs=job.preference is not None,
        liger=liger,
        varlen=has_varlen,
        divided=is_sharded(trainer.learner),
    )


def families() -> Collection[str] | None:
    """Those that the liger-kernel here knows; None where it is not installed, or does not fit transformers."""
    try:
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    except ImportError:
        return None
    return frozenset(MODEL_TYPE_TO_APPLY_LIGER_FN)


def attempt(trainer: GatedTrainer, part: Part, before: Found, allowed: float) -> str:
    """Turn a part on, and off again where it changes too much, or cannot run here."""
    undo = _turn_on(trainer, part)
    try:
        said = kernels.verdict(apart(before, measured(trainer)), allowed)
    except (RuntimeError, ValueError, TypeError, ImportError) as error:  # of Triton and CUDA: no kernel for this card
        said = f"off: it does not run here: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    if said != ON:
        undo()
    return said


def apart(before: Found, after: Found) -> float:
    """The larger of what loss and gradient moved, as part of their size."""
    (loss, gradient), (other, turned) = before, after
    moved = float((turned - gradient).norm() / gradient.norm().clamp(min=torch.finfo(torch.float32).tiny))
    return max(abs(other - loss) / max(abs(loss), 1e-12), moved)


def measured(trainer: GatedTrainer) -> Found:
    """Of the first row, as training will see it; the random state and the gradients are as before afterwards."""
    batch = trainer._prepare_inputs(trainer.batch([trainer.rows[0]]))
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)  # of dropout
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(trainer.learner, batch)
            loss.backward()
        learning = lora.trainable(trainer.learner).values()
        found = [p.grad.flatten().float() for p in learning if p.grad is not None]
        return float(loss.detach()), torch.cat(found)
    finally:
        trainer.learner.zero_grad(set_to_none=True)


def _turn_on(trainer: GatedTrainer, part: Part) -> Callable[[], None]:
    """The way back."""
    if part == "norms":
        return norms(trainer.learner)
    before, learner = trainer.kernels, trainer.learner
    if part == "loss":
        trainer.kernels = replace(before, loss=_liger_loss())
        return lambda: setattr(trainer, "kernels", replace(trainer.kernels, loss=None))
    kernel = varlen.torchs()
    assert kernel
    varlen.register(kernel)
    return packed(trainer, learner)


def packed(trainer: GatedTrainer, learner: nn.Module) -> Callable[[], None]:
    """Attention by the kernel that is registered, for packed rows."""
    attach.route(learner, varlen.NAME)
    trainer.kernels = replace(trainer.kernels, attention=True)

    def undo() -> None:
        attach.route(learner, "sdpa")
        trainer.kernels = replace(trainer.kernels, attention=False)

    return undo


def norms(learner: nn.Module) -> Callable[[], None]:
    """Norms and the feed-forward's unit by liger-kernel, on this model alone."""
    before = {id(module) for module in learner.modules() if "forward" in vars(module)}
    with _unchanged(learner):
        _apply(learner)
    changed = [module for module in learner.modules() if "forward" in vars(module) and id(module) not in before]

    def undo() -> None:
        for module in changed:
            for name in _METHODS:
                vars(module).pop(name, None)

    return undo


@contextmanager
def _unchanged(learner: Any) -> Iterator[None]:
    """liger-kernel also puts its classes into the family's module, where the next model would find them."""
    base = learner.get_base_model() if hasattr(learner, "get_base_model") else learner
    names = vars(sys.modules[type(base).__module__])
    before = dict(names)
    try:
        yield
    finally:
        names.update(before)


def _apply(learner: Any) -> None:
    """Rotary positions are left alone: they are replaced for all models of the process, for good."""
    from transformers.integrations.liger import apply_liger_kernel

    config = {"rope": False, "cross_entropy": False, "fused_linear_cross_entropy": False, "rms_norm": True}
    apply_liger_kernel(learner, config)


def _liger_loss() -> FusedLoss:
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    found: FusedLoss = LigerFusedLinearCrossEntropyLoss(reduction="sum")
    return found


def _is_plain(learner: Any, config: Any) -> bool:
    found = losses.head(learner)
    is_scaled = any(getattr(config, name, None) not in (None, 1, 1.0) for name in _SCALED)
    is_frozen = not any(parameter.requires_grad for parameter in found.parameters())
    return type(found) is nn.Linear and found.bias is None and is_frozen and not is_scaled
