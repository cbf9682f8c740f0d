"""thinking_sft: conversations whose answers think first, split for training, validation and tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from so8t.corpus import chatformat, chosen, harm, shares, talks, tokens
from so8t.corpus.chatformat import Chat
from so8t.corpus.leakage import HeldOut
from so8t.corpus.ledger import Ledger
from so8t.corpus.sft import Composer, ExampleWriter, Policies, Target, policy_problems
from so8t.corpus.splits import Fractions, Splitter
from so8t.corpus.talks import TalkWriter
from so8t.corpus.teacher import Teacher, TeacherSpec
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import chat, declared, records
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat
from so8t.formats.records import Record
from so8t.formats.thinking import FormatError, Thinking, ThinkingFormat
from so8t.spec.fields import SpecModel, each, only
from so8t.store import running
from so8t.store.answers import Answers

TASK, HARM, SUSPECT = "profile.task", "cleaned.harm.categories", "cleaned.harm.suspect"
OF_ANSWERS = (HARM, SUSPECT, *chosen.FIELDS)  # what a teacher's answers are searched for
SYSTEM = "あなたは安全なアシスタントです。依頼を判定し、理由を示して答えます。"
OF_CLASSES = only("four_class")


class Spec(SpecModel):
    """How records become conversations, who writes what they lack, and what is held out."""

    format: Literal["quadruple", "headings", "think", "none"] | None = Field(
        None, json_schema_extra=each(quadruple="four_class", think="chat", none="chat")
    )
    """How thinking and final answer are marked: by tags for its three parts, by headings, by <think> and </think>, or
    no thinking at all; null: quadruple under the task four_class, none under chat."""
    chat: Chat = "auto"
    """The chat format: role prefixes and suffixes, stop tokens; `auto` finds it in the base's own template, and takes
    phi3 for a base without one."""
    system: str | None = Field(None, json_schema_extra=each())
    """The system message of every conversation, before one that a record brings; empty for none; null: none under the
    task chat, and one that asks for a judgement under four_class."""
    compose: Literal["policy", "teacher"] = Field("policy", json_schema_extra=OF_CLASSES)
    """Who writes the thinking that a record does not bring: the policy texts, or the teacher."""
    policies: Policies = Field(Policies(), json_schema_extra=OF_CLASSES)
    """Per class, the texts of the thinking, and the reason and answer of records that bring none."""
    placeholders: dict[str, str] = Field({"domain": "一般"}, json_schema_extra=OF_CLASSES)
    """Tags that policy texts may name in braces, each with the text for records without that tag."""
    teacher: TeacherSpec | None = Field(None, json_schema_extra=OF_CLASSES)
    """The endpoint that writes what is missing; without one, an ALLOW record without an answer is dropped."""
    learn: Literal["last", "every"] = Field("last", json_schema_extra=only("chat"))
    """Which answers of a conversation carry the loss: the one that ends it, or earlier ones, too, as far as they stand
    there as the model writes them."""
    history: Literal["kept", "dropped"] = "kept"
    """Thinking that a client sends back in an earlier answer: templates keep it there, or drop it."""
    direct: float = Field(0.0, ge=0, le=1)
    """Share of the conversations of train and validation that are learned a second time as direct answers, without
    thinking; with 0, `think: false` gives no answer."""
    direct_again: float = Field(0.0, ge=0, le=1, json_schema_extra=OF_CLASSES)
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
        if self.learn == "every" and self.history == "dropped" and self.format not in (None, "none"):
            problems.append("learn: every needs history: kept, for an answer without its thinking is not to be learned")
        if self.compose == "teacher" and self.teacher is None:
            problems.append("compose: teacher needs a `teacher` section with at least a model")
        if problems:
            raise ValueError("; ".join(problems))
        return self


@dataclass(frozen=True)
class Formats:
    """What the task and the spec say of how a conversation is written."""

    chat: ChatFormat
    thinking: ThinkingFormat
    system: str


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    task = inputs.reads[TASK]
    formats, writes = _formats(spec, task), _talks if task == "chat" else _judgements
    with Ledger(out, _token_counter(inputs, spec)) as ledger:
        placed = _placed(inputs["labelled"] / "labelled.jsonl", spec, ledger)
        direct = writes(placed, formats, ledger, inputs, spec)
        stats = ledger.balance()
    _write_json(out / declared.FILE, declaration(formats.chat, formats.thinking, formats.system, direct))
    _write_json(out / "stats.json", stats)
    print(f"thinking_sft: {stats['in']} in, {stats['out']} out, dropped {stats['dropped'] or 'none'}", file=sys.stderr)
    shares.check("thinking_sft", stats["dropped"], stats["out"], spec.max_dropped, "max_dropped")


def _formats(spec: Spec, task: str) -> Formats:
    chat_format, talks = chatformat.chat_format(spec.chat), task == "chat"
    named = think.PLAIN[spec.format or "none"] if talks else think.FORMATS[spec.format or "quadruple"]
    thinking_format = think.reserving(replace(named, history=spec.history == "kept"), chat_format.tokens)
    usual = "" if talks else SYSTEM
    return Formats(chat_format, thinking_format, usual if spec.system is None else spec.system)


def _judgements(placed: Iterable[Record], formats: Formats, ledger: Ledger, inputs: Inputs, spec: Spec) -> bool:
    """Under four_class: an answer that judges, from its record, the policy texts or the teacher.

    Gives whether direct answers are learned.
    """
    conversation = ExampleWriter(formats.chat, formats.thinking, formats.system, spec.direct, spec.direct_again)
    composer = Composer(
        formats.thinking,
        spec.policies,
        spec.placeholders,
        teacher=spec.teacher is not None,
        teach_all=spec.compose == "teacher",
        harm=harm.Table(inputs.reads[HARM], inputs.reads[SUSPECT]) if spec.teacher else None,
        personal=chosen.table(inputs.reads) if spec.teacher else None,
    )
    with _answers(inputs, spec) as kept:
        pairs = ((record, composer(record)) for record in placed)
        teacher = Teacher(spec.teacher, formats.thinking, kept) if spec.teacher and kept is not None else None
        for record, found in teacher.along(pairs) if teacher else pairs:
            target = composer.taught(record, found) if isinstance(found, Thinking) else found
            if isinstance(target, Target):
                ledger.keep(conversation(record, target), target.text)
            elif isinstance(target, FormatError):
                ledger.drop(record, "teacher_format", f"character {target.position}: expected {target.expected}")
            elif target:
                ledger.drop(record, "teacher_harm", ", ".join(target))
            else:
                ledger.drop(record, "no_answer")
    return spec.direct > 0


def _talks(placed: Iterable[Record], formats: Formats, ledger: Ledger, inputs: Inputs, spec: Spec) -> bool:
    """Under chat: conversations as they are; harmful ones would become targets to generate.

    Gives whether direct answers are learned.
    """
    conversation, directly = TalkWriter(formats.chat, formats.thinking, formats.system, spec.learn, spec.direct), False
    for record in placed:
        turn = talks.last(record)
        if record.get("harm"):
            ledger.drop(record, "harmful", ", ".join(record["harm"]))
        elif turn is None:
            ledger.drop(record, "no_answer")
        else:
            example = conversation(record, turn)
            directly = directly or "direct" in example
            ledger.keep(example, example["messages"][-1]["content"])
    if formats.thinking.thinks and not conversation.thought:
        raise StageError(
            f"thinking_sft: format {formats.thinking.name} marks thinking, and no record brings any; take format: "
            "none, or give answers that begin with <think>...</think>"
        )
    if conversation.left_out:
        print(
            f"thinking_sft: the thinking of {conversation.left_out} answers is left out: format none has no place for "
            "it; format: think keeps it",
            file=sys.stderr,
        )
    return directly


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
        running.tell("record", ledger.came_in)
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
    reads=(TASK, *OF_ANSWERS),
    unread=lambda spec: () if spec.teacher else OF_ANSWERS,
    spec=Spec,
    build=build,
    takes=("labelled/labelled.jsonl",),
    gives=("thinking_sft.jsonl", "splits/", "dropped.jsonl", declared.FILE, "stats.json"),
    sources=lambda spec: {"tokenizer": [f"{spec.tokenizer}/tokenizer.json"]} if spec.tokenizer else {},
    packages=("japanese-personal-name-dataset", "orjson", "python-stdnum", "rensa", "unicodedata"),
)
