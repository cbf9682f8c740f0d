"""ollama: the models in a running Ollama, each asked as its users ask; only on request.

It is about the server: up to date means that the server at hand has these models under these names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from pydantic import Field

from so8t.corpus import answered
from so8t.corpus.answered import Answered
from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import declared
from so8t.formats.thinking import ThinkingFormat
from so8t.ollama import client, host, proof, request
from so8t.ollama.client import Client
from so8t.ollama.proof import Imported
from so8t.spec.fields import SpecModel, execution
from so8t.store.atomic import write_atomic

PREFIX = "Modelfile."
GGUF = "../../gguf/"
OURS = "imported.json"  # digests that this stage has made: what it may overwrite
GLANCE = 0.5  # seconds that a look at the server may take


class Spec(SpecModel):
    """Under which name the models go into Ollama, and what they are asked."""

    model: str = Field("so8t", pattern=r"^([A-Za-z0-9_][A-Za-z0-9_-]{0,79}/)?[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$")
    """The model's name, with a namespace or without; the quantisation becomes the tag."""
    quantisations: tuple[str, ...] | None = None
    """Which of the Modelfiles; null takes all."""
    records: int = Field(20, ge=1, le=10_000)
    """How many held-out questions, that the evaluation saw answered right, each model is asked with thinking on, left
    out and off; one in twenty may be answered otherwise."""
    replace: bool = execution(False)
    """Whether a model of that name is overwritten though it was not put there from here."""
    host: str | None = execution(None)
    """The server, written as in OLLAMA_HOST; null takes that variable, and this machine without it."""
    seconds: float = execution(600.0, gt=0)
    """How long an answer may take to begin: the server copies and loads the model in that time."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    fmt = declared.read(inputs["chat_format"]).thinking
    files = _chosen(inputs["modelfile"], spec)
    with Client(_url(spec), spec.seconds) as server:
        version = server.version()
        questions = {file: _questions(inputs, file.name.removeprefix(PREFIX), spec) for file in files}
        _check_overwrites_nothing(server, [_name(file, spec) for file in files], inputs, spec)
        models = [_imported(server, file, inputs, spec, fmt, questions[file]) for file in files]
    facts = {"server": version, "models": models}
    (out / "ollama.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"ollama {version}: {', '.join(model['name'] for model in models)}", file=sys.stderr)


def outside(spec: Spec, folder: Path) -> list[str]:
    """Why the server at hand is not as the artifact says; where none answers, that cannot be told."""
    known = {model["name"]: model["digest"] for model in orjson.loads((folder / "ollama.json").read_bytes())["models"]}
    url = _url(spec)
    with Client(url, GLANCE) as server:
        there = server.models()
    gone = [f"{name} is not in the server at {url}" for name in known if name not in there]
    other = [name for name, digest in known.items() if there.get(name, digest) != digest]
    return gone + [
        f"{name} in the server at {url} is {_short(there[name])}, not {_short(known[name])}" for name in other
    ]


def _url(spec: Spec) -> str:
    return host.url(os.environ.get("OLLAMA_HOST", "") if spec.host is None else spec.host)


def _short(digest: str) -> str:
    return digest[: len("sha256:") + 12]


def _name(file: Path, spec: Spec) -> str:
    return f"{spec.model}:{file.name.removeprefix(PREFIX)}"


def _chosen(folder: Path, spec: Spec) -> list[Path]:
    files = {file.name.removeprefix(PREFIX): file for file in sorted(folder.glob(f"**/{PREFIX}*"))}
    missing = sorted(set(spec.quantisations or ()) - files.keys())
    if missing or not files:
        there = ", ".join(files) or "none"
        raise StageError(f"ollama.quantisations: no Modelfile of {', '.join(missing)} (there are: {there})")
    return [file for name, file in files.items() if spec.quantisations is None or name in spec.quantisations]


def _questions(inputs: Inputs, kind: str, spec: Spec) -> list[Answered]:
    samples, splits = inputs["evaluation"] / "samples.jsonl", inputs["thinking_sft"] / "splits"
    found = answered.right(samples, splits, kind, spec.records)
    if not found:
        raise StageError(
            f"ollama: the evaluation saw {kind} answer no question right, so nothing can prove its import; name it in "
            f"evaluation.types, or leave it out of ollama.quantisations"
        )
    return found


def _check_overwrites_nothing(server: Client, names: Sequence[str], inputs: Inputs, spec: Spec) -> None:
    """Content under one of the names that was not put there from here."""
    there, ours = server.models(), _ours(inputs)
    for name in names:
        if not spec.replace and there.get(name) not in (None, *ours):
            raise StageError(
                f"ollama: {name} in the server at {server.url} is {_short(there[name])}, which was not put there from "
                "here; set ollama.replace: true to overwrite it, or give the models another name in ollama.model"
            )


def _ours(inputs: Inputs) -> list[str]:
    path = inputs.scratch / OURS
    return list(orjson.loads(path.read_bytes())) if path.is_file() else []


def _imported(
    server: Client, file: Path, inputs: Inputs, spec: Spec, fmt: ThinkingFormat, questions: Sequence[Answered]
) -> dict[str, Any]:
    """Create one model, look at it as the server keeps it, and ask it."""
    text, name = file.read_text("utf-8"), _name(file, spec)
    source = request.source(text, file.name)
    weights = inputs["gguf"] / source.removeprefix(GGUF)
    if not source.startswith(GGUF) or not weights.is_file():
        raise StageError(f"{file.name}: FROM names {source}, which the gguf artifact does not hold")
    sent = client.digest(weights)
    body = request.creation(text, file.name, name, (weights.name, sent))
    server.upload(weights, sent, _told(name))
    server.create(body, _told(name))
    digest, shown = server.model_digest(name), server.show(name)
    write_atomic(inputs.scratch / OURS, orjson.dumps(sorted({*_ours(inputs), digest})))
    model = Imported(server, name, body["template"], fmt)
    proof.check_imported(name, shown, model.template, model.thinks)
    return {
        "name": name,
        "digest": digest,
        "sent": sent,
        "served": client.served_blob(shown),  # f16 and q8_0 are rewritten at import
        "template": shown.get("template"),
        "parameters": str(shown.get("parameters", "")).splitlines(),
        "capabilities": shown.get("capabilities", []),
        **proof.prove(model, questions),
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
    takes=(
        "modelfile/ollama/",
        "gguf/models/",
        "evaluation/samples.jsonl",
        declared.TAKEN,
        "thinking_sft/splits/",
    ),
    gives=("ollama.json",),
    packages=("orjson", "httpx"),
    on_request=True,
    outside=outside,
)
