"""report: one page: how good the model is, how it came to be, every record and answer behind it; and data cards."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from so8t.engine.stage import Inputs, Stage
from so8t.spec.fields import SpecModel
from stages import FLOW

NAME, FILE, DATA, CROISSANT = "report", "report.html", "DATA.md", "croissant.json"


class Spec(SpecModel):
    """What the page tells."""

    redacted: bool = False
    """Leave out what a stranger must not see: texts, names that somebody chose, hosts and paths."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.report import cards, closing, croissant, datacard, page, reading, redact

    place = inputs.place
    if place is None:
        raise AssertionError("report: the engine says where it is built")
    facts = reading.read(place, NAME)
    shown = redact.redact(facts, reading.fields(place)) if spec.redacted else facts
    where = "" if spec.redacted else "../thinking_sft/splits"
    card = cards.Card(shown.profile, shown, where, shows_losses=not spec.redacted)
    texts = {
        FILE: page.render(shown),
        DATA: datacard.render(card),
        CROISSANT: cards.as_json(croissant.croissant(card)),
    }
    for name, text in texts.items():
        (out / name).write_text(text, "utf-8", newline="\n")
    for line in closing.closing(facts, place.shown(place.folder(NAME).parent), place.shown(place.folder(NAME) / FILE)):
        print(line, file=sys.stderr)


def _manifests() -> tuple[str, ...]:
    """Of every stage before it in the flow that doit builds without being asked."""
    before = (import_module(f"stages.{name}").STAGE for name in FLOW[: FLOW.index(NAME)])
    return tuple(f"{stage.name}/manifest.json" for stage in before if not stage.on_request)


STAGE = Stage(
    NAME,
    spec=Spec,
    build=build,
    takes=_manifests(),
    gives=(FILE, DATA, CROISSANT),
    packages=("jinja2", "markupsafe", "orjson", "python-stdnum", "unicodedata"),
)
