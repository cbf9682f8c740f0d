"""One real build of the shipped `tiny` profile, and what its data must be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from so8t.corpus import neardup, pii
from so8t.formats import chat, records, thinking
from so8t.formats.records import LABELS, Record
from tests.whole import tiny

pytestmark = pytest.mark.slow

EVERY_KIND = pii.kinds(("secret", "email", "ip", "card", "my_number", "address", "phone"))
NEAR = 0.8  # thinking_sft.near_duplicate_threshold


@dataclass(frozen=True)
class Build:
    """The artifacts of the data stages, read once."""

    folder: Path
    said: str

    def read(self, name: str) -> list[Record]:
        return list(records.read(self.folder / name))

    def json(self, name: str) -> Any:
        return orjson.loads((self.folder / name).read_bytes())


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    project, said = tiny.built(tmp_path_factory.getbasetemp())
    return Build(project / "artifacts" / "tiny", said)


@pytest.fixture(scope="session")
def examples(build: Build) -> list[Record]:
    return build.read("thinking_sft/thinking_sft.jsonl")


class TestTheTinyBuild:
    def test_each_class_has_a_quarter_of_every_split_that_the_corpus_pins(self, examples: list[Record]) -> None:
        counts = Counter((example["split"], example["label"]) for example in examples)

        assert counts == {
            **{("test_known", label): 60 for label in LABELS},
            **{("test_novel", label): 60 for label in LABELS},
            **{("train", label): count for label, count in zip(LABELS, (468, 469, 479, 478), strict=True)},
            **{("validation", label): count for label, count in zip(LABELS, (52, 47, 39, 36), strict=True)},
            **{("test", label): count for label, count in zip(LABELS, (8, 12, 10, 14), strict=True)},
        }

    def test_given_thinking_is_kept_and_the_rest_is_the_policys(self, examples: list[Record]) -> None:
        counts = Counter((example["made_from"], example["label"]) for example in examples)

        assert counts == {
            **{("given", label): count for label, count in zip(LABELS, (48, 51, 55, 55), strict=True)},
            **{("policy", label): count for label, count in zip(LABELS, (600, 597, 593, 593), strict=True)},
        }

    def test_every_record_knows_its_line_in_the_corpus(self, build: Build, root: Path, examples: list[Record]) -> None:
        lines = {path.name: path.read_bytes().splitlines() for path in (root / "specs/tiny/corpus").glob("*.jsonl")}

        for example in examples:
            source = example["source"]
            assert list(source) == ["name", "file", "line", "terms", "trust"]
            assert source["file"].startswith("specs/tiny/corpus/")
            given = orjson.loads(lines[Path(source["file"]).name][source["line"] - 1])
            assert [example["messages"][-2]["content"]] == [text(given)]
            assert example["label"] == given["label"]
        places = {(example["source"]["file"], example["source"]["line"]) for example in examples}
        assert len(places) == sum(map(len, lines.values())) == 2592

    def test_each_stage_gives_what_it_took_or_says_why_not(self, build: Build) -> None:
        taken = sum(source["lines"] for source in build.json("raw/stats.json").values())
        for name, others in (
            ("raw/raw.jsonl", ("raw/quarantined.jsonl",)),
            ("cleaned/cleaned.jsonl", ("cleaned/dropped.jsonl",)),
            ("labelled/labelled.jsonl", ("labelled/quarantined.jsonl",)),
            ("thinking_sft/thinking_sft.jsonl", ("thinking_sft/dropped.jsonl",)),
        ):
            kept, gone = build.read(name), [record for other in others for record in build.read(other)]
            assert taken == len(kept) + len(gone), name
            assert all(record["reason"] for record in gone)
            taken = len(kept)
        assert taken == 2592

    def test_the_same_ids_run_through_all_stages_in_the_same_order(self, build: Build, examples: list[Record]) -> None:
        ids = [record["id"] for record in examples]

        assert len(set(ids)) == len(ids)
        for name in ("raw/raw.jsonl", "cleaned/cleaned.jsonl", "labelled/labelled.jsonl"):
            assert [record["id"] for record in build.read(name)] == ids

    def test_the_split_files_are_the_examples_by_split(self, build: Build, examples: list[Record]) -> None:
        files = {path.stem: list(records.read(path)) for path in (build.folder / "thinking_sft/splits").iterdir()}

        assert files == {
            split: [example for example in examples if example["split"] == split]
            for split in ("train", "validation", "test", "test_known", "test_novel")
        }

    def test_no_text_holds_what_looks_like_personal_data(self, build: Build) -> None:
        for record in build.read("cleaned/cleaned.jsonl"):
            for said in strings({name: value for name, value in record.items() if name not in ("id", "source")}):
                assert pii.remove(said, EVERY_KIND) == (said, {})

    def test_harm_is_found_among_the_refused_alone(self, examples: list[Record]) -> None:
        harmful = Counter((example["label"], *example["harm"]) for example in examples if "harm" in example)

        assert harmful == {("REFUSE", "fraud"): 67, ("REFUSE", "intrusion"): 22, ("REFUSE", "violence"): 2}

    def test_every_answer_splits_into_thinking_and_the_records_class(self, examples: list[Record]) -> None:
        for example in examples:
            assert [message["role"] for message in example["messages"]] == ["system", "user", "assistant"]
            found = thinking.split(example["messages"][-1]["content"], thinking.TAGS)
            assert (found.final.label, found.final.confidence) == (example["label"], example["confidence"])
            assert all((found.task, found.safety, found.policy, found.final.reason, found.final.answer))

    def test_a_text_is_the_rendering_of_its_messages(self, examples: list[Record]) -> None:
        for example in examples:
            assert example["text"] == chat.render(example["messages"], chat.PHI3)

    def test_no_record_is_near_to_one_of_another_split(self, examples: list[Record]) -> None:
        sets = [neardup.gram_sets((neardup.comparable(text(example)),), 5) for example in examples]

        near = [
            (examples[left]["id"], examples[right]["id"])
            for left, right in sharing_half(sets)
            if examples[left]["split"] != examples[right]["split"]
            and neardup.similarity(sets[left], sets[right]) >= NEAR
        ]
        assert near == []

    def test_patterns_of_the_novel_test_are_seen_nowhere_else_and_known_ones_in_training(
        self, examples: list[Record]
    ) -> None:
        patterns: defaultdict[str, set[str]] = defaultdict(set)
        for example in examples:
            patterns[example["split"]].add(example["tags"]["pattern"])
        novel = patterns.pop("test_novel")

        assert {len(novel), len(patterns["train"])} == {48, 192}
        assert novel.isdisjoint(set().union(*patterns.values()))
        assert patterns["test_known"] <= patterns["train"]

    def test_what_is_printed_counts_every_stage(self, build: Build) -> None:
        assert "raw: 2,592 records from 3 sources, 0 lines quarantined" in build.said
        assert "cleaned: 2592 in, 2592 out, dropped {}" in build.said
        assert "labelled: 2592 records: 2592 given" in build.said
        assert "thinking_sft: 2592 in, 2592 out, dropped none" in build.said


def text(record: Record) -> str:
    """The user's text as `cleaned` stores it, which NFKC leaves as it is."""
    from so8t.corpus.normalise import normalise

    if "messages" in record:
        return str(record["messages"][-2]["content"])
    return normalise(record["text"])


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)


def sharing_half(sets: list[neardup.Grams]) -> Iterable[tuple[int, int]]:
    """Every pair that shares at least half of one's n-grams: none of the others can be near."""
    having: defaultdict[str, list[int]] = defaultdict(list)
    for right, (grams,) in enumerate(sets):
        shared = Counter(left for gram in grams for left in having[gram])
        yield from ((left, right) for left, count in shared.items() if 2 * count >= len(grams))
        for gram in grams:
            having[gram].append(right)
