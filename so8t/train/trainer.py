"""Hugging Face's Trainer with our losses, gates, order of rows and checkpoints; nothing else of it is changed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainingArguments

from so8t.errors import StageError
from so8t.gate import attach
from so8t.gate.layer import Gate
from so8t.models.lanes import Lanes
from so8t.models.order import Order
from so8t.train import checkpoints, losses, optimizer
from so8t.train.conversations import Rows, collate, deal
from so8t.train.kernels import Kernels
from so8t.train.lora import is_gate, trainable
from so8t.train.pairs import PairRows
from so8t.train.pet import PHASES, Phase, phase
from so8t.train.settings import Gates, Pet, Train
from so8t.train.sharding import is_sharded
from so8t.weights import gatefiles

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Recipe:
    """What a run is made of, fixed before it starts."""

    train: Train
    gates: Gates
    pet: Pet
    steps: int
    warmup: int
    form: str  # of AdamW
    precision: str
    fill: int  # the id that fills rows up


@dataclass
class Parts:
    """The losses of the step under way, summed over its micro-batches, and what else a sample tells of it."""

    task: Tensor
    pet: Tensor
    orthogonality: Tensor
    total: Tensor
    tokens: int = 0


@dataclass(frozen=True)
class Work:
    """A lane of a step."""

    step: int  # from 0
    lane: int
    whole: losses.Totals
    passes: list[dict[str, Tensor]]


@dataclass(frozen=True)
class Look:
    """A pass beside the steps that every process goes through where the base is sharded."""

    inputs: dict[str, Tensor]
    learns: bool  # there is a way back


class GatedTrainer(Trainer):
    """Its loss is a mean over the whole step, so that neither micro-batches nor processes change it."""

    def __init__(
        self, model: Any, rows: Rows | PairRows, recipe: Recipe, gates: Mapping[int, Gate], folder: Path
    ) -> None:
        self.recipe, self.so8_gates, self.folder = recipe, gates, folder
        self.rows = rows
        self.learner = model  # as it was before any process wrapped it
        self.parts = self._no_parts(torch.device("cpu"))
        self.gradient_norms: dict[str, Tensor] = {}
        self.rates: list[float] = []  # each group's learning rate in the step that was done last
        self.lanes: Lanes | None = None
        self.watch_forward: Callable[[Mapping[str, Tensor]], AbstractContextManager[None]] | None = None
        self.kernels = Kernels()
        self._whole: losses.Totals | None = None
        self._first = True
        self._staging: Path | None = None
        train, fill = recipe.train, recipe.fill
        whole_steps: Any = partial(
            deal, lanes=train.lanes, micro_batch=train.micro_batch, fill=fill, unit=train.pad_to_multiple_of
        )
        super().__init__(
            model=model,
            args=_arguments(recipe, folder),
            train_dataset=rows,
            data_collator=whole_steps if train.lanes > 1 else self.batch,
        )
        self.remove_callback(PrinterCallback)
        self.model_accepts_loss_kwargs = True  # the loss is scaled for the whole step already

    # ---- rows

    def batch(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        return collate(rows, self.recipe.fill, self.recipe.train.pad_to_multiple_of)

    def totals(self, passes: Sequence[Mapping[str, Tensor]]) -> losses.Totals:
        return losses.totals(passes)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        recipe = self.recipe
        return Order(self.rows.lengths, recipe.train.batch, recipe.steps, recipe.train.seed, recipe.train.by_length)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            passes = [each for lane in batches[0] for each in lane] if self.recipe.train.lanes > 1 else batches
            whole = self.totals(passes)
            if self.args.world_size > 1:
                whole = losses.Totals(
                    *(self.accelerator.gather(n.to(device)).sum() for n in (whole.learned, whole.triples))
                )
            self._whole, self._first = whole, True
            self.parts = self._no_parts(device)
            self.parts.tokens = sum(int((batch["sequence"] != 0).sum()) for batch in passes)
        return batches, items

    @staticmethod
    def _no_parts(device: torch.device) -> Parts:
        zero = partial(torch.zeros, (), device=device)
        return Parts(zero(), zero(), zero(), zero())

    # ---- the loss

    def phase_of(self, step: int) -> Phase:
        """The phase of PET in a step, from 0."""
        return phase(step, self.recipe.steps, phases(self.recipe.pet))

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        whole, first, made = self.passed(model, inputs)
        task = losses.task_loss(made, whole)
        self.parts.task += task.detach()
        loss, weight = task, self.phase_of(self.state.global_step).weight
        if weight:
            bent = losses.pet_loss(made, inputs["sequence"], whole, self.recipe.pet.form, self.recipe.pet.delta)
            self.parts.pet += bent.detach()
            loss = loss + weight * bent.to(loss.dtype)
        # processes average their gradients, and these are parts of a sum
        loss = loss * self.args.world_size
        if first and self.recipe.gates.orthogonality and self.recipe.gates.train:
            straight = losses.gate_loss(self.so8_gates, loss)
            self.parts.orthogonality += straight.detach()
            loss = loss + self.recipe.gates.orthogonality * straight
        self.parts.total += loss.detach()
        return loss

    def passed(self, model: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[losses.Totals, bool, losses.Pass]:
        """The step's counts, whether this is its first pass, which is watched where a sample is due, and the pass."""
        whole = self._whole or self.totals([inputs])
        first, self._first = self._first, False
        with self.watch_forward(inputs) if first and self.watch_forward else contextlib.nullcontext():
            told = self.kernels.told(inputs)
            if self.kernels.loss is None or (first and self.watch_forward):  # what is watched shows its logits
                return whole, first, losses.forward(model, inputs, told)
            return whole, first, losses.fused(model, inputs, told, self.kernels.loss)

    def training_step(self, model: nn.Module, inputs: Any, *given: Any, **named: Any) -> Tensor:
        if not self.lanes:
            with attach.shared(self.so8_gates.values()):
                done: Tensor = super().training_step(model, inputs, *given, **named)
            return done
        assert self._whole
        whole = self._whole.over(Tensor.cpu)
        works = [Work(self.state.global_step, lane, whole, _on_cpu(passes)) for lane, passes in enumerate(inputs)]
        tokens = self.parts.tokens
        found = self.lanes.gradients(works, partial(self.lane, model))
        task, pet, orthogonality, total = (torch.tensor(sum(part)) for part in zip(*found, strict=True))
        self.parts = Parts(task, pet, orthogonality, total, tokens)
        return self.parts.total

    def lane(self, model: nn.Module, work: Work) -> tuple[float, ...]:
        """A lane's gradient, and its part of the losses: the same in whichever process."""
        train = self.recipe.train
        self.state.global_step = work.step
        self._whole, self._first, self.parts = work.whole, work.lane == 0, self._no_parts(self.args.device)
        torch.manual_seed((train.seed << 32) % (1 << 62) + work.step * train.lanes + work.lane)  # of dropout
        for inputs in work.passes:
            with attach.shared(self.so8_gates.values()):
                super().training_step(model, inputs, work.whole.learned)
        parts = self.parts
        return tuple(float(part) for part in (parts.task, parts.pet, parts.orthogonality, parts.total))

    def beside(self, inputs: Mapping[str, Tensor], learns: bool) -> None:
        """This process is about to pass these through the model, outside of a step: where others must, they do."""
        if self.lanes and is_sharded(self.learner):
            [inputs] = _on_cpu([inputs])
            self.lanes.aside(Look(dict(inputs), learns))

    def help_out(self, model: nn.Module, work: Work | Look) -> tuple[float, ...] | None:
        """What a process that helps is asked for."""
        if isinstance(work, Work):
            return self.lane(model, work)
        self._whole = None
        inputs = self._prepare_inputs(work.inputs)
        with self.compute_loss_context_manager():
            if work.learns:
                self.compute_loss(model, inputs).backward()
                self.learner.zero_grad(set_to_none=True)
            else:
                self.learner.eval()
                with torch.no_grad():
                    losses.forward(self.learner, inputs)
                self.learner.train()
        return None

    # ---- the optimiser

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        self.optimizer = optimizer.create(
            self.recipe.form, self.learner, self.recipe.train, self.recipe.gates, self.args.device
        )
        return self.optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        if self.watch_forward:
            turning = [p.grad for name, p in trainable(self.learner).items() if is_gate(name) and p.grad is not None]
            self.gradient_norms["gates"] = torch.nn.utils.get_total_norm(turning) if turning else torch.zeros(())
            scheduler: Any = self.lr_scheduler
            self.rates = [float(rate) for rate in scheduler.get_last_lr()]
        norm = super()._clip_grad_norm(model)
        self.gradient_norms["all"] = torch.as_tensor(norm)
        return norm

    # ---- checkpoints

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging or self.folder)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """HF's own, in a folder that gets its name when all is on the disk."""
        name = f"{checkpoints.NAME}{self.state.global_step}"
        self._staging = self.folder / f"{checkpoints.PART}-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)
            checkpoints.publish(self._staging / name, self.folder / name)
        finally:
            staging, self._staging = self._staging, None
            checkpoints.remove(staging)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        save_weights(self.learner, Path(output_dir or self.folder))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        load_weights(self.learner, Path(resume_from_checkpoint))


