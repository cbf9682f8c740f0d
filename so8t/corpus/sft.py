"""What the model learns from one record: a conversation that ends with an answer in the thinking format.

The answer comes from given parts or from policy texts; where neither suffices the record waits for the teacher
or is dropped; no answer is ever shortened to fit.
A source's answer and thinking count only for the class that they were written for: once a rule or harm has
changed the class, a policy text answers.  A harmful request is never an ALLOW target and never meets the teacher;
the answer that a source gives to it may comply, so that only a source of high trust is believed to refuse.
What a teacher writes is searched for harm itself: flagged words are never learned as help; and personal data in it
gives way to placeholders, as in the records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from so8t.corpus import harm, templates
from so8t.corpus.direct import Choice
from so8t.errors import StageError
from so8t.formats import chat
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat
from so8t.formats.records import LABELS, Record
from so8t.formats.thinking import Final, Thinking, ThinkingFormat
from so8t.spec.fields import SpecModel

if TYPE_CHECKING:
    from so8t.corpus import pii

MadeFrom = Literal["given", "policy", "teacher"]
OWN_NAMES = ("label", "reason")  # placeholders that every record can fill
PARTS = ("task", "safety", "policy")


class LabelPolicy(SpecModel):
    """The texts of one class; {reason}, {label} and the names under `placeholders` are filled in."""

    task: str = Field(min_length=1)
    """What is asked for."""
    safety: str = Field(min_length=1)
    """What could go wrong."""
    policy: str = Field(min_length=1)
    """What the rules say about it."""
    reason: str = Field(min_length=1)
    """The reason where a record has none."""
    answer: str = ""
    """The answer where a record has none; needed for every class but ALLOW, which must not have one."""


class Policies(SpecModel):
    """One policy per class."""

    ALLOW: LabelPolicy = LabelPolicy(
        task="{domain}の質問に答える。",
        safety="危険は見当たらない。",
        policy="通常の支援として答える。",
        reason="一般的な質問",
    )
    """Ordinary help: answered."""
    ESCALATION: LabelPolicy = LabelPolicy(
        task="{domain}の相談を受ける。",
        safety="誤ると影響が大きい。",
        policy="人の判断に引き継ぐ。",
        reason="人の判断が必要",
        answer="この件は担当者が確認します。担当窓口へおつなぎします。",
    )
    """A person must decide."""
    DENY: LabelPolicy = LabelPolicy(
        task="{domain}の依頼を受ける。",
        safety="権限外の開示や操作になる。",
        policy="規程により応じない。",
        reason="権限の範囲外",
        answer="権限の範囲を超えるため、お応えできません。",
    )
    """Outside the requester's authority or the organisation's policy."""
    REFUSE: LabelPolicy = LabelPolicy(
        task="{domain}の依頼を受ける。",
        safety="人に害が及ぶ恐れがある。",
        policy="有害な依頼は断る。",
        reason="有害な行為の依頼",
        answer="有害な行為に関わるため、お手伝いできません。",
    )
    """A harmful or illegal act: named, never answered."""


def policy_problems(policies: Policies, placeholders: Mapping[str, str]) -> list[str]:
    """Everything wrong with the texts: `policies.DENY.task: unknown placeholder {reson}, did you mean {reason}?`."""
    known = (*OWN_NAMES, *placeholders)
    problems = [
        f"placeholders.{name}: every record fills {{{name}}} itself" for name in OWN_NAMES if name in placeholders
    ]
    for label in LABELS:
        texts: LabelPolicy = getattr(policies, label)
        for part in PARTS:
            found = templates.problems(getattr(texts, part), known)
            problems += [f"policies.{label}.{part}: {problem}" for problem in found]
        if label == "ALLOW" and texts.answer:
            problems.append("policies.ALLOW.answer: one answer cannot serve every question; leave it out")
        if label != "ALLOW" and not texts.answer.strip():
            problems.append(f"policies.{label}.answer: needed for records that bring no answer")
    return problems


class Target(NamedTuple):
    """The assistant's text, as the model shall write it."""

    text: str
    made_from: MadeFrom


