"""A small profile as values: two stages above a model, an evaluation of one split, texts that want to be markup."""

from __future__ import annotations

from typing import Any

from so8t.engine.why import ABSENT, Reason
from so8t.evals import bench
from so8t.evals.flips import flips
from so8t.evals.outcomes import Outcome
from so8t.formats import thinking
from so8t.formats.records import LABELS, Label
from so8t.formats.thinking import TAGS, Final, Thinking
from so8t.report import comparison
from so8t.report.facts import Built, Facts, Made, Split, StageFacts, Value
from so8t.runs.differences import Answer, Data, Differences, Figure
from so8t.runs.door import Told
from so8t.runs.known import Run
from so8t.store.fingerprint import Fingerprint
from so8t.store.manifest import File, Manifest

HOSTILE = "</script><img src=x onerror=alert(1)>「経費」の締め切りは？"


def answer(label: str) -> str:
    return thinking.compose(
        Thinking("経理の件。", "危険なし。", "答える。", Final(label, 0.9, "日時の確認", "月末です。")), TAGS
    )


def outcomes(wrong: int, broken: bool = False) -> list[Outcome]:
    found = []
    for at in range(12):
        truth: Label = LABELS[at % 4]
        said = truth if at >= wrong else LABELS[(at + 1) % 4]
        if broken:
            found.append(Outcome(f"r{at}", truth, None, None, "character 0: expected <think-task>", "stop", HOSTILE))
        else:
            found.append(Outcome(f"r{at}", truth, said, 0.9, None, "stop", answer(said)))
    return found


def stage(name: str, *upstream: str, seconds: float = 1.0, **more: Any) -> StageFacts:
    files = (File("a.jsonl", 1_500_000, "ab" * 32),)
    made = Made(
        f"{name:0>8}" * 8,
        {f"{up}/a.jsonl": "cd" * 32 for up in upstream},
        {f"stages.{name}": "ef" * 16},
        {"numpy": "2.0"},
        files,
    )
    built = Built("built", "2026-11-27T18:19:03+00:00", "workshop", seconds, seconds)
    return StageFacts(
        **{"name": name, "doc": f"what {name} is", "upstream": upstream, "made": made, "built": built, **more}
    )


STAGES = (
    stage("raw"),
    stage("cleaned", "raw", seconds=2.0, values=(Value("length.min_chars", 4, "specs/own/cleaned.yaml:4", 8, True),)),
    stage("model", "raw", seconds=30.0),
    stage("gguf", "cleaned", "model", "raw", seconds=3.0),
    stage("ollama", "gguf", made=None, built=None, on_request=True),
)


ALIKE = {"tokens": 1024, "top1": 0.998, "max_difference": 0.00001, "kl": 1e-7, "kl_max": 3e-7, "worst": "test:3"}
APART = {
    "tokens": 4803,
    "kl": 0.0002878,
    "kl_p99": 0.0027,
    "kl_max": 0.0127,
    "top1": 0.9929,
    "perplexity_change": -0.0022,
}
SPREAD: dict[str, Any] = {
    "tokens": 4803,
    "kl": {"mean": 0.0002878, "median": 0.0001, "p95": 0.0011, "p99": 0.0027, "p99_9": 0.0094, "max": 0.0127},
    "delta_p": {"mean": -0.0004, "rms": 0.0051},
    "top1": 0.9929,
    "perplexity_ratio": 0.9978,
}
LEDGER = {
    "against": "f16",
    "size": 1_954_080,
    "weights": 2_885_888,
    "bits_per_weight": 5.2714,
    **SPREAD,
    "sections": {
        "prompt": {**SPREAD, "tokens": 4000, "share": 0.9},
        "class": {**SPREAD, "tokens": 803, "share": 0.1, "delta_p": None, "perplexity_ratio": None},
    },
    "imatrix": {"tokens": 2421, "chunks": 32, "tensors": 1, "of": 2, "missing": ["output.weight"]},
    "without_imatrix": {**SPREAD, "kl": {**SPREAD["kl"], "mean": 0.0003}},
    "tensors": {
        "output.weight": {"type": "Q6_K", "error": 0.01757},
        "blk.0.attn_qkv.weight": {"type": "Q4_K", "error": 0.07149},
    },
}
SERIES = [
    {
        "step": step,
        "phase": "exploration",
        "task": 10.0 / step,
        "pet": 6.0,
        "learning_rate": 1e-3,
        "gate_learning_rate": 1e-3,
        "gradient_norm": 2.0,
        "g": [0.1, 0.2],
        "alpha": [-2.0, -1.0],
        "angle_max": [1.0, float("nan")],
        "angle_mean": [0.1, 0.2],
        "deviation": [0.0, 0.0],
        "logits_mean": 0.0,
        "logits_min": -9.0,
        "logits_max": 9.0,
        "activations": [1.0, 2.0, 3.0],
    }
    for step in (1, 10, 20, 40)
]