def save_weights(model: Any, folder: Path, report: Mapping[str, Any] | None = None) -> None:
    """The adapter and the gates: PEFT's files, without the empty model card of its own way of saving, and ours."""
    folder.mkdir(parents=True, exist_ok=True)
    # embeddings that learned are there as rows or modules, and PEFT would ask the hub whether others were resized
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    # copies, for a head that shares the embeddings' weights is written beside them, as PEFT reads it
    whole = {n: t.detach().cpu().clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}
    save_file(whole, folder / WEIGHTS, metadata={"format": "pt"})
    config = copy(model.peft_config["default"])
    config.inference_mode = True
    config.save_pretrained(str(folder))
    gatefiles.save(model, folder, report or {})


def load_weights(model: Any, folder: Path) -> None:
    set_peft_model_state_dict(model, load_file(folder / WEIGHTS))
    gatefiles.load(model, folder)


def accumulation(train: Train) -> int:
    """Micro-batches in a step, for each process that torchrun started; lanes see to theirs by themselves."""
    if train.lanes > 1:
        return 1
    together = train.micro_batch * int(os.environ.get("WORLD_SIZE", "1"))
    if train.batch % together:
        raise StageError(
            f"train.batch: {train.batch} does not divide among {together // train.micro_batch} processes with "
            f"train.micro_batch {train.micro_batch}: start another number of them, or change micro_batch"
        )
    return train.batch // together


def _on_cpu(passes: Sequence[Mapping[str, Tensor]]) -> list[dict[str, Tensor]]:
    """From where they can be sent to another process."""
    return [{name: values.cpu() for name, values in inputs.items()} for inputs in passes]


def phases(pet: Pet) -> tuple[Phase, ...]:
    return tuple(Phase(each.name, each.until, getattr(pet, each.name)) for each in PHASES)


def _arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    train = recipe.train
    made = TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=train.batch if train.lanes > 1 else train.micro_batch,
        gradient_accumulation_steps=accumulation(train),
        learning_rate=train.learning_rate,
        lr_scheduler_type={"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}[train.schedule],
        warmup_steps=recipe.warmup,
        max_grad_norm=train.max_gradient,
        bf16=recipe.precision == "bfloat16",
        fp16=recipe.precision == "float16",
        use_cpu=train.device == "cpu" or not torch.cuda.is_available(),
        seed=train.seed,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available() and train.device != "cpu",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        save_strategy="no",  # callbacks say when
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    if made.n_gpu > 1:
        made._n_gpu = 1  # or the trainer would copy the model to all of them in every step, and multiply the batch
    return made
