"""The page: values go in, one self-contained HTML text comes out."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from so8t.engine.why import ABSENT
from so8t.report import (
    flow,
    graph,
    headline,
    ledger,
    samples,
    sources,
    spread,
    summary,
    talks,
    training,
    verdicts,
    words,
    worth,
)
from so8t.report.facts import Facts, Figure

_LOOK = files("so8t.report") / "look"
_PARTS = ("report.html", "comparison.html", "badge.html", "style.css", "script.js")
_TIMES = 14  # stages in the list of where the time went
_CLIP = 160  # characters of a spec's value


def render(facts: Facts) -> str:
    return environment().get_template("report.html").render(
        facts=facts,
        summary=summary.summary(facts),
        plumbing=summary.is_plumbing(facts),
        as_of=summary.as_of(facts),
        model=headline.tuned(facts),
        cards=headline.cards(facts),
        answers=headline.answers(facts),
        picture=graph.draw(facts.stages),
        times=sorted((stage for stage in facts.stages if stage.seconds), key=lambda stage: -stage.seconds)[:_TIMES],
        steps=flow.steps(facts),
        flow=flow.draw(facts),
        origins=sources.origins(facts),
        found=sources.found(facts),
        differing=[(stage, value) for stage in facts.stages for value in stage.values if value.differs],
        charts=training.charts(facts),
        worth=worth.measured() if facts.find("so8t_model/so8t.json", "layers") else None,
        proofs=ledger.proofs(facts),
        entries=ledger.entries(facts),
        types=ledger.types(facts),
        parts=spread.parts(facts),
        kl=spread.COLUMNS,
        weighed=spread.weighed(facts),
        flips=spread.flips(facts),
        tensors=spread.tensors(facts),
        lines=verdicts.lines(facts),
        matrices=verdicts.matrices(facts),
        talks=talks.lines(facts),
        first=samples.ordered(facts.samples)[: samples.FIRST],
        samples=data(samples.table(facts)),
        packages=packages(facts),
        names={stage.name for stage in facts.stages},
    )  # fmt: skip


@lru_cache
def environment() -> Environment:
    parts = {name: (_LOOK / name).read_text("utf-8") for name in _PARTS}
    found = Environment(
        loader=DictLoader(parts), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.globals |= {"css": Markup(parts["style.css"]), "script": Markup(parts["script.js"])}
    found.filters |= {"size": words.size, "seconds": words.seconds, "number": words.number, "shown": shown}
    found.filters |= {"state": graph.state_of, "way": samples.way, "errors": samples.errors}
    found.tests |= {"figure": lambda piece: isinstance(piece, Figure), "absent": lambda value: value is ABSENT}
    return found


def data(value: Any) -> Markup:
    """JSON for a script element: no `<` in it, so no text can end the element."""
    return Markup(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))


def shown(value: Any) -> str:
    """A spec's value as YAML would have it, clipped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _CLIP else f"{text[:_CLIP]}…"


def packages(facts: Facts) -> list[tuple[str, str, list[str]]]:
    """Each package with its version, and the stages whose result depends on it."""
    found: dict[tuple[str, str], list[str]] = {}
    for stage in facts.stages:
        for package, version in stage.made.packages.items() if stage.made else ():
            found.setdefault((package, version), []).append(stage.name)
    return [(package, version, stages) for (package, version), stages in sorted(found.items())]