class Composer:
    """From a record to its target, or None where only a teacher could answer."""

    def __init__(
        self,
        fmt: ThinkingFormat,
        policies: Policies,
        placeholders: Mapping[str, str],
        *,
        teacher: bool = False,
        teach_all: bool = False,
        harm: harm.Table | None = None,
        personal: pii.Table | None = None,
    ) -> None:
        self._harm, self._personal = harm, personal
        self._fmt, self._teacher, self._teach_all = fmt, teacher, teach_all
        self._policies: dict[str, LabelPolicy] = {label: getattr(policies, label) for label in LABELS}
        self._casts = {label: cast(label, texts, placeholders, fmt) for label, texts in self._policies.items()}

    def __call__(self, record: Record) -> Target | None:
        label, answer, reason = record["label"], record.get("answer"), record.get("reason")
        parts, harm = record.get("thinking"), record.get("harm")
        if label == "ALLOW":
            if harm:
                raise _harmful_target(record)
        elif record["labelled_by"] != "given" or (harm and record["source"].get("trust") != "high"):
            answer = parts = None  # written for another class, or perhaps with the harm itself
        if self._teacher and not harm and not (parts and answer) and (self._teach_all or not (answer and reason)):
            return None
        if not (answer and reason):
            answer, reason = answer or self._policies[label].answer, reason or self._policies[label].reason
            if not answer:
                return None
        if parts:
            final = Final(label, record["confidence"], reason, answer)
            return self.target(Thinking(parts["task"], parts["safety"], parts["policy"], final), "given")
        return Target(self._casts[label](record, reason, answer), "policy")

    def taught(self, record: Record, thinking: Thinking) -> Target | list[str]:
        """The teacher's words; where they are harmful, the class's own, and for ALLOW, which has none, what they are.

        What a class that does not help names in its thinking is named in order to refuse it.
        """
        thinking = self._impersonal(record, thinking)
        label, final = record["label"], thinking.final
        helps = (thinking.task, thinking.safety, thinking.policy, final.reason) if label == "ALLOW" else ()
        found = self._harm.categories((final.answer, *helps)) if self._harm else []
        if not found:
            return self.target(thinking, "teacher")
        if label == "ALLOW":
            return found
        own = self._policies[label]
        return Target(self._casts[label](record, record.get("reason") or own.reason, own.answer), "policy")

    def _impersonal(self, record: Record, thinking: Thinking) -> Thinking:
        """Without personal data; a person whom the teacher names is never one whom the record numbers."""
        table = self._personal
        if table is None:
            return thinking
        from so8t.corpus import pii

        who = pii.persons(table, beside=str(record))

        def change(text: str) -> str:
            return pii.remove(text, table, who)[0]

        task, safety, policy = map(change, thinking.inner)
        final = replace(thinking.final, reason=change(thinking.final.reason), answer=change(thinking.final.answer))
        return Thinking(task, safety, policy, final)

    def target(self, thinking: Thinking, made_from: MadeFrom) -> Target:
        return Target(think.compose(thinking, self._fmt), made_from)


Cast = Callable[[Record, str, str], str]


def cast(label: str, texts: LabelPolicy, placeholders: Mapping[str, str], fmt: ThinkingFormat) -> Cast:
    """From record, reason and answer to compose()'s text; the thinking, which many records share, is remembered."""
    parts = tuple(getattr(texts, part) for part in PARTS)
    used = set().union(*map(templates.placeholders, parts))
    tags_used = [(name, fallback) for name, fallback in placeholders.items() if name in used]
    names = ("label", "reason", *(name for name, _ in tags_used))

    @lru_cache(maxsize=4096)
    def opening(reason: str, *tags: str) -> str:
        values = dict(zip(names, (label, reason, *tags), strict=True))
        return think.opening([templates.fill(part, values) for part in parts], label, fmt)

    inert, (to_reason, to_answer, end) = think.inert, think.joints(fmt)
    names_reason = "reason" in used

    def text(record: Record, reason: str, answer: str) -> str:
        tags = record.get("tags") or {}
        before = opening(reason if names_reason else "", *[tags.get(name) or fallback for name, fallback in tags_used])
        confidence = record["confidence"]
        return f"{before}{confidence:.2f}{to_reason}{inert(reason, fmt)}{to_answer}{inert(answer, fmt)}{end}"

    return text


