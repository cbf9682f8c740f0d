"""`doit init`: profiles for data and bases as people have them, valid, with a reason on every line, and built."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml
from doit.exceptions import InvalidCommand
from gguf import GGUFWriter

from so8t.commands.init import Init, run
from so8t.drafts import data
from so8t.engine import plan
from so8t.engine.ensure import ensure
from so8t.errors import DataError, StageError
from so8t.formats import records
from so8t.models import commits

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOPICS = (
    "経費精算",
    "会議室の予約",
    "年末調整",
    "社内システム",
    "備品の発注",
    "出張の申請",
    "健康診断",
    "駐車場",
    "名刺",
    "研修",
)
ASKED = (
    "{}の締め切りはいつですか？",
    "{}の手順を教えてください🙏",
    "{}を担当する部署はどこですか。",
    "{}に必要な書類は何ですか",
)
PAIRS = [
    (f"{ask.format(topic)}（{number}年度）", f"{topic}は第{number}期の手引きに従い、窓口{number}で受け付けます。")
    for number in range(8)
    for topic in TOPICS
    for ask in ASKED
][:300]


def alpaca(path: Path) -> None:
    rows = [
        {"instruction": ask, "input": "社内" if at % 2 else "", "output": say} for at, (ask, say) in enumerate(PAIRS)
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), "utf-8")


def talks(path: Path) -> None:
    lines = [
        {"messages": [{"role": "user", "content": ask}, {"role": "assistant", "content": say}]} for ask, say in PAIRS
    ]
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    lines[7]["messages"].insert(1, call)  # type: ignore[arg-type]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")


def labelled(path: Path) -> None:
    with path.open("w", encoding="cp932", errors="ignore", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "completion", "label"])
        writer.writerows([ask, say, ("ALLOW", "ESCALATION", "DENY")[at % 3]] for at, (ask, say) in enumerate(PAIRS))


def sheet(path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (("質問", "回答"), *PAIRS):
        book.active.append(row)
    book.save(path)


DATA: dict[str, Callable[[Path], None]] = {
    "alpaca.json": alpaca,
    "talks.jsonl": talks,
    "labelled.csv": labelled,
    "質問.xlsx": sheet,
}


BASES = (None, "models/Small-Instruct", "models/base-f16.gguf", f"owner/name@{COMMIT}")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A checkout with four files of data, and bases of which only their descriptions are looked at."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("stages", "specs/tiny"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "dodo.py", folder)
    for name, write in DATA.items():
        write(folder / name)
    model = folder / "models" / "Small-Instruct"
    model.mkdir(parents=True)
    (model / "config.json").write_text('{"model_type": "llama", "num_hidden_layers": 2, "dtype": "bfloat16"}', "utf-8")
    (model / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}', "utf-8")
    with (model / "model.safetensors").open("wb") as file:
        file.truncate(6_000_000)
    writer = GGUFWriter(str(folder / "models" / "base-f16.gguf"), "qwen2")
    writer.add_quantization_version(2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


def draft(project: Path, file: str, base: str | None, name: str = "") -> tuple[Path, list[str]]:
    said = run(project, project / file, base, name)
    return project / "specs" / re.findall(r"written: specs/([^/]+)/", "\n".join(said))[0], said


@pytest.mark.parametrize(("file", "base"), list(zip(DATA, BASES, strict=True)))
def test_the_profile_is_valid_and_every_line_says_why(project: Path, file: str, base: str | None) -> None:
    name = f"valid-{BASES.index(base)}"

    folder, _ = draft(project, file, base, name)

    rows = plan.load(project, name).rows
    kind = ("tiny", "local", "gguf", "hub")[BASES.index(base)]
    assert rows["base_model"].values["source"]["kind"] == kind
    assert rows["thinking_sft"].spec["profile.task"] == ("four_class" if file == "labelled.csv" else "chat")
    assert rows["thinking_sft"].values["chat"] == ("auto" if kind in ("local", "hub") else "phi3")
    assert rows["so8t_model"].values["layers"] == ("all" if kind == "local" else "intermediate")
    assert not re.search("test_(known|novel)", str([row.values for row in rows.values()]))  # splits of the sample alone
    for path in folder.iterdir():
        first, *lines = path.read_text("utf-8").splitlines()
        assert first == f"# yaml-language-server: $schema=../schema/{path.stem}.json"
        assert [line for line in lines if not re.search(r"\S {2,}# \S", line)] == [], path


def test_what_was_seen_is_written_and_said(project: Path) -> None:
    folder, said = draft(project, "labelled.csv", "models/Small-Instruct", "seen")

    table = (
        "a table in cp932 (byte 26 is not UTF-8, and the bytes behind it are most like this), "
        "its cells parted by commas"
    )
    pairs = "its records have prompt and completion; text = prompt, answer = completion, and label"
    assert said == [
        "data: labelled.csv: 300 records, prompt_completion\n"
        f"  labelled.csv: {table}\n"
        f"  records: prompt_completion: {pairs}",
        "  of the first 300: 100% name a class, 100% have an answer, 100% are Japanese",
        "base: a folder with llama, 3.0 million parameters",
        "task: four_class: 100% of the records name a class; chat would learn the conversations as they are",
        "written: specs/seen/, 14 files: profile.yaml, raw.yaml, cleaned.yaml, thinking_sft.yaml, base_model.yaml, "
        "so8t_model.yaml, adapter.yaml, adapter_scores.yaml, merged_model.yaml, baked_model.yaml, gguf.yaml, "
        "evaluation.yaml, serve.yaml, ollama.yaml",
        "next: write the data's terms into specs/seen/raw.yaml, then doit profile=seen raw",
    ]
    assert (folder / "raw.yaml").read_text("utf-8") == (
        "# yaml-language-server: $schema=../schema/raw.json\n"
        "sources:                       # where the records come from; add more of them below\n"
        "  - name: seen                 # how provenance and reports call this one\n"
        f"    paths: [labelled.csv]      # {table}\n"
        f"    format: prompt_completion  # prompt_completion: {pairs}\n"
        "    terms: not stated          # write the data's licence or terms of use here; a release shows them\n"
        "    trust: medium              # high, medium or low: how far you believe what it says\n"
        "bad_input: quarantine          # what cannot be used is put aside\n"
    )


def test_each_of_four_files_gives_its_records(project: Path, unsynced: None) -> None:
    for number, file in enumerate(DATA):
        name = f"built-{number}"
        draft(project, file, None, name)

        ensure(project, name, "raw")

        found = list(records.read(project / f"artifacts/{name}/raw/raw.jsonl"))
        assert len(found) == 300
        assert (found[0]["answer"], "label" in found[0]) == (PAIRS[0][1], file == "labelled.csv")
    for stage in ("cleaned", "labelled", "thinking_sft"):
        ensure(project, name, stage)
    splits = {path.stem for path in (project / f"artifacts/{name}/thinking_sft/splits").iterdir()}
    assert splits == {"train", "validation", "test"}


def test_a_conversation_with_tools_and_another_language_are_seen(project: Path) -> None:
    folder, said = draft(project, "talks.jsonl", None, "tools")
    (project / "english.csv").write_text("question,answer\nHow do I book a room?,Use the form.\n" * 1, "utf-8")
    english, _ = draft(project, "english.csv", None)
    thought = {
        "messages": [{"role": "user", "content": "問"}, {"role": "assistant", "content": "<think>考</think>答"}] * 2
    }
    (project / "thinking.jsonl").write_text(json.dumps(thought) + "\n", "utf-8")
    thinking, _ = draft(project, "thinking.jsonl", None)

    assert "1 cannot be used" in said[1]
    source = yaml.safe_load((folder / "raw.yaml").read_text("utf-8"))["sources"][0]
    assert (source["tools"], source["format"]) == ("flatten", "openai")
    assert yaml.safe_load((english / "cleaned.yaml").read_text("utf-8"))["language"] == {
        "min_japanese": 0,
        "min_kana": 0,
    }
    sft = [yaml.safe_load((each / "thinking_sft.yaml").read_text("utf-8")) for each in (folder, thinking)]
    assert [(each["format"], each["learn"]) for each in sft] == [("none", "last"), ("think", "every")]


@pytest.mark.parametrize(
    ("file", "base", "name", "message"),
    [
        ("none.csv", None, "", "none.csv: this file does not exist"),
        ("alpaca.json", None, "tiny", "specs/tiny exists already: choose another one with --name"),
        ("alpaca.json", None, "a b", "--name a b: a profile's name has letters, digits, - and _"),
        ("empty.jsonl", None, "", "empty.jsonl: no record can be used: 1 x not JSON"),
        (
            "other.jsonl",
            None,
            "",
            "source data: its records are in no format that is known; their keys are 件名, 返信; "
            "say which of them are ours, such as fields: {text: 件名, answer: 返信}",
        ),
        (
            "alpaca.json",
            "./models",
            "x",
            "./models: this folder is not a checkpoint, for it has no config.json; "
            "its GGUF would be --base ./models/base-f16.gguf",
        ),
    ],
)
def test_what_cannot_be_drafted_says_why_and_writes_nothing(
    project: Path, file: str, base: str | None, name: str, message: str
) -> None:
    (project / "empty.jsonl").write_text("{", "utf-8")
    (project / "other.jsonl").write_text('{"件名": "締切", "返信": "月末"}\n', "utf-8")
    before = sorted(project.glob("specs/*"))

    with pytest.raises((DataError, StageError)) as error:
        run(project, project / file if file != "none.csv" else Path(file), base, name)

    assert str(error.value) == message
    assert sorted(project.glob("specs/*")) == before


def test_the_command_takes_its_options_before_and_after_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)

    assert Init().parse_execute(["alpaca.json", "--base", "models/Small-Instruct", "--name=after"]) == 0
    assert Init().parse_execute(["--name", "before", "alpaca.json"]) == 0

    assert "base: a folder with llama, 3.0 million parameters" in capsys.readouterr().out
    assert (project / "specs/after/so8t_model.yaml").is_file() and (project / "specs/before").is_dir()
    with pytest.raises(InvalidCommand, match=r"^init takes one file of data \(got 2\): doit init mine\.csv$"):
        Init().parse_execute(["alpaca.json", "talks.jsonl"])


def test_a_hub_that_cannot_be_asked_is_no_traceback() -> None:
    with pytest.raises(StageError) as error:
        commits.newest("owner/name", "http://127.0.0.1:9")

    assert re.fullmatch(
        r"the hub cannot be asked for the commit of owner/name \(.+\): write owner/name@<the commit's 40 digits>, "
        r"which `git ls-remote https://huggingface\.co/owner/name main` prints",
        str(error.value),
    )


def test_only_the_first_records_are_measured_and_all_are_counted(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(data, "LOOKED_AT", 10)
    alpaca(tmp_path / "alpaca.json")

    found = data.look(tmp_path, tmp_path / "alpaca.json")

    assert (found.count, found.looked_at) == (300, 10)
