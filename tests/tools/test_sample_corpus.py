from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from so8t.corpus import harm, pii
from so8t.formats.records import LABELS
from tools.sample import compose
from tools.sample.intents import INTENTS
from tools.sample.nearness import Nearness
from tools.sample.template import parse

CORPUS = Path(__file__).resolve().parents[2] / "specs" / "tiny" / "corpus"
SPLITS = ("train", "test_known", "test_novel")
RECORDS = {split: [orjson.loads(line) for line in (CORPUS / f"{split}.jsonl").open("rb")] for split in SPLITS}
ALL = [record for split in SPLITS for record in RECORDS[split]]
DOMAINS = (
    *("人事", "経理", "情報システム", "カスタマーサポート", "医療・健康", "法務"),
    *("教育", "製造", "物流", "小売", "金融", "旅行"),
)


def tags(split: str, name: str) -> set[str]:
    return {record["tags"][name] for record in RECORDS[split]}


def count(records: list[dict[str, Any]], *path: str) -> Counter[Any]:
    return Counter(tuple(record["tags"].get(name) or record.get(name) for name in path) for record in records)


@pytest.fixture(scope="module")
def composed() -> list[compose.Sentence]:
    return compose.sentences()


def test_composing_again_gives_the_shipped_bytes(composed: list[compose.Sentence]):
    assert compose.files(composed) == {f"{split}.jsonl": (CORPUS / f"{split}.jsonl").read_bytes() for split in SPLITS}


def test_there_are_as_many_records_and_patterns_as_the_data_card_says():
    assert {split: len(RECORDS[split]) for split in SPLITS} == {"train": 2112, "test_known": 240, "test_novel": 240}
    assert len(tags("train", "pattern")) == 192
    assert len(tags("test_novel", "pattern")) == 48
    assert all((CORPUS / f"{split}.jsonl").stat().st_size < 1 << 20 for split in SPLITS)


@pytest.mark.parametrize("split", SPLITS)
def test_every_class_of_every_domain_has_the_same_share(split: str):
    each = {"train": 44, "test_known": 5, "test_novel": 5}[split]
    assert count(RECORDS[split], "domain", "label") == {(domain, label): each for domain in DOMAINS for label in LABELS}


def test_a_training_record_is_pinned_to_no_split_and_a_held_out_one_to_its_own():
    assert not any("split" in record for record in RECORDS["train"])
    assert all(record["split"] == split for split in SPLITS[1:] for record in RECORDS[split])


def test_novel_patterns_never_occur_in_training_and_known_ones_all_do():
    assert tags("test_known", "pattern") == tags("train", "pattern")
    assert not tags("test_novel", "pattern") & tags("train", "pattern")
    templates = [place.pattern.template for place in compose.places()]
    assert len(set(templates)) == len(templates) == 240


def test_no_filling_of_a_known_pattern_was_trained_on(composed: list[compose.Sentence]):
    fillings = {split: {(s.place.name, s.values) for s in composed if s.split == split} for split in SPLITS}
    assert len(fillings["test_known"]) == 240
    assert not fillings["test_known"] & fillings["train"]


@pytest.mark.parametrize(("n", "bound"), [(3, 0.7), (5, 0.6)])
def test_no_two_texts_are_near_copies(n: int, bound: float):
    texts = [record["text"] for record in ALL]
    grams = [{text[at : at + n] for at in range(len(text) - n + 1)} for text in texts]
    holders: dict[str, list[int]] = {}
    for row, mine in enumerate(grams):
        shared = Counter(other for gram in mine for other in holders.get(gram, ()))
        near = [texts[o] for o, both in shared.items() if both >= bound * (len(mine) + len(grams[o]) - both)]
        assert not near, (texts[row], near)
        for gram in mine:
            holders.setdefault(gram, []).append(row)


def test_texts_reasons_answers_and_thinking_keep_their_lengths():
    assert all(12 <= len(record["text"]) <= 60 for record in ALL)
    assert all(0 < len(record["reason"]) <= 24 and 0 < len(record["answer"]) <= 50 for record in ALL)
    parts = [record["thinking"] for record in ALL if "thinking" in record]
    assert all(list(part) == ["task", "safety", "policy"] and max(map(len, part.values())) <= 40 for part in parts)


def test_about_a_tenth_of_the_training_records_bring_thinking_and_no_held_out_one_does():
    assert sum("thinking" in record for record in RECORDS["train"]) == 209
    assert not any("thinking" in record for split in SPLITS[1:] for record in RECORDS[split])


def test_the_reason_follows_from_the_intent_and_each_class_has_a_small_set():
    assert all(record["reason"] == INTENTS[record["tags"]["intent"]].reason for record in ALL)
    reasons = {label: {record["reason"] for record in ALL if record["label"] == label} for label in LABELS}
    assert {label: len(found) for label, found in reasons.items()} == {
        "ALLOW": 8,
        "ESCALATION": 8,
        "DENY": 7,
        "REFUSE": 10,
    }


def test_every_intent_of_a_novel_pattern_is_trained_on_under_other_patterns():
    assert tags("test_novel", "intent") <= tags("train", "intent")


def test_nothing_allowed_is_routed_as_harm_and_nothing_looks_like_personal_data():
    table, kinds = (
        harm.Table(harm.DEFAULT),
        pii.kinds(("secret", "email", "ip", "card", "my_number", "address", "phone")),
    )
    routed = [r["text"] for r in ALL if r["label"] != "REFUSE" and table.categories([r["text"], r["answer"]])]
    assert routed == []
    assert [r["text"] for r in ALL if pii.remove(r["text"] + "\n" + r["answer"], kinds)[1]] == []


def test_the_surface_varies():
    texts = [record["text"] for record in ALL]
    assert sum("🙏" in text or "😢" in text for text in texts) > 100
    assert sum(bool(re.search("[A-Za-z]", text)) for text in texts) > 50
    assert sum(bool(re.search("[Ａ-Ｚ]", text)) for text in texts) > 10
    assert sum(text.endswith("？") for text in texts) > 300


def test_no_text_mixes_polite_and_casual_fillings():
    template = parse("{open}席を予約する{steps}")
    assert template.fill(lambda slot, size: (2, 0)[slot]) == (
        "すみません、席を予約する方法を教えてください。",
        ("すみません、", "方法を教えてください。"),
    )
    assert template.fill(lambda slot, size: (5, 0)[slot]) is None


def test_a_slot_that_nobody_declared_is_an_error():
    with pytest.raises(KeyError, match="tel"):
        parse("締め切り{tel}")


def test_a_text_that_differs_only_in_width_is_too_near():
    near = Nearness()
    assert near.add("ＶＰＮにつながりません。助けてください。")
    assert not near.add("VPNにつながりません。助けてください。")
    assert near.add("有給休暇の締め切りを教えて")


def test_the_data_card_tells_the_counts():
    card = (CORPUS / "README.md").read_text(encoding="utf-8")
    for split in SPLITS:
        row = f"| `{split}` | {len(RECORDS[split]):,} | {len(tags(split, 'pattern'))} |"
        assert row in card
    assert all(f"`{name}`" in card for name in INTENTS)
