"""A base with an adapter and its gates on top, to be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def load(base: Path, adapter: Path, precision: str, remote_code: bool) -> Any:
    """On the GPU where there is one."""
    from peft import PeftModel

    from so8t.models import loading
    from so8t.weights import gatefiles

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = loading.load(base, precision, device=device, remote_code=remote_code)  # type: ignore[arg-type]
    gatefiles.load(found, adapter)
    return PeftModel.from_pretrained(found, str(adapter)).eval()
