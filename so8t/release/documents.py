"""Every document of a release, by its name, from what it tells.  Pure."""

from __future__ import annotations

import json
from typing import Any

from so8t.release import bom, croissant, datacard, modelcard, notice, statements
from so8t.release.told import Told

BOM, CROISSANT, STATEMENTS = "bom.cdx.json", "croissant.json", "attestations"


def documents(told: Told) -> dict[str, str]:
    return {
        "README.md": modelcard.render(told),
        "DATA.md": datacard.render(told),
        "NOTICE": notice.render(told),
        BOM: as_json(bom.bom(told)),
        CROISSANT: as_json(croissant.croissant(told)),
        **{f"{STATEMENTS}/{name}.intoto.json": as_json(one) for name, one in statements.statements(told).items()},
    }


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
