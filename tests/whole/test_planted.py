"""Secrets planted in the sources: none of them past `raw`, in no file, no log and no message."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus.cleaning import Drop, clean, dropped
from stages.cleaned import Spec, steps
from tests.corpus import piisentences
from tests.whole.pico import TOPICS, Pico

PLACES = ("APIキーは{}です", "{} を使ってください", "token={}", "設定に「{}」と書きました。", "鍵:{}、以上", "({})")


def planted(count: int) -> tuple[list[str], list[dict[str, Any]]]:
    """Secrets, no two alike, and records that hold one each: in the text, in an earlier turn, in answer and tags."""
    rng = random.Random(5)
    secrets = [piisentences.secret(rng) for _ in range(count)]
    return secrets, [_record(rng, number, secret) for number, secret in enumerate(secrets)]


def _record(rng: random.Random, number: int, secret: str) -> dict[str, Any]:
    said = f"{rng.choice(TOPICS)}の{number}番目の件です。" + rng.choice(PLACES).format(secret)
    plain = f"{rng.choice(TOPICS)}について、{number}番目の質問です。書き方を教えてください。"
    record: dict[str, Any] = {"text": plain, "label": "ALLOW", "answer": "手引きをご覧ください。"}
    match number % 5:
        case 0:
            return {**record, "text": said}
        case 1:
            return {**record, "answer": said}
        case 2:
            return {**record, "system": said}
        case 3:
            return {**record, "tags": {"domain": said}}
    return {**record, "history": [{"role": "user", "content": said}, {"role": "assistant", "content": "はい"}]}


def test_no_planted_secret_passes_the_chain() -> None:
    secrets, records = planted(200)
    chain, kept, gone = steps(Spec()), "", 0
    for number, record in enumerate(records):
        whole = {"id": f"{number:016}", "source": {"name": "planted", "line": number}, **record}
        try:
            kept += json.dumps(clean(whole, chain), ensure_ascii=False)
        except Drop as drop:
            kept += json.dumps(dropped(whole, drop), ensure_ascii=False)
            gone += 1
    assert [secret for secret in secrets if secret in kept] == []
    assert (kept.count("〔秘密情報〕") + gone, gone < 40) == (200, True)


@pytest.mark.soak
def test_no_planted_secret_is_in_anything_that_a_build_leaves(
    root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pico = Pico(tmp_path, root)
    secrets, records = planted(1_000)
    broken = ['{"text": "' + secret for secret in secrets[:20]]  # lines that end too early
    with (tmp_path / "pico.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        file.writelines(line + "\n" for line in broken)
    assert pico.built() == ["raw", "cleaned", "labelled", "thinking_sft"]
    taken = {path.read_bytes() for path in pico.folder("raw").iterdir()}  # the originals, also kept by key
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    left = [data.decode("utf-8", errors="replace") for path in files if (data := path.read_bytes()) not in taken]
    said = capfd.readouterr()
    everything = "\n".join([*left, said.out, said.err])
    assert [secret for secret in secrets if secret in everything] == []
    assert everything.count("〔秘密情報〕") >= 1_000
