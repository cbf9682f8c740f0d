"""doit recheck from a site's first no to the files that were handed over: the next build loses its records alone."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from doit.cmd_base import DodoTaskLoader
from doit.exceptions import InvalidCommand

from so8t.commands.recheck import Recheck
from so8t.engine.backend import Backend
from so8t.engine.ensure import ensure
from so8t.release import recall
from so8t.release.recall import Released, made_from
from so8t.store import journal, publish
from so8t.store.fingerprint import Fingerprint
from so8t.store.manifest import File, Manifest
from tests.web.site import HTML, Page, Site, site
from tests.whole.pico import SPECS, Pico

ASKED = {"agent": "examplebot", "contact": "mailto:bot@example.jp", "pause": 0.0}
TEXTS = (
    "倉庫の鍵の置き場所を教えてください",
    "社員食堂の営業時間を教えてください",
    "倉庫の鍵の置き場所を教えてください",
)


def made(stage: str, inputs: Mapping[str, str], *files: str) -> Manifest:
    """Of files whose digest is their own name."""
    print_ = Fingerprint(stage, {}, inputs, {}, {})
    return Manifest(print_, tuple(File(name, 1, name, "5" * 64 if name.endswith(".gguf") else None) for name in files))


def test_what_was_made_from_a_file_that_holds_a_record_is_reached_and_nothing_else() -> None:
    manifests = [
        made("raw", {"data/a.jsonl": "a"}, "1.jsonl", "stats.json"),
        made("raw", {"data/b.jsonl": "b"}, "2.jsonl"),
        made("cleaned", {"raw/raw.jsonl": "1.jsonl"}, "cleaned.jsonl", "dropped.jsonl"),
        made("labelled", {"cleaned/cleaned.jsonl": "cleaned.jsonl"}, "labelled.jsonl"),
        made("counted", {"cleaned/dropped.jsonl": "dropped.jsonl"}, "counted.png"),
        made("adapter", {"labelled/labelled.jsonl": "labelled.jsonl"}, "adapter.bin", "training.json"),
        made("gguf", {"adapter/adapter.bin": "adapter.bin"}, "q4.gguf"),
        made("gguf", {"raw/raw.jsonl": "2.jsonl"}, "other.gguf"),
    ]
    holding = {"1.jsonl", "cleaned.jsonl", "labelled.jsonl"}

    reached = made_from(manifests, lambda file: file.path in holding or not file.path.endswith((".json", ".jsonl")))

    assert reached == {"1.jsonl", "cleaned.jsonl", "labelled.jsonl", "adapter.bin", "q4.gguf"}


@pytest.fixture
def there() -> Iterator[Site]:
    pages = {f"/{name}": Page(body="<p>本文", headers=HTML) for name in "abc"}
    with site({"/robots.txt": "User-agent: *\nDisallow: /private/", **pages}) as found:
        yield found


@pytest.fixture
def pico(tmp_path: Path, root: Path, there: Site, unsynced: None) -> Pico:
    """Beside pico's own records one of each of three pages; the third is a copy of the first, which cleaned drops."""
    found = Pico(tmp_path, root)
    sources = [*SPECS["raw"]["sources"]]
    for name, text in zip("abc", TEXTS, strict=True):
        record = {"text": text, "label": "ALLOW", "answer": "受付にあります。"}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", "utf-8")
        own = {"name": name, "paths": [f"{name}.jsonl"], "url": f"{there.origin}/{name}"}
        sources.append({**SPECS["raw"]["sources"][0], **own})
    (tmp_path / "refusals.jsonl").touch()
    found.write({"raw": {**SPECS["raw"], "sources": sources, "refusals": "refusals.jsonl"}})
    return found


def rechecked(pico: Pico, *words: str, **options: Any) -> tuple[int, str]:
    command = Recheck(DodoTaskLoader(), cmds={}, config={})
    command.outstream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Backend, "graph", SimpleNamespace(plan=pico.plan()))
        code = command._execute(list(words), **{**ASKED, **options})
    return code, command.outstream.getvalue()


