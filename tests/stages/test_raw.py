"""The raw stage from declared files to counted, traced records."""

import bz2
import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zstandard
from pydantic import ValidationError

from so8t.corpus.ingest import Tally
from so8t.engine.ensure import ensure
from so8t.engine.sourcefiles import expand
from so8t.engine.stage import Inputs, Source
from so8t.errors import DataError, Missed, StageError
from stages.raw import STAGE, Spec
from tests.corpus.test_pdffile import pdf
from tests.whole.pico import SPECS, Pico
from tests.whole.test_docs import blocks

FAQ = {"name": "faq", "terms": "CC-BY-4.0", "trust": "high"}


def build(project: Path, *sources: dict[str, Any], **spec: Any) -> Path:
    made = Spec(sources=[FAQ | source for source in sources], **spec)
    found = expand(project, STAGE.sources(made)).items()
    files = {source: tuple(Source(name, path) for name, path in named) for source, named in found}
    out = project / "out"
    out.mkdir(exist_ok=True)
    STAGE.build(Inputs({}, files, project / "scratch"), out, made)
    return out


def records(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_small_file_gives_exactly_these_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '\ufeff{"text": "締め切りは？", "label": "ALLOW", "tags": {"domain": "経理"}}\r\n\r\n', encoding="utf-8"
    )

    out = build(tmp_path, {"paths": ["*.jsonl"], "url": "https://example.org", "retrieved": "2026-11-01"})

    assert (out / "raw.jsonl").read_text(encoding="utf-8") == (
        '{"id":"c3b652aebece58ec","text":"締め切りは？","label":"ALLOW","tags":{"domain":"経理"},'
        '"source":{"name":"faq","file":"a.jsonl","line":1,"terms":"CC-BY-4.0","trust":"high",'
        '"url":"https://example.org","retrieved":"2026-11-01"}}\n'
    )
    assert (out / "quarantined.jsonl").read_bytes() == b""
    assert (out / "stats.json").read_text(encoding="utf-8") == (
        """{
  "faq": {
    "lines": 2,
    "records": 1,
    "blank": 1,
    "quarantined": {},
    "beyond_limit": 0,
    "labels": {
      "ALLOW": 1
    },
    "files": {
      "a.jsonl": 2
    }
  }
}
"""
    )
    assert sorted(path.name for path in out.iterdir()) == sorted(STAGE.gives)


def test_compressed_and_plain_files_of_a_source_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b'{"text":"b"}')
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text":"a"}\n'))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "c.jsonl.zst").write_bytes(zstandard.compress(b'{"text":"c1"}\n{"text":"c2"}\n'))

    out = build(tmp_path, {"paths": ["b.jsonl", "**/*.jsonl*"]})

    assert [(r["text"], r["source"]["file"], r["source"]["line"]) for r in records(out / "raw.jsonl")] == [
        ("a", "a.jsonl.gz", 1),
        ("b", "b.jsonl", 1),
        ("c1", "deep/c.jsonl.zst", 1),
        ("c2", "deep/c.jsonl.zst", 2),
    ]


def test_strict_stops_at_the_first_bad_line_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_bytes(b'{"text":"a"}\n' * 16 + b'{"text":"aaaaaaaaaaaaa\xff"}\n')

    with pytest.raises(DataError) as error:
        build(tmp_path, {"paths": ["train.jsonl"]})

    assert str(error.value) == (
        "train.jsonl:17: invalid UTF-8 at byte 23 (0xff); fix the line, or set bad_input: quarantine"
    )


