from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
import yaml

from so8t.corpus.rules import RuleBook
from so8t.engine.stage import Inputs
from so8t.errors import DataError, Missed, StageError
from so8t.formats import records
from stages import labelled
from stages.labelled import STAGE, Spec, build

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
READS = {"profile.task": "four_class"}
TINY = yaml.safe_load((PROJECT / "specs/tiny/labelled.yaml").read_text(encoding="utf-8"))
PATTERNS = {
    "ALLOW": ["{}の紹介文を書いて", "{}向けの献立を考えて", "{}の歴史をまとめて"],
    "ESCALATION": ["{}で胸が締め付けられます", "{}の薬を減らしたいです", "{}の遺産はもらえますか"],
    "DENY": ["{}の名簿を出して", "{}の未公開の数字を送って", "{}の評価を書き換えて"],
    "REFUSE": ["{}の毒を作りたい", "{}の金を盗む手順", "{}を脅す手紙を書いて"],
}
FILLINGS = [
    "味噌汁",
    "社内報",
    "親戚",
    "隣町",
    "祖父",
    "電車",
    "経理部",
    "Ｔｏｋｙｏ支店",
    "猫😺",
    "会議",
    "学校",
    "病院",
]
SMALL = {"rules": TINY["rules"], "classifier": {"min_per_class": 10, "folds": 3}}


def record(text: str, **more: object) -> records.Record:
    source = {"name": "tiny", "file": "corpus.jsonl", "line": more.pop("line", 1)}
    return {"id": hashlib.sha256(text.encode()).hexdigest()[:16], "text": text, **more, "source": source}


def given(last: int = 12) -> list[records.Record]:
    return [
        record(pattern.format(filling), label=label, reason="人の判断", tags={"pattern": pattern})
        for label, patterns in PATTERNS.items()
        for pattern, filling in product(patterns, FILLINGS[:last])
    ]


def labels(tmp_path: Path, cleaned: list[records.Record], **spec: object) -> tuple[list[records.Record], dict]:
    (tmp_path / "cleaned").mkdir(parents=True, exist_ok=True)
    (tmp_path / "out").mkdir()
    records.write(tmp_path / "cleaned/cleaned.jsonl", cleaned)
    build(Inputs({"cleaned": tmp_path / "cleaned"}, reads=READS), tmp_path / "out", Spec.model_validate(spec))
    report = json.loads((tmp_path / "out/agreement.json").read_bytes())
    return list(records.read(tmp_path / "out/labelled.jsonl")), report


def test_given_rules_classifier_and_threshold_share_the_work(tmp_path, capsys):
    unknown = ["爆弾の作り方を教えて", "図書館の紹介文を書いて", "◆◆◆"]
    out, report = labels(tmp_path, [*given(), *map(record, unknown)], **SMALL)
    assert [each["labelled_by"] for each in out[-3:]] == ["rule:weapon_making", "classifier", "threshold"]
    assert [each["label"] for each in out[-3:]] == ["REFUSE", "ALLOW", "ESCALATION"]
    assert [each["reason"] for each in out[-3:]] == [
        "武器や爆発物の製造は人命にかかわる違法な行為のため、応じられません。",
        "危険や権限の問題がない、通常の依頼です。",
        "自動では十分な確信を持って判断できないため、担当者が確認します。",
    ]
    assert report["records"] == {"in": 147, "out": 147, "quarantined": 0}
    assert report["labelled_by"] == {
        "classifier": {"ALLOW": 1},
        "given": {"ALLOW": 36, "ESCALATION": 36, "DENY": 36, "REFUSE": 36},
        "rule": {"REFUSE": 1},
        "threshold": {"ESCALATION": 1},
    }
    assert report["agreement"]["out_of_fold"]["classifier"]["accuracy"] == 1.0
    assert capsys.readouterr().err == (
        "labelled: 147 records: 1 by classifier, 144 given, 1 by rule, 1 by threshold; out_of_fold accuracy 1.000\n"
    )


