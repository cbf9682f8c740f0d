"""When memory runs out: what the machine said, and which settings to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from so8t.errors import StageError


class Run(Protocol):
    """The settings of a training that take memory."""

    @property
    def micro_batch(self) -> int: ...
    @property
    def gradient_checkpointing(self) -> bool: ...
    @property
    def sequence(self) -> int: ...


@contextmanager
def explained(settings: Run, quantise: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise StageError(advice(settings, quantise, str(error))) from error


def is_out_of_memory(error: BaseException) -> bool:
    """CUDA's own class, the processor's allocator, which has none, and bitsandbytes, which passes on CUDA's text."""
    text = str(error)
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(sign in text for sign in ("can't allocate memory", "not enough memory", "out of memory"))
    )


def advice(settings: Run, quantise: str, said: str) -> str:
    """What can be lowered, the settings first that leave the key alone: training then goes on from its checkpoint."""
    same, other = [], []
    if settings.micro_batch > 1:
        same.append(f"train.micro_batch (now {settings.micro_batch})")
    if not settings.gradient_checkpointing:
        same.append("train.gradient_checkpointing (now false)")
    if quantise != "nf4":
        other.append(f"quantise (now {quantise}: {'int8 or nf4' if quantise == 'none' else 'nf4'})")
    other += [f"train.sequence (now {settings.sequence})", "lora.r"]
    reason = said.strip().splitlines()[0] if said.strip() else "no memory left"
    lines = [f"adapter: out of memory: {reason}"]
    if same:
        lines.append(f"first change {' or '.join(same)}: doit then goes on from the last checkpoint, which is kept")
    lines.append(f"else change {', '.join(other)}: that starts anew" if same else f"change {', '.join(other)}")
    return "\n".join(lines)
