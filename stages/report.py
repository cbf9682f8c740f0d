"""report: one page: how good the model is, how it came to be, and every record and answer behind it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from so8t.engine.stage import Inputs, Stage
from so8t.spec.fields import SpecModel
from stages import FLOW

NAME, FILE = "report", "report.html"


class Spec(SpecModel):
    """What the page tells."""

    redacted: bool = False
    """Leave out what a stranger must not see: texts, names that somebody chose, hosts and paths."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.report import closing, page, reading, redact

    place = inputs.place
    if place is None:
        raise AssertionError("report: the engine says where it is built")
    facts = reading.read(place, NAME)
    shown = redact.redact(facts, reading.fields(place)) if spec.redacted else facts
    (out / FILE).write_text(page.render(shown), "utf-8", newline="\n")
    for line in closing.closing(facts, place.shown(place.folder(NAME).parent), place.shown(place.folder(NAME) / FILE)):
        print(line, file=sys.stderr)


def _manifests() -> tuple[str, ...]:
    """Of every stage before it in the flow that doit builds without being asked."""
    before = (import_module(f"stages.{name}").STAGE for name in FLOW[: FLOW.index(NAME)])
    return tuple(f"{stage.name}/manifest.json" for stage in before if not stage.on_request)


STAGE = Stage(
    NAME, spec=Spec, build=build, takes=_manifests(), gives=(FILE,), packages=("jinja2", "markupsafe", "orjson")
)
