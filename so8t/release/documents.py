"""Every document of a release, by its name, from what it tells.  Pure."""

from __future__ import annotations

from so8t.release import datacard, modelcard, notice
from so8t.release.told import Told


def documents(told: Told) -> dict[str, str]:
    return {
        "README.md": modelcard.render(told),
        "DATA.md": datacard.render(told),
        "NOTICE": notice.render(told),
    }
