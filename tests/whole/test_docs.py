"""The documentation does what it says: its commands run, its outputs are whole, its names exist, its links lead on.

A page is followed from top to bottom in a project of its own.  What a fenced block means:

    sh                   every line is a doit command; "# exit code N" after it if it is not 0
    text                 the whole output of the block before it; seconds may differ
    diff                 an edit of the file that the line above the block names last
    yaml, python, jsonl  a file, written under that name
    json                 records, or the whole, of the file of that name
    (nothing)            files and folders that are there now, one a line
    sh setup, sh test    the two commands of the README, which .ci/run executes; bat is their spelling on Windows,
                         and sh pip that of those who have no uv
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

from stages import STAGES
from tests import warm
from tests.conftest import ROOT
from tests.house import DOIT
from tests.whole import tiny
from tests.whole.test_spec_table import leaves

PYTHON = ".venv/bin/python"
SETUP = (
    f"python -m venv .venv && {PYTHON} -m pip install -q -c constraints.txt uv torch"
    f' && {PYTHON} -m uv pip install -q -c constraints.txt -e ".[all,dev]" && .venv/bin/doit'
)
PIP = SETUP.replace(f"uv torch && {PYTHON} -m uv pip install -q -c constraints.txt ", "")
TEST = ".ci/browser && .venv/bin/python -m pytest"
FOLLOWED = [  # README.md begins with nothing built
    "README.ja.md",
    "docs/tour.md",
    "docs/stages.md",
    "docs/engine.md",
    "docs/maintaining.md",
]
WRITTEN = [
    "README.md",
    *FOLLOWED,
    "docs/architecture.md",
    "docs/bases.md",
    "docs/cluster.md",
    "docs/collect.md",
    "docs/scale.md",
    "docs/serve.md",
    "docs/ollama.md",
    "docs/release.md",
    "docs/why.md",
    "docs/LOG.md",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    kind: str
    text: str
    subject: str  # the last name in backquotes on the line above
    line: int


def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    kind: str | None = None
    above = ""
    body: list[str] = []
    for number, line in enumerate((ROOT / page).read_text("utf-8").splitlines(), 1):
        if kind is None and line.startswith("```"):
            kind, body = line[3:], []
        elif kind is not None and line == "```":
            found.append(Block(kind, "\n".join(body), (CODE.findall(above) or [""])[-1], number - len(body) - 1))
            kind = None
        elif kind is not None:
            body.append(line)
        elif line.strip():
            above = line
    assert kind is None, f"{page}: a block without an end"
    return found


def prose(page: str) -> str:
    """The page without its blocks, whose fences would pass for backquotes."""
    return re.sub(r"^```.*?^```$", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


class Reader:
    """Somebody who follows a page to the letter."""

    def __init__(self, project: Path, output: str = "", cold: bool = not warm.IS_POSSIBLE) -> None:
        self.project = project
        self.output = output
        self.cold = cold  # each doit in a process that Python starts, as a reader's

    def follow(self, page: str, first: int = 0, last: int | None = None) -> None:
        for block in blocks(page)[first:last]:
            where = f"{page}:{block.line}"
            if block.kind == "sh":
                self.output = "\n".join(self._run(line, where) for line in block.text.splitlines())
            elif block.kind == "text":
                assert shortened(plain(self.output), plain(block.text)) == plain(block.text), where
            elif block.kind == "diff":
                self._edit(block, where)
            elif block.kind in ("yaml", "python", "jsonl"):
                self._write(block.subject, block.text + "\n")
            elif block.kind == "json":
                assert self._shows(block), f"{where}: not in {block.subject}"
            elif block.kind == "":
                for line in block.text.splitlines():
                    assert (self.project / line.split()[0]).exists(), f"{where}: {line}"
            else:
                assert block.kind in ("sh setup", "sh test", "sh pip", "bat"), (
                    f"{where}: what is a block of {block.kind}?"
                )

    def _run(self, line: str, where: str) -> str:
        found = re.fullmatch(r"(doit.*?)(?:\s+# exit code (\d))?", line)
        assert found, f"{where}: not a doit command: {line}"
        environment = {**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"}
        code, said = self._doit(shlex.split(found[1])[1:], environment)
        assert code == int(found[2] or 0), f"{where}: {line}\n{said}"
        return said.strip("\n")

    def _doit(self, arguments: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """Its exit code, and all that it wrote."""
        if not self.cold:
            doing = warm.Doit(arguments, self.project, environment, of="data", merged=True)
            said, _ = doing.communicate(timeout=120)
            return doing.wait(), said
        ran = subprocess.run(
            [*DOIT, *arguments],
            cwd=self.project, env=environment, encoding="utf-8", timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return ran.returncode, ran.stdout

    def _edit(self, block: Block, where: str) -> None:
        lines = [(line[:1], line[1:]) for line in block.text.splitlines()]
        assert {sign for sign, _ in lines} <= set(" +-"), where
        old = "".join(f"{text}\n" for sign, text in lines if sign in " -")
        new = "".join(f"{text}\n" for sign, text in lines if sign in " +")
        text = (self.project / block.subject).read_text("utf-8")
        assert text.count(old) == 1, f"{where}: {block.subject} has these lines {text.count(old)} times"
        self._write(block.subject, text.replace(old, new))

    def _write(self, name: str, text: str) -> None:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8", newline="\n")

    def _shows(self, block: Block) -> bool:
        there = (self.project / block.subject).read_text("utf-8")
        shown = json.loads(block.text)
        if block.subject.endswith(".jsonl"):
            return shown in [json.loads(line) for line in there.splitlines()]
        whole = json.loads(there)
        return bool(shown == {name: whole[name] for name in shown})


def plain(output: str) -> list[str]:
    seconds = re.sub(r"\b\d+\.\d s\b", "0.0 s", output)
    return [line.rstrip() for line in seconds.strip("\n").splitlines()]


def shortened(said: list[str], shown: list[str]) -> list[str]:
    """What was said, each line cut where the page leaves out the rest of a list: `, ...`."""
    cut = [line.removesuffix("...") if line.endswith(", ...") else None for line in shown]
    pairs = zip(said, [*cut, *[None] * len(said)], strict=False)
    return [f"{start}..." if start and line.startswith(start) else line for line, start in pairs]


@dataclass(frozen=True)
class Begun:
    """A project in which the README's first command ran, what it said, and how many blocks lie before its end."""

    project: Path
    output: str
    read: int


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    project, said = tiny.built(tmp_path_factory.getbasetemp())
    read = [block.text for block in blocks("README.md")].index(tiny.COMMAND) + 1
    return Begun(project, said.strip("\n"), read)


