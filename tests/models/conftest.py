"""A small training split and the pico checkpoint that is trained on it once."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from so8t.formats import chat, records, thinking
from so8t.formats.thinking import Final, Thinking
from so8t.models import tiny
from so8t.models.tiny import Tiny

PICO: dict[str, Any] = {
    "kind": "tiny",
    "vocab_size": 420,
    "hidden_size": 32,
    "intermediate_size": 32,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "context": 256,
    "steps": 12,
    "batch": 4,
    "sequence": 64,
    "warmup": 3,
    "threads": 1,
    "checkpoint_every": 2,
}
PLACES = ("本店", "東京支店", "ＯＳＡＫＡ店", "工場", "研究室", "🏥病院")
CASES = (
    ("ALLOW", "{}の営業時間を教えて", "日時の確認", "十時から二十時までです。"),
    ("ESCALATION", "{}で煙が出ています😢", "安全の連絡", "担当者が引き継ぎます。"),
    ("DENY", "{}の同僚の住所は？", "個人情報", "開示できません。"),
    ("REFUSE", "{}に侵入する方法", "有害な依頼", "お手伝いできません。"),
)
SYSTEM = "判定して答えます。"


def declaration() -> dict[str, Any]:
    value = {
        "system": SYSTEM,
        "chat": chat.to_json(chat.PHI3),
        "thinking": thinking.to_json(thinking.TAGS),
        "jinja": chat.jinja_template(chat.PHI3),
    }
    return json.loads(json.dumps(value))  # as it comes back from chat_format.json


def conversation(place: str, label: Any, text: str, reason: str, answer: str) -> dict[str, Any]:
    thought = Thinking("依頼を読む。", "危険を見る。", "規程に従う。", Final(label, 1.0, reason, answer))
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": text.format(place)},
        {"role": "assistant", "content": thinking.compose(thought, thinking.TAGS)},
    ]
    return {"messages": messages, "text": chat.render(messages, chat.PHI3), "label": label}


@pytest.fixture(scope="session")
def sft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What thinking_sft gives, as far as base_model takes it."""
    folder = tmp_path_factory.mktemp("thinking_sft")
    (folder / "splits").mkdir()
    rows = [conversation(place, *case) for place in PLACES for case in CASES]
    random.Random(5).shuffle(rows)
    records.write(folder / "splits" / "train.jsonl", rows)
    (folder / "chat_format.json").write_text(json.dumps(declaration(), ensure_ascii=False), "utf-8")
    return folder


@pytest.fixture(scope="session")
def pico(sft: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished checkpoint; copy it before changing it."""
    out = tmp_path_factory.mktemp("pico")
    return tiny.build(Tiny(**PICO), sft / "splits" / "train.jsonl", declaration(), out)