def documents() -> dict[str, Any]:
    by_model = {"base": outcomes(0, broken=True), "f16": outcomes(2), "q4_k_m": outcomes(3)}
    scores = bench.scores(by_model, 100, 0, "base")
    scores["q4_k_m"]["flips"] = flips(by_model, "q4_k_m", {}, "test")
    return {
        "raw/stats.json": {
            "own": {"lines": 15, "records": 14, "blank": 1, "beyond_limit": 0, "quarantined": {}},
        },
        "cleaned/stats.json": {"in": 14, "out": 12, "dropped": {"language": 2}, "pii": {}, "harm": {}},
        "labelled/agreement.json": {"records": {"in": 12, "out": 12, "quarantined": 0}},
        "thinking_sft/stats.json": {"in": 12, "out": 12, "dropped": {}, "by_split": {"train": 8, "test": 4}},
        "chat_format/chat_format.json": {"thinking": thinking.to_json(TAGS)},
        "base_model/base.json": {"source": "tiny", "architecture": "Phi3ForCausalLM", "parameters": 2_885_888},
        "so8t_model/so8t.json": {"layers": [1, 2], "identity_bit_equal": True},
        "adapter/training.json": {
            "steps": 40,
            "trainable": 1000,
            "data": {"conversations": 8, "too_long": 0, "nothing_to_learn": 0},
        },
        "chat_format/proof.json": {"conversations": 34, "strings": 10_000},
        "baked_model/parity.json": {"baked": {**ALIKE, "bounds": {"max_difference": 1e-4, "kl": 1e-6, "top1": 0.99}}},
        "gguf/parity.json": {
            "conversations": 34,
            "types": {"f16": {**APART, "bounds": {"kl": 0.001, "perplexity": 0.01, "top1": 0.98}}, "q4_k_m": APART},
        },
        "gguf/ledger.json": {"types": {"q4_k_m": LEDGER}},
        "evaluation/scores.json": {"splits": {"test": scores}},
    }


SPLITS = (
    Split(
        "train", "train.jsonl", 900, "ab" * 32, 8, {"ALLOW": 6, "REFUSE": 2}, {"REFUSE": 1},
        {"Japanese letters": 7, "other letters": 1}, {("AIPREF", "yes"): 3, ("TDMRep", "unknown"): 1}, 1,
    ),
    Split("test", "test.jsonl", 400, "cd" * 32, 4, {"ALLOW": 4}, {}, {"Japanese letters": 4}),
)  # fmt: skip


def samples() -> list[dict[str, Any]]:
    head = {"split": "test", "mode": "thinking", "way": "free"}
    by_model = {"base": outcomes(0, broken=True), "f16": outcomes(2), "q4_k_m": outcomes(3)}
    return [{"model": model, **head, **one.__dict__} for model, found in by_model.items() for one in found]


def facts(**more: Any) -> Facts:
    usual: dict[str, Any] = {
        "profile": "own",
        "stages": STAGES,
        "parents": ("tiny",),
        "documents": documents(),
        "samples": samples(),
        "series": SERIES,
        "questions": {f"r{at}": f"質問{at}{HOSTILE}" for at in range(12)},
        "splits": SPLITS,
        "dropped": {"cleaned/dropped.jsonl": [{"id": "gone1", "reason": "language", "detail": {"japanese": 0.1}}]},
    }
    return Facts(**{**usual, **more})


def comparison_page(differences: Differences | None = None) -> str:
    """Of two runs that differ in one value, one record of each kind, a figure, and answers of both kinds."""
    differences = differences or Differences(
        values=(
            ("adapter", Reason("spec", "lora.r", 16, 64)),
            ("adapter", Reason("spec", "note", ABSENT, HOSTILE)),
            ("adapter", Reason("code", "so8t.train.run", "ab" * 16, "cd" * 16)),
            ("curves", Reason("code", "so8t.train.run", "ab" * 16, "cd" * 16)),
        ),
        data=(Data("raw/raw.jsonl", ("new1",), ("old1",), ("other1", "other2")),),
        figures=(
            Figure("test.f16.accuracy", 0.75, 0.875),
            Figure("test.f16.leaks", 0.0, 2.0),
            Figure("test.f16.loss", 1.25, 0.5),
        ),
        answers=(
            Answer("test f16 thinking", "r1", "REFUSE", "ALLOW", "REFUSE", ("はい。", f"断ります。{HOSTILE}")),
            Answer("test q4_k_m thinking", "r1", "REFUSE", "ALLOW", None, ("はい。", "…")),
            Answer("test f16 thinking", "r2", "ALLOW", "ALLOW", "ALLOW", ("月末です。", "月末までです。")),
        ),
    )
    told = Told("own", "2026-11-27T18:19:03+00:00", "workshop", 3.0)
    sides = [
        comparison.Side(
            name, Run({"evaluation": Manifest(Fingerprint("evaluation", {"n": name}, {}, {}, {}), ())}), told
        )
        for name in ("own", "other")
    ]
    return comparison.render(sides[0], sides[1], differences, {"r1": f"質問{HOSTILE}"})
