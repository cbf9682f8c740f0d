"""The trainer of an adapter that learns from pairs: it goes on from the adapter's weights, by ORPO's loss or DPO's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from so8t.gate import attach
from so8t.gate.layer import Gate
from so8t.train import losses, pairs
from so8t.train.job import Preference
from so8t.train.trainer import GatedTrainer, Recipe

REFERENCE = "reference.npy"


class PairTrainer(GatedTrainer):
    """A row is a pair; PET and the orthogonality loss are not a part of it."""

    def __init__(
        self,
        model: Any,
        rows: pairs.PairRows,
        recipe: Recipe,
        gates: Mapping[int, Gate],
        folder: Path,
        preference: Preference,
    ) -> None:
        super().__init__(model, rows, recipe, gates, folder)
        self.preference, self._pairs = preference, 0
        self._before = self._reference() if preference.form == "dpo" else torch.zeros(0)

    def batch(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        return pairs.together(rows, self.recipe.fill, self.recipe.train.pad_to_multiple_of)

    def totals(self, passes: Sequence[Mapping[str, Tensor]]) -> losses.Totals:
        """What is learned counts on the chosen side alone: the other is compared, never imitated."""
        self._pairs = sum(len(batch["pair"]) for batch in passes)
        return losses.totals([{name: batch[name][: len(batch["pair"])] for name in _ROWS} for batch in passes])

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        whole, _, made = self.passed(model, inputs)
        sums, counts = pairs.likelihoods(made, inputs["labels"])
        likely, unlikely = sums.chunk(2)
        task = -likely.sum() / whole.learned.clamp(min=1)
        if self.preference.form == "dpo":
            before = self._before[inputs["pair"].cpu()].to(sums.device)
            compared = pairs.direct(likely - unlikely, before, self.preference.beta)
        else:
            compared = self.preference.beta * pairs.odds_ratio(*(sums / counts.clamp(min=1)).chunk(2))
        loss = self.preference.imitate * task + compared.sum() / self._pairs
        self.parts.task += task.detach()
        self.parts.total += loss.detach()
        return loss

    def _reference(self) -> Tensor:
        """Each pair's margin in the model as training began; a run that goes on reads what it was."""
        path = self.folder / REFERENCE
        if not path.exists():
            found, size = [], self.recipe.train.micro_batch
            self.learner.eval()
            with torch.no_grad(), attach.computed_once(self.learner), self.compute_loss_context_manager():
                for start in range(0, len(self.rows), size):
                    rows = [self.rows[number] for number in range(start, min(start + size, len(self.rows)))]
                    inputs = self._prepare_inputs(self.batch(rows))
                    sums, _ = pairs.likelihoods(losses.forward(self.learner, inputs), inputs["labels"])
                    likely, unlikely = sums.chunk(2)
                    found.append((likely - unlikely).float().cpu())
            self.learner.train()
            part = path.with_name(f"part-{REFERENCE}")
            numpy.save(part, torch.cat(found).numpy())
            part.replace(path)
        return torch.from_numpy(numpy.load(path))


_ROWS = ("labels", "sequence")
