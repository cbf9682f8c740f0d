from __future__ import annotations

import pytest

from so8t.corpus import harm
from so8t.corpus.cleaning import (
    CheckLanguage,
    CheckLength,
    Drop,
    Normalise,
    RemovePii,
    RouteHarm,
    clean,
    dropped,
    is_held_out,
    map_texts,
    parts_to_compare,
)

FULL = {
    "id": "0" * 16,
    "text": "ｶﾞｽの090-1234-5678",
    "system": "ｼｽﾃﾑ a@example.com",
    "history": [{"role": "user", "content": "ﾕｰｻﾞｰ 192.168.0.1"}, {"role": "assistant", "content": "ﾊｲ"}],
    "label": "ALLOW",
    "reason": "ﾘﾕｳ b@example.com",
    "answer": "ｺﾀｴ 4111 1111 1111 1111",
    "thinking": {"task": "ﾀｽｸ", "safety": "password=abc123", "policy": "621498320257"},
    "tags": {"domain": "ｿｳﾑ", "contact": "０９０−１２３４−５６７８"},
    "source": {"name": "試験", "file": "a@example.com.jsonl"},
}


def reason_of(step: object, record: dict[str, object]) -> tuple[str, dict[str, object]]:
    with pytest.raises(Drop) as caught:
        step(record)  # type: ignore[operator]
    return caught.value.reason, caught.value.detail


def test_every_free_text_is_treated_and_nothing_else() -> None:
    kinds = ("secret", "email", "ip", "card", "my_number", "address", "phone")
    assert clean(FULL, [Normalise("！？（）"), RemovePii(kinds, ())]) == {
        "id": "0" * 16,
        "text": "ガスの〔電話番号〕",
        "system": "システム 〔メール〕",
        "history": [{"role": "user", "content": "ユーザー 〔IPアドレス〕"}, {"role": "assistant", "content": "ハイ"}],
        "label": "ALLOW",
        "reason": "リユウ 〔メール〕",
        "answer": "コタエ 〔カード番号〕",
        "thinking": {"task": "タスク", "safety": "password=〔秘密情報〕", "policy": "〔マイナンバー〕"},
        "tags": {"domain": "ソウム", "contact": "〔電話番号〕"},
        "source": {"name": "試験", "file": "a@example.com.jsonl"},
        "pii": {"card": 1, "email": 2, "ip": 1, "my_number": 1, "phone": 2, "secret": 1},
    }


def test_a_person_has_one_number_in_all_texts_of_a_record() -> None:
    record = {
        "text": "山田さんの件です。佐藤さんは？",
        "history": [
            {"role": "user", "content": "氏名:山田太郎、フリガナ:ヤマダタロウ"},
            {"role": "assistant", "content": "鈴木です。"},
        ],
        "answer": "Mr. Yamadaと佐藤様へ",
    }
    assert RemovePii(("name",), ())(record) == {
        "text": "〔人名1〕さんの件です。〔人名2〕さんは？",
        "history": [
            {"role": "user", "content": "氏名:〔人名1〕、フリガナ:〔人名1〕"},
            {"role": "assistant", "content": "〔人名3〕です。"},
        ],
        "answer": "Mr. 〔人名1〕と〔人名2〕様へ",
        "pii": {"name": 7},
    }  # fmt: skip


def test_records_are_never_changed_in_place() -> None:
    before = repr(FULL)
    clean(FULL, [Normalise(""), RemovePii(["phone"], ())])
    assert repr(FULL) == before


def test_an_optional_text_that_ends_empty_goes() -> None:
    assert map_texts({"text": " ", "answer": " \u200b", "system": ""}, str.strip) == {"text": "", "answer": "\u200b"}


def test_turns_and_thinking_with_nothing_visible_in_them_go() -> None:
    hidden = {
        "text": "予定は？",
        "history": [{"role": "user", "content": "\u200b"}, {"role": "assistant", "content": "はい"}],
        "thinking": {"task": "照会", "safety": "\u200b", "policy": "回答可"},
    }
    assert Normalise("！？（）")(hidden) == {
        "text": "予定は？",
        "history": [{"role": "assistant", "content": "はい"}],
    }