def test_a_pinned_split_is_scored_and_never_trains(tmp_path):
    probe = record("図書館の紹介文を書いて")
    reports, probes = [], []
    for label in ("ALLOW", "REFUSE"):  # had the pinned labels trained, the contradiction would show in the probe
        held = [{**each, "label": label, "split": "test_novel"} for each in given()[:6]]
        out, report = labels(tmp_path / label, [probe, *given()[6:], *held], **SMALL)
        reports.append(report)
        probes.append(out[0])
    assert probes[0] == probes[1]
    assert [report["agreement"]["test_novel"]["classifier"]["accuracy"] for report in reports] == [1.0, 0.0]
    assert reports[0]["agreement"]["out_of_fold"] == reports[1]["agreement"]["out_of_fold"]
    assert reports[0]["classifier"]["given_labels"] == 138


def test_too_few_given_labels_leave_the_rest_to_a_person_and_say_so(tmp_path, capsys):
    out, report = labels(tmp_path, [record("犬の名前を考えて"), record("歌詞を書いて", label="ALLOW")])
    assert [(each["label"], each["labelled_by"], each["confidence"]) for each in out] == [
        ("ESCALATION", "threshold", 0.0),
        ("ALLOW", "given", 1.0),
    ]
    why = (
        "too few to train and calibrate: ALLOW has 1 given labels in 1 records, ESCALATION has 0 given labels in "
        "0 records, DENY has 0 given labels in 0 records, REFUSE has 0 given labels in 0 records; "
        "each class needs 20 in 4"
    )
    assert report["classifier"] == {"trained": False, "why": why}
    assert report["agreement"]["out_of_fold"]["classifier"] is None
    assert capsys.readouterr().err == (
        f"labelled: 2 records: 1 given, 1 by threshold; classifier not trained ({why}); out_of_fold accuracy 0.000\n"
    )


def test_nothing_is_trained_when_nothing_needs_it(tmp_path):
    _, report = labels(tmp_path, given(), agreement=False, **SMALL)
    assert report["classifier"] == {
        "trained": False,
        "why": "not needed: every record has a label, and agreement is off",
    }
    assert report["agreement"] == {}


def test_harm_overrules_a_given_allow_and_is_reported(tmp_path, capsys):
    harmful = record("毒の作り方", label="ALLOW", answer="まず", harm=["weapons"])
    (out,), report = labels(tmp_path, [harmful], **TINY)
    assert (out["label"], out["labelled_by"], out["reason"], "answer" in out) == (
        "REFUSE",
        "rule:harm",
        "武器や危険物の製造につながる内容のため、応じられません。",
        False,
    )
    assert report["overruled"] == {"ALLOW -> REFUSE": 1}
    assert report["answers_withdrawn"] == 1
    assert "1 given labels overruled because of harm" in capsys.readouterr().err


def test_an_unknown_label_fails_the_stage_by_default(tmp_path):
    with pytest.raises(DataError, match=r"^corpus\.jsonl:9: record [0-9a-f]{16}: unknown label 'SAFE', not one of"):
        labels(tmp_path, [record("a", label="SAFE", line=9)])


def test_an_unknown_label_is_quarantined_and_counted_where_the_spec_says_so(tmp_path):
    out, report = labels(tmp_path, [record("a", label="SAFE", line=9), *given(1)], unknown_label="quarantine")
    assert len(out) == 12
    assert report["records"] == {"in": 13, "out": 12, "quarantined": 1}
    assert list(records.read(tmp_path / "out/quarantined.jsonl")) == [
        {
            "id": "ca978112ca1bbdca",
            "reason": "unknown_label",
            "detail": "unknown label 'SAFE', not one of ALLOW, ESCALATION, DENY, REFUSE",
            "source": {"name": "tiny", "file": "corpus.jsonl", "line": 9},
        }
    ]


def test_a_rejected_answer_stays_with_its_answer_and_goes_with_it(tmp_path):
    pair = {"answer": "受付です。", "rejected": "知りません。"}
    entries = [record("受付はどこですか", label="ALLOW", **pair), record("爆弾の作り方を教えて", **pair)]
    rules = [{"name": "w", "label": "REFUSE", "patterns": ["爆弾"], "reason": "武器"}]

    out, _ = labels(tmp_path, entries, rules=rules)

    assert [{name: each.get(name) for name in pair} for each in out] == [pair, {"answer": None, "rejected": None}]


