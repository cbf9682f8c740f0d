"""From a profile to a running server: its settings, keys, model and texts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.corpus import answered
from so8t.corpus.sft import Policies
from so8t.engine import contents
from so8t.errors import MissingExtra, UserError
from so8t.formats.declared import FILE
from so8t.formats.records import LABELS
from so8t.serve import keys
from so8t.serve.settings import Ollama, Serve
from so8t.spec import load as spec
from so8t.spec import profile as profiles
from so8t.spec.fields import At
from so8t.store.layout import Layout

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from so8t.serve.backend import Backend, PromptWriter
    from so8t.serve.keys import Keys
    from so8t.serve.policy import Policy

STAGE = "thinking_sft"  # declares the policies' texts
FORMATS = "chat_format"
GGUF = "gguf"
EVALUATION = "evaluation"
BAKED = "baked_model"
MODELS = "models"


@dataclass(frozen=True)
class Serving:
    """What a server of this profile is made of."""

    settings: Serve
    policies: Policies
    model: str  # the GGUFs' name, without their types
    layout: Layout

    def path(self, named: str) -> Path:
        return self.layout.project / named


def read(project: Path, profile: str, development: bool = False) -> Serving:
    """serve.yaml beside the stages' own specs; all problems of all files at once."""
    table = contents.read(project)
    found = profiles.read(project, profile, table.renamed)
    models = spec.load(found, table.models)
    settings, sft = models["serve"], models[STAGE]
    assert isinstance(settings, Serve)
    if development:
        settings = settings.model_copy(update={"development": True})
    if settings.host not in ("127.0.0.1", "::1", "localhost") and settings.tokens is None:
        raise UserError(
            f"serve.host {settings.host} lets other machines in: name a file of bearer tokens in serve.tokens"
        )
    spec.agreed(found, _not_built(settings, models[GGUF]))
    layout = Layout(project, project / spec.settings(found).artifacts, profile)
    return Serving(settings, sft.policies, models[GGUF].name, layout)  # type: ignore[attr-defined]


def _not_built(settings: Serve, gguf: Any) -> Iterator[At]:
    """A type that `doit gguf` would not make."""
    kind = "" if isinstance(settings.backend, Ollama) else settings.backend.quantisation
    if kind and kind not in gguf.types:
        text = f"{kind} is not in types of gguf.yaml ({', '.join(gguf.types)}): add it there, or serve one of these"
        yield At(text, "serve.backend.quantisation", "gguf.types")


def run(project: Path, profile: str, development: bool = False) -> None:
    """Serve until told to stop."""
    try:
        from so8t.serve.app import create
    except ImportError as error:
        raise MissingExtra((error.name or "fastapi").partition(".")[0], "serve", "doit serve") from None
    from so8t.serve import limits
    from so8t.serve.audit import Log
    from so8t.serve.policy import Plain
    from so8t.serve.server import run as run_server
    from so8t.serve.service import Service

    serving = read(project, profile, development)
    settings = serving.settings
    known = audit_keys(serving, os.environ)
    tokens = limits.Tokens(limits.read_tokens(serving.path(settings.tokens))) if settings.tokens else None
    writer = declared(serving)
    backend = open_backend(serving, writer)
    decides = policy(serving) if writer.thinking.classed else Plain()
    log = Log(serving.path(settings.audit.folder) / profile, known, settings.audit.rotate)
    service = Service(backend, writer, decides, settings.limits, log, known)
    run_server(create(service, tokens, settings.page, examples(serving)), settings)


def audit_keys(serving: Serving, environment: Mapping[str, str]) -> Keys:
    named = serving.settings.audit.key_file
    found = keys.read(serving.path(named) if named else None, environment)
    if found is not None:
        return found
    if not serving.settings.development:
        raise keys.needed()
    print("serve: development: the audit log's key is made now and kept by nobody", file=sys.stderr)
    return keys.passing()


def policy(serving: Serving) -> Policy:
    from so8t.serve.policy import Policy, Text

    own = {label: getattr(serving.policies, label) for label in LABELS}
    return Policy(
        {label: Text(text.reason, text.answer) for label, text in own.items()}, serving.settings.policy.declining
    )


def declared(serving: Serving) -> PromptWriter:
    from so8t.serve.backend import declared

    return declared(_json(serving, serving.layout.folder(FORMATS) / FILE, FORMATS))


def open_backend(serving: Serving, writer: PromptWriter) -> Backend:
    wanted = serving.settings.backend
    if isinstance(wanted, Ollama):
        from so8t.serve.ollama import OllamaBackend

        seconds = serving.settings.limits.seconds
        return OllamaBackend(wanted, serving.settings.name, writer.chat, seconds, tokenizer(serving))
    from so8t.formats.grammar import grammar
    from so8t.serve.local import LocalBackend

    model = serving.layout.folder(GGUF) / MODELS / f"{serving.model}-{wanted.quantisation}.gguf"
    if not model.is_file():
        raise UserError(f"{serving.layout.shown(model)} is not there: build it with `doit {GGUF}`")
    text = grammar(writer.thinking)  # of the same declaration that the splitter follows
    return LocalBackend(wanted, serving.settings.name, writer.chat, model, text)


def tokenizer(serving: Serving) -> Tokenizer | None:
    """Of the baked model, whose tokens its GGUFs have; None, and a word why, if it cannot be found."""
    file = serving.layout.folder(BAKED) / "model" / "tokenizer.json"
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtra("tokenizers", "serve", "counting tokens for Ollama") from None
    if file.is_file():
        return Tokenizer.from_file(str(file))
    print(f"serve: {serving.layout.shown(file)} is not there: characters stand for tokens", file=sys.stderr)
    return None


def examples(serving: Serving) -> list[str]:
    """Questions that the evaluation saw this model answer right, one of each class; none where it was not asked."""
    backend = serving.settings.backend
    kind = backend.model.rpartition(":")[2] if isinstance(backend, Ollama) else backend.quantisation
    samples, splits = serving.layout.folder(EVALUATION) / "samples.jsonl", serving.layout.folder(STAGE) / "splits"
    there = samples.is_file() and splits.is_dir()
    return [each.question for each in answered.right(samples, splits, kind, len(LABELS))] if there else []


def _json(serving: Serving, path: Path, stage: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{serving.layout.shown(path)} is not there: build it with `doit {stage}`") from None
