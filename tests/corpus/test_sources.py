"""Source declarations: what a spec may say, and which file belongs to which source."""

import io
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from so8t.corpus.declared import Declared, provenance
from so8t.corpus.files import LocalFiles
from so8t.corpus.hub import DatasetsSource
from so8t.corpus.ingest import ingest
from so8t.corpus.rows import Defect, Row, Rows
from so8t.corpus.sources import Declaration, check_named_once, patterns
from so8t.engine.sourcefiles import expand
from so8t.engine.stage import Source
from so8t.errors import StageError
from so8t.spec.fields import semantic

BASE = {"name": "社内FAQ", "terms": "CC-BY-4.0", "trust": "high"}
HUB = {**BASE, "kind": "datasets", "repo": "owner/name", "revision": "0123456789abcdef0123456789abcdef01234567"}


def declare(**values: object) -> LocalFiles | DatasetsSource:
    return TypeAdapter(Declaration).validate_python({**BASE, **values})


def problems(values: dict[str, object]) -> list[str]:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Declaration).validate_python(values)
    return [problem["msg"] for problem in error.value.errors()]


def test_files_of_this_machine_need_no_kind() -> None:
    assert isinstance(declare(paths=["a.jsonl"]), LocalFiles)
    assert isinstance(declare(kind="csv", paths=["a.csv"], encoding="Shift_JIS"), LocalFiles)
    assert isinstance(declare(**HUB), DatasetsSource)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {**BASE, "kind": "word", "paths": ["a"]},
            "Input tag 'word' found using _branch() does not match any of the expected tags: "
            "'files', 'datasets', 'web'",
        ),
        ({**BASE, "paths": []}, "List should have at least 1 item after validation, not 0"),
        ({**BASE, "paths": [" "]}, "Value error, a path is empty"),
        ({**BASE, "paths": ["a"], "terms": ""}, "String should have at least 1 character"),
        ({**BASE, "paths": ["a"], "fields": {"label": "l"}}, "Value error, give either text or messages"),
        (
            {**BASE, "paths": ["a"], "fields": {"text": "t", "messages": "m"}},
            "Value error, give either text or messages",
        ),
        (
            {**BASE, "paths": ["a"], "fields": {"messages": "m", "answer": "a"}},
            "Value error, history and answer come from messages: leave them out",
        ),
        (
            {**BASE, "paths": ["a"], "fields": {"messages": "m"}, "constants": {"answer": "a"}},
            "Value error, answer comes from messages: leave it out of constants",
        ),
        (
            {**BASE, "paths": ["a"], "fields": {"text": "t", "label": "l", "split": "s"}, "split": "test"}
            | {"constants": {"label": "DENY"}},
            "Value error, label, split: either a field of theirs or one value for all records",
        ),
        ({**BASE, "paths": ["a"], "split": "../x"}, "String should match pattern '^[a-z][a-z0-9_]{0,39}$'"),
        ({**BASE, "paths": ["a"], "retrieved": "yesterday"}, r"String should match pattern '^\d{4}-\d{2}-\d{2}$'"),
        ({**HUB, "revision": "main"}, "String should match pattern '^[0-9a-f]{40}$'"),
        ({**HUB, "repo": None}, "Input should be a valid string"),
        (
            {**HUB, "paths": ["a"]},
            "Value error, paths are files of this machine, which need no kind: leave out kind (and format: parquet)",
        ),
        (
            {**BASE, "paths": ["a"], "format": "ours", "fields": {"text": "t"}},
            "Value error, give either format or fields",
        ),
        (
            {**BASE, "paths": ["a"], "encoding": "sjis-win"},
            "Value error, not a charset that Python knows: 'sjis-win'; try cp932, utf-8 or utf-16",
        ),
        (
            {**BASE, "paths": ["a"], "kind": "csv", "sheet": "表"},
            "Value error, sheet is for kind: excel, and kind is csv: leave one of them out",
        ),
    ],
)
def test_a_declaration_that_cannot_hold_says_why(values: dict[str, object], message: str) -> None:
    assert problems(values) == [message]


def test_a_date_that_yaml_already_read_is_taken_as_text() -> None:
    assert declare(paths=["a"], retrieved=date(2026, 11, 1)).retrieved == "2026-11-01"


