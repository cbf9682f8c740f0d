"""Every document of a release, by its name, from what it tells.  Pure."""

from __future__ import annotations

from so8t.release import bom, modelcard, notice, statements
from so8t.release.told import Told
from so8t.report import croissant, datacard
from so8t.report.cards import as_json

BOM, CROISSANT, STATEMENTS = "bom.cdx.json", "croissant.json", "attestations"


def documents(told: Told) -> dict[str, str]:
    return {
        "README.md": modelcard.render(told),
        "DATA.md": datacard.render(told.card),
        "NOTICE": notice.render(told),
        BOM: as_json(bom.bom(told)),
        CROISSANT: as_json(croissant.croissant(told.card)),
        **{f"{STATEMENTS}/{name}.intoto.json": as_json(one) for name, one in statements.statements(told).items()},
    }