def texts(pico: Pico, name: str) -> list[str]:
    lines = (pico.path / "artifacts" / "tiny" / name).read_bytes().splitlines()
    return [orjson.loads(line)["text"] for line in lines]


def hand_over(pico: Pico, taken: str) -> tuple[str, str]:
    """A GGUF made from a file of data, in the store and in a release, with its digests."""
    plan = pico.plan()
    stage, _, path = taken.partition("/")
    digest = json.loads((pico.folder(stage) / "manifest.json").read_bytes())
    blake3 = next(file["blake3"] for file in digest["files"] if file["path"] == path)
    out = pico.path / "made"
    (out / "models").mkdir(parents=True, exist_ok=True)
    (out / "models" / "pico-f16.gguf").write_text(f"learned {blake3}")
    manifest = publish.seal(out, Fingerprint("gguf", {}, {taken: blake3}, {}, {}), ("models/",), ("models/*",))
    plan.store.keep(out, manifest)
    journal.append(plan.layout, "gguf", manifest.key, "built", 1.0)
    (file,) = manifest.files
    assert file.sha256
    one = {"name": "gguf: pico-f16.gguf", "digest": {"blake3": file.blake3}}
    statement = {"predicate": {"buildDefinition": {"resolvedDependencies": [one]}}}
    handed = pico.path / "release" / "tiny"
    (handed / "attestations").mkdir(parents=True, exist_ok=True)
    (handed / "attestations" / "release.intoto.json").write_bytes(orjson.dumps(statement))
    (handed / "release.json").write_bytes(orjson.dumps({"files": {"pico-f16.gguf": {"sha256": file.sha256}}}))
    return file.sha256, next(iter(journal.by_key(plan.layout)[manifest.key]))["when"][:10]


def test_a_new_no_takes_exactly_its_records_out_and_names_what_was_handed_over(pico: Pico, there: Site) -> None:
    stages = ("raw", "cleaned")
    first = [ensure(pico.path, "tiny", stage).how for stage in stages]
    before = texts(pico, "raw/raw.jsonl")
    sha256, day = hand_over(pico, "cleaned/cleaned.jsonl")

    assert first == ["built", "built"]
    assert rechecked(pico) == (
        0,
        "recheck: URLs asked for: 3; 3 as before, 0 no, 0 gone, 0 not asked\n",
    )

    there.pages["/robots.txt"] = Page(body="User-agent: *\nDisallow: /a\n")
    there.pages["/b"] = Page(503)
    assert rechecked(pico) == (
        1,
        f"no: {there.origin}/a (robots.txt:2: disallow: /a)\n"
        f"not asked: {there.origin}/b (answered 503)\n"
        "recheck: URLs asked for: 3; 1 as before, 1 no, 0 gone, 1 not asked\n"
        "recheck: refusals.jsonl says so of 1 more; the next doit leaves out 1 record of raw\n"
        "recheck: 1 record of such URLs went into these files (SHA-256):\n"
        f"{sha256}  gguf/models/pico-f16.gguf, built {day} by tiny\n"
        f"{sha256}  tiny/pico-f16.gguf\n",
    )
    assert [ensure(pico.path, "tiny", stage).how for stage in stages] == ["built", "built"]
    assert texts(pico, "raw/raw.jsonl") == [*before[:-3], *before[-2:]]  # the copy of /c stays, and is no duplicate now

    code, said = rechecked(pico)  # /a is not asked again, and is still told of
    assert (code, there.asked.count("/a")) == (2, 1)
    assert f"{sha256}  tiny/pico-f16.gguf\n" in said


@pytest.mark.soak
def test_a_record_that_went_no_further_rebuilds_nothing_further(pico: Pico, there: Site) -> None:
    assert pico.built() == ["raw", "cleaned", "labelled", "thinking_sft"]
    hand_over(pico, "cleaned/cleaned.jsonl")

    there.pages["/c"] = Page(451)
    code, said = rechecked(pico)

    assert (code, pico.built()) == (1, ["raw", "cleaned"])
    assert "pico-f16.gguf" in said  # the text is the same as that of /a: its record is the same, too


