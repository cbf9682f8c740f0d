"""Every field of every spec: what its change rebuilds, and that undoing it builds nothing.

The letters are the stages that are *built*: r raw, c cleaned, l labelled, t thinking_sft.  A field whose change alters
no byte of this small corpus stops at its own stage; an execution field rebuilds nothing.
"""

from __future__ import annotations

import copy
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from so8t.commands.gc import in_use
from so8t.store.gc import collect
from stages import STAGES
from tests.whole import pico as small
from tests.whole.pico import Pico

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unsynced", "still")]

SPECS: dict[str, Any] = {  # what a row sets may quarantine or leave undecided nearly all
    **small.SPECS,
    "raw": {**small.SPECS["raw"], "max_quarantined": 1.0},
    "labelled": {**small.SPECS["labelled"], "max_undecided": 1.0},
}
LETTERS = {"raw": "r", "cleaned": "c", "labelled": "l", "thinking_sft": "t"}
POLICY = {
    "task": "依頼を受ける。",
    "safety": "確かめる。",
    "policy": "決まりに従う。",
    "reason": "決まり",
    "answer": "承りました。",
}
RULE = SPECS["labelled"]["rules"][0]
JSONL = SPECS["raw"]["sources"][0]
HUB = {"name": "hub", "kind": "datasets", "repo": "a/b", "revision": "0" * 40, "terms": "test", "trust": "low"}
WEB = {"name": "hub", "kind": "web", "crawl": "artifacts/tiny/crawl"}
TEACHER = {"teacher": {"model": "m"}}
OWN_CHAT: dict[str, Any] = {
    "chat": {
        "system": {"prefix": "<|system|>", "suffix": "<|end|>"},
        "user": {"prefix": "<|user|>", "suffix": "<|end|>"},
        "assistant": {"prefix": "<|assistant|>", "suffix": "<|end|>"},
        "generation": "<|assistant|>",
        "stop": ["<|end|>"],
    }
}
FIELDS = {"fields": {"text": "text", "label": "label", "answer": "answer"}}


def jsonl(**change: Any) -> dict[str, Any]:
    return {"sources": [{**JSONL, **change}]}


def hub(**change: Any) -> dict[str, Any]:
    return {"sources": [{**HUB, **change}]}


def web(**change: Any) -> dict[str, Any]:
    return {"sources": [{**WEB, **change}]}


def rule(**change: Any) -> dict[str, Any]:
    return {"rules": [{**RULE, **change}]}


def policy(label: str, field: str) -> tuple[str, dict[str, Any], dict[str, Any], str]:
    given = {**POLICY, "answer": ""} if label == "ALLOW" else POLICY  # no one answer serves every question
    change = {"policies": {label: {**given, field: "別の文。"}}}
    never = label == "ALLOW" and field == "answer"
    return f"policies.{label}.{field}", {"policies": {label: given}}, change, "-" if never else "t"


