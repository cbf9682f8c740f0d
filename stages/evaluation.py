"""evaluation: every GGUF on held-out records through llama.cpp, with thinking and without, beside PyTorch's answers."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
from pydantic import AfterValidator, Field, model_validator

from so8t.corpus import chosen
from so8t.engine.stage import Inputs, Stage
from so8t.errors import Missed, StageError
from so8t.formats import declared
from so8t.spec.fields import At, SpecModel, execution, only

if TYPE_CHECKING:
    from so8t.evals.asking import Way
    from so8t.evals.bench import Bench, Question, Sheet
    from so8t.evals.fidelity import Reference
    from so8t.evals.leaks import Watch
    from so8t.formats.declared import Declared
    from so8t.formats.records import Record
    from so8t.formats.thinking import ThinkingFormat

BASE = "base"


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiled)]


class Bootstrap(SpecModel):
    """The 95 % intervals."""

    draws: int = Field(2000, ge=100, le=100_000)
    """Times that the records are resampled."""
    seed: int = Field(0, ge=0)
    """Where the drawing starts."""


class Grammar(SpecModel):
    """A second pass that is held to the thinking format; an answer without it fails the stage."""

    conversations: int | None = Field(32, ge=1)
    """At most so many of each split, first those whose free answers broke the format; null: all."""
    text: int = Field(200, ge=1)
    """Characters of each text of an answer, at most; with it, every answer ends."""
    longest: int = Field(2048, ge=1)
    """Tokens of an answer, at most: more than its texts can have."""


class Harness(SpecModel):
    """Tasks of lm-evaluation-harness, for each type and the base."""

    version: str = Field(min_length=1)
    """Of lm_eval, such as 0.4.13; the figures depend on it."""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Their names, as `lm-eval ls tasks` prints them; most fetch their data from the network."""
    folder: str = ""
    """A folder of your own tasks."""
    shots: int | None = Field(None, ge=0)
    """Worked examples before each question; null: as the task says."""
    limit: int | None = Field(None, ge=1)
    """At most so many questions of each task; null: all."""


class Spec(SpecModel):
    """Which files answer what, and how near PyTorch they must be."""

    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Held-out splits of thinking_sft, each scored on its own; adapter_scores must have answered them."""
    conversations: int | None = Field(None, ge=1)
    """At most so many of each, from the front; null: all."""
    types: tuple[str, ...] | None = Field(None, min_length=1)
    """Types of gguf; null: all that it made."""
    base: bool = True
    """Ask the base model too, as f16: what did the tuning change?"""
    longest: int = Field(512, ge=1)
    """Tokens of an answer, at most."""
    grammar: Grammar | None = None
    """A second pass under the grammar; null: none."""
    bounds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field({}, json_schema_extra=only("four_class"))
    """By type: how far its accuracy may be from PyTorch's, in place of the usual 0.01 (f16) to 0.05 (q4_k_m)."""
    patterns: dict[str, Pattern] = Field({}, json_schema_extra=only("chat"))
    """Regular expressions by name, each searched for in what an answer shows; the share of answers that it matches."""
    bootstrap: Bootstrap = Bootstrap()
    """The intervals."""
    harness: Harness | None = None
    """Tasks of lm-evaluation-harness; null: none."""
    workers: int = execution(2, ge=1, le=64)
    """Answers made side by side."""
    threads: int = execution(1, ge=1, le=256)
    """Threads of the processor for each."""
    gpu_layers: int = execution(0, ge=0)
    """Layers on the GPU, where cyllama was built for one."""

    @model_validator(mode="after")
    def _fits(self) -> Spec:
        for name in ("splits", "types"):
            named = getattr(self, name) or ()
            if len(set(named)) < len(named):
                raise ValueError(f"{name}: one of them is named twice")
        return self


