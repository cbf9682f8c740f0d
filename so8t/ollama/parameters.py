"""PARAMETER as Ollama knows it: each name, its type, and the range that Ollama does not check.

A PARAMETER holds where a request does not say otherwise, with one exception: Ollama's /v1 puts temperature 1.0 and
top_p 1.0 where a request names none, whatever the Modelfile says.  It keeps top_k, and top_k 1 leaves nothing to
luck, so it is written beside temperature 0.
"""

from __future__ import annotations

import re
from typing import Annotated, get_args

from pydantic import Field, ValidationError

from so8t.spec.fields import SpecModel

Count = Annotated[int, Field(ge=1, lt=1 << 31)]
Natural = Annotated[int, Field(ge=0, lt=1 << 31)]
OrMinusOne = Annotated[int, Field(ge=-1, lt=1 << 31)]
Share = Annotated[float, Field(ge=0, le=1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]

DEPRECATED = (
    "penalize_newline",
    "low_vram",
    "f16_kv",
    "logits_all",
    "vocab_only",
    "use_mlock",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
)
_INT = re.compile(r"[+-]?[0-9]{1,18}")
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_BOOL = {**dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True)}
_BOOL |= dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False)


class Parameters(SpecModel):
    """What Ollama does when a request does not say otherwise; what is null stays Ollama's own default.

    /v1 takes 1.0 for a temperature and a top_p that a request leaves out, and keeps everything else.
    """

    num_ctx: Count | None = None
    """Tokens of context."""
    num_batch: Count | None = None
    """Tokens of a prompt at once."""
    num_gpu: OrMinusOne | None = None
    """Layers on the GPU; -1 lets Ollama choose."""
    main_gpu: Natural | None = None
    """The GPU for small tensors."""
    use_mmap: bool | None = None
    """Whether the model is mapped instead of read."""
    num_thread: Natural | None = None
    """Threads; 0 lets Ollama choose."""
    draft_num_predict: Natural | None = None
    """Tokens that a draft model proposes at once."""
    num_keep: OrMinusOne | None = None
    """Tokens at the front that stay when the context is full; -1 keeps the prompt."""
    seed: int | None = Field(None, ge=-(1 << 31), lt=1 << 31)
    """The seed of the sampler."""
    num_predict: int | None = Field(2048, ge=-2, lt=1 << 31)
    """The longest answer in tokens, thinking and all; -1, Ollama's own default, knows no end."""
    top_k: Natural | None = None
    """How many tokens stand for election; 0 for all.  Null writes 1 beside temperature 0, for /v1; to sample on
    purpose, give a temperature above 0."""
    top_p: Share | None = None
    """The share of probability that stands for election."""
    min_p: Share | None = None
    """The least probability, relative to the likeliest token's."""
    typical_p: Share | None = None
    """Locally typical sampling; 1 turns it off."""
    repeat_last_n: OrMinusOne | None = None
    """How far back repetitions count; -1 for the whole context."""
    temperature: float | None = Field(0.0, ge=0, le=5)
    """0 always takes the likeliest token: a verdict is not a matter of luck."""
    repeat_penalty: float | None = Field(1.0, gt=0, le=5)
    """1 punishes nothing: the format repeats itself by design."""
    presence_penalty: Penalty | None = None
    """Against tokens that were there before."""
    frequency_penalty: Penalty | None = None
    """The same, by how often."""


def problem(name: str, written: str) -> str | None:
    """What is wrong with a PARAMETER line, or None."""
    if name == "stop":
        return None if written else "an empty stop text would end every answer"
    if name in DEPRECATED:
        return f"{name} is deprecated: Ollama warns and drops it"
    if name not in Parameters.model_fields:
        near = next((known for known in (*Parameters.model_fields, "stop") if known == name.lower()), None)
        return f"Ollama knows no parameter {name!r}" + (f" (names are case-sensitive: {near})" if near else "")
    value = typed(name, written)
    if value is None:
        return f"{name} takes {_NOUN[_type(name)]}, not {written!r}"
    try:
        Parameters.model_validate({name: value})
    except ValidationError as error:
        return f"{name} {written}: {error.errors()[0]['msg'][0].lower()}{error.errors()[0]['msg'][1:]}"
    return None


_NOUN = {int: "a whole number", float: "a number", bool: "true or false"}


def _type(name: str) -> type:
    """The one type that a field has beside None."""
    (found,) = (each for each in get_args(Parameters.model_fields[name].annotation) if each is not type(None))
    return get_args(found)[0] if get_args(found) else found


def typed(name: str, written: str) -> bool | int | float | None:
    """The value as Go reads it, but for hexadecimal, infinity and the like; None if it is none."""
    kind = _type(name)
    if kind is bool:
        return _BOOL.get(written)
    pattern = _INT if kind is int else _FLOAT
    if not pattern.fullmatch(written):
        return None
    return int(written) if kind is int else float(written)


def lines(parameters: Parameters) -> list[tuple[str, str]]:
    """Name and value of everything that is set, in Ollama's order."""
    if parameters.temperature == 0 and parameters.top_k is None:
        parameters = parameters.model_copy(update={"top_k": 1})
    return [(name, _written(value)) for name, value in parameters if value is not None]


def _written(value: bool | int | float) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