def test_quarantine_keeps_bad_lines_aside_with_reason_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a"}\n\n{"text":"\xff"}\n["\xe3\x81\x82"]\n{"text":"' + b"x" * 2000)

    out = build(tmp_path, {"paths": ["a.jsonl"]}, bad_input="quarantine", max_line=1024, max_quarantined=1)

    where = {"name": "faq", "file": "a.jsonl"}
    assert records(out / "quarantined.jsonl") == [
        {
            "source": where,
            "line": 3,
            "reason": "invalid UTF-8",
            "detail": "invalid UTF-8 at byte 10 (0xff)",
            "raw_base64": "eyJ0ZXh0Ijoi/yJ9",
        },
        {
            "source": where,
            "line": 4,
            "reason": "not an object",
            "detail": "the record is an array, not an object",
            "raw": '["あ"]',
        },
        {
            "source": where,
            "line": 5,
            "reason": "line too long",
            "detail": "a line of 2,009 bytes is longer than max_line",
            "size": 2009,
            "blake2b": "1163f9e6689de5de062e02b0e8312d1226740da8d4d8e127a9f6cf431417c3ef",
        },
    ]
    stats = orjson.loads((out / "stats.json").read_bytes())["faq"]
    assert stats == {
        "lines": 5,
        "records": 1,
        "blank": 1,
        "quarantined": {"invalid UTF-8": 1, "line too long": 1, "not an object": 1},
        "beyond_limit": 0,
        "labels": {"none": 1},
        "files": {"a.jsonl": 5},
    }


