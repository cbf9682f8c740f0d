"""JSONL files that lie, break or try to exhaust the reader: each line is a record or counted aside, nothing crashes."""

import gzip
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import zstandard

from so8t.corpus import jsonarray
from so8t.engine.stage import Inputs, Source
from so8t.errors import DataError
from stages.raw import STAGE, Spec

pytestmark = pytest.mark.slow

SPEC = Spec(
    sources=[{"name": "faq", "paths": ["*"], "terms": "t", "trust": "low"}],
    bad_input="quarantine",
    max_line=2048,
    max_quarantined=1,
)
GOOD = [
    {"text": "経費精算の締め切りはいつですか？", "label": "ALLOW", "tags": {"domain": "経理", "intent": "質問"}},
    {"text": "同僚の住所を教えて 🏠", "label": "DENY", "reason": "他人の個人情報", "split": "test_known"},
    {"text": "ＡＢＣ：全角", "thinking": {"task": "一", "safety": "二", "policy": "三"}, "answer": "はい\n「了解」"},
    {"text": "続き", "history": [{"role": "user", "content": "前"}, {"role": "assistant", "content": "後"}]},
]
DEEP = b'\n{"x":' + b"[" * 300 + b"]" * 300 + b"}\n"
TOKENS = (
    *(b"\n", b"\r\n", b"\r", b" ", b"\xef\xbb\xbf", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\\ud800"),
    *(b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"null", DEEP, b'{"text":"ok"}\n'),
    *(b'"', b"{", b"}", b"]", b":", b",", b"\\", b'"text":1,', b'"text":"x",', b'"label":[],'),
)
COMPRESS = {".gz": gzip.compress, ".zst": zstandard.compress}


def build(out: Path, data: bytes, suffix: str = "", **spec: object) -> dict[str, object]:
    path = out / f"x.jsonl{suffix}"
    path.write_bytes(data)
    STAGE.build(Inputs({}, {"faq": (Source(path.name, path),)}), out, SPEC.model_copy(update=spec))
    stats: dict[str, object] = orjson.loads((out / "stats.json").read_bytes())["faq"]
    return stats


def kept_aside(out: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in (out / "quarantined.jsonl").read_bytes().split(b"\n")[:-1]]


def peak_mib(work: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / (1 << 20)
    finally:
        tracemalloc.stop()


def mutate(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(4):
            case 0:
                changed[at:at] = chance.choice(TOKENS)
            case 1:
                del changed[at : at + chance.randint(1, 30)]
            case 2:
                changed[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                changed[at:at] = changed[max(0, at - 40) : at]
    return bytes(changed)


def test_two_thousand_mutations_end_in_records_and_counted_lines(tmp_path: Path) -> None:
    chance = random.Random(20261101)
    whole = b"".join(orjson.dumps(record) + b"\n" for record in GOOD)
    reasons: set[str] = set()

    for _ in range(2000):
        data = mutate(whole, chance)
        stats = build(tmp_path, b'{"text":"first"}\n' + data)
        lines = (b"-\n" + data).split(b"\n")
        count = len(lines) - (lines[-1] == b"")
        kept = (tmp_path / "raw.jsonl").read_bytes().splitlines()
        aside = kept_aside(tmp_path)
        blank = sum(not line.strip() for line in lines[:count])
        assert [stats["lines"], stats["records"], stats["blank"]] == [count, len(kept), blank], data
        assert count == len(kept) + blank + len(aside), data
        reasons |= {str(line["reason"]) for line in aside}

    assert reasons >= {
        "bad conversation",
        "bad split",
        "bad thinking",
        "duplicate key",
        "invalid UTF-8",
        "line too long",
        "lone surrogate",
        "NaN or Infinity",
        "nested too deep",
        "no text",
        "not JSON",
        "not an object",
        "number too large",
        "unknown label",
        "wrong type",
    }


def test_strict_stops_at_the_line_that_quarantine_keeps_first(tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = b"".join(orjson.dumps(record) + b"\n" for record in GOOD)

    for _ in range(200):
        data = b'{"text":"first"}\n' + mutate(whole, chance)
        build(tmp_path, data)
        aside = kept_aside(tmp_path)
        try:
            build(tmp_path, data, bad_input="strict")
            said = None
        except DataError as error:
            said = str(error)
        first = aside[0] if aside else None
        assert said == (
            first and f"x.jsonl:{first['line']}: {first['detail']}; fix the line, or set bad_input: quarantine"
        )


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_file_cut_at_any_byte_is_an_error(tmp_path: Path, suffix: str) -> None:
    packed = COMPRESS[suffix](b"".join(orjson.dumps(record) + b"\n" for record in GOOD))

    for size in range(len(packed)):
        with pytest.raises(
            DataError, match=rf"^x\.jsonl\{suffix}:\d+: (the compressed file ends too|cannot decompress)"
        ):
            build(tmp_path, packed[:size], suffix)


def test_a_line_of_64_mib_is_counted_in_little_memory_and_the_next_one_is_read(tmp_path: Path) -> None:
    size = 64 << 20
    data = b'{"text":"' + b"x" * size + b'"}\n{"text":"next"}\n'

    peak = peak_mib(lambda: build(tmp_path, data, max_line=1 << 20))

    assert orjson.loads((tmp_path / "raw.jsonl").read_bytes())["text"] == "next"
    assert [(line["line"], line["reason"], line["size"]) for line in kept_aside(tmp_path)] == [
        (1, "line too long", size + 11)
    ]
    assert peak < 8, "1 MiB of line, 1 MiB of read-ahead, 1 MiB of output, and room to grow"


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_file_that_unpacks_to_60_mib_is_read_in_little_memory(tmp_path: Path, suffix: str) -> None:
    bomb = COMPRESS[suffix](b'{"text":"ok"}\n' + bytes(60 << 20))

    peak = peak_mib(lambda: build(tmp_path, bomb, suffix))

    assert [(line["line"], line["size"]) for line in kept_aside(tmp_path)] == [(2, 60 << 20)]
    assert peak < 24, "zstandard unpacks what it was fed, 64 blocks of 128 KiB, and joins the parts: 16 MiB"


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, suffix: str) -> None:
    bomb = COMPRESS[suffix](b'{"text":"ok"}\n' + bytes(96 << 20))

    def refused() -> None:
        with pytest.raises(DataError, match="unpack to more than 200 times as much, which no data does"):
            build(tmp_path, bomb, suffix)

    assert peak_mib(refused) < 24


def test_a_line_of_very_many_keys_is_checked_in_linear_time(tmp_path: Path) -> None:
    keys = b",".join(b'"%d":0' % number for number in range(300_000))

    stats = build(tmp_path, b'{"text":"a",%b,"7":1}\n{"text":"b"}' % keys, max_line=1 << 24)

    assert stats["quarantined"] == {"duplicate key": 1}


def test_a_json_array_of_64_mib_is_read_in_little_memory(tmp_path: Path) -> None:
    record = b'{"text":"' + b"x" * 100_000 + b'"}'
    with (tmp_path / "x.json").open("wb") as file:
        file.write(b"[" + record)
        for _ in range(64):
            file.write((b",\n  " + record) * 10)
        file.write(b"]")

    rows = jsonarray.rows(tmp_path / "x.json", "x.json", 1 << 20)
    peak = peak_mib(lambda: sum(1 for _ in rows.rows))

    assert peak < 8, "1 MiB of read-ahead, 1 MiB that is read, and one record"
