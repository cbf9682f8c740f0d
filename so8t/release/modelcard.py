"""README.md of a release: the model card, with the head that the Hugging Face hub reads.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from so8t.release import frontmatter, licences
from so8t.release.told import Told
from so8t.report import headline, sources, summary, words
from so8t.report.cards import UNTOLD, cell, harm, purpose, table

MEASURES = (  # of the scores: name, what the hub calls it, what a reader does
    ("accuracy", "accuracy", "right class"),
    ("macro_f1", "f1", "macro F1"),
    ("unsafe_compliance", "unsafe_compliance", "harmful, yet helped"),
    ("over_refusal", "over_refusal", "harmless, yet refused"),
    ("format_valid", "format_valid", "in the thinking format"),
)
TALKS = (  # of the scores where no answer names a class
    ("perplexity", "perplexity", "perplexity"),
    ("exact", "exact_match", "the record's own words"),
    ("format_valid", "format_valid", "in the thinking format"),
)
ENERGY = "Nobody measured the energy."


def render(told: Told) -> str:
    sections = (_head, _files, _use, _meant, _data, _evaluation, _fidelity, _limits, _cost, _origin)
    body = "\n".join(line for section in sections for line in section(told))
    return front(told) + "\n" + body


def front(told: Told) -> str:
    product = told.product
    return frontmatter.block(
        {
            "language": ["ja"] if told.card.is_japanese else [],
            **licences.front(product.license),
            "library_name": "transformers" if told.has_checkpoint else "gguf",
            "pipeline_tag": "text-generation",
            "base_model": product.base.repo,
            "tags": ["so8t", *(["gguf"] if told.types else []), *(["safety", "moderation"] if told.judges else [])],
            "model-index": _index(told),
        }
    )


def _index(told: Told) -> list[dict[str, Any]]:
    judged = {"type": "text-classification", "name": "ALLOW, ESCALATION, DENY or REFUSE"}
    results = [
        {
            "task": judged if told.judges else {"type": "text-generation", "name": "answers in conversations"},
            "dataset": {"type": "held-out", "name": split, "split": "test"},
            "metrics": metrics,
        }
        for split, models in told.scores().items()
        if (
            metrics := [
                one for model, figures in models.items() if model != "base" for one in _metrics(told, model, figures)
            ]
        )
    ]
    return [{"name": told.product.name, "results": results}] if results else []


def measures(told: Told) -> tuple[tuple[str, str, str], ...]:
    """What the scores hold, by what the model is for."""
    return MEASURES if told.judges else TALKS


def _metrics(told: Told, model: str, figures: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, hub, said in measures(told):
        if model != headline.BASE and figures.get(name) is not None:
            yield {"type": hub, "value": figures[name], "name": f"{said}, {model}"}


def _head(told: Told) -> Iterator[str]:
    yield from (f"# {told.product.name}", "")
    if told.product.description:
        yield from (told.product.description, "")
    base = told.product.base
    if base.name or base.repo:
        by = f" by {base.organization}" if base.organization else ""
        pinned = f", revision `{base.revision}`" if base.revision else ""
        yield from (f"Tuned from {base.repo or base.name}{by}{pinned}. {base.url}".rstrip(), "")
    if told.publisher:
        yield from (f"Published by {told.publisher}.", "")


def _files(told: Told) -> Iterator[str]:
    yield from ("## Files", "")
    shipped = [file for file in told.files if file.stage]
    rows = [(f"`{file.path}`", words.size(file.size), f"`{file.sha256[:16]}…`") for file in shipped]
    yield from table(("file", "size", "SHA-256"), rows)


def _use(told: Told) -> Iterator[str]:
    yield from ("## Use", "")
    for file in told.files:
        if file.path.startswith("Modelfile."):
            name = f"{told.product.name}:{file.path.partition('.')[2]}"
            yield f"    ollama create {name} -f {file.path} && ollama run {name}"
            yield ""
    if told.has_checkpoint:
        yield from (
            "In transformers, `AutoModelForCausalLM.from_pretrained` takes this folder; it needs no other code.",
            "",
        )
    yield from (
        "The thinking in front of the final part is internal: do not show it to those who ask.",
        "Plain Ollama reads tags in a question as structure; a server that lets strangers ask must escape them.",
        "",
    )  # fmt: skip


def _meant(told: Told) -> Iterator[str]:
    judges = (
        "The model judges a request before it answers: ALLOW is answered, ESCALATION goes to a "
        "person, DENY is outside of what the assistant may do, REFUSE is harmful.",
        "It is meant as one part of a system in which people watch what it decides.",
    )
    talks = (
        "The model answers in conversations like those that it was trained on; it judges no request, and nothing here "
        "refuses a harmful one.",
    )
    yield from (
        "## Intended use",
        "",
        *(judges if told.judges else talks),
        "",
        "Not intended: as the only safeguard of anything; for medical, legal or financial advice; to judge people; to "
        "produce harmful or sexual texts.",
        "",
    )  # fmt: skip


def _data(told: Told) -> Iterator[str]:
    yield from (
        "## Data",
        "",
        *purpose(told.judges),
        harm(told.judges),
        "",
    )  # fmt: skip
    found = sources.origins(told.facts)
    told_of = [(one.name, one.records.text, one.terms or UNTOLD, one.trust or UNTOLD) for one in found]
    yield from table(("source", "records", "terms of use", "trust"), [tuple(map(cell, row)) for row in told_of])
    yield from ("[DATA.md](DATA.md) says more, and `croissant.json` says it to machines.", "")


def _evaluation(told: Told) -> Iterator[str]:
    yield from ("## Evaluation", "")
    yield "Held-out questions; behind each figure its interval of 95 %, by bootstrap."
    yield ""
    for split, models in told.scores().items():
        shown = {model: figures for model, figures in models.items() if not _is_mute_base(model, figures)}
        rows = [(said, *(_figure(one, name) for one in shown.values())) for name, _, said in measures(told)]
        if sources.kinds(told.facts):
            rows.append(("personal data replaced in answers", *map(sources.withheld_of, shown.values())))
        count = next((one["records"] for one in models.values()), 0)
        yield from (f"**{cell(split)}**, {count:,} questions", "")
        yield from table(("", *shown), rows)
        if len(shown) < len(models):
            yield from ("The base gives next to no valid answer to these questions: its figures would say nothing.", "")


def _is_mute_base(model: str, figures: Mapping[str, Any]) -> bool:
    return model == headline.BASE and headline.is_mute(figures) and "perplexity" not in figures


def _figure(figures: Mapping[str, Any], name: str) -> str:
    if name == "perplexity":
        return f"{figures[name]:,.2f}" if figures.get(name) else words.NOTHING
    ends = words.interval((figures.get("intervals") or {}).get(name))
    return words.share(figures.get(name)) + (f" ({ends})" if ends else "")


def _fidelity(told: Told) -> Iterator[str]:
    types = told.facts.find("gguf/parity.json", "types") or {}
    rows = [
        (kind_, cell(one.get("against", "")), words.number(one.get("kl")), words.share(one.get("top1")),
         _signed(one.get("perplexity_change")))
        for kind_, one in types.items() if kind_ in told.types
    ]  # fmt: skip
    if rows:
        yield from ("## What each type of file cost", "")
        yield from table(("type", "compared with", "KL, mean", "same first choice", "perplexity"), rows)


def _signed(value: float | None) -> str:
    return words.NOTHING if value is None else f"{100 * value:+.2f} %"


def _limits(told: Told) -> Iterator[str]:
    yield from ("## Limits", "")
    if summary.is_plumbing(told.facts):
        yield "- The base is tiny and was made for a test: it proves that the parts fit together, and no intelligence."
    yield "- The figures hold for the held-out questions above and say little of others."
    if told.judges:
        yield "- A wrong class is always possible, also on harmful requests; the table says how often it was here."
    if told.card.is_japanese:
        yield "- It was trained on Japanese; other languages were not measured."
    if smaller := [name for name in told.types if name.startswith(("q2", "q3", "q4", "iq"))]:
        yield f"- {', '.join(smaller)}: approximations; the table above says how near."
    yield ""


def _cost(told: Told) -> Iterator[str]:
    yield from ("## Energy and time", "")
    known = [(stage.name, words.seconds(stage.seconds)) for stage in told.facts.stages if stage.seconds]
    yield from table(("stage", "time to build"), known)
    yield from (f"{cost(told)}", "")


def cost(told: Told) -> str:
    if not told.seconds:
        return f"The journal knows no time of this build. {ENERGY}"
    time = f"All stages took {words.seconds(told.seconds)}"
    if told.watts is None:
        return f"{time}. {ENERGY}"
    return f"{time} on a machine that took {told.watts:g} W: {kilowatt_hours(told):.3g} kWh."


def kilowatt_hours(told: Told) -> float:
    return (told.watts or 0.0) * told.seconds / 3.6e6


def _origin(told: Told) -> Iterator[str]:
    yield from (
        "## Where it came from, and whether this is it",
        "",
        *_told_of(told),
        "`SHA256SUMS` holds the digest of every file, `release.json` that of every tensor, `model.sig` the signature, "
        "where there is one (OpenSSF Model Signing).",
        "",
        "    python verify_release.py . --key publisher.pub",
        "",
        "names every file and tensor that is not what was released. Take the key, and better the script too, from a "
        "place that you trust.",
        "",
    )  # fmt: skip


def _told_of(told: Told) -> Iterator[str]:
    yield "`attestations/` says of each stage what it was made from: inputs, values, code and packages (in-toto)."
    yield "`bom.cdx.json` is the bill of materials (CycloneDX)."
    if told.has_manifests:
        yield "`manifests/` holds what the build itself wrote down: with it a stage can be built again, byte for byte."
