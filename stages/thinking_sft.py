"""thinking_sft: conversations whose answers think first, split for training, validation and tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from so8t.corpus import chatformat, shares, tokens
from so8t.corpus.chatformat import Chat
from so8t.corpus.leakage import HeldOut
from so8t.corpus.ledger import Ledger
from so8t.corpus.sft import Composer, ExampleWriter, Policies, Target, policy_problems
from so8t.corpus.splits import Fractions, Splitter
from so8t.corpus.teacher import Teacher, TeacherSpec
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import chat, declared, records
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat
from so8t.formats.records import Record
from so8t.formats.thinking import FormatError, Thinking, ThinkingFormat
from so8t.spec.fields import SpecModel
from so8t.store.answers import Answers


class Spec(SpecModel):
    """How records become conversations, who writes what they lack, and what is held out."""

    format: Literal["quadruple", "headings"] = "quadruple"
    """How thinking and final answer are marked: by tags, or by headings."""
    chat: Chat = "auto"
    """The chat format: role prefixes and suffixes, stop tokens; `auto` finds it in the base's own template, and takes
    phi3 for a base without one."""
    system: str = "あなたは安全なアシスタントです。依頼を判定し、理由を示して答えます。"
    """The system message of every conversation; empty for none."""
    compose: Literal["policy", "teacher"] = "policy"
    """Who writes the thinking that a record does not bring: the policy texts, or the teacher."""
    policies: Policies = Policies()
    """Per class, the texts of the thinking, and the reason and answer of records that bring none."""
    placeholders: dict[str, str] = Field({"domain": "一般"})
    """Tags that policy texts may name in braces, each with the text for records without that tag."""
    teacher: TeacherSpec | None = None
    """The endpoint that writes what is missing; without one, an ALLOW record without an answer is dropped."""
    history: Literal["kept", "dropped"] = "kept"
    """Thinking that a client sends back in an earlier answer: templates keep it there, or drop it."""
    direct: float = Field(0.0, ge=0, le=1)
    """Share of the conversations of train and validation that are learned a second time as direct answers, without
    thinking; with 0, `think: false` gives no answer."""
    direct_again: float = Field(0.0, ge=0, le=1)
    """Share of the direct answers that are learned as a second turn, behind a question and answer of another record of
    the same split: a model that saw single questions alone may think aloud when it is asked again."""
    fractions: Fractions = Fractions()
    """Shares of the held-out splits, by a hash of the text; records that a source pinned stay where they are."""
    near_duplicate_threshold: float | None = Field(0.8, gt=0, le=1)
    """Jaccard similarity of character n-grams from which a record may not stand in another split than its like;
    null compares nothing."""
    max_dropped: float = Field(0.5, ge=0, le=1)
    """The largest share of records that may be dropped; more fails the build, and dropped.jsonl can be seen."""
    tokenizer: str | None = None
    """A local folder with a tokenizer.json, for lengths in tokens; without one they are characters and bytes."""

    @model_validator(mode="after")
    def _texts_can_be_filled(self) -> Spec:
        problems = policy_problems(self.policies, self.placeholders)
        if self.compose == "teacher" and self.teacher is None:
            problems.append("compose: teacher needs a `teacher` section with at least a model")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    chat_format = chatformat.chat_format(spec.chat)
    named = replace(think.FORMATS[spec.format], history=spec.history == "kept")
    thinking_format = think.reserving(named, chat_format.tokens)
    conversation = ExampleWriter(chat_format, thinking_format, spec.system, spec.direct, spec.direct_again)
    composer = Composer(
        thinking_format,
        spec.policies,
        spec.placeholders,
        teacher=spec.teacher is not None,
        teach_all=spec.compose == "teacher",
    )
    labelled = inputs["labelled"] / "labelled.jsonl"
    _write_json(out / declared.FILE, declaration(chat_format, thinking_format, spec.system, spec.direct > 0))
    with Ledger(out, _token_counter(inputs, spec)) as ledger, _answers(inputs, spec) as kept:
        pairs = ((record, composer(record)) for record in _placed(labelled, spec, ledger))
        teacher = Teacher(spec.teacher, thinking_format, kept) if spec.teacher and kept is not None else None
        for record, found in teacher.along(pairs) if teacher else pairs:
            target = composer.target(found, "teacher") if isinstance(found, Thinking) else found
            if isinstance(target, Target):
                ledger.keep(conversation(record, target), target.text)
            elif isinstance(target, FormatError):
                ledger.drop(record, "teacher_format", f"character {target.position}: expected {target.expected}")
            else:
                ledger.drop(record, "no_answer")
        stats = ledger.balance()
    _write_json(out / "stats.json", stats)
    print(f"thinking_sft: {stats['in']} in, {stats['out']} out, dropped {stats['dropped'] or 'none'}", file=sys.stderr)
    shares.check("thinking_sft", stats["dropped"], stats["out"], spec.max_dropped, "max_dropped")


def declaration(chat_format: ChatFormat, thinking_format: ThinkingFormat, system: str, direct: bool) -> dict[str, Any]:
    """What training, templates, grammar and server derive from: the one declaration of both formats.

    `direct` says whether answers without thinking are learned.
    """
    return {
        "system": system,
        "direct": direct,
        "chat": chat.to_json(chat_format),
        "thinking": think.to_json(thinking_format),
        "jinja": chat.jinja_template(chat_format, *think.dropping(thinking_format)),
    }


def _placed(labelled: Path, spec: Spec, ledger: Ledger) -> Iterator[Record]:
    """Every record with its split, but for those that are too like one of a split held out."""
    splitter = Splitter(spec.fractions)
    arriving = _arriving(labelled, splitter, ledger)
    if spec.near_duplicate_threshold is None:
        yield from arriving
        return
    with HeldOut(labelled, splitter, spec.near_duplicate_threshold) as held_out:
        for record, like in held_out.alike(arriving):
            if like is None:
                yield record
            else:
                ledger.drop(record, "near_duplicate_across_splits", f"like {like}")


def _arriving(labelled: Path, splitter: Splitter, ledger: Ledger) -> Iterator[Record]:
    for record in records.read(labelled):
        ledger.came_in += 1
        record["split"] = splitter(record)
        yield record


def _answers(inputs: Inputs, spec: Spec) -> AbstractContextManager[Answers | None]:
    return Answers(inputs.scratch / "teacher.jsonl") if spec.teacher else nullcontext()


def _token_counter(inputs: Inputs, spec: Spec) -> Callable[[str], int] | None:
    if spec.tokenizer is None:
        return None
    found = inputs.sources.get("tokenizer", ())
    if not found:
        raise StageError(
            f"thinking_sft.tokenizer: {spec.tokenizer} has no tokenizer.json; name a folder that has one, or null"
        )
    return tokens.counter(found[0].path)


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


STAGE = Stage(
    "thinking_sft",
    spec=Spec,
    build=build,
    takes=("labelled/labelled.jsonl",),
    gives=("thinking_sft.jsonl", "splits/", "dropped.jsonl", declared.FILE, "stats.json"),
    sources=lambda spec: {"tokenizer": [f"{spec.tokenizer}/tokenizer.json"]} if spec.tokenizer else {},
    packages=("orjson", "rensa", "unicodedata"),
)
