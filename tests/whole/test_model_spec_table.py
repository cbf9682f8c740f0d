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
GGUF = {"source": {"kind": "gguf", "path": "there.gguf"}}
OWN: dict[str, Any] = {}
ON = {"on": True}
BOUNDED = {"parity": {"bounds": {"max_difference": 0.1, "kl": 0.1, "top1": 0.1, "layer": 0.1}}}
PROJECTED = {"projection": {"max_difference": 0.1, "kl": 0.1, "top1": 0.1, "layer": 0.1}}
NAMED = {"base": {"name": "base"}}
QUANTISER = {"quantiser": "llama-quantize", "quantiser_version": "build = 1"}
MIXED = {"types": ["f16", "q4_0"]}
MATRIX = {"imatrix": {"conversations": 9}, **MIXED}
LOOSE = {"kl": 1, "perplexity": 1, "top1": 0}
HELD = {"grammar": {"conversations": 9}}
HARNESS = {"harness": {"version": "0.4.13", "tasks": ["jsquad"]}}

# stage -> (field, values before, another value or the whole spec that has it); CURRENT: fields that say how, not what
SITE = {"name": "a", "terms": "CC0", "trust": "high", "seeds": ["https://example.jp/"]}
CRAWL = {"agent": "a", "contact": "a@example.jp", "sources": [SITE]}