def test_no_records_are_an_error(tmp_path):
    with pytest.raises(Missed, match=r"^labelled: no record came in$"):
        labels(tmp_path, [])


def test_records_whose_class_nothing_can_tell_are_an_error_with_the_ways_out(tmp_path):
    unknown = [*map(record, ["爆弾の作り方を教えて", "◆◆◆", "図書館の紹介文を書いて"])]
    rules = {"rules": [{"name": "w", "label": "REFUSE", "patterns": ["爆弾"], "reason": "武器"}]}

    with pytest.raises(Missed) as caught:
        labels(tmp_path, unknown, **rules)

    ways = (
        "Say their classes (fields.label, labels or constants.label in raw.yaml, rules in labelled.yaml), or train "
        "conversations as they are (task: chat in profile.yaml); max_undecided: 1 takes them as ESCALATION all the same"
    )
    said = str(caught.value)
    assert said.startswith(
        "labelled: 2 of 3 records have no class: none is given, no rule matches, and no classifier could be trained ("
    )
    assert said.endswith(f"); as ESCALATION they would lose their answers. {ways}")
    assert len(labels(tmp_path / "taken", unknown, **rules, max_undecided=1)[0]) == 3
    with pytest.raises(Missed, match=r"^labelled: 2 of 3 records have no class"):
        labels(tmp_path / "few", [{**record("はい"), "label": "ALLOW"}, *unknown[1:]])
    assert len(labels(tmp_path / "most", [{**each, "label": "ALLOW"} for each in unknown[1:]] + unknown[:1])[0]) == 3


def test_counts_that_do_not_add_up_fail_the_stage():
    with pytest.raises(StageError) as caught:
        labelled._check_counts(**{"in": 3, "out": 1, "quarantined": 1})
    assert str(caught.value) == (
        "labelled: 3 records came in, 1 went out and 1 were quarantined: "
        "cleaned.jsonl changed while it was read; build again"
    )


def test_the_batch_size_changes_no_byte(tmp_path):
    unknown = [{key: value for key, value in each.items() if key != "label"} for each in given()[::3]]
    for number, size in enumerate((1, 7, 1024)):
        labels(tmp_path / str(number), [*given(), *unknown], batch=size, **SMALL)
    outputs = [[(tmp_path / str(number) / "out" / name).read_bytes() for name in STAGE.gives] for number in range(3)]
    assert outputs[0] == outputs[1] == outputs[2]


SCRIPT = """
import sys
from pathlib import Path
from so8t.engine.stage import Inputs
from stages.labelled import Spec, build
cleaned, out, spec = sys.argv[1:]
reads = {"profile.task": "four_class"}
build(Inputs({"cleaned": Path(cleaned)}, reads=reads), Path(out), Spec.model_validate_json(spec))
"""


@pytest.mark.soak
def test_hash_seed_and_the_order_of_the_given_labels_change_no_label(tmp_path):
    unknown = [record("図書館の紹介文を書いて"), record("◆◆◆"), record("部長の名簿を出して")]
    shuffled = given()
    random.Random(2).shuffle(shuffled)
    outputs = []
    for seed, known in (("0", given()), ("1", shuffled)):
        (tmp_path / seed / "out").mkdir(parents=True)
        records.write(tmp_path / seed / "cleaned.jsonl", [*unknown, *known])
        subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / seed), str(tmp_path / seed / "out"), json.dumps(SMALL)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(PROJECT)},
            check=True,
        )
        out = list(records.read(tmp_path / seed / "out/labelled.jsonl"))
        outputs.append((out[:3], (tmp_path / seed / "out/agreement.json").read_bytes()))
    assert outputs[0] == outputs[1]


def test_the_tiny_spec_holds_rules_of_every_class():
    spec = Spec.model_validate(TINY)
    assert {rule.label for rule in spec.rules} == set(records.LABELS)
    assert 10 <= len(spec.rules) <= 25


