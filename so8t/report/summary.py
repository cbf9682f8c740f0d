"""What this is, in a few lines: base, training, files, time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from so8t.report import graph, words
from so8t.report.facts import Facts, Figure

Piece = str | Figure


@dataclass(frozen=True)
class Fact:
    """A term and what is said of it; a piece that is a figure links to where it comes from."""

    term: str
    pieces: tuple[Piece, ...]


def summary(facts: Facts) -> tuple[Fact, ...]:
    return tuple(fact for fact in (_base(facts), _training(facts), _files(facts), _time(facts)) if fact.pieces)


def is_plumbing(facts: Facts) -> bool:
    """Whether the base is the tiny one that a project makes for itself: its answers prove no intelligence."""
    return bool(facts.find("base_model/base.json", "source") == "tiny")


def _base(facts: Facts) -> Fact:
    file = "base_model/base.json"
    found = facts.documents.get(file)
    if not found:
        return Fact("Base", ())
    count = Figure(words.number(found["parameters"]), file, "parameters")
    return Fact(
        "Base", (f"{found['architecture']}, ", count, " parameters, source: ", Figure(found["source"], file, "source"))
    )


def _training(facts: Facts) -> Fact:
    file = "adapter/training.json"
    found = facts.documents.get(file)
    if not found:
        return Fact("Training", ())
    pieces: list[Piece] = [
        Figure(words.number(found["data"]["conversations"]), file, "data.conversations"), " conversations, ",
        Figure(words.number(found["steps"]), file, "steps"), " steps, ",
        Figure(words.number(found["trainable"]), file, "trainable"), " parameters trained",
    ]  # fmt: skip
    gates = facts.find("so8t_model/so8t.json", "layers")
    if gates:
        pieces += [", gates in ", Figure(words.number(len(gates)), "so8t_model/so8t.json", "layers"), " layers"]
    return Fact("Training", tuple(pieces))


def _files(facts: Facts) -> Fact:
    stage = next((stage for stage in facts.stages if stage.name == "gguf"), None)
    made = [file for file in stage.made.files if file.path.endswith(".gguf")] if stage and stage.made else []
    return Fact("Files", tuple(_joined([_file(file.path, file.size) for file in made])))


def _file(path: str, size: int) -> Figure:
    return Figure(f"{path.rsplit('/', 1)[-1]} {words.size(size)}", f"gguf/{path}", "files")


def _joined(figures: Sequence[Figure]) -> Iterator[Piece]:
    for at, figure in enumerate(figures):
        if at:
            yield ", "
        yield figure


def _time(facts: Facts) -> Fact:
    path = set(graph.critical(facts.stages))
    known = [stage for stage in facts.stages if stage.seconds]
    if not known:
        return Fact("Time", ())
    whole = sum(stage.seconds for stage in known)
    longest = sum(stage.seconds for stage in known if stage.name in path)
    slowest = max(known, key=lambda stage: stage.seconds)
    said = f"{words.seconds(whole)} in all stages, {words.seconds(longest)} in the longest chain; "
    return Fact("Time to build", (f"{said}{slowest.name} alone took {words.seconds(slowest.seconds)}",))


def as_of(facts: Facts) -> str:
    """The last moment that the journal tells of: when the newest artifact came to its place."""
    return max((stage.built.when for stage in facts.stages if stage.built), default="")