def test_where_the_cache_lies_does_not_enter_the_key() -> None:
    assert semantic(declare(**HUB, cache_dir="/big/disk")) == semantic(declare(**HUB))


def test_local_files_of_both_kinds_are_declared_to_the_engine() -> None:
    local = declare(kind="parquet", paths=["b/*.parquet"])

    own = declare(name="own", paths=["a/*.jsonl", "c.jsonl"])
    assert patterns([own, local, declare(**{**HUB, "name": "hub"})]) == {
        "own": ["a/*.jsonl", "c.jsonl"],
        "社内FAQ": ["b/*.parquet"],
        "hub": [],
    }


def test_provenance_says_where_and_on_which_terms() -> None:
    source = declare(paths=["a"], url="https://example.org/faq", retrieved="2026-11-01")

    assert list(provenance(source)("a.jsonl", 7, "line").items()) == [
        ("name", "社内FAQ"),
        ("file", "a.jsonl"),
        ("line", 7),
        ("terms", "CC-BY-4.0"),
        ("trust", "high"),
        ("url", "https://example.org/faq"),
        ("retrieved", "2026-11-01"),
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("data/a.jsonl", "data/b.jsonl", "other/c.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def assigned(project: Path, **paths: list[str]) -> dict[str, list[str]]:
    sources = [declare(name=name, paths=found) for name, found in paths.items()]
    expanded = expand(project, patterns(sources)).items()
    files = {source: [Source(name, path) for name, path in named] for source, named in expanded}
    check_named_once(files)
    return {name: [file.name for file in found] for name, found in files.items()}


def test_each_file_goes_to_the_source_that_names_it(project: Path) -> None:
    absolute = (project / "other").as_posix() + "/*"

    assert assigned(project, one=["data/*.jsonl"], two=[absolute]) == {
        "one": ["data/a.jsonl", "data/b.jsonl"],
        "two": ["other/c.jsonl"],
    }


def test_a_file_of_two_sources_is_an_error_that_names_both(project: Path) -> None:
    with pytest.raises(StageError) as error:
        assigned(project, one=["data/*.jsonl"], two=["**/b.jsonl"])

    assert str(error.value) == "data/b.jsonl is matched by the sources one and two: narrow the paths of one of them"


def test_one_file_under_two_names_is_an_error(project: Path) -> None:
    (project / "link.jsonl").symlink_to(project / "data" / "a.jsonl")

    with pytest.raises(StageError) as error:
        assigned(project, one=["data/*.jsonl"], two=["link.jsonl"])

    assert str(error.value) == "data/a.jsonl and link.jsonl are the same file: name it once"


class Headlines(Declared):
    """A kind that this repository does not have: one record a line of a plain text."""

    kind: Literal["headlines"] = "headlines"
    path: str

    def patterns(self) -> list[str]:
        return [self.path]

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        def lines() -> Iterator[Row]:
            for file in files:
                for number, line in enumerate(file.path.read_text("utf-8").splitlines(), 1):
                    yield Row(file.name, number, line.encode())

        return Rows(tuple(file.name for file in files), lines(), _headline, lambda data: {"raw": data.decode()})


def _headline(data: bytes) -> dict[str, str]:
    if data.startswith(b"#"):
        raise Defect("a remark", "a remark, not a headline")
    return {"text": data.decode()}


def test_a_new_kind_is_its_class_alone(tmp_path: Path) -> None:
    (tmp_path / "news.txt").write_text("桜が咲いた\n\n# 校正済み\n雪が降った\n", encoding="utf-8")
    source = Headlines(**{**BASE, "path": "*.txt"})
    files = [Source(*named) for named in expand(tmp_path, patterns([source]))["社内FAQ"]]
    kept, aside = io.BytesIO(), io.BytesIO()

    tally = ingest(source, source.open(files, tmp_path, 1024), False, kept, aside)

    records = [orjson.loads(line) for line in kept.getvalue().splitlines()]
    assert [(record["text"], record["source"]["line"]) for record in records] == [("桜が咲いた", 1), ("雪が降った", 4)]
    assert orjson.loads(aside.getvalue()) == {
        "source": {"name": "社内FAQ", "file": "news.txt"},
        "line": 3,
        "reason": "a remark",
        "detail": "a remark, not a headline",
        "raw": "# 校正済み",
    }
    assert (tally.lines, tally.records, tally.blank, tally.aside) == (4, 2, 1, 1)