# ---- what runs -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_readme_can_be_followed_from_nothing(begun: Begun, tmp_path: Path) -> None:
    shutil.copytree(begun.project, tmp_path / "project")
    Reader(tmp_path / "project", begun.output, cold=True).follow("README.md", first=begun.read)


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED)
def test_the_page_can_be_followed_after_the_readmes_command(begun: Begun, tmp_path: Path, page: str) -> None:
    shutil.copytree(begun.project, tmp_path / "project")
    Reader(tmp_path / "project").follow(page)


def test_every_output_belongs_to_a_command() -> None:
    for page in WRITTEN:
        kinds = [block.kind for block in blocks(page)]
        for before, kind in zip(["", *kinds], kinds, strict=False):
            assert kind != "text" or before == "sh", page


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_there_are_two_commands_each_alone_in_its_block(page: str) -> None:
    found = blocks(page)

    assert [block.text for block in found if block.kind == "sh setup"] == [SETUP]
    assert [block.text for block in found if block.kind == "sh test"] == [TEST]
    assert [block.text for block in found if block.kind == "sh pip"] == [PIP]


def test_every_benchmark_is_described_with_options_that_it_has() -> None:
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py") if "ArgumentParser" in path.read_text("utf-8")}
    commands = [block.text for block in blocks("benchmarks/README.md") if block.kind == "sh"]
    lines = [line.split() for text in commands for line in text.splitlines()]

    assert {Path(line[1]).name for line in lines} == scripts
    for python, script, *options in lines:
        source = (ROOT / script).read_text("utf-8")
        assert python == "python"
        assert [option for option in options if option.startswith("--") and f'"{option}"' not in source] == []


# ---- what is named -------------------------------------------------------------------------------------------


def test_every_command_of_ours_has_its_paragraph_and_its_entry_point() -> None:
    commands = {path.stem for path in (ROOT / "so8t" / "commands").glob("*.py")} - {"__init__"}
    page = (ROOT / "docs" / "engine.md").read_text("utf-8")

    assert set(re.findall(r"so8t\.commands\.(\w+):", (ROOT / "pyproject.toml").read_text("utf-8"))) == commands
    named = {command: command.replace("_", "-") for command in commands}
    assert {command for command, name in named.items() if f"\n| `doit {name}" not in page} == set()


