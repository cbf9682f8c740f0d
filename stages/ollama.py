"""ollama: the models in a running Ollama, each proven by a chat; only on request."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import thinking
from so8t.formats.thinking import ThinkingFormat
from so8t.ollama import asking, client, host, proof, request
from so8t.ollama.asking import Way
from so8t.ollama.client import Client
from so8t.spec.fields import SpecModel, execution

PREFIX = "Modelfile."
GGUF = "../../gguf/"


class Spec(SpecModel):
    """Under which name the models go into Ollama, and what they are asked."""

    model: str = Field("so8t", pattern=r"^([A-Za-z0-9_][A-Za-z0-9_-]{0,79}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$")
    """The model's name, with a namespace or without; the quantisation becomes the tag."""
    quantisations: tuple[str, ...] | None = None
    """Which of the Modelfiles; null takes all."""
    prompt: str = Field("営業時間を教えてください。", min_length=1)
    """What each model is asked, to prove that it answers in the thinking format."""
    host: str | None = execution(None)
    """The server, written as in OLLAMA_HOST; null takes that variable, and this machine without it."""
    seconds: float = execution(600.0, gt=0)
    """How long an answer may take to begin: the server copies and loads the model in that time."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    fmt = thinking.from_json(orjson.loads((inputs["thinking_sft"] / "chat_format.json").read_bytes())["thinking"])
    files = _chosen(inputs["modelfile"], spec)
    url = host.url(os.environ.get("OLLAMA_HOST", "") if spec.host is None else spec.host)
    with Client(url, spec.seconds) as server:
        version = server.version()
        models = [_imported(server, file, inputs, spec, fmt) for file in files]
    facts = {"server": version, "models": models}
    (out / "ollama.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"ollama {version}: {', '.join(model['name'] for model in models)}", file=sys.stderr)


def _chosen(folder: Path, spec: Spec) -> list[Path]:
    files = {file.name.removeprefix(PREFIX): file for file in sorted(folder.glob(f"**/{PREFIX}*"))}
    missing = sorted(set(spec.quantisations or ()) - files.keys())
    if missing or not files:
        there = ", ".join(files) or "none"
        raise StageError(f"ollama.quantisations: no Modelfile of {', '.join(missing)} (there are: {there})")
    return [file for name, file in files.items() if spec.quantisations is None or name in spec.quantisations]


def _imported(server: Client, file: Path, inputs: Inputs, spec: Spec, fmt: ThinkingFormat) -> dict[str, Any]:
    """Create one model, ask it, and read its answer; what it said is kept."""
    text = file.read_text("utf-8")
    name = f"{spec.model}:{file.name.removeprefix(PREFIX)}"
    source = request.source(text, file.name)
    weights = inputs["gguf"] / source.removeprefix(GGUF)
    if not source.startswith(GGUF) or not weights.is_file():
        raise StageError(f"{file.name}: FROM names {source}, which the gguf artifact does not hold")
    blob = client.digest(weights)
    body = request.creation(text, file.name, name, (weights.name, blob))
    server.upload(weights, blob, _told(name))
    server.create(body, _told(name))
    thinks = ".Thinking" in body["template"]
    proof.check_imported(name, server.show(name), body["template"], thinks)
    question = [{"role": "user", "content": spec.prompt}]
    reply = asking.ask(server, name, question, Way("/api/chat", think=True, stream=True))
    said = proof.read(name, reply, fmt, thinks)
    answer = {"role": "assistant", "thinking": reply.thinking, "content": reply.content}
    return {
        "name": name,
        "digest": server.model_digest(name),
        "blob": blob,
        "label": said.final.label,
        "confidence": said.final.confidence,
        "messages": [*question, answer],
    }


def _told(name: str) -> client.Progress:
    """Each step once, and each tenth of it."""
    told: set[tuple[str, int]] = set()

    def tell(what: str, done: int, total: int) -> None:
        tenth = 10 * done // total if total else 0
        if (what, tenth) not in told:
            told.add((what, tenth))
            print(f"ollama: {name}: {what}" + (f" {10 * tenth} %" if total else ""), file=sys.stderr, flush=True)

    return tell


STAGE = Stage(
    "ollama",
    spec=Spec,
    build=build,
    takes=("modelfile/ollama/", "gguf/models/", "thinking_sft/chat_format.json"),
    gives=("ollama.json",),
    packages=("orjson", "httpx"),
    on_request=True,
)
