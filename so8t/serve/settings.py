"""What `specs/<profile>/serve.yaml` may hold.  Serving builds nothing, so every field is an execution field."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from so8t.spec.fields import SpecModel, execution
from so8t.spec.settings import Size


class LlamaCpp(SpecModel):
    """llama.cpp in this process, on a GGUF that the graph built."""

    kind: Literal["llamacpp"] = execution("llamacpp")
    """In this process, kept to the thinking format by its grammar."""
    quantisation: str = execution("q8_0", pattern=r"^[a-z0-9_]+$")
    """The GGUF to serve."""
    context: int = execution(4096, ge=256)
    """Tokens of prompt and output together."""
    threads: int = execution(0, ge=0)
    """Threads per answer; 0 takes one per core."""
    slots: int = execution(1, ge=1)
    """Answers at once; each has a context of its own in memory."""


class Ollama(SpecModel):
    """A running Ollama server that has the model."""

    kind: Literal["ollama"] = execution("ollama")
    """Over HTTP; no grammar holds it to the format, so an answer that breaks it is refused."""
    model: str = execution(min_length=1)
    """The model's name in that server."""
    url: str = execution("http://127.0.0.1:11434", pattern=r"^https?://")
    """Where the server listens."""
    context: int = execution(4096, ge=256)
    """Tokens of prompt and output together."""
    slots: int = execution(1, ge=1)
    """Requests at once."""


class Limits(SpecModel):
    body: Size = execution(256 * 1024)
    """A request's largest body."""
    prompt_tokens: int = execution(2048, ge=1)
    """A prompt's most tokens, roles included."""
    output_tokens: int = execution(1024, ge=1)
    """The most tokens that the model writes for one answer, its thinking included."""
    output_characters: int = execution(65_536, ge=1)
    """The most characters; a model that writes more is stopped and its output refused."""
    seconds: float = execution(120.0, gt=0)
    """The longest time for one answer, once it has begun."""
    queue: int = execution(32, ge=0)
    """Requests that may wait for a slot; the next is answered 429."""
    queue_seconds: float = execution(30.0, gt=0)
    """The longest wait for a slot; then 429."""
    shutdown_seconds: float = execution(10.0, gt=0)
    """How long running answers may go on after the server was told to stop; then they are cancelled."""


class Audit(SpecModel):
    folder: str = execution("artifacts/audit", min_length=1)
    """Where the log's files lie, relative to the project; one server a folder."""
    rotate: Size = execution(64 * 1024**2)
    """A file that has grown beyond this is followed by the next."""
    key_file: str | None = execution(None)
    """Keys of the hashes, a line each: an id, a blank, 64 or more hex digits; the last one is in use.
    Without it the environment variable SO8T_AUDIT_KEY holds the same, with commas between the keys."""


class Policing(SpecModel):
    declining: tuple[str, ...] = execution(
        (
            "(でき|応じられ|答えられ|お伝え(でき|し)|教えられ|かね)(ません|ない|ます)",
            "お断り|控え|差し控え|対応していません|権限(の範囲)?(を|が|外)",
            "担当(者|部署|窓口)|窓口|専門家|上長|責任者|確認します|おつなぎ|引き継|ご相談ください|お問い合わせください",
            r"(?i)\b(cannot|can't|can not|unable to|not able to|won't|will not|decline|refuse|sorry)\b",
            r"(?i)\b(escalate|hand (this|it) over|contact|specialist|supervisor)\b",
        )
    )
    """Patterns by which an answer under ESCALATION, DENY or REFUSE is known to give nothing away."""

    @field_validator("declining")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as bad:
                raise ValueError(f"{pattern!r} is not a regular expression: {bad}") from None
        return patterns


class Serve(SpecModel):
    """How `doit serve` answers."""

    host: str = execution("127.0.0.1", min_length=1)
    """The address to listen at; 0.0.0.0 lets other machines in, and then needs `tokens`."""
    port: int = execution(8000, ge=0, le=65535)
    """The port; 0 takes any that is free."""
    name: str = execution("so8t", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")
    """What clients call the model."""
    development: bool = execution(False)
    """Allow a server without an audit key: each start then makes one that nobody keeps."""
    tokens: str | None = execution(None)
    """A file of bearer tokens, a line each: a name, the token's SHA-256 in hex, and if it expires the first date
    (UTC) on which it no longer holds, as 2027-04-01.  Without it everyone who reaches the address may ask."""
    page: bool = execution(True)
    """Whether `/` shows the page to try the model."""
    backend: Annotated[LlamaCpp | Ollama, Field(discriminator="kind")] = execution(LlamaCpp())
    """What runs the model."""
    limits: Limits = execution(Limits())
    """What one request may take."""
    audit: Audit = execution(Audit())
    """The log that every answer stands in before it leaves."""
    policy: Policing = execution(Policing(), task="four_class")
    """How an answer that contradicts its class is known."""
