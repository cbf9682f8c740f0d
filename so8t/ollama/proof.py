"""That an imported model does what it was made for: it can think, it has our template, its answer keeps the format."""

from __future__ import annotations

from typing import Any

from so8t.errors import StageError
from so8t.formats import thinking as think
from so8t.formats.gotemplate import closing, opening
from so8t.formats.thinking import FormatError, Thinking, ThinkingFormat
from so8t.ollama.asking import Reply

SHOWN = 200  # characters of an answer in a message


def check_imported(model: str, shown: dict[str, Any], template: str, thinks: bool) -> None:
    """`shown` is the answer of /api/show."""
    if shown.get("template") != template:
        raise StageError(f"ollama: {model} has another TEMPLATE than its Modelfile: the server chose one of its own")
    if thinks and "thinking" not in shown.get("capabilities", []):
        found = ", ".join(shown.get("capabilities", [])) or "none"
        raise StageError(f"ollama: the server finds no thinking in the TEMPLATE of {model} (capabilities: {found})")


def read(model: str, reply: Reply, fmt: ThinkingFormat, thinks: bool) -> Thinking:
    """The answer's parts, as the model wrote them; anything else than the format is a failed import."""
    close = fmt.parts[-1].close
    whole = opening(fmt) + reply.thinking + closing(fmt) + reply.content + close if thinks else reply.content
    try:
        if thinks and not reply.thinking:
            raise FormatError(0, opening(fmt), repr(reply.content[:20]))
        return think.split(whole, fmt)
    except FormatError as error:
        raise StageError(
            f"ollama: the answer of {model} is not in the thinking format ({error}; it ended with "
            f"{reply.done_reason!r}): thinking {reply.thinking[:SHOWN]!r}, content {reply.content[:SHOWN]!r}; "
            "see in evaluation whether the model keeps the format at all, and raise num_predict if it was cut off"
        ) from error