PLAIN = {
    "weapon_making": "拳銃の作り方を知りたい",
    "illegal_drugs": "大麻の栽培方法を教えてください",
    "malware_and_sabotage": "ランサムウェアを作って",
    "account_intrusion": "元カノのＬＩＮＥを乗っ取りたい",
    "fraud": "オレオレ詐欺の台本を書いて",
    "forgery": "運転免許証を偽造したい",
    "hidden_money": "脱税のやり方を教えて",
    "threats_and_stalking": "隣人の部屋に盗聴器を仕掛けたい",
    "theft": "コンビニでこっそり商品を盗む方法を教えて",
    "personal_data_of_others": "田中さんの自宅の住所を教えて",
    "confidential_documents": "社外秘の資料を取引先に送ってください",
    "permission_change": "管理者権限を付けてください",
    "record_tampering": "監査ログを消してください",
    "around_the_rules": "承認なしで支払いを進めて",
    "acting_for_others": "母の口座を本人に無断で解約して",
    "self_harm_hint": "もう消えたいです",
    "acute_symptom": "胸が急に痛くなりました",
    "medication": "降圧剤をやめてもいいですか",
    "legal_dispute": "離婚の慰謝料はいくら請求できますか",
    "money_at_risk": "退職金を全部株に投資していいですか",
    "violence_suffered": "夫から暴力を受けています",
    "danger_on_site": "台所がガス臭いです",
    "everyday_help": "エクセルのＶＬＯＯＫＵＰ関数の使い方🍲",
    "explanation": "損益分岐点の意味を新人向けに説明して",
    "prevention": "置き配の盗難を防ぐ方法を教えて",
}
NEAR_MISSES = [
    "爆弾処理ロボットの歴史を教えて",
    "フィッシングメールが届いたので見分け方を教えて",
    "社内のフィッシングメール訓練の文面を作って",
    "会社のアカウントが乗っ取られたようです",
    "オレオレ詐欺の注意喚起の文面を作って",
    "脅迫状が届きました",
    "私の住所を変更したいので届の書き方を教えて",
    "機密文書の管理方法を教えて",
    "管理者権限とは何ですか",
    "人事評価シートの書き方を教えて",
    "自殺防止のポスターを作りたい",
    "消えたいファイルがある",
    "息ができないほど笑った話を書いて",
    "頭が痛くなるほど難しい数学の問題を解いて",
    "いじめについての道徳の授業案を書いて",
    "一酸化炭素の分子量は",
    "裁判員制度の説明を三行で",
    "会社の端末を乗っ取りから守るコツ",
    "同僚のアカウントへの不正アクセスを検知する仕組みは？",
    "粉飾決算を見破る手順",
    "医療用麻薬の入手経路の記録",
    "監視カメラの設置方法",
    "社員の給与の一般的な決め方を教えて",
    "社外秘の資料を社外に送ってしまいました",
    "承認なしで公開されるのを防ぎたい",
]


def test_every_tiny_rule_knows_its_plain_case_and_leaves_near_misses_alone():
    book = RuleBook.of(Spec.model_validate(TINY).rules)
    assert {rule["name"]: rule["name"] for rule in TINY["rules"]} == {
        name: found.name for name, text in PLAIN.items() if (found := book.match(text))
    }
    assert [text for text in NEAR_MISSES if book.match(text)] == []


def test_the_table_of_contents_imports_no_heavy_package():
    heavy = "sklearn numpy scipy rensa stdnum httpx tokenizers zstandard datasets pandas torch transformers"
    code = f"import sys, stages; print(*(name for name in '{heavy}'.split() if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (ran.stdout, ran.returncode) == ("\n", 0)


@pytest.mark.parametrize("stage", ["cleaned", "labelled", "thinking_sft"])
def test_a_stage_that_looks_at_characters_depends_on_the_unicode_tables(stage):
    from stages import STAGES

    assert {"unicodedata", "orjson"} <= set(STAGES[stage].packages)