def site(**change: Any) -> dict[str, Any]:
    return {**CRAWL, "sources": [{**SITE, **change}]}


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
        ("source.tiny.lanes", OWN, 2),
        ("source.local.kind", OWN, LOCAL),
        ("source.local.path", LOCAL, "elsewhere"),
        ("source.local.name", LOCAL, "acme/pico"),
        ("source.local.remote_code", LOCAL, True),
        ("source.hub.kind", OWN, HUB),
        ("source.hub.repo", HUB, "a/c"),
        ("source.hub.revision", HUB, "1" * 40),
        ("source.hub.remote_code", HUB, True),
        ("source.gguf.kind", OWN, GGUF),
        ("source.gguf.path", GGUF, "elsewhere.gguf"),
        ("source.gguf.accept", GGUF, ["emoji"]),
        ("tokens", OWN, ["<memo>"]),
    ],
    "chat_format": [
        ("strings", OWN, 9),
        ("seed", OWN, 1),
        ("accept", OWN, ["emoji"]),
        ("pre_tokenizer", OWN, "llama-bpe"),
    ],
    "so8t_model": [("kind", OWN, "blend"), ("layers", OWN, "all"), ("alpha", OWN, 0.0)],
    "adapter": [
        ("quantise", OWN, "nf4"),
        ("precision", OWN, "float16"),
        ("lora.r", OWN, 8),
        ("lora.alpha", OWN, 8.0),
        ("lora.dropout", OWN, 0.1),
        ("lora.targets", OWN, ["o_proj"]),
        ("lora.tokens", OWN, "whole"),
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
        ("train.pad_to_multiple_of", OWN, 2),
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
        ("train.lanes", OWN, 2),
        ("validation.every", OWN, 9),
        ("validation.conversations", OWN, 9),
        ("validation.patience", OWN, 9),
        ("validation.publish", OWN, "best"),
        ("monitor.every", OWN, 9),
    ],
    "preference": [
        ("on", OWN, True),
        ("form", ON, "dpo"),
        ("beta", ON, 0.2),
        ("imitate", ON, 0.5),
        ("pairs", ON, "given"),
        ("derive.split", ON, "train"),
        ("derive.conversations", ON, 9),
        ("derive.failures", ON, ["no_format"]),
        ("derive.anchors", ON, 1),
        ("train.epochs", ON, 2.0),
        ("proof.splits", ON, ["test", "train"]),
        ("proof.conversations", ON, 9),
        ("longest", ON, 9),
    ],
    "curves": [("width", OWN, 8.0), ("dpi", OWN, 60)],
    "adapter_scores": [
        ("splits", OWN, ["test", "validation"]),
        ("conversations", OWN, 9),
        ("longest", OWN, 9),
        ("precision", OWN, "float32"),
    ],
    "merged_model": [
        ("shard_size", OWN, 1_000_000),
        ("parity.splits", OWN, ["validation"]),
        ("parity.conversations", OWN, 9),
        ("parity.tokens", OWN, 9),
        ("parity.bounds", OWN, {"max_difference": 0.1, "kl": 0.1, "top1": 0.1, "layer": 0.1}),
        ("parity.bounds.max_difference", BOUNDED, 0.2),
        ("parity.bounds.kl", BOUNDED, 0.2),
        ("parity.bounds.top1", BOUNDED, 0.2),
        ("parity.bounds.layer", BOUNDED, 0.2),
    ],
    "baked_model": [
        ("shard_size", OWN, 1_000_000),
        ("parity.splits", OWN, ["validation"]),
        ("parity.conversations", OWN, 9),
        ("parity.tokens", OWN, 9),
        ("parity.bounds", OWN, {"max_difference": 0.1, "kl": 0.1, "top1": 0.1, "layer": 0.1}),
        ("parity.bounds.max_difference", BOUNDED, 0.2),
        ("parity.bounds.kl", BOUNDED, 0.2),
        ("parity.bounds.top1", BOUNDED, 0.2),
        ("parity.bounds.layer", BOUNDED, 0.2),
        ("projection.max_difference", PROJECTED, 0.2),
        ("projection.kl", PROJECTED, 0.2),
        ("projection.top1", PROJECTED, 0.2),
        ("projection.layer", PROJECTED, 0.2),
    ],
    "gguf": [
        ("name", OWN, "other"),
        ("types", OWN, ["f16"]),
        ("license", OWN, "mit"),
        ("description", OWN, "別の文。"),
        ("base", OWN, {"name": "base"}),
        ("base.name", NAMED, "other"),
        ("base.organization", NAMED, "other"),
        ("base.url", NAMED, "https://example.jp"),
        ("quantiser", QUANTISER, "elsewhere/llama-quantize"),
        ("quantiser_version", QUANTISER, "build = 2"),
        ("imatrix", MIXED, {"tokens": 9}),
        ("imatrix.file", MATRIX, "imatrix.gguf"),
        ("imatrix.conversations", MATRIX, 8),
        ("imatrix.tokens", MATRIX, 8),
        ("imatrix.beside", MATRIX, False),
        ("parity.splits", OWN, ["validation"]),
        ("parity.conversations", OWN, 9),
        ("parity.tokens", OWN, 9),
        ("parity.precision", OWN, "bfloat16"),
        ("bounds", OWN, {"f16": LOOSE}),
        ("bounds.kl", {"bounds": {"f16": LOOSE}}, {"f16": {**LOOSE, "kl": 2}}),
        ("bounds.perplexity", {"bounds": {"f16": LOOSE}}, {"f16": {**LOOSE, "perplexity": 2}}),
        ("bounds.top1", {"bounds": {"f16": LOOSE}}, {"f16": {**LOOSE, "top1": 0.5}}),
    ],
    "modelfile": [
        ("license", OWN, "mit"),
        ("split_thinking", OWN, False),
        ("stop", OWN, ["。"]),
        ("parameters.num_ctx", OWN, 3),
        ("parameters.num_batch", OWN, 3),
        ("parameters.num_gpu", OWN, 3),
        ("parameters.main_gpu", OWN, 3),
        ("parameters.num_thread", OWN, 3),
        ("parameters.draft_num_predict", OWN, 3),
        ("parameters.num_keep", OWN, 3),
        ("parameters.seed", OWN, 3),
        ("parameters.num_predict", OWN, 3),
        ("parameters.top_k", OWN, 3),
        ("parameters.repeat_last_n", OWN, 3),
        ("parameters.top_p", OWN, 0.3),
        ("parameters.min_p", OWN, 0.3),
        ("parameters.typical_p", OWN, 0.3),
        ("parameters.temperature", OWN, 0.3),
        ("parameters.repeat_penalty", OWN, 0.3),
        ("parameters.presence_penalty", OWN, 0.3),
        ("parameters.frequency_penalty", OWN, 0.3),
        ("parameters.use_mmap", OWN, False),
    ],
    "evaluation": [
        ("splits", OWN, ["validation"]),
        ("conversations", OWN, 9),
        ("types", OWN, ["f16"]),
        ("base", OWN, False),
        ("longest", OWN, 9),
        ("grammar", OWN, {"conversations": 9}),
        ("grammar.conversations", HELD, 8),
        ("grammar.text", HELD, 8),
        ("grammar.longest", HELD, 8),
        ("bounds", OWN, {"f16": 0.5}),
        ("bootstrap.draws", OWN, 500),
        ("bootstrap.seed", OWN, 1),
        ("harness", OWN, HARNESS["harness"]),
        ("harness.version", HARNESS, "0.5.0"),
        ("harness.tasks", HARNESS, ["jcommonsenseqa"]),
        ("harness.folder", HARNESS, "tasks"),
        ("harness.shots", HARNESS, 3),
        ("harness.limit", HARNESS, 3),
    ],
    "crawl": [
        ("agent", CRAWL, "b"),
        ("sources", OWN, CRAWL),
        ("sources.name", CRAWL, site(name="b")),
        ("sources.terms", CRAWL, site(terms="CC BY 4.0")),
        ("sources.trust", CRAWL, site(trust="low")),
        ("sources.seeds", CRAWL, site(seeds=["https://example.jp/b"])),
        ("sources.sitemaps", CRAWL, site(sitemaps=["https://example.jp/sitemap.xml"])),
        ("sources.feeds", CRAWL, site(feeds=["https://example.jp/feed"])),
        ("sources.hosts", CRAWL, site(hosts=["example.jp", "www.example.jp"])),
        ("sources.allow", CRAWL, site(allow=["/articles/"])),
        ("sources.deny", CRAWL, site(deny=["/search"])),
        ("sources.depth", CRAWL, site(depth=1)),
        ("sources.per_host", CRAWL, site(per_host=9)),
        ("sources.variants", CRAWL, site(variants=9)),
        ("as_of", CRAWL, "2026-11-28"),
        ("total", CRAWL, 9),
        ("signals", CRAWL, ["AIPREF"]),
        ("refusals", CRAWL, ["noindex"]),
        ("max_page", CRAWL, 9000),
    ],
    "report": [("redacted", OWN, True)],
    "ollama": [("model", OWN, "other"), ("quantisations", OWN, ["f16"]), ("records", OWN, 19)],
}
CURRENT: dict[str, list[tuple[str, dict[str, Any], Any]]] = {
    "base_model": [
        ("source.tiny.checkpoint_every", OWN, 9),
        ("source.tiny.processes", OWN, 1),
        ("source.hub.cache_dir", HUB, "elsewhere"),
        ("source.hub.endpoint", HUB, "https://hub.example.jp"),
        ("source.hub.workers", HUB, 1),
        ("source.gguf.precision", GGUF, "bfloat16"),
        ("source.gguf.threads", GGUF, 1),
    ],
    "so8t_model": [("threads", OWN, 1)],
    "adapter": [
        ("train.micro_batch", OWN, 2),
        ("train.processes", OWN, 1),
        ("train.shard", {"quantise": "none", "train": {"lanes": 2}}, "full"),
        ("train.kernels", OWN, "off"),
        ("train.kernel_error", OWN, 0.1),
        ("train.gradient_checkpointing", OWN, True),
        ("train.device", OWN, "cpu"),
        ("checkpoints.steps", OWN, 9),
        ("checkpoints.minutes", OWN, 9.0),
        ("checkpoints.keep", OWN, 9),
        ("monitor.tensorboard", OWN, True),
        ("monitor.logs", OWN, "elsewhere"),
    ],
    "chat_format": [],
    "preference": [("train.micro_batch", ON, 2), ("batch", ON, 9)],
    "curves": [],
    "adapter_scores": [("batch", OWN, 9), ("threads", OWN, 1)],
    "merged_model": [("workers", OWN, 1), ("threads", OWN, 1)],
    "baked_model": [("workers", OWN, 1), ("threads", OWN, 1)],
    "gguf": [("threads", OWN, 1)],
    "modelfile": [],
    "evaluation": [("workers", OWN, 1), ("threads", OWN, 2), ("gpu_layers", OWN, 1)],
    "crawl": [
        ("contact", CRAWL, "b@example.jp"),
        ("timeout", CRAWL, 9.0),
        ("pause", CRAWL, 9.0),
        ("at_once", CRAWL, 9),
        ("http2", CRAWL, True),
    ],
    "report": [],
    "ollama": [("replace", OWN, True), ("host", OWN, "127.0.0.1:9"), ("seconds", OWN, 9.0)],
}
AS_THE_ADAPTERS = ("train.", "checkpoints.", "monitor.")  # of preference
OF_CHAT = {"evaluation": ["patterns"]}  # which the task chat alone reads: tests/whole/test_chat.py
READ = {  # other stages that look at the field, too
    "adapter.lora.targets": "chat_format",
    "adapter.train.max_gradient": "curves",
}
BESIDE: dict[str, dict[str, Any]] = {  # what must be said elsewhere for it, for these specs speak of each other
    "adapter_scores.conversations": {"evaluation": {"conversations": 4}},
    "evaluation.splits": {"adapter_scores": {"splits": ["test", "validation"]}},
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


@pytest.fixture(scope="module")
def usual(pico: Pico) -> dict[str, Any]:
    """What the specs say where no row changes them."""
    return pico.specs()


def nested(field: str, value: Any) -> dict[str, Any]:
    """{"source": {"steps": 9}} of source.tiny.steps; a table by type, such as gguf.bounds, is given whole."""
    if field.startswith("bounds."):
        return {"bounds": value}
    for part in reversed([part for part in field.split(".") if part not in ("tiny", "local", "hub", "gguf")]):
        value = {part: value}
    return value


@pytest.mark.slow
@pytest.mark.usefixtures("unsynced", "still")
@pytest.mark.parametrize(
    ("stage", "field", "before", "value", "expected"), ROWS, ids=[f"{row[0]}.{row[1]}" for row in ROWS]
)
def test_a_field_makes_its_stage_stale_or_none(
    pico: Pico, usual: dict[str, Any], stage: str, field: str, before: dict[str, Any], value: Any, expected: bool
) -> None:
    after = (
        value
        if isinstance(value, dict) and {"source", "sources"} & value.keys()
        else merged(before, nested(field, value))
    )
    beside = BESIDE.get(f"{stage}.{field}", {})
    pico.write({stage: before, **beside})
    then = pico.specs() if before or beside else usual
    pico.write({stage: after})
    now = pico.specs()
    pico.write({name: {} for name in (stage, *beside)})

    changed = {stage, READ.get(f"{stage}.{field}", stage)} if expected else set()
    assert {name for name in now if now[name] != then.get(name)} == changed


def test_the_tables_name_every_field_of_every_spec_behind_the_data() -> None:
    assert STALE.keys() == CURRENT.keys() == STAGES.keys() - set(DATA)
    for stage, rows in STALE.items():
        tested = [row[0] for row in rows + CURRENT[stage]] + OF_CHAT.get(stage, [])

        known = set(leaves(STAGES[stage].spec))
        if stage == "preference":
            known = {field for field in known if field in tested or not field.startswith(AS_THE_ADAPTERS)}
        assert (stage, sorted(tested)) == (stage, sorted(known))
