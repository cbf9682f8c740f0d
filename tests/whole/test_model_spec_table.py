"""Every field of the specs behind the data stages: does its change make the stage stale, and no other?

Nothing is built here, for a field costs a training; `test_model_build` builds some of these edits for real.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stages import STAGES
from tests.whole.pico import DATA, Pico
from tests.whole.test_spec_table import leaves, merged

LOCAL = {"source": {"kind": "local", "path": "there"}}
HUB = {"source": {"kind": "hub", "repo": "a/b", "revision": "0" * 40}}
OWN: dict[str, Any] = {}

# stage -> (field, values before, another value or the whole spec that has it); CURRENT: fields that say how, not what
STALE: dict[str, list[tuple[str, dict[str, Any], Any]]] = {
    "base_model": [
        ("source", OWN, LOCAL),
        ("source.tiny.kind", LOCAL, {"source": {"kind": "tiny"}}),
        ("source.tiny.vocab_size", OWN, 1024),
        ("source.tiny.tokenizer_texts", OWN, 9),
        ("source.tiny.hidden_size", OWN, 128),
        ("source.tiny.intermediate_size", OWN, 512),
        ("source.tiny.layers", OWN, 3),
        ("source.tiny.heads", OWN, 8),
        ("source.tiny.kv_heads", OWN, 2),
        ("source.tiny.context", OWN, 256),
        ("source.tiny.first_weights", OWN, 0.02),
        ("source.tiny.steps", OWN, 9),
        ("source.tiny.batch", OWN, 9),
        ("source.tiny.sequence", OWN, 64),
        ("source.tiny.learning_rate", OWN, 0.001),
        ("source.tiny.warmup", OWN, 9),
        ("source.tiny.seed", OWN, 1),
        ("source.tiny.matmul", OWN, "highest"),
        ("source.tiny.threads", OWN, 1),
        ("source.local.kind", OWN, LOCAL),
        ("source.local.path", LOCAL, "elsewhere"),
        ("source.local.remote_code", LOCAL, True),
        ("source.hub.kind", OWN, HUB),
        ("source.hub.repo", HUB, "a/c"),
        ("source.hub.revision", HUB, "1" * 40),
        ("source.hub.remote_code", HUB, True),
    ],
    "so8t_model": [("kind", OWN, "blend"), ("layers", OWN, "all"), ("alpha", OWN, 0.0)],
    "adapter": [
        ("quantise", OWN, "nf4"),
        ("precision", OWN, "float16"),
        ("lora.r", OWN, 8),
        ("lora.alpha", OWN, 8.0),
        ("lora.dropout", OWN, 0.1),
        ("lora.targets", OWN, ["o_proj"]),
        ("lora.rslora", OWN, True),
        ("lora.dora", OWN, True),
        ("lora.rank_pattern", OWN, {"o_proj": 8}),
        ("lora.alpha_pattern", OWN, {"o_proj": 8.0}),
        ("gates.train", OWN, False),
        ("gates.learning_rate", OWN, 0.1),
        ("gates.target", OWN, 0.2),
        ("gates.annealing", OWN, 0.2),
        ("gates.shape", OWN, "sigmoid"),
        ("gates.then", OWN, "held"),
        ("gates.orthogonality", OWN, 0.2),
        ("pet.exploration", OWN, 0.0),
        ("pet.transition", OWN, 0.0),
        ("pet.stabilisation", OWN, 0.0),
        ("pet.form", OWN, "huber"),
        ("pet.delta", OWN, 2.0),
        ("train.epochs", OWN, 1.0),
        ("train.steps", OWN, 9),
        ("train.batch", OWN, 2),
        ("train.sequence", OWN, 64),
        ("train.packing", OWN, True),
        ("train.by_length", OWN, False),
        ("train.learning_rate", OWN, 0.1),
        ("train.schedule", OWN, "linear"),
        ("train.warmup", OWN, 0.5),
        ("train.weight_decay", OWN, 0.5),
        ("train.betas", OWN, [0.5, 0.5]),
        ("train.max_gradient", OWN, 2.0),
        ("train.attention", OWN, "eager"),
        ("train.matmul", OWN, "medium"),
        ("train.optimizer", OWN, "adamw8bit"),
        ("train.seed", OWN, 1),
        ("train.threads", OWN, 1),
        ("validation.every", OWN, 9),
        ("validation.records", OWN, 9),
        ("validation.patience", OWN, 9),
        ("validation.publish", OWN, "best"),
        ("monitor.every", OWN, 9),
    ],
    "curves": [("width", OWN, 8.0), ("dpi", OWN, 60)],
    "adapter_scores": [
        ("splits", OWN, ["validation"]),
        ("records", OWN, 9),
        ("longest", OWN, 9),
        ("precision", OWN, "float32"),
    ],
}
CURRENT: dict[str, list[tuple[str, dict[str, Any], Any]]] = {
    "base_model": [
        ("source.tiny.checkpoint_every", OWN, 9),
        ("source.hub.cache_dir", HUB, "elsewhere"),
        ("source.hub.endpoint", HUB, "https://hub.example.jp"),
        ("source.hub.workers", HUB, 1),
    ],
    "so8t_model": [("threads", OWN, 1)],
    "adapter": [
        ("train.micro_batch", OWN, 2),
        ("train.gradient_checkpointing", OWN, True),
        ("train.device", OWN, "cpu"),
        ("checkpoints.steps", OWN, 9),
        ("checkpoints.minutes", OWN, 9.0),
        ("checkpoints.keep", OWN, 9),
        ("monitor.tensorboard", OWN, True),
        ("monitor.logs", OWN, "elsewhere"),
    ],
    "curves": [],
    "adapter_scores": [("batch", OWN, 9), ("threads", OWN, 1)],
}
ROWS = [
    (stage, *row, expected)
    for table, expected in ((STALE, True), (CURRENT, False))
    for stage, rows in table.items()
    for row in rows
]


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Pico:
    return Pico(tmp_path_factory.mktemp("pico"), root)


def nested(field: str, value: Any) -> dict[str, Any]:
    """{"source": {"steps": 9}} of source.tiny.steps."""
    for part in reversed([part for part in field.split(".") if part not in ("tiny", "local", "hub")]):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("stage", "field", "before", "value", "expected"), ROWS, ids=[f"{row[0]}.{row[1]}" for row in ROWS]
)
def test_a_field_makes_its_stage_stale_or_none(
    pico: Pico, stage: str, field: str, before: dict[str, Any], value: Any, expected: bool
) -> None:
    after = value if isinstance(value, dict) and "source" in value else merged(before, nested(field, value))
    pico.write({stage: before})
    then = {name: row.spec for name, row in pico.plan().rows.items()}
    pico.write({stage: after})
    now = {name: row.spec for name, row in pico.plan().rows.items()}
    pico.write({stage: {}})

    assert [name for name in now if now[name] != then[name]] == ([stage] if expected else [])


def test_the_tables_name_every_field_of_every_spec_behind_the_data() -> None:
    assert STALE.keys() == CURRENT.keys() == STAGES.keys() - set(DATA)
    for stage, rows in STALE.items():
        tested = [row[0] for row in rows + CURRENT[stage]]

        assert (stage, sorted(tested)) == (stage, sorted(set(leaves(STAGES[stage].spec))))