def test_every_stage_has_its_section_with_all_that_it_gives() -> None:
    sections = {
        section.split("\n", 1)[0]: section for section in (ROOT / "docs/stages.md").read_text("utf-8").split("\n## ")
    }

    assert [name for name in sections if name in STAGES] == list(STAGES)
    for name, stage in STAGES.items():
        assert [given for given in stage.gives if f"`{given}`" not in sections[name]] == []


def test_every_reason_for_which_a_record_leaves_is_listed() -> None:
    code = "".join(path.read_text("utf-8") for path in [*ROOT.glob("so8t/corpus/*.py"), *ROOT.glob("stages/*.py")])
    reasons = set(re.findall(r'(?:Defect|Drop|ledger\.drop)\((?:record, )?f?"([^"{]+)', code))
    named = set(CODE.findall(prose("docs/stages.md")))

    assert len(reasons) > 20
    assert {reason for reason in reasons if reason not in named and f"{reason}<category>" not in named} == set()


@lru_cache
def documented_keys() -> dict[str, set[str]]:
    """The rows of docs/specs.md by stage."""
    keys: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "specs.md").read_text("utf-8").splitlines():
        if line.startswith("## "):
            stage = line[3:]
        elif line.startswith("| `"):
            keys.setdefault(stage, set()).add(CODE.findall(line)[0])
    return keys


@pytest.mark.parametrize("stage", list(STAGES))
def test_every_documented_field_exists_and_every_field_is_documented(stage: str) -> None:
    fields = {re.sub(r"\b(files|datasets|web|tiny|local|hub|gguf)\.", "", name) for name in leaves(STAGES[stage].spec)}
    documented = {key.replace("[]", "").replace(".*", "") for key in documented_keys()[stage]}
    folders = {key for key in documented if any(other.startswith(f"{key}.") for other in documented)}

    assert fields - documented == set()
    assert documented - fields - folders == set()


@pytest.mark.parametrize(
    "page", ["README.md", *FOLLOWED, "docs/bases.md", "docs/serve.md", "docs/why.md", "CHANGELOG.md"]
)
def test_every_key_that_a_page_names_is_documented(page: str) -> None:
    """`cleaned.pii.kinds`, but not `cleaned.jsonl`, which is a file."""
    for name in CODE.findall(prose(page)):
        stage, _, key = name.replace("[]", "").partition(".")
        if stage in documented_keys() and re.fullmatch(r"[a-z_]+(\.[A-Za-z_*]+)*", key) and not is_file(key):
            known = {known.replace("[]", "") for known in documented_keys()[stage]}
            assert key in known, f"{page}: `{name}`"


def is_file(key: str) -> bool:
    return key in ("json", "jsonl", "yaml", "py", "html")


# ---- how it is written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", WRITTEN)
def test_links_lead_to_files_of_the_checkout(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    links = re.findall(r"\]\(([^)#]+)", text)

    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", WRITTEN)
def test_a_line_is_a_sentence(page: str) -> None:
    lines = prose(page).splitlines()

    assert [line for line in lines if re.search(r"[a-z)`]\. [A-Z`]", line) or line.count("。") > 1] == []


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():  # an unpacked archive
        return [path for path in ROOT.rglob("*") if path.is_file() and not is_ignored(path.relative_to(ROOT))]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, encoding="utf-8")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def is_ignored(path: Path) -> bool:
    return any(
        part.startswith(".") or part in ("artifacts", "build", "dist", "__pycache__") for part in path.parts[:-1]
    )


def test_no_text_of_the_checkout_names_the_machine_it_was_written_on() -> None:
    """The fragments are spelled in pieces, or this file would be the first to hold them."""
    machine = ["/".join(("", *parts, "")) for parts in (("work", "main"), ("work", "shared"), ("tmp", "v"), ("root",))]
    machine += ["/".join(("", "opt", name)) for name in ("wheels", "pypi")]
    hosts = [".".join(parts) for parts in (("download", "pytorch"), ("files", "pythonhosted"), ("pypi", "org"))]
    ways = ["_".join(("bash", "jobs")), "PIP_" + "FIND_LINKS", "session" + "_id"]
    found = []
    for path in tracked():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # not a text
        found += [f"{path.relative_to(ROOT)}: {bad}" for bad in (*machine, *hosts, *ways) if bad in text]

    assert found == []
