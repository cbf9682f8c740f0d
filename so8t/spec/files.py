"""What each file of a profile may hold: a stage's spec, or the settings of the server, which is no stage."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from so8t.serve.settings import Serve
from so8t.stage import Stage


def models(stages: Mapping[str, Stage]) -> dict[str, type[BaseModel]]:
    return {**{name: stage.spec for name, stage in stages.items()}, "serve": Serve}
