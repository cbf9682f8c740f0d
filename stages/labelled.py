"""labelled: one of ALLOW, ESCALATION, DENY, REFUSE for every record, with confidence and reason."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field

from so8t.corpus import labelling, shares
from so8t.corpus.classifier import Classifier, FittedClassifier, shortage, train
from so8t.corpus.rules import Harm, RuleBook, Rules
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import records
from so8t.formats.records import Label
from so8t.spec.fields import SpecModel, execution, only
from so8t.store import running

TASK = "profile.task"


class Reasons(SpecModel):
    ALLOW: str = Field("危険や権限の問題がない、通常の依頼です。", min_length=1)
    """Why a record is ALLOW."""

    ESCALATION: str = Field("専門家または責任者による判断が必要な内容です。", min_length=1)
    """Why a record is ESCALATION."""

    DENY: str = Field("依頼者の権限または組織の規程の範囲を超える内容です。", min_length=1)
    """Why a record is DENY."""

    REFUSE: str = Field("有害または違法な行為につながる内容です。", min_length=1)
    """Why a record is REFUSE."""


OF_CLASSES = only("four_class")


class Spec(SpecModel):
    """How records get a class; under the task chat they get none, and pass as they are."""

    unknown_label: Literal["strict", "quarantine"] = Field("strict", json_schema_extra=OF_CLASSES)
    """A given label that is not one of the four: stop there, or put the record aside in quarantined.jsonl."""

    rules: Rules = Field((), json_schema_extra=OF_CLASSES)
    """Classes by pattern. The most severe class wins (REFUSE, DENY, ESCALATION, ALLOW), then the first rule."""

    harm: Harm = Field(Harm(), json_schema_extra=OF_CLASSES)
    """What the harm that `cleaned` found demands. It raises even a given label; DENY and REFUSE stand."""

    reasons: Reasons = Field(Reasons(), json_schema_extra=OF_CLASSES)
    """Why, for each class, where neither the record nor a rule says it."""

    classifier: Classifier = Field(Classifier(), json_schema_extra=OF_CLASSES)
    """What decides where no label is given and no rule matches, trained on the given labels."""

    unsure: str = Field(
        "自動では十分な確信を持って判断できないため、担当者が確認します。", min_length=1, json_schema_extra=OF_CLASSES
    )
    """Why a record is ESCALATION when the classifier is below its threshold or could not be trained."""

    agreement: bool = Field(True, json_schema_extra=OF_CLASSES)
    """Measure rules and classifier against held-out given labels."""

    max_undecided: float = Field(0.5, ge=0, le=1, json_schema_extra=OF_CLASSES)
    """The largest share of records that may become ESCALATION because no label, no rule and no classifier told their
    class; more fails the build, and so does one where no record has a given label, unless this is 1."""

    batch: int = execution(1024, ge=1)
    """Records that the classifier is asked about at once."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    cleaned = inputs["cleaned"] / "cleaned.jsonl"
    if inputs.reads[TASK] == "chat":
        _pass_through(cleaned, out)
        return
    policy = _policy(spec)
    surveyed = labelling.survey(
        records.read(cleaned),
        policy,
        cap=spec.classifier.max_records,
        group_by=spec.classifier.group_by,
        strict=spec.unknown_label == "strict",
    )
    labeller, classifier = _prepare(surveyed, policy, spec)
    with (
        (out / "labelled.jsonl").open("wb") as kept,
        (out / "quarantined.jsonl").open("wb") as aside,
    ):
        for at, (record, problem) in enumerate(labeller.label(records.read(cleaned), spec.batch)):
            running.tell("record", at)
            if problem:
                aside.write(records.line(_quarantined(record, problem)))
            else:
                kept.write(records.line(record))
    report = labelling.report(labeller, surveyed, classifier)
    _check_counts(**report["records"])
    (out / "agreement.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(_summary(report), file=sys.stderr)
    shares.check("labelled", {"unknown_label": labeller.quarantined}, labeller.counts.total(), 1.0, "max_quarantined")
    labelling.check_decided(labeller, surveyed, report["classifier"].get("why", ""), spec.max_undecided)


def _pass_through(cleaned: Path, out: Path) -> None:
    """Conversations as they are need no class."""
    count = records.write(out / "labelled.jsonl", records.read(cleaned))
    (out / "quarantined.jsonl").write_bytes(b"")
    report = {"task": "chat", "records": {"in": count, "out": count, "quarantined": 0}}
    (out / "agreement.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"labelled: {count} records passed on as they are: the task chat gives no labels", file=sys.stderr)


def _policy(spec: Spec) -> labelling.Policy:
    reasons: dict[Label, str] = {label: getattr(spec.reasons, label) for label in records.LABELS}
    return labelling.Policy(
        RuleBook.of(spec.rules),
        spec.harm,
        reasons,
        spec.classifier.threshold,
        spec.unsure,
    )


def _prepare(
    surveyed: labelling.Survey, policy: labelling.Policy, spec: Spec
) -> tuple[labelling.Labeller, dict[str, Any]]:
    """Train where something needs it; the training records are scored by models that never saw them."""
    examples = surveyed.examples
    why = shortage(examples, spec.classifier)
    if not surveyed.unlabelled and not spec.agreement:
        why = "not needed: every record has a label, and agreement is off"
    if why:
        labeller = labelling.Labeller(policy, None, spec.agreement)
        guesses = [labelling.NO_GUESS] * len(examples)
    else:
        training = train(examples, spec.classifier)
        labeller = labelling.Labeller(policy, training.model, spec.agreement)
        guesses = list(training.out_of_fold)
    if spec.agreement:
        for each, guess in zip(examples, guesses, strict=True):
            labeller.score("out_of_fold", each.label, each.text, each.harm, guess)
    return labeller, _described(labeller.model, why, surveyed)


def _described(model: FittedClassifier | None, why: str | None, surveyed: labelling.Survey) -> dict[str, Any]:
    if model is None:
        return {"trained": False, "why": why}
    return {
        "trained": True,
        "given_labels": surveyed.trainable,
        "trained_on": len(surveyed.examples),
        "features": model.features,
        "temperature": round(model.temperature, 4),
    }


def _quarantined(record: records.Record, problem: str) -> records.Record:
    return {
        "id": record["id"],
        "reason": "unknown_label",
        "detail": problem,
        "source": record.get("source"),
    }


def _check_counts(**counts: int) -> None:
    if counts["in"] != counts["out"] + counts["quarantined"]:
        raise StageError(
            f"labelled: {counts['in']} records came in, {counts['out']} went out and {counts['quarantined']} "
            "were quarantined: cleaned.jsonl changed while it was read; build again"
        )


def _summary(report: dict[str, Any]) -> str:
    by = ", ".join(f"{sum(classes.values())} by {who}" for who, classes in report["labelled_by"].items())
    parts = [f"labelled: {report['records']['out']} records: {by}".replace("by given", "given")]
    if report["records"]["quarantined"]:
        parts.append(f"{report['records']['quarantined']} quarantined")
    if report["overruled"]:
        parts.append(f"{sum(report['overruled'].values())} given labels overruled because of harm")
    if not report["classifier"]["trained"]:
        parts.append(f"classifier not trained ({report['classifier']['why']})")
    for scope, figures in report["agreement"].items():
        parts.append(f"{scope} accuracy {figures['together']['accuracy']:.3f}")
    return "; ".join(parts)


STAGE = Stage(
    name="labelled",
    reads=(TASK,),
    spec=Spec,
    build=build,
    takes=("cleaned/cleaned.jsonl",),
    gives=("labelled.jsonl", "quarantined.jsonl", "agreement.json"),
    packages=("numpy", "orjson", "scikit-learn", "scipy", "unicodedata"),
)
