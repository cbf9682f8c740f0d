"""curves: pictures of the training."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import Field

from so8t.engine.stage import Inputs, Stage
from so8t.spec.fields import SpecModel

CLIP = "adapter.train.max_gradient"


class Spec(SpecModel):
    """How the pictures look."""

    width: float = Field(10.0, ge=6, le=40)
    """Inches."""
    dpi: int = Field(120, ge=40, le=600)
    """Dots in an inch."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.plots import curves
    from so8t.plots.canvas import Look

    look = Look(spec.width, spec.dpi, inputs.mark("curves"))
    series = inputs["adapter"] / "monitoring" / "series.npz"
    made = curves.draw(series, out / "plots", look, inputs.reads.get(CLIP))
    print(f"curves: {', '.join(path.name for path in made)}", file=sys.stderr)


STAGE = Stage(
    "curves",
    spec=Spec,
    build=build,
    takes=("adapter/monitoring/series.npz",),
    reads=(CLIP,),
    gives=("plots/",),
    packages=("matplotlib", "numpy", "pillow"),
)