def _harmful_target(record: Record) -> StageError:
    return StageError(
        f"record {record['id']}: harmful text ({', '.join(record['harm'])}) with the label ALLOW would become a target "
        "to generate; give it DENY or REFUSE, or let a rule of `labelled` do so"
    )


class ExampleWriter:
    """From a record and its target to the line of thinking_sft.jsonl."""

    def __init__(
        self,
        chat_format: ChatFormat,
        thinking_format: ThinkingFormat,
        system: str,
        direct: float = 0.0,
        direct_again: float = 0.0,
    ) -> None:
        self._chat, self._thinking = chat_format, thinking_format
        self._chosen, self._again = Choice(direct), Choice(direct_again, "direct again")
        self._last: dict[str, list[dict[str, str]]] = {}  # by split, the turn that was learned directly last
        self._system = [{"role": "system", "content": system}] if system else []
        self._frame = chat.frame(chat_format, system)

    def __call__(self, record: Record, target: Target) -> Record:
        question, (answer, made_from) = record["text"], target
        ending = {"role": "user", "content": question}, {"role": "assistant", "content": answer}
        if "system" in record or "history" in record:
            messages = [*self._opening(record), *ending]
            text = chat.render(messages, self._chat)
        else:
            before, between, after = self._frame
            messages = [*self._system, *ending]
            text = f"{before}{question}{between}{answer}{after}"
        example = {
            "id": record["id"],
            "messages": messages,
            "text": text,
            "label": record["label"],
            "confidence": record["confidence"],
            "split": record["split"],
            "made_from": made_from,
        }
        if self._chosen(record["id"], record["split"]):
            example |= self._direct(record, messages)
        if (worse := self._rejected(record, answer)) is not None:
            example["rejected"] = worse
        if "tags" in record:
            example["tags"] = record["tags"]
        if "harm" in record:
            example["harm"] = record["harm"]
        example["source"] = record["source"]
        return example

    def _rejected(self, record: Record, answer: str) -> str | None:
        """The record's worse answer in the same words around it, for preference tuning, where its own is the target."""
        if "rejected" not in record:
            return None
        thought = think.split(answer, self._thinking)
        if thought.final.answer != record.get("answer"):
            return None
        final = replace(thought.final, answer=record["rejected"])
        return think.compose(replace(thought, final=final), self._thinking)

    def _direct(self, record: Record, messages: Sequence[dict[str, str]]) -> dict[str, Any]:
        """That it is learned directly, too; and, if it is chosen for that, behind which turn of another record."""
        split, (question, answer) = record["split"], messages[-2:]
        final = think.final_part(answer["content"], self._thinking)
        before, self._last[split] = self._last.get(split), [question, {**answer, "content": final}]
        if before is None or "history" in record or not self._again(record["id"], split):
            return {"direct": True}
        return {"direct": True, "before": before}

    def _opening(self, record: Record) -> list[dict[str, str]]:
        """The policy's system text, the record's own, and earlier turns; an earlier answer is a final part alone."""
        opening = list(self._system)
        if record.get("system"):
            opening.append({"role": "system", "content": record["system"]})
        for message in record.get("history") or ():
            role, content = message["role"], message["content"]
            if role == "assistant":
                content = think.wrap_final(think.inert(content, self._thinking), self._thinking)
            opening.append({"role": role, "content": content})
        return opening
