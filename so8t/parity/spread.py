"""How a divergence is spread: over tokens, from the median to the worst, and over the parts of a conversation.

The names and formulas are those of llama.cpp's own tool: a percentile lies between two values on a straight line, and
delta p is by how much the probability of the token that followed has changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from so8t.parity import engines
from so8t.parity.engines import Logits
from so8t.parity.figures import Comparison
from so8t.store import running

KL = {"median": 0.5, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
DELTA_P = {"min": 0.0, "p1": 0.01, "p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
_DIGITS, _PLACES = 4, 8  # what is finer depends on the order of sums


def compared(
    reference: Logits, candidate: Logits, conversations: Mapping[str, Sequence[int]], part: str
) -> list[Comparison]:
    """Each by itself, as `engines.compare` has them; that module is in the key of base_model and stays as it is.

    `part` is what is compared, for who waits for it.
    """
    named = {name: ids for name, ids in conversations.items() if len(ids) > 1}
    found: list[Comparison] = []
    for name, ids in named.items():
        running.tell("conversation", len(found), len(named), part=part)
        found.append(engines._compared(reference, candidate, name, ids))
    return found


def spread(parts: Sequence[Comparison], sections: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Of the whole, and by section: `sections` names one for each token of each conversation."""
    rows = _rows(parts)
    named = [section for part in parts for name in dict.fromkeys(part.names) for section in sections[name]]
    whole = float(rows["kl"].sum())
    found: dict[str, Any] = _figures(rows)
    found["sections"] = {}
    for section in dict.fromkeys(named):
        chosen = torch.tensor([each == section for each in named])
        some = {key: values[chosen] for key, values in rows.items()}
        share = float(some["kl"].sum()) / whole if whole else 0.0
        found["sections"][section] = {"share": rounded(share), **_figures(some)}
    return found


def _rows(parts: Sequence[Comparison]) -> dict[str, Tensor]:
    """A number for each token; what is about the token that followed is NaN where none did."""
    found = []
    for part in parts:
        rows = part.rows()
        followed = torch.tensor([one == next_ for one, next_ in zip(part.names, (*part.names[1:], None), strict=True)])
        for key in ("loss", "reference_loss"):
            rows[key] = torch.full((len(followed),), math.nan, dtype=torch.float64).masked_scatter(followed, rows[key])
        found.append(rows)
    return {key: torch.cat([rows[key] for rows in found]) for key in ("kl", "top1", "loss", "reference_loss")}


def _figures(rows: Mapping[str, Tensor]) -> dict[str, Any]:
    kl = rows["kl"]
    followed = ~rows["loss"].isnan()
    loss, reference = rows["loss"][followed], rows["reference_loss"][followed]
    spread = {name: float(kl.quantile(part)) for name, part in KL.items()}
    return {
        "tokens": len(kl),
        "kl": {
            name: rounded(value) for name, value in {"mean": float(kl.mean()), **spread, "max": float(kl.max())}.items()
        },
        "top1": rounded(float(rows["top1"].double().mean())),
        "perplexity_ratio": rounded(math.exp(float((loss - reference).mean()))) if len(loss) else None,
        "delta_p": _delta_p((-loss).exp() - (-reference).exp()) if len(loss) else None,
    }


def _delta_p(change: Tensor) -> dict[str, float]:
    found = {"mean": float(change.mean()), "rms": float(change.square().mean().sqrt())}
    found |= {name: float(change.quantile(part)) for name, part in DELTA_P.items()}
    return {name: rounded(value) for name, value in found.items()}


def rounded(value: float) -> float:
    return round(float(f"{value:.{_DIGITS}g}"), _PLACES) + 0.0  # no negative nought