def test_a_limit_counts_what_it_leaves(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a"}\n' * 3)
    (tmp_path / "b.jsonl").write_bytes(b'{"text":"b"}\nnot read\n\n')
    (tmp_path / "c.jsonl").write_bytes(b"")

    out = build(tmp_path, {"paths": ["*.jsonl"], "limit": 4})

    stats = orjson.loads((out / "stats.json").read_bytes())["faq"]
    assert [stats[key] for key in ("lines", "records", "blank", "beyond_limit")] == [6, 4, 1, 1]
    assert stats["files"] == {"a.jsonl": 3, "b.jsonl": 3, "c.jsonl": 0}


def test_the_same_content_has_the_same_id_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text":"同じ","label":"DENY"}\n', encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('\n{"kind": "秘密", "q": {"ja": "\\u540c\\u3058"}}\n', encoding="utf-8")
    other = {"name": "other", "trust": "low", "paths": ["b.jsonl"], "split": "held_out"}
    mapped = other | {"fields": {"text": "q.ja", "label": "kind"}, "labels": {"秘密": "DENY"}}

    one, two = records(build(tmp_path, {"paths": ["a.jsonl"]}, mapped) / "raw.jsonl")

    assert one["id"] == two["id"]
    assert two == {
        "id": one["id"],
        "text": "同じ",
        "label": "DENY",
        "split": "held_out",
        "source": {"name": "other", "file": "b.jsonl", "line": 2, "terms": "CC-BY-4.0", "trust": "low"},
    }


def test_a_local_parquet_passes_the_same_door(tmp_path: Path) -> None:
    rows = [{"q": "質問", "class": 3}, {"q": None, "class": 0}, {"q": "次", "class": 0}, {"q": "先", "class": 0}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    source = {
        "paths": ["*.parquet"],
        "fields": {"text": "q", "label": "class"},
        "labels": {"0": "ALLOW", "3": "REFUSE"},
        "limit": 2,
    }

    out = build(tmp_path, source, bad_input="quarantine")

    assert [(r["text"], r["label"], r["source"]["record"]) for r in records(out / "raw.jsonl")] == [
        ("質問", "REFUSE", 1),
        ("次", "ALLOW", 3),
    ]
    assert records(out / "quarantined.jsonl") == [
        {
            "source": {"name": "faq", "file": "x.parquet"},
            "record": 2,
            "reason": "no text",
            "detail": "no text: q is missing",
            "raw": '{"q":null,"class":0}',
        }
    ]
    assert orjson.loads((out / "stats.json").read_bytes())["faq"]["beyond_limit"] == 1


def test_what_was_found_out_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "instruction,input,output\r\n訳して。,猫,cat\r\n挨拶して。,,こんにちは\r\n"
    (tmp_path / "faq.csv").write_bytes(rows.encode("cp932"))

    out = build(tmp_path, {"paths": ["faq.csv"]})

    assert [(r["text"], r["answer"], r["source"]["record"]) for r in records(out / "raw.jsonl")] == [
        ("訳して。\n\n猫", "cat", 1),
        ("挨拶して。", "こんにちは", 2),
    ]
    read_as = {
        "faq.csv": "a table in cp932 (byte 27 is not UTF-8, and the bytes behind it are most like this), "
        "its cells parted by commas",
        "records": "alpaca: its records have instruction and output; "
        "text = '{instruction}\\n\\n{input}', answer = output",
    }
    assert orjson.loads((out / "stats.json").read_bytes())["faq"]["read_as"] == read_as
    assert capsys.readouterr().err == (
        f"raw: faq: faq.csv read as {read_as['faq.csv']}\n"
        f"raw: faq: records read as {read_as['records']}\n"
        "raw: 2 records from 1 sources, 0 records quarantined\n"
    )


def test_strict_names_the_record_of_a_table_and_of_an_array(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"text,label\na,ALLOW\n,DENY\n")
    (tmp_path / "b.json").write_bytes(b'[{"text": "a"},\n {"text": 1}]')

    for name, said in (("a.csv", "no text: text is empty"), ("b.json", "text is a number, not a string")):
        with pytest.raises(DataError) as error:
            build(tmp_path, {"paths": [name]})
        assert str(error.value) == f"{name}: record 2: {said}; fix the record, or set bad_input: quarantine"


# ---- docs/tour.md: five lines for each format ----------------------------------------------------------------

PAIR = ("締め日は？", "毎月二十五日です。")
TURNS = [{"role": "user", "content": PAIR[0]}, {"role": "assistant", "content": PAIR[1]}]
FILES = {
    "alpaca.json": [{"instruction": PAIR[0], "input": "経費精算", "output": PAIR[1]}],
    "sharegpt.json": [
        {"conversations": [{"from": "human", "value": PAIR[0]}, {"from": "gpt", "value": PAIR[1]}], "id": "a_0"}
    ],
    "messages.jsonl": [{"messages": [*TURNS[:1], {"role": "tool", "content": "25"}, *TURNS[1:]]}],
    "completions.jsonl": [{"prompt": PAIR[0], "completion": PAIR[1], "instruction": "", "output": ""}],
    "pairs.jsonl": [{"prompt": PAIR[0], "chosen": PAIR[1], "rejected": "知りません。"}],
    "faq.csv": [{"質問": PAIR[0], "回答": PAIR[1]}],
    "rows.parquet": [{"question": PAIR[0], "answer": PAIR[1]}],
    "faq.xlsx": [{"質問": PAIR[0], "回答": PAIR[1]}],
}


def put(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        path.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    elif path.suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    elif path.suffix == ".csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        path.write_bytes("\r\n".join(lines).encode("cp932"))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        book = openpyxl.Workbook()
        sheet = book.create_sheet("質問集")
        sheet.append(list(rows[0]))
        for row in rows:
            sheet.append(list(row.values()))
        book.save(path)


def test_the_five_lines_of_the_tour_read_each_format(tmp_path: Path) -> None:
    shown = [block.text for block in blocks("docs/tour.md") if block.subject == "specs/mine/raw.yaml"][1:]
    for name, rows in FILES.items():
        put(tmp_path / name, rows)
    shown = [text for text in shown if yaml.safe_load(text)["sources"][0]["name"] not in DOCUMENTS]

    found: dict[str, list[str]] = {}
    for text in shown:
        (source,) = yaml.safe_load(text)["sources"]
        (record,) = records(build(tmp_path, source) / "raw.jsonl")
        found.setdefault(source["paths"][0], []).append(record["text"])
        assert record["answer"] == PAIR[1]
        assert record.get("rejected") == ("知りません。" if source["name"] == "pairs" else None)

    plain = {name: [PAIR[0]] for name in FILES}
    assert found == plain | {"alpaca.json": ["締め日は？\n\n経費精算", "締め日は？\n\n### 入力\n経費精算"]}


SENTENCE = "経費の締め日は毎月二十五日です。領収書を添えて、総務へ出してください。締め日を過ぎたものは、翌月です。"


def zipped(record: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr("a.jsonl", record)
    return out.getvalue()


DOCUMENTS = {
    "texts": ("texts/faq/a.txt", f"短い段落\n\n{SENTENCE}\n".encode("euc_jp")),
    "pages": (
        "site/a.html",
        f"<html><title>締め日</title><body><nav>ホーム</nav><main><p>{SENTENCE}</p></main></body></html>".encode(
            "cp932"
        ),
    ),
    "archive": (
        "a.warc.gz",
        gzip.compress(
            b"WARC/1.0\r\nWARC-Type: resource\r\nWARC-Target-URI: https://example.com/\r\n"
            b"WARC-Date: 2026-11-28T00:00:00Z\r\nWARC-Record-ID: <urn:uuid:1>\r\nContent-Type: text/plain\r\n"
            + f"Content-Length: {len(SENTENCE.encode())}\r\n\r\n{SENTENCE}\r\n\r\n".encode()
        ),
    ),
    "wikipedia": (
        "jawiki-latest-pages-articles.xml.bz2",
        bz2.compress(
            f"<mediawiki><page><title>締め日</title><ns>0</ns><revision><id>1</id><text>''{SENTENCE}''</text>"
            "</revision></page></mediawiki>".encode()
        ),
    ),
    "manuals": ("manuals/a.pdf", pdf([SENTENCE[:12]])),
    "packed": ("delivered/a.zip", zipped(f'{{"text": "{SENTENCE}"}}')),
}


def test_the_lines_of_the_tour_read_each_kind_of_document(tmp_path: Path) -> None:
    shown = [block.text for block in blocks("docs/tour.md") if block.subject == "specs/mine/raw.yaml"][1:]
    sources = {source["name"]: source for text in shown for source in yaml.safe_load(text)["sources"]}
    for path, data in DOCUMENTS.values():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    (tmp_path / "delivered/b.tar.gz").write_bytes(gzip.compress(bytes(1024)))

    found = {name: records(build(tmp_path, sources[name]) / "raw.jsonl") for name in DOCUMENTS}

    title = {"title": "締め日"}
    assert {name: [(each["text"], each.get("tags")) for each in rows] for name, rows in found.items()} == {
        "texts": [("短い段落", None), (SENTENCE, None)],
        "pages": [(SENTENCE, title)],
        "archive": [(SENTENCE, None)],
        "wikipedia": [(SENTENCE, title)],
        "manuals": [(SENTENCE[:12], None)],
        "packed": [(SENTENCE, None)],
    }
    assert found["archive"][0]["source"] == {
        "name": "archive",
        "file": "a.warc.gz",
        "record": 1,
        "terms": "my own records",
        "trust": "high",
        "url": "https://example.com/",
        "fetched": "2026-11-28T00:00:00Z",
    }


def test_sources_that_give_no_record_are_an_error_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"x\n[]\ny\n")

    with pytest.raises(Missed) as error:
        build(tmp_path, {"paths": ["a.jsonl"]}, bad_input="quarantine")

    assert str(error.value) == (
        "raw: 3 of 3 records were quarantined, so no record is left: 2 x not JSON, 1 x not an object; "
        "`kind` in raw.yaml says what the file is"
    )
    assert [line["line"] for line in records(tmp_path / "out/quarantined.jsonl")] == [1, 2, 3]

    (tmp_path / "a.jsonl").write_bytes(b"\n")
    with pytest.raises(StageError) as empty:
        build(tmp_path, {"paths": ["a.jsonl"]})
    assert str(empty.value) == (
        "sources[0]: the source faq has no record: a.jsonl is empty; fill it, or take it out of the sources"
    )


def test_after_a_failed_stage_its_files_lie_where_the_message_says(tmp_path: Path, root: Path) -> None:
    project = Pico(tmp_path / "project", root)
    project.write({"raw": {**SPECS["raw"], "max_quarantined": 0.5}})
    (project.path / "pico.jsonl").write_bytes(b'{"text":"a"}\n{"text":3}\n{"text":""}\n{"text":4}\n')

    with pytest.raises(StageError) as error:
        ensure(project.path, "tiny", "raw")

    assert str(error.value) == (
        "raw: 3 of 4 records were quarantined, more than max_quarantined: 0.5 allows: 2 x wrong type, 1 x no text; "
        "`fields` or `format` in raw.yaml say where the text lies; "
        "its figures are in artifacts/tiny/.so8t/missed/raw, which no stage reads"
    )
    aside = records(project.path / "artifacts/tiny/.so8t/missed/raw/quarantined.jsonl")
    assert [(each["line"], each["raw"]) for each in aside] == [(2, '{"text":3}'), (3, '{"text":""}'), (4, '{"text":4}')]
    assert not (project.path / "artifacts/tiny/raw").exists()


def test_more_than_the_specs_share_put_aside_is_an_error_that_says_what_took_them(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text":"a"}\n{"text":3}\n{"text":""}\n{"text":4}\n')

    with pytest.raises(Missed) as error:
        build(tmp_path, {"paths": ["a.jsonl"]}, bad_input="quarantine")

    assert str(error.value) == (
        "raw: 3 of 4 records were quarantined, more than max_quarantined: 0.5 allows: 2 x wrong type, 1 x no text; "
        "`fields` or `format` in raw.yaml say where the text lies"
    )
    assert len(
        records(build(tmp_path, {"paths": ["a.jsonl"]}, bad_input="quarantine", max_quarantined=0.75) / "raw.jsonl")
    )


def test_lines_without_a_place_in_the_tally_fail_the_build() -> None:
    with pytest.raises(StageError) as error:
        Tally(files={"a.jsonl": 3}, records=1, blank=1).check("faq")

    assert str(error.value) == "source faq: 3 lines were read, but 2 are accounted for"


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two sources are called faq"):
        Spec(sources=[FAQ | {"paths": ["a"]}, FAQ | {"paths": ["b"]}])


def test_records_of_a_site_that_says_no_now_are_left_out_and_counted(tmp_path: Path, capsys: Any) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{name} 1"}}\n{{"text": "{name} 2"}}\n\n', "utf-8")
    (tmp_path / "refusals.jsonl").write_text('{"url": "https://b.example/"}\n', "utf-8")

    out = build(
        tmp_path,
        {"paths": ["a.jsonl"], "url": "https://a.example/"},
        {"name": "b", "paths": ["b.jsonl"], "url": "https://b.example/"},
        refusals="refusals.jsonl",
    )

    assert [record["text"] for record in records(out / "raw.jsonl")] == ["a 1", "a 2"]
    stats = orjson.loads((out / "stats.json").read_bytes())
    assert [stats["b"][key] for key in ("lines", "records", "blank", "refused")] == [3, 0, 1, 2]
    assert "refused" not in stats["faq"]
    assert "raw: 2 records left out, because their sites say no now\n" in capsys.readouterr().err


def test_a_file_of_refusals_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    made = Spec(sources=[{**FAQ, "paths": ["a.jsonl"]}], refusals="refusals.jsonl")
    assert STAGE.sources is not None and STAGE.hints is not None
    wanted = {name: STAGE.sources(made)[name] for name in STAGE.hints(made)}

    with pytest.raises(StageError) as error:
        expand(tmp_path, wanted, STAGE.hints(made))
    assert str(error.value).endswith("; doit recheck writes it; an empty file refuses nothing")
