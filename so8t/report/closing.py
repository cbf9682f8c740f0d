"""What a person wants to know when a build has ended: where the model is, how good it is, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from so8t.report.facts import Facts
from so8t.report.headline import BASE, FILE


def closing(facts: Facts, folder: str, page: str) -> Iterator[str]:
    """`folder` holds the profile's artifacts; both as the user's shell names them."""
    files = _modelfiles(facts)
    if files:
        first, *others = files
        yield f"model: {folder}/modelfile/{first}" + "".join(f", {other.rpartition('.')[2]}" for other in others)
    if said := ", ".join(_accuracy(facts)):
        yield f"right: {said}"
    if said := ", ".join(_perplexity(facts)):
        yield f"perplexity: {said}"
    yield f"report: {page}"
    profile = "" if facts.profile == "tiny" else f" profile={facts.profile}"
    if files:
        yield f"next: doit serve{profile}, or ollama create {facts.profile} -f {folder}/modelfile/{files[0]}"


def _modelfiles(facts: Facts) -> list[str]:
    stage = next((stage for stage in facts.stages if stage.name == "modelfile"), None)
    made = stage.made.files if stage and stage.made else ()
    return [file.path for file in made if file.path.startswith("ollama/Modelfile.")]


def _accuracy(facts: Facts) -> Iterator[str]:
    """Of each split, the file that answers best, and the base where it answers at all."""
    for split, models in (facts.find(FILE, "splits") or {}).items():
        tuned = {
            name: figures["accuracy"] for name, figures in models.items() if name != BASE and "accuracy" in figures
        }
        if tuned:
            best = max(tuned, key=lambda name: tuned[name])
            yield f"{tuned[best]:.1%} of {split} ({best})"


def _perplexity(facts: Facts) -> Iterator[str]:
    """Of each split, where answers name no class, the file that finds the records' own answers likeliest."""
    for split, models in (facts.find(FILE, "splits") or {}).items():
        known = {name: figures["loss"] for name, figures in models.items() if name != BASE and "loss" in figures}
        if known:
            best = min(known, key=lambda name: known[name])
            yield f"{models[best]['perplexity']} on {split} ({best})"