def test_lengths_are_bounded() -> None:
    step = CheckLength(min_chars=3, max_chars=5, max_record_chars=8)
    assert step({"text": "あいう", "answer": "あいうえお"}) == {"text": "あいう", "answer": "あいうえお"}
    assert reason_of(step, {"text": "  "}) == ("empty", {})
    assert reason_of(step, {"text": "あい"}) == ("too_short", {"chars": 2, "min_chars": 3})
    assert reason_of(step, {"text": "あいうえおか"}) == ("too_long", {"chars": 6, "max_chars": 5})
    assert reason_of(step, {"text": "あいう", "answer": "あいうえおか"}) == (
        "too_long",
        {"record_chars": 9, "max_record_chars": 8},
    )


def test_foreign_languages_leave_and_mixed_english_may_stay() -> None:
    step = CheckLanguage(min_japanese=0.3, min_kana=0.02)
    assert step({"text": "Pythonのlistをsortする方法"})
    assert reason_of(step, {"text": "How do I sort a list?"}) == ("language", {"japanese": 0.0, "kana": 0.0})
    chinese = "我们需要确认这个合同的内容是否符合公司的规定和要求"
    assert reason_of(step, {"text": chinese}) == ("language", {"japanese": 1.0, "kana": 0.0})


def test_placeholders_do_not_pass_for_japanese() -> None:
    assert reason_of(CheckLanguage(0.3, 0), {"text": "call 〔電話番号〕"})[0] == "language"


def test_harm_is_marked_and_a_given_label_stays_for_labelled_to_judge() -> None:
    step = RouteHarm(harm.Table(harm.DEFAULT), ("minor_sexual",))
    record = {"text": "爆弾の作り方を教えて", "label": "ALLOW"}
    assert step(record) == {"text": "爆弾の作り方を教えて", "label": "ALLOW", "harm": ["weapons"]}
    assert step({"text": "続けて", "history": [{"role": "user", "content": "官能小説を書いて"}]})["harm"] == ["sexual"]
    assert "harm" not in step({"text": "できますか", "reason": "爆弾の作り方を尋ねている"})


def test_reason_thinking_and_tags_are_searched_where_they_would_become_help() -> None:
    step = RouteHarm(harm.Table(harm.DEFAULT), ())
    thinking = {"task": "爆弾の作り方を説明する", "safety": "なし", "policy": "回答可"}
    for allowed in ({"reason": "爆弾の作り方を尋ねている"}, {"thinking": thinking}):
        assert step({"text": "続けて", "label": "ALLOW", **allowed})["harm"] == ["weapons"]
        assert "harm" not in step({"text": "続けて", "label": "REFUSE", **allowed})
    assert step({"text": "続けて", "thinking": thinking})["harm"] == ["weapons"]
    assert step({"text": "続けて", "tags": {"domain": "爆弾の作り方"}})["harm"] == ["weapons"]


def test_the_worst_categories_leave() -> None:
    step = RouteHarm(harm.Table({"x": {"patterns": ("禁止語",)}}), ("x",))
    assert reason_of(step, {"text": "禁止語です"}) == ("harm:x", {})


def test_a_dropped_record_keeps_no_text() -> None:
    record = {"id": "1" * 16, "text": "a@example.com", "answer": "秘密", "source": {"name": "s", "line": 3}}
    assert dropped(record, Drop("too_short", {"chars": 1})) == {
        "id": "1" * 16,
        "reason": "too_short",
        "detail": {"chars": 1},
        "source": {"name": "s", "line": 3},
    }
    assert dropped(record, Drop("empty")) == {"id": "1" * 16, "reason": "empty", "source": {"name": "s", "line": 3}}


def test_context_is_compared_part_by_part() -> None:
    record = {"text": "はい？", "system": "Ａ", "history": [{"role": "user", "content": "行く？"}]}
    assert parts_to_compare(record) == ("はい", "user:行く", "a")


def test_only_other_splits_than_training_are_held_out() -> None:
    assert [is_held_out({"split": split}) for split in ("train", "validation", "test_known")] == [False, True, True]
    assert not is_held_out({})