def agrees(spec: Spec, specs: Mapping[str, Any]) -> Iterator[At]:
    scores, types = specs["adapter_scores"], specs["gguf"].types
    for split in spec.splits:
        if split not in scores.splits:
            text = f"adapter_scores does not answer {split}: name it in splits of adapter_scores.yaml, too"
            yield At(text, "evaluation.splits", "adapter_scores.splits")
    answered, asked = scores.conversations, spec.conversations
    if answered and (asked is None or asked > answered):
        text = f"adapter_scores answers the first {answered} records of a split, and evaluation asks {asked or 'all'}"
        text = f"{text}: set conversations to the same number in both"
        yield At(text, "adapter_scores.conversations", "evaluation.conversations")
    for kind in spec.types or ():
        if kind not in types:
            text = f"{kind} is not in types of gguf.yaml ({', '.join(types)}): add it there, or leave it out here"
            yield At(text, "evaluation.types", "gguf.types")


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.evals import bench, fidelity, harness, pace
    from so8t.evals.bench import Bench
    from so8t.evals.withheld import Withhold
    from so8t.gguf import llamacpp
    from so8t.plots import talks, verdicts
    from so8t.plots.canvas import Look
    from so8t.store.answers import Answers

    files, formats = _files(inputs["gguf"], spec), declared.read(inputs["chat_format"])
    talked = _heldout(inputs["thinking_sft"], spec)
    questions = _questions(talked, formats.thinking)
    given = fidelity.read(inputs["adapter_scores"] / "samples.jsonl")
    fidelity.check_answered(given, {split: [one.id for one in asked] for split, asked in questions.items()})
    tasks = spec.harness and harness.open_tasks(**spec.harness.model_dump())
    watch = _watch(inputs["thinking_sft"], questions, formats.thinking)
    withhold = Withhold(chosen.table(inputs.reads), formats.thinking)
    with Answers(inputs.scratch / "answers.jsonl", lag=1.0) as kept, _base(inputs, out, spec, formats) as base:
        asking = Bench(questions, formats.chat, formats.thinking, _way(spec), kept, watch, withhold)
        sheet = _ask(asking, spec, base | files, formats.direct)
        if formats.thinking.classed:
            splits, apart = _scores(sheet, list(files), given, spec)
        else:
            splits, apart = _talk_scores(sheet, base | files, talked, given, formats, spec), []
        scores: dict[str, Any] = {"engine": llamacpp.version(), "watched": watch.figures, "splits": splits}
        if tasks:
            scores["harness"] = {
                model: tasks.run(path, spec.threads, spec.gpu_layers) for model, path in (base | files).items()
            }
        kept.close_without_others()
    (out / "scores.json").write_bytes(orjson.dumps(scores, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    bench.write(out / "samples.jsonl", sheet)
    look = Look(mark=inputs.mark("evaluation"))
    if not formats.thinking.classed:
        talks.draw(splits, out / "plots", look)
    else:
        verdicts.draw(splits, out / "plots", look)
    if formats.thinking.classed and (sentence := verdicts.left_out(splits)):
        print(f"evaluation: no picture of reliability: {sentence}", file=sys.stderr)
    pace.write(inputs.scratch, {"workers": spec.workers, "threads": spec.threads, "models": sheet.pace})
    if missed := [*bench.leaking(sheet.direct), *fidelity.missed(apart)]:
        raise Missed(f"evaluation: {'; '.join(missed)}")


def _files(folder: Path, spec: Spec) -> dict[str, Path]:
    made = orjson.loads((folder / "parity.json").read_bytes())
    for field, kinds in (("types", spec.types or ()), ("bounds", spec.bounds)):
        if missing := [kind for kind in kinds if kind not in made["types"]]:
            raise StageError(f"evaluation: {field}: gguf did not make {missing[0]}; it made {', '.join(made['types'])}")
    return {kind: folder / "models" / f"{made['name']}-{kind}.gguf" for kind in spec.types or made["types"]}


def _heldout(sft: Path, spec: Spec) -> dict[str, list[Record]]:
    from so8t.corpus.conversations import heldout

    return heldout(sft, spec.splits, spec.conversations, "evaluation: splits")


def _questions(talked: Mapping[str, Sequence[Record]], fmt: ThinkingFormat) -> dict[str, list[Question]]:
    from so8t.evals.bench import Question
    from so8t.formats import thinking

    return {
        split: [
            Question(record["id"], record.get("label"), before, thinking.read(answer["content"], fmt))
            for record in found
            for *before, answer in [record["messages"]]
        ]
        for split, found in talked.items()
    }


@contextmanager
def _base(inputs: Inputs, out: Path, spec: Spec, formats: Declared) -> Iterator[dict[str, Path]]:
    """The base as f16, for as long as it is needed; where the artifact grows, for there is room for its size."""
    if not spec.base:
        yield {}
        return
    with tempfile.TemporaryDirectory(dir=out) as folder:
        path = Path(folder) / f"{BASE}-f16.gguf"
        _convert(inputs, path, spec, formats.thinking)
        yield {BASE: path}


def _convert(inputs: Inputs, path: Path, spec: Spec, thinking: ThinkingFormat) -> None:
    from so8t.gguf import layout, writer
    from so8t.gguf.metadata import Provenance
    from so8t.watch.quiet import quiet

    try:
        with quiet():
            words = declared.vocabulary(inputs["chat_format"])
            source = layout.open_source(inputs["base_model"] / "model")
            vocabulary = layout.read_vocabulary(source, thinking.tokens, words.pre_tokenizer)
            writer.write(source, path, "f16", Provenance(BASE), vocabulary)
    except StageError as error:
        raise StageError(f"evaluation: base: {error}; or leave it out with base: false") from error


def _watch(sft: Path, questions: Mapping[str, Sequence[Question]], fmt: ThinkingFormat) -> Watch:
    """For what the training split thinks, and what the records that are asked would think."""
    from so8t.evals.leaks import Watch
    from so8t.formats import records, thinking

    lines = records.read(sft / "splits" / "train.jsonl")
    learned = (thinking.read(record["messages"][-1]["content"], fmt) for record in lines)
    return Watch(fmt, learned, [one.thinking for asked in questions.values() for one in asked])


def _way(spec: Spec) -> Way:
    from so8t.evals.asking import Way

    return Way(spec.longest, spec.workers, spec.threads, spec.gpu_layers)


def _ask(bench: Bench, spec: Spec, files: Mapping[str, Path], directly: bool) -> Sheet:
    """The base has learned no way of answering, so it is asked in one."""
    from so8t.evals.bench import Guided, Sheet

    sheet = Sheet()
    for model, path in files.items():
        bench.ask(sheet, model, path)
        if directly and model != BASE:
            bench.ask_directly(sheet, model, path)
        if spec.grammar and model != BASE:
            bench.guide(sheet, model, path, Guided(**spec.grammar.model_dump()))
    return sheet


def _scores(sheet: Sheet, kinds: Sequence[str], given: Reference, spec: Spec) -> tuple[dict[str, Any], list[str]]:
    """By split and model; and what is too far from PyTorch."""
    from so8t.evals import bench, fidelity
    from so8t.evals.flips import flips

    scores, problems = {}, []
    for split, by_model in sheet.free.items():
        scores[split] = found = bench.scores(by_model, spec.bootstrap.draws, spec.bootstrap.seed, BASE)
        for kind in kinds:
            found[kind]["pytorch"] = beside = fidelity.compare(by_model[kind], given, split, kind, spec.bounds)
            found[kind]["flips"] = flips(by_model, kind, given, split)
            problems += fidelity.problems(split, kind, len(by_model[kind]), beside)
            if sheet.direct:
                draws, seed = spec.bootstrap.draws, spec.bootstrap.seed
                found[kind]["direct"] = bench.direct_scores(sheet.direct[split][kind], by_model[kind], draws, seed)
            if spec.grammar:
                found[kind]["grammar"] = bench.guided_figures(sheet.guided[split][kind])
    return scores, problems


def _talk_scores(
    sheet: Sheet,
    files: Mapping[str, Path],
    talked: Mapping[str, Sequence[Record]],
    given: Reference,
    formats: Declared,
    spec: Spec,
) -> dict[str, Any]:
    """By split and model, of answers that name no class."""
    from so8t.evals import bench, bootstrap, fidelity, likelihood, talks
    from so8t.formats import thinking

    seed, draws, scores = spec.bootstrap.seed, spec.bootstrap.draws, {}
    for split, records in talked.items():
        losses = {
            model: likelihood.losses(path, records, formats.chat, formats.thinking, spec.threads, spec.gpu_layers)
            for model, path in files.items()
        }
        answers = [thinking.read(one["messages"][-1]["content"], formats.thinking).shown for one in records]
        weights = bootstrap.draws(len(records), draws, seed)
        by_model = sheet.free[split]
        scores[split] = found = talks.scores(by_model, answers, losses, spec.patterns, weights, BASE, formats.thinking)
        for kind, figures in found.items():
            print(
                f"evaluation: {split}, {kind}: loss {figures['loss']:.3f}, perplexity {figures['perplexity']}, "
                f"{figures['exact']:.1%} word for word",
                file=sys.stderr,
            )
            if kind == BASE:
                continue
            figures["pytorch"] = fidelity.alike(by_model[kind], given, split)
            if sheet.direct:
                figures["direct"] = bench.direct_scores(sheet.direct[split][kind], by_model[kind], draws, seed)
            if spec.grammar:
                figures["grammar"] = bench.guided_figures(sheet.guided[split][kind])
    return scores


STAGE = Stage(
    "evaluation",
    reads=chosen.FIELDS,
    spec=Spec,
    build=build,
    sources=lambda spec: {"harness": [f"{spec.harness.folder}/**/*"]} if spec.harness and spec.harness.folder else {},
    takes=(
        "gguf",
        "thinking_sft/splits/",
        declared.TAKEN,
        declared.VOCABULARY,
        "base_model",
        "adapter_scores/samples.jsonl",
    ),
    gives=("scores.json", "samples.jsonl", "plots/"),
    agrees=agrees,
    packages=(
        *("orjson", "cyllama", "gguf", "numpy", "matplotlib", "pillow"),
        *("japanese-personal-name-dataset", "python-stdnum"),
    ),
)
