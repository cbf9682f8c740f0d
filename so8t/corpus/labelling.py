"""Which class a record gets, from whom and why: given, by a rule, by the classifier, or left to a person.

Harm has the last word: a record whose text `cleaned` found harmful is never ALLOW, whoever said so.
Two passes over the records: the survey collects what trains the classifier, the second one decides.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from so8t.corpus.agreement import Agreement
from so8t.corpus.classifier import Example, FittedClassifier, Guess
from so8t.corpus.rules import SEVERITY, Harm, Rule, RuleBook
from so8t.errors import DataError, Missed
from so8t.formats.records import LABELS, Label, Record

HEAD = ("id", "text", "system", "history")
NO_GUESS = Guess("ESCALATION", 0.0)
TRAINING_SPLITS = (None, "train")  # every other pinned split is held out


@dataclass(frozen=True)
class Decision:
    label: Label
    confidence: float
    reason: str
    labelled_by: str


@dataclass(frozen=True)
class Policy:
    """How a class is decided once rule and guess are known."""

    rules: RuleBook
    harm: Harm
    reasons: Mapping[Label, str]
    threshold: float
    unsure: str

    def given(self, record: Record, rule: Rule | None) -> Decision:
        label = record["label"]
        said = record.get("reason") or (rule.reason if rule and rule.label == label else self.reasons[label])
        return self.raised(Decision(label, 1.0, said, "given"), record.get("harm", ()))

    def inferred(self, rule: Rule | None, guess: Guess, harm: Sequence[str]) -> Decision:
        if rule:
            decision = Decision(rule.label, rule.confidence, rule.reason, f"rule:{rule.name}")
        elif guess is NO_GUESS or guess.confidence < self.threshold:
            decision = Decision("ESCALATION", guess.confidence, self.unsure, "threshold")
        else:
            decision = Decision(guess.label, guess.confidence, self.reasons[guess.label], "classifier")
        return self.raised(decision, harm)

    def raised(self, decision: Decision, harm: Sequence[str]) -> Decision:
        """DENY and REFUSE stand; a milder class is raised to what the harm demands, never lowered."""
        demand = self.harm.demand(harm)
        if demand is None or SEVERITY[decision.label] >= min(SEVERITY[demand.label], SEVERITY["DENY"]):
            return decision
        return Decision(demand.label, self.harm.confidence, demand.reason, "rule:harm")


def unknown_label(record: Record) -> str | None:
    label = record.get("label")
    if label is None or label in LABELS:
        return None
    return f"unknown label {label!r}, not one of {', '.join(LABELS)}"


def where(record: Record) -> str:
    source = record.get("source", {})
    file = source.get("file") or source.get("name")
    if "record" in source:
        return f"{file}: record {source['record']} ({record['id']})"
    return f"{file}:{source.get('line')}: record {record['id']}"


@dataclass(frozen=True)
class Survey:
    records: int
    unlabelled: int
    trainable: int  # given labels outside held-out splits, before the cap
    examples: tuple[Example, ...]


def survey(
    records: Iterable[Record],
    policy: Policy,
    *,
    cap: int,
    group_by: str | None,
    strict: bool,
) -> Survey:
    """Count the records and keep, of those that may train, the `cap` with the smallest content hash."""
    seen: Counter[str] = Counter()

    def examples() -> Iterator[Example]:
        for record in records:
            seen["records"] += 1
            if problem := unknown_label(record):
                if strict:
                    raise DataError(f"{where(record)}: {problem}; correct it, or set unknown_label: quarantine")
            elif record.get("label") is None:
                seen["unlabelled"] += 1
            elif record.get("split") in TRAINING_SPLITS:
                seen["trainable"] += 1
                yield example(record, policy, group_by)

    kept = heapq.nsmallest(cap, examples(), key=lambda each: each.rank)
    return Survey(seen["records"], seen["unlabelled"], seen["trainable"], tuple(kept))


def example(record: Record, policy: Policy, group_by: str | None) -> Example:
    return Example(
        rank=hashlib.blake2b(f"{record['text']}\0{record['id']}".encode(), digest_size=16).digest(),
        text=record["text"],
        label=policy.given(record, None).label,
        group=record.get("tags", {}).get(group_by) if group_by else None,
        harm=tuple(record.get("harm", ())),
    )


@dataclass
class Labeller:
    """The second pass: decides record by record and counts what it did."""

    policy: Policy
    model: FittedClassifier | None
    measure: bool
    counts: Counter[tuple[str, Label]] = field(default_factory=Counter)
    overruled: Counter[tuple[Label, Label]] = field(default_factory=Counter)
    withdrawn: int = 0
    quarantined: int = 0
    agreements: dict[str, Agreement] = field(default_factory=dict)

    def label(self, records: Iterable[Record], batch: int) -> Iterator[tuple[Record, str | None]]:
        """Each record labelled, or as it was with the problem that keeps it out."""
        stream = iter(records)
        while some := list(islice(stream, batch)):
            guesses = self._guesses(some)
            for index, record in enumerate(some):
                if problem := unknown_label(record):
                    self.quarantined += 1
                    yield record, problem
                else:
                    yield (
                        self._labelled(record, *guesses.get(index, (None, NO_GUESS))),
                        None,
                    )

    def score(self, scope: str, truth: Label, text: str, harm: Sequence[str], guess: Guess) -> None:
        """Count what each labeller would have said about a record whose label is known."""
        self._score(scope, truth, self.policy.rules.match(text), harm, guess)

    def _guesses(self, records: Sequence[Record]) -> dict[int, tuple[Rule | None, Guess]]:
        """Rule and guess for the records that need them; the classifier is asked once a batch."""
        needed = {
            index: self.policy.rules.match(record["text"])
            for index, record in enumerate(records)
            if record.get("label") is None or not record.get("reason") or self._held_out(record)
        }
        guesses = dict.fromkeys(needed, NO_GUESS)
        if self.model:
            asked = [
                index
                for index, rule in needed.items()
                if self._held_out(records[index]) or (rule is None and records[index].get("label") is None)
            ]
            guesses.update(
                zip(
                    asked,
                    self.model.guess([records[index]["text"] for index in asked]),
                    strict=True,
                )
            )
        return {index: (rule, guesses[index]) for index, rule in needed.items()}

    def _held_out(self, record: Record) -> bool:
        return self.measure and record.get("label") in LABELS and record.get("split") not in TRAINING_SPLITS

    def _labelled(self, record: Record, rule: Rule | None, guess: Guess) -> Record:
        given = record.get("label")
        harm = record.get("harm", ())
        decision = self.policy.given(record, rule) if given else self.policy.inferred(rule, guess, harm)
        self.counts[decision.labelled_by.split(":")[0], decision.label] += 1
        if self._held_out(record):
            self._score(record["split"], decision.label, rule, harm, guess)
        if given and given != decision.label:
            self.overruled[given, decision.label] += 1
        return self._written(record, decision)

    def _written(self, record: Record, decision: Decision) -> Record:
        labelled = {key: record[key] for key in HEAD if key in record}
        labelled.update(vars(decision))
        labelled.update((key, value) for key, value in record.items() if key not in labelled)
        if decision.labelled_by != "given" and decision.label != "ALLOW":
            # the answer was written for a help that is not given; kept, it would become a target to generate
            answers = [labelled.pop(key, None) for key in ("answer", "thinking", "rejected")]
            self.withdrawn += any(answer is not None for answer in answers)
        return labelled

    def _score(
        self,
        scope: str,
        truth: Label,
        rule: Rule | None,
        harm: Sequence[str],
        guess: Guess,
    ) -> None:
        agreement = self.agreements.setdefault(scope, Agreement())
        together = self.policy.inferred(rule, guess, harm)
        unsure = together.labelled_by == "threshold"
        agreement.rules.add(truth, rule.label if rule else None, rule.confidence if rule else None)
        agreement.classifier.add(truth, guess.label, guess.confidence)
        agreement.together.add(truth, together.label, None if unsure else together.confidence)
        agreement.unsure += unsure


def check_decided(labeller: Labeller, surveyed: Survey, why: str, most: float) -> None:
    """Missed if too many records are ESCALATION only because nothing could tell their class.

    Where no record has a given label, one such record is too many, unless the spec takes them all.
    """
    undecided = 0 if labeller.model else labeller.counts["threshold", "ESCALATION"]
    nothing_given = not any(who == "given" for who, _ in labeller.counts)
    if undecided <= most * labeller.counts.total() and not (undecided and nothing_given and most < 1):
        return
    raise Missed(
        f"labelled: {undecided:,} of {labeller.counts.total():,} records have no class: none is given, no rule "
        f"matches, and no classifier could be trained ({why}); as ESCALATION they would lose their answers. "
        "Say their classes (fields.label, labels or constants.label in raw.yaml, rules in labelled.yaml), or train "
        "conversations as they are (task: chat in profile.yaml); max_undecided: 1 takes them as ESCALATION all the same"
    )


def report(labeller: Labeller, surveyed: Survey, classifier: Mapping[str, Any]) -> dict[str, Any]:
    """What agreement.json holds."""
    by: dict[str, dict[str, int]] = {}
    for (who, label), count in sorted(labeller.counts.items(), key=lambda item: (item[0][0], SEVERITY[item[0][1]])):
        by.setdefault(who, {})[label] = count
    trained = labeller.model is not None
    return {
        "records": {
            "in": surveyed.records,
            "out": labeller.counts.total(),
            "quarantined": labeller.quarantined,
        },
        "labelled_by": by,
        "overruled": {f"{was} -> {now}": count for (was, now), count in sorted(labeller.overruled.items())},
        "answers_withdrawn": labeller.withdrawn,
        "classifier": classifier,
        "agreement": {scope: tally.figures(trained) for scope, tally in sorted(labeller.agreements.items())},
    }