def test_where_raw_names_no_file_the_line_to_add_is_said(pico: Pico, there: Site) -> None:
    values = json.loads(json.dumps(pico.specs()["raw"]))
    pico.write(
        {"raw": {**{key: value for key, value in values.items() if key != "refusals"}, "bad_input": "quarantine"}}
    )
    ensure(pico.path, "tiny", "raw")
    there.pages["/c"] = Page(402)

    code, said = rechecked(pico)

    assert code == 1
    assert said.splitlines()[-1] == (
        "recheck: add to specs/tiny/raw.yaml, or nothing is left out: refusals: specs/tiny/refusals.jsonl"
    )
    assert (pico.path / "specs/tiny/refusals.jsonl").exists()


REFUSED = [
    ((), {"agent": ""}, "recheck: --agent is your crawler's name in robots.txt: letters, - and _ alone (RFC 9309)"),
    ((), {"agent": "bot9"}, "recheck: --agent is your crawler's name in robots.txt: letters, - and _ alone (RFC 9309)"),
    ((), {"contact": "me"}, "recheck: --contact is a mail address or a URL at which you can be asked to stop"),
    ((), {"pause": -1.0}, "recheck: --pause -1: is not a number of seconds below an hour"),
    (("x", "--pause"), {}, "options come before words: doit recheck --pause ..."),
    ((), {}, "recheck: raw is not built, or retain has let its files go; run doit raw"),
]


NAMED = {"agent": "examplebot", "contact": "mailto:bot@example.jp", "pause": 0, "refusals": ["noindex"]}


def test_the_profiles_crawl_says_who_asks_and_what_a_no_is_unless_the_command_does(pico: Pico, there: Site) -> None:
    pico.write({"crawl": {**NAMED, "signals": ["X-Robots-Tag"]}})
    ensure(pico.path, "tiny", "raw")
    there.pages["/robots.txt"] = Page(body="User-agent: examplebot\nDisallow: /a\n\nUser-agent: other\nDisallow: /b\n")
    there.pages["/b"] = Page(
        body="<p>本文", headers=HTML | {"tdm-reservation": "1"}
    )  # a vocabulary that does not count
    there.pages["/c"] = Page(body="<p>本文", headers=HTML | {"X-Robots-Tag": "noindex"})
    own = dict.fromkeys(("agent", "contact", "pause"))

    code, said = rechecked(pico, **own)
    assert (code, there.agents) == (1, {"examplebot/1.0 (doit recheck; +mailto:bot@example.jp)"})
    assert said.splitlines()[:3] == [
        f"no: {there.origin}/a (robots.txt:2: disallow: /a)",
        f"no: {there.origin}/c (header x-robots-tag: noindex)",
        "recheck: URLs asked for: 3; 1 as before, 2 no, 0 gone, 0 not asked",
    ]

    _, said = rechecked(pico, **own | {"agent": "other"})
    assert said.splitlines()[0] == f"no: {there.origin}/b (robots.txt:5: disallow: /b)"


@pytest.mark.parametrize("name", ["agent", "contact"])
def test_where_neither_says_who_asks_both_places_are_named(tmp_path: Path, root: Path, name: str) -> None:
    with pytest.raises(InvalidCommand) as error:
        rechecked(Pico(tmp_path, root), **{name: None})
    assert str(error.value) == f"recheck: specs/tiny/crawl.yaml has no {name}: write it there, or give --{name}"


def test_what_is_missing_is_said(tmp_path: Path, root: Path) -> None:
    empty = Pico(tmp_path, root)
    for words, options, message in REFUSED:
        with pytest.raises(InvalidCommand) as error:
            rechecked(empty, *words, **options)
        assert str(error.value) == message


def test_a_folder_that_is_not_a_release_is_named(tmp_path: Path) -> None:
    with pytest.raises(recall.UserError, match=r"own: is not a release that can be read: FileNotFoundError"):
        list(recall.released(tmp_path / "own", {"x"}))
    assert Released("a", "b") < Released("b", "a")
