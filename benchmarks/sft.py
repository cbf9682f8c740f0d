"""thinking_sft's compose and split against a bare orjson read-transform-write of the same bytes, in one run.

    python benchmarks/sft.py [--records 100000] [--rounds 3] [--near-duplicates]

Both sides read the same labelled.jsonl (short Japanese records, about 600 bytes each, seeded) and write
thinking_sft.jsonl and the split files; a round runs one, then the other, each in a fresh process.
The bare side is a straight loop for just these records: nothing escaped, checked, counted or measured.
The files of both sides are compared byte for byte.
Targets for 1,000,000 records: at most 1.5 times the bare side's wall time (median of the rounds' ratios), peak
memory of the stage under 100 MiB.  They name compose and split, so near-duplicate search between splits is off;
--near-duplicates turns it on to show what it costs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parent.parent
SYSTEM = "あなたは安全なアシスタントです。"
FRACTIONS = {"validation": 0.05, "test": 0.05}
OPENERS = ("明日の", "来月の", "先週の", "今年度の", "山田部長の", "海外拠点の", "新しい", "社内の", "取引先の")
THINGS = ("会議資料", "出張旅費", "採用計画", "防災訓練", "健康診断", "給与明細", "研修日程", "在庫台帳", "議事録")
ACTS = ("について教えて", "の要点をまとめて", "を見せて", "の手順を確認して", "を訳して")
REASONS = {
    "ALLOW": "通常の業務の質問",
    "ESCALATION": "人の判断が必要",
    "DENY": "権限の範囲外",
    "REFUSE": "有害な行為の依頼",
}
DOMAINS = ["総務", "人事", "法務", "医療", "防災", "教育", "物流", "会計", "旅行", "料理", "情報", "生活"]


@dataclass(frozen=True)
class Run:
    wall: float
    cpu: float
    peak: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s ({self.cpu:.2f} cpu, {self.peak:.0f} MiB)"


def generate(path: Path, count: int, seed: int = 20) -> None:
    dice = random.Random(seed)
    labels = tuple(REASONS)
    with path.open("wb", buffering=1 << 20) as out:
        for number in range(count):
            text = "".join(
                dice.choice(OPENERS) + dice.choice(THINGS) + dice.choice(ACTS) + "ください。" for _ in range(3)
            )
            label = labels[dice.randrange(4)]
            record = {
                "id": f"{number:016x}",
                "text": text + f"受付番号は{dice.randrange(10**9)}です。",
                "label": label,
                "confidence": round(0.5 + dice.random() / 2, 4),
                "reason": REASONS[label] + "のため",
                "answer": "".join(
                    dice.choice(THINGS) + "は" + dice.choice(OPENERS) + "担当が確認します。" for _ in range(2)
                ),
                "tags": {"domain": dice.choice(DOMAINS), "pattern": f"p{dice.randrange(150):03d}"},
                "labelled_by": "given",
                "source": {"name": "benchmark", "file": "benchmark.jsonl", "line": number + 1, "terms": "none"},
            }
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def bare(folder: Path, out: Path) -> None:
    """The fastest plain loop that gives these bytes for these records."""
    texts = {
        "ALLOW": ("の質問に答える。", "危険は見当たらない。", "通常の支援として答える。"),
        "ESCALATION": ("の相談を受ける。", "誤ると影響が大きい。", "人の判断に引き継ぐ。"),
        "DENY": ("の依頼を受ける。", "権限外の開示や操作になる。", "規程により応じない。"),
        "REFUSE": ("の依頼を受ける。", "人に害が及ぶ恐れがある。", "有害な依頼は断る。"),
    }
    system = {"role": "system", "content": SYSTEM}
    head = f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\n"
    (out / "splits").mkdir(parents=True)
    loads, dumps = orjson.loads, orjson.dumps
    test_below, validation_from = round(FRACTIONS["test"] * 2**64), 2**64 - round(FRACTIONS["validation"] * 2**64)
    with (
        (folder / "labelled.jsonl").open("rb", buffering=1 << 20) as lines,
        (out / "thinking_sft.jsonl").open("wb", buffering=1 << 20) as whole,
        (out / "splits/train.jsonl").open("wb", buffering=1 << 20) as train,
        (out / "splits/validation.jsonl").open("wb", buffering=1 << 20) as validation,
        (out / "splits/test.jsonl").open("wb", buffering=1 << 20) as test,
    ):
        for line in lines:
            record = loads(line)
            text, label, confidence = record["text"], record["label"], record["confidence"]
            domain = record["tags"]["domain"]
            task, safety, policy = texts[label]
            target = (
                f"<think-task>{domain}{task}</think-task><think-safety>{safety}</think-safety>"
                f"<think-policy>{policy}</think-policy><final>判定: {label}\n確信度: {confidence:.2f}\n"
                f"理由: {record['reason']}\n回答: {record['answer']}</final>"
            )
            place = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
            if place < test_below:
                split, file = "test", test
            elif place >= validation_from:
                split, file = "validation", validation
            else:
                split, file = "train", train
            written = dumps(
                {
                    "id": record["id"],
                    "messages": [system, {"role": "user", "content": text}, {"role": "assistant", "content": target}],
                    "text": f"{head}{text}<|end|>\n<|assistant|>\n{target}<|end|>\n",
                    "label": label,
                    "confidence": confidence,
                    "split": split,
                    "made_from": "policy",
                    "tags": record["tags"],
                    "source": record["source"],
                },
                option=orjson.OPT_APPEND_NEWLINE,
            )
            whole.write(written)
            file.write(written)


def stage(folder: Path, out: Path, threshold: float | None) -> Callable[[], None]:
    from so8t.engine.stage import Inputs
    from stages.thinking_sft import Spec, build

    spec = Spec(system=SYSTEM, fractions=FRACTIONS, near_duplicate_threshold=threshold)  # type: ignore[arg-type]
    out.mkdir(parents=True)
    return lambda: build(Inputs({"labelled": folder}, reads={"profile.task": "four_class"}), out, spec)


def measured(side: str, folder: Path, out: Path) -> Run:
    if hasattr(os, "sync"):
        os.sync()  # nobody pays for the bytes that another run left unwritten
    done = subprocess.run(
        [sys.executable, __file__, "--side", side, str(folder), str(out)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return Run(*json.loads(done.stdout))


def run_side(side: str, folder: Path, out: Path) -> None:
    """In a fresh process; starting Python and importing is not what is compared."""
    work = (lambda: bare(folder, out)) if side == "bare" else stage(folder, out, 0.8 if side == "near" else None)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu, peak_mib()]))


def peak_mib() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def same_bytes(one: Path, other: Path) -> bool:
    names = ["thinking_sft.jsonl", *(f"splits/{name}.jsonl" for name in ("train", "validation", "test"))]
    return all(_digest(one / name) == _digest(other / name) for name in names)


def _digest(path: Path) -> bytes:
    digest = blake2b()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


def compare(folder: Path, rounds: int, side: str) -> bool:
    pairs, same = [], True
    for number in range(1, rounds + 1):
        outs = {name: folder / f"{name}{number}" for name in ("bare", side)}
        order = sorted(outs, reverse=number % 2 == 0)  # whoever comes second finds the disk busier
        found = {name: measured(name, folder, outs[name]) for name in order}
        runs = [found["bare"], found[side]]
        same = same and same_bytes(*outs.values())
        pairs.append(runs)
        print(f"round {number}: bare {runs[0]}, thinking_sft {runs[1]}, same bytes {same}", flush=True)
        for out in outs.values():
            shutil.rmtree(out)
    wall = statistics.median(ours.wall / floor.wall for floor, ours in pairs)
    cpu = statistics.median(ours.cpu / floor.cpu for floor, ours in pairs)
    peak = max(ours.peak for _, ours in pairs)
    print(f"median ratio {wall:.2f} wall, {cpu:.2f} cpu (target 1.5), peak {peak:.0f} MiB (target 100)")
    return side == "near" or (wall <= 1.5 and peak < 100 and same)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--near-duplicates", action="store_true")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        side, folder, out = asked.side
        run_side(side, Path(folder), Path(out))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        labelled = Path(folder) / "labelled.jsonl"
        generate(labelled, asked.records)
        print(f"{asked.records:,} records, {labelled.stat().st_size / 1e6:.0f} MB")
        return 0 if compare(Path(folder), asked.rounds, "near" if asked.near_duplicates else "stage") else 1


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