def own_chats() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each field of a declaration, and a declaration with another value there."""
    for role in ("system", "user", "assistant"):
        for side in ("prefix", "suffix"):
            yield f"{role}.{side}", {**OWN_CHAT["chat"], role: {**OWN_CHAT["chat"][role], side: "<|end|>\n"}}
    others = {"generation": "a", "stop": ["b"], "role_tokens": ["c"], "default_system": "d"}
    others |= {"system_in_user": True, "system_last": True}
    for name, value in others.items():
        yield name, {**OWN_CHAT["chat"], name: value}


# stage -> (field, values before, values after, stages built); "?" = stale, but building it needs a server
TABLE: dict[str, list[tuple[str, dict[str, Any], dict[str, Any], str]]] = {
    "raw": [
        ("sources", {}, {"sources": [JSONL, {**JSONL, "name": "more", "paths": ["more.jsonl"]}]}, "rclt"),
        ("sources.files.kind", {}, jsonl(kind="jsonl"), "r"),
        ("sources.files.name", {}, jsonl(name="other"), "rclt"),
        ("sources.files.terms", {}, jsonl(terms="CC0"), "rclt"),
        ("sources.files.trust", {}, jsonl(trust="low"), "rclt"),
        ("sources.files.url", {}, jsonl(url="https://example.jp"), "rclt"),
        ("sources.files.retrieved", {}, jsonl(retrieved="2026-11-01"), "rclt"),
        ("sources.files.fields", {}, jsonl(**FIELDS), "rclt"),
        ("sources.files.labels", {}, jsonl(labels={"ALLOW": "ALLOW"}), "rclt"),
        ("sources.files.constants", {}, jsonl(constants={"tags": {"kind": "pico"}}), "rclt"),
        ("sources.files.split", {}, jsonl(split="test_known"), "rclt"),
        ("sources.files.limit", {}, jsonl(limit=30), "rclt"),
        ("sources.files.paths", {}, jsonl(paths=["pico.jsonl", "more.jsonl"]), "rclt"),
        ("sources.files.format", {}, jsonl(format="ours"), "r"),
        ("sources.files.tools", {}, jsonl(tools="flatten"), "r"),
        ("sources.files.encoding", {}, jsonl(encoding="cp932"), "r"),
        ("sources.files.delimiter", {}, jsonl(delimiter=";"), "r"),
        ("sources.files.sheet", {}, jsonl(sheet="表"), "r"),
        ("sources.files.cut", {}, jsonl(cut="line"), "r"),
        *(
            (f"sources.files.fields.{name}", jsonl(**FIELDS), jsonl(fields={**FIELDS["fields"], **change}), built)
            for name, change, built in [
                ("text", {"text": "answer"}, "rclt"),
                ("messages", {"text": None, "answer": None, "messages": "talk"}, "?"),
                ("system", {"system": "answer"}, "rclt"),
                ("history", {"history": "turns"}, "r"),
                ("label", {"label": None}, "rclt"),
                ("reason", {"reason": "answer"}, "rclt"),
                ("answer", {"answer": "text"}, "rclt"),
                ("rejected", {"rejected": "answer"}, "rclt"),
                ("thinking", {"thinking": "thinking"}, "rclt"),
                ("split", {"split": "pin"}, "r"),
                ("tags", {"tags": "tags"}, "rclt"),
            ]
        ),
        *(
            (f"sources.files.constants.{name}", {}, jsonl(constants={name: value}), "rclt")
            for name, value in [
                ("system", "係として答える。"),
                ("label", "DENY"),
                ("reason", "理由"),
                ("answer", "答え"),
                ("tags", {"a": "b"}),
            ]
        ),
        ("sources.datasets.kind", hub(), jsonl(name="hub", trust="low"), "rclt"),
        ("sources.datasets.name", hub(), hub(name="other"), "?"),
        ("sources.datasets.terms", hub(), hub(terms="CC0"), "?"),
        ("sources.datasets.trust", hub(), hub(trust="high"), "?"),
        ("sources.datasets.url", hub(), hub(url="https://example.jp"), "?"),
        ("sources.datasets.retrieved", hub(), hub(retrieved="2026-11-01"), "?"),
        ("sources.datasets.format", hub(), hub(format="alpaca"), "?"),
        ("sources.datasets.fields", hub(), hub(**FIELDS), "?"),
        ("sources.datasets.tools", hub(), hub(tools="keep"), "?"),
        ("sources.datasets.labels", hub(), hub(labels={"ALLOW": "ALLOW"}), "?"),
        ("sources.datasets.constants", hub(), hub(constants={"tags": {"kind": "pico"}}), "?"),
        ("sources.datasets.split", hub(), hub(split="test_known"), "?"),
        ("sources.datasets.limit", hub(), hub(limit=30), "?"),
        ("sources.datasets.repo", hub(), hub(repo="a/c"), "?"),
        ("sources.datasets.revision", hub(), hub(revision="1" * 40), "?"),
        ("sources.datasets.config", hub(), hub(config="ja"), "?"),
        ("sources.datasets.from_split", hub(), hub(from_split="test"), "?"),
        ("sources.datasets.cache_dir", hub(), hub(cache_dir="elsewhere"), ""),
        ("sources.web.kind", web(), hub(), "?"),
        ("sources.web.name", web(), web(name="other"), "?"),
        ("sources.web.crawl", web(), web(crawl="artifacts/web/crawl"), "?"),
        ("sources.web.of", web(), web(of=["図書館"]), "?"),
        ("sources.web.url", web(), web(url="https://example.jp"), "?"),
        ("sources.web.retrieved", web(), web(retrieved="2026-11-01"), "?"),
        ("sources.web.format", web(), hub(format="alpaca"), "?"),
        ("sources.web.tools", web(), web(tools="keep"), "?"),
        ("sources.web.labels", web(), web(labels={"ALLOW": "ALLOW"}), "?"),
        ("sources.web.constants", web(), web(constants={"tags": {"kind": "pico"}}), "?"),
        ("sources.web.split", web(), web(split="test_known"), "?"),
        ("sources.web.limit", web(), web(limit=30), "?"),
        ("bad_input", {}, {"bad_input": "strict"}, "?"),
        ("max_line", {}, {"max_line": 4096}, "r"),
        ("max_quarantined", {}, {"max_quarantined": 0.9}, "r"),
        ("refusals", {}, {"refusals": "refusals.jsonl"}, "r"),
    ],
    "cleaned": [
        ("normalise", {}, {"normalise": False}, "clt"),
        ("keep_fullwidth", {}, {"keep_fullwidth": ""}, "clt"),
        ("length.min_chars", {}, {"length": {"min_chars": 20}}, "clt"),
        ("length.max_chars", {}, {"length": {"max_chars": 20}}, "clt"),
        ("length.max_record_chars", {}, {"length": {"max_record_chars": 50}}, "clt"),
        ("language.min_japanese", {}, {"language": {"min_japanese": 0.0}}, "clt"),
        ("language.min_kana", {}, {"language": {"min_kana": 0.01}}, "c"),
        ("pii.kinds", {}, {"pii": {"kinds": ["email"]}}, "clt"),
        ("pii.public_phones", {}, {"pii": {"public_phones": ["0120"]}}, "c"),
        ("pii.internal", {}, {"pii": {"internal": ["契約書"]}}, "clt"),
        ("harm.categories", {}, {"harm": {"categories": {"weapons": {"patterns": ["拳銃"]}}, "drop": []}}, "clt"),
        *(
            (f"harm.categories.{name}", base, after, "clt")
            for name, base, after in [
                (
                    "patterns",
                    {"harm": {"categories": {"weapons": {"patterns": ["拳銃"]}}, "drop": []}},
                    {"harm": {"categories": {"weapons": {"patterns": ["契約書"]}}, "drop": []}},
                ),
                (
                    "unless",
                    {"harm": {"categories": {"weapons": {"patterns": ["拳銃"]}}, "drop": []}},
                    {"harm": {"categories": {"weapons": {"patterns": ["拳銃"], "unless": ["密造"]}}, "drop": []}},
                ),
            ]
        ),
        ("harm.drop", {}, {"harm": {"drop": ["fraud"]}}, "clt"),
        ("harm.suspect", {}, {"harm": {"suspect": 0.8}}, "clt"),
        ("duplicates.exact", {}, {"duplicates": {"exact": False, "near": False}}, "clt"),
        ("duplicates.near", {}, {"duplicates": {"near": False}}, "c"),
        ("duplicates.threshold", {}, {"duplicates": {"threshold": 0.5}}, "clt"),
        ("duplicates.ngram", {}, {"duplicates": {"ngram": 1}}, "clt"),
        ("duplicates.permutations", {}, {"duplicates": {"permutations": 128}}, "c"),
        ("duplicates.bands", {}, {"duplicates": {"bands": 32}}, "c"),
        ("duplicates.seed", {}, {"duplicates": {"seed": 1}}, "c"),
        ("workers", {}, {"workers": 2}, ""),
        ("max_dropped", {}, {"max_dropped": 0.9}, "c"),
    ],
    "labelled": [
        ("unknown_label", {}, {"unknown_label": "quarantine"}, "l"),
        ("rules", {}, {"rules": []}, "lt"),
        ("rules.name", {}, rule(name="other"), "lt"),  # labelled_by names the rule
        ("rules.label", {}, rule(label="DENY"), "lt"),
        ("rules.patterns", {}, rule(patterns=["書き方"]), "lt"),
        ("rules.unless", {}, rule(unless=["領収書"]), "lt"),
        ("rules.reason", {}, rule(reason="別の理由"), "lt"),
        ("rules.confidence", {}, rule(confidence=0.7), "lt"),
        ("harm.default.label", {}, {"harm": {"default": {"label": "DENY"}}}, "l"),
        ("harm.default.reason", {}, {"harm": {"default": {"reason": "別の理由"}}}, "l"),
        ("harm.categories", {}, {"harm": {"categories": {"fraud": {"label": "DENY"}}}}, "l"),
        *(
            (f"harm.categories.{name}", {"harm": {"categories": {"fraud": {}}}}, after, "l")
            for name, after in [
                ("label", {"harm": {"categories": {"fraud": {"label": "DENY"}}}}),
                ("reason", {"harm": {"categories": {"fraud": {"reason": "別の理由"}}}}),
            ]
        ),
        ("harm.suspected.label", {}, {"harm": {"suspected": {"label": "REFUSE"}}}, "l"),
        ("harm.suspected.reason", {}, {"harm": {"suspected": {"reason": "別の理由"}}}, "l"),
        ("harm.confidence", {}, {"harm": {"confidence": 0.9}}, "l"),
        *(
            (f"reasons.{label}", {}, {"reasons": {label: "別の理由"}}, "lt")
            for label in ("ALLOW", "ESCALATION", "DENY")
        ),
        ("reasons.REFUSE", {}, {"reasons": {"REFUSE": "別の理由"}}, "lt"),
        ("classifier.threshold", {}, {"classifier": {"threshold": 0.95}}, "lt"),
        ("classifier.max_records", {}, {"classifier": {"max_records": 30}}, "lt"),
        ("classifier.min_per_class", {}, {"classifier": {"min_per_class": 15}}, "lt"),
        ("classifier.folds", {}, {"classifier": {"folds": 3}}, "lt"),
        ("classifier.group_by", {}, {"classifier": {"group_by": "domain"}}, "lt"),
        ("classifier.ngrams", {}, {"classifier": {"ngrams": [2, 3]}}, "lt"),
        ("classifier.max_chars", {}, {"classifier": {"max_chars": 10}}, "lt"),
        ("classifier.min_records_per_ngram", {}, {"classifier": {"min_records_per_ngram": 1}}, "lt"),
        ("classifier.max_features", {}, {"classifier": {"max_features": 100}}, "lt"),
        ("classifier.inverse_regularisation", {}, {"classifier": {"inverse_regularisation": 1.0}}, "lt"),
        ("max_undecided", {}, {"max_undecided": 0.9}, "l"),
        ("unsure", {}, {"unsure": "迷う"}, "l"),
        ("agreement", {}, {"agreement": False}, "l"),
        ("batch", {}, {"batch": 7}, ""),
    ],
    "thinking_sft": [
        ("format", {}, {"format": "headings"}, "t"),
        ("chat", {}, {"chat": "phi3"}, "t"),
        *((f"chat.{name}", OWN_CHAT, {"chat": value}, "t") for name, value in own_chats()),
        ("system", {}, {"system": ""}, "t"),
        ("compose", TEACHER, {**TEACHER, "compose": "teacher"}, "?"),
        *(
            policy(label, field)
            for label in ("ALLOW", "ESCALATION", "DENY", "REFUSE")
            for field in ("task", "safety", "policy", "reason", "answer")
        ),
        ("placeholders", {}, {"placeholders": {"domain": "総務"}}, "t"),
        ("teacher", {}, TEACHER, "?"),
        ("learn", {}, {"learn": "every"}, "-"),  # the task chat alone reads it: tests/whole/test_chat.py
        ("direct", {}, {"direct": 1.0}, "t"),
        ("history", {}, {"history": "dropped"}, "t"),
        ("direct_again", {"direct": 1.0}, {"direct": 1.0, "direct_again": 1.0}, "t"),
        *(
            (f"teacher.{name}", TEACHER, {"teacher": {"model": "m", name: value}}, "t")
            for name, value in [("model", "n"), ("temperature", 0.5), ("max_tokens", 99), ("seed", 1), ("attempts", 5)]
        ),
        ("teacher.prompt", TEACHER, "a longer prompt", "t"),  # type: ignore[list-item]
        *(
            (f"teacher.{name}", TEACHER, {"teacher": {"model": "m", name: value}}, "")
            for name, value in [
                ("base_url", "http://127.0.0.1:9/v1"),
                ("api_key_env", "KEY"),
                ("concurrency", 2),
                ("timeout", 5.0),
                ("retries", 0),
            ]
        ),
        ("fractions.validation", {}, {"fractions": {"validation": 0.4}}, "t"),
        ("fractions.test", {}, {"fractions": {"test": 0.4}}, "t"),
        ("near_duplicate_threshold", {}, {"near_duplicate_threshold": 0.3}, "t"),
        ("max_dropped", {}, {"max_dropped": 0.9}, "t"),
        ("tokenizer", {}, {"tokenizer": "nowhere"}, "?"),
    ],
}


def merged(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {key: merged(base.get(key), over.get(key, base.get(key))) for key in [*base, *over]}
    return over


@pytest.fixture(scope="module")
def pico(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Pico:
    found = Pico(tmp_path_factory.mktemp("pico"), root)
    more = '{"text": "倉庫の鍵の場所を教えてください", "label": "ALLOW", "answer": "受付にあります。"}\n'
    (found.path / "more.jsonl").write_text(more, "utf-8")
    (found.path / "refusals.jsonl").write_text('{"url": "https://elsewhere.example/"}\n', "utf-8")
    found.write(SPECS)
    found.build()
    return found


ROWS = [(stage, *row) for stage, rows in TABLE.items() for row in rows if row[3] != "-"]


@pytest.mark.parametrize(("stage", "field", "before", "after", "expected"), ROWS, ids=[f"{r[0]}.{r[1]}" for r in ROWS])
def test_a_field_rebuilds_exactly_its_stages(
    pico: Pico, stage: str, field: str, before: dict[str, Any], after: Any, expected: str
) -> None:
    if field == "teacher.prompt":
        default = STAGES[stage].spec.model_validate(before).teacher.prompt  # type: ignore[attr-defined]
        after = {"teacher": {"model": "m", "prompt": f"{default}\n短く。"}}
    start = merged(SPECS[stage], before)
    pico.write({**SPECS, stage: start})
    then = pico.specs()
    buildable = expected != "?" and "hub" not in str(start) and "teacher" not in start
    if buildable:
        pico.build()
        collect(pico.plan().store, in_use(pico.plan()), budget=0)  # or a result of another row is restored

    pico.write({stage: merged(start, copy.deepcopy(after))})
    now = pico.specs()
    built = "".join(LETTERS[name] for name in pico.built()) if buildable else expected
    pico.write({stage: start})
    undone = pico.built() if buildable else []
    pico.write(SPECS)

    planned = [
        name for name in readers(stage, field) if name in now
    ]  # `preference` reads what `adapter` does, and is off
    assert [name for name in now if now[name] != then[name]] == ([stage, *planned] if expected else [])
    assert built == expected
    assert undone == []


def readers(stage: str, field: str) -> list[str]:
    """The stages whose spec here reads this field of another one, or what it is a part of."""
    return [name for name in STAGES if any(f"{stage}.{field}.".startswith(f"{read}.") for read in read_by(name))]


def read_by(name: str) -> list[str]:
    one = STAGES[name]
    unread = one.unread(one.spec.model_validate(SPECS.get(name, {}))) if one.unread else ()
    return [read for read in one.reads if read not in unread]


@pytest.mark.parametrize(
    ("field", "after"),
    [
        ("pii.kinds", {"pii": {"kinds": ["email"]}}),
        ("pii.public_phones", {"pii": {"public_phones": ["0120-000-000"]}}),
        ("pii.internal", {"pii": {"internal": ["契約書"]}}),
        ("harm.categories", {"harm": {"categories": {"weapons": {"patterns": ["拳銃"]}}, "drop": []}}),
        ("harm.suspect", {"harm": {"suspect": 0.8}}),
    ],
)
def test_what_a_teachers_answers_are_searched_for_counts_where_there_is_a_teacher(
    pico: Pico, field: str, after: Any
) -> None:
    changed = []
    for given in (SPECS, merged(SPECS, {"thinking_sft": {"teacher": {"model": "m"}}})):
        pico.write(given)
        then = pico.specs()
        pico.write({"cleaned": merged(SPECS["cleaned"], after)})
        now = pico.specs()
        pico.write(SPECS)
        changed.append({name for name in now if now[name] != then[name]})
    alone, taught = changed

    assert "cleaned" in alone
    assert taught - alone == {"thinking_sft"}


def leaves(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Dotted names of all fields; members of a union are told apart by their kind."""
    for name, field in model.model_fields.items():
        parts = list(models(field.annotation))
        own = f"{path}{name}"
        if not parts or is_list_or_optional(field.annotation):
            yield own
        for part in parts:
            kind = part.model_fields.get("kind")
            tag = f"{typing.get_args(kind.annotation)[0]}." if kind and len(parts) > 1 else ""
            yield from leaves(part, f"{own}.{tag}")


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from models(part)


def is_list_or_optional(annotation: Any) -> bool:
    return not (isinstance(annotation, type) and issubclass(annotation, BaseModel))


def test_the_table_names_every_field_of_every_spec() -> None:
    # fields and constants are the same model in all kinds of sources: once is enough for what lies in them
    for stage, rows in TABLE.items():
        there_are = {
            name
            for name in leaves(STAGES[stage].spec)
            if not name.startswith(("sources.datasets.fields.", "sources.datasets.constants.", *OF_THE_PAGES))
        }
        tested = {row[0] for row in rows}

        assert (stage, there_are - tested, tested - there_are - OF_A_WHOLE) == (stage, set(), set())


# models that are also replaced as a whole above
OF_A_WHOLE = {"sources.files.constants", "sources.datasets.constants", "sources.web.constants"}
OF_THE_PAGES = (  # which raw.yaml may not set
    "sources.web.fields", "sources.web.terms", "sources.web.trust", "sources.web.constants.",
)  # fmt: skip
