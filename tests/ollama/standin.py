"""A stand-in for Ollama: what a real server (0.32.15) was seen to do with our files, beside its documentation.

Blobs are checked against their digests, a GGUF is decoded before it becomes a model, templates and parameters are
refused like the real one refuses them.  Recorded, and so done here too:
- f16 and q8_0 are rewritten at import, so that the served blob has another digest than the uploaded one;
- a runner is shared by blob: without a TEMPLATE of its own, a model renders with what an import before it left there;
- /v1 puts temperature 1.0 and top_p 1.0 where a request names none, and keeps the Modelfile's top_k;
- a prompt longer than the context is cut without a word, at its front, and ends with `stop` and nothing;
- thirty equal tokens end an answer without a `done_reason`.
What a real server does with a model, a function does here: prompt in, text out; a character is a token.
`standin_http` gives it a port.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from so8t.formats import capability, goeval, gosyntax, gotemplate
from so8t.formats.chat import PHI3

DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
NAME = re.compile(r"(\w[\w-]*/)?\w[\w.-]*(:\w[\w.-]*)?")
GUESSED = gotemplate.template(replace(PHI3, generation="<|guessed|>\n"), None)  # built-in, nearest by edit distance
CONTEXT, REPEATS = 4096, 30
REWRITTEN = ("F16", "Q8_0")
EXCEEDS = "the input length exceeds the context length"

Part = dict[str, Any]


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Served:
    """A model as the server keeps it; `template` is None where the Modelfile had none."""

    template: str | None
    system: str
    parameters: dict[str, Any]
    blob: str
    info: dict[str, Any]
    digest: str


@dataclass(frozen=True)
class Said:
    """One answer: how both texts came out, and how the answer ended (not at all, if it broke off)."""

    thinking: str
    content: str
    reason: str
    prompt: int
    made: int


def full(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


class StandIn:
    """The server's state, and the switches by which a test makes it fail."""

    def __init__(
        self,
        folder: Path,
        answer: Callable[[str], str],
        version: str = "0.32.15",
        sampled: Callable[[str], str] | None = None,
    ) -> None:
        self.folder, self.version = folder, version
        self.answer, self.sampled = answer, sampled or answer  # the likeliest text; what comes by luck
        self.models: dict[str, Served] = {}
        self.runners: dict[str, str] = {}  # blob -> the template that the first import left
        self.asked: list[str] = []
        self.bodies: list[Part] = []
        self.prompts: list[str] = []
        self.cuts_upload_after: int | None = None
        self.cuts_chat = False
        self.renders_what_was_left: str | None = None  # for every model, as if a runner did so for all
        self.lines: list[Any] | None = None  # streamed instead of an answer
        self.status = 200  # of every answer
        self.url = ""

    # ---- models ------------------------------------------------------------------------------------------------

    def blob(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise Refused(400, "invalid digest format")
        return self.folder / digest.replace(":", "-")

    def create(self, body: Part) -> Iterator[Part]:
        name = body.get("model") or body.get("name") or ""
        if not NAME.fullmatch(name):
            raise Refused(400, "invalid model name")
        files = body.get("files") or {}
        if not files:
            raise Refused(400, "neither 'from' or 'files' was specified")
        for file, digest in files.items():
            if file.startswith("/") or ".." in file:
                raise Refused(400, "file path must be relative")
            if not self.blob(digest).exists():
                raise Refused(500, f"open {digest}: no such file or directory")
        (digest,) = files.values()
        yield {"status": "parsing GGUF"}
        info, kind = _decoded(self.blob(digest))
        size = self.blob(digest).stat().st_size
        yield {"status": "copying GGUF", "digest": "0000000000000000000", "total": size, "completed": size}
        try:
            gosyntax.parse(body.get("template", ""))
        except gosyntax.TemplateError as error:
            raise Refused(400, f"template error: {error}") from error
        yield {"status": f"using existing layer {digest}"}
        yield {"status": "writing manifest"}
        if kind in REWRITTEN:
            digest = _digest("llama-quantize COPY", digest)
        self.have(name, digest, info, **{key: body[key] for key in ("template", "system", "parameters") if key in body})
        yield {"status": "success"}

    def have(
        self,
        name: str,
        blob: str = "sha256:" + "5d" * 32,
        info: Part | None = None,
        template: str | None = None,
        system: str = "",
        parameters: Part | None = None,
    ) -> Served:
        """As an import leaves it."""
        known = info or {"general.architecture": "phi3", "phi3.context_length": CONTEXT}
        options = parameters or {}
        digest = _digest(blob, template, system, options).removeprefix("sha256:")
        self.models[full(name)] = Served(template, system, options, blob, known, digest)
        return self.models[full(name)]

    def remove(self, name: str) -> None:
        """`ollama rm`."""
        self.model(name)
        del self.models[full(name)]

    def restart(self) -> None:
        self.runners.clear()

    def model(self, name: str) -> Served:
        if full(name) not in self.models:
            raise Refused(404, f"model '{name}' not found")
        return self.models[full(name)]

    def tags(self) -> Part:
        return {"models": [{"name": name, "model": name, "digest": each.digest} for name, each in self.models.items()]}

    def show(self, body: Part) -> Part:
        model = self.model(body["model"])
        template = GUESSED if model.template is None else model.template
        info = {k: v if body.get("verbose") or not isinstance(v, list) else None for k, v in model.info.items()}
        hint = f"# To build a new Modelfile based on this, replace FROM with:\n# FROM {full(body['model'])}"
        path = f"/home/someone/.ollama/models/blobs/{model.blob.replace(':', '-')}"
        return {
            "modelfile": f'# Modelfile generated by "ollama show"\n{hint}\n\nFROM {path}\nTEMPLATE """{template}"""\n',
            "parameters": _listed(model.parameters),
            "template": template,
            "system": model.system,
            "model_info": info,
            "capabilities": ["completion"] + ["thinking"] * (capability.tags(template) is not None),
        }

    # ---- answers -----------------------------------------------------------------------------------------------

    def chat(self, body: Part) -> Said:
        return self._said(body, self._with_system(body, body["messages"]), body.get("think"))

    def generate(self, body: Part) -> Said:
        if body.get("raw"):
            return self._answered(body, self.model(body["model"]), body["prompt"], None)
        messages = [{"role": "user", "content": body["prompt"]}]
        if body.get("system"):
            messages = [{"role": "system", "content": body["system"]}, *messages]
        return self._said(body, self._with_system(body, messages), body.get("think"))

    def completion(self, body: Part) -> Said:
        """/v1/chat/completions: what it makes of the request for /api/chat."""
        options = {"temperature": body.get("temperature", 1.0), "top_p": body.get("top_p", 1.0)}
        if "max_tokens" in body:
            options["num_predict"] = body["max_tokens"]
        effort = body.get("reasoning_effort")
        thinks = {} if effort is None else {"think": effort != "none"}
        return self.chat({"model": body["model"], "messages": body["messages"], "options": options, **thinks})

    def _with_system(self, body: Part, messages: list[Part]) -> list[Part]:
        """The model's own, unless the request begins with one, be it empty."""
        system = self.model(body["model"]).system
        own = [{"role": "system", "content": system}] if system and messages[0]["role"] != "system" else []
        return own + messages

    def _said(self, body: Part, messages: list[Part], think: bool | None) -> Said:
        model = self.model(body["model"])
        left = self.runners.setdefault(model.blob, GUESSED if model.template is None else model.template)
        template = self.renders_what_was_left or (left if model.template is None else model.template)
        tags = capability.tags(template)
        if think and tags is None:
            raise Refused(400, f'"{body["model"]}" does not support thinking')
        think = True if think is None and tags else think
        try:
            prompt = goeval.render(template, messages, think)
        except goeval.Refusal as error:
            raise Refused(500, str(error)) from error
        except gosyntax.TemplateError as error:
            raise Refused(500, f"template: {error}") from error
        return self._answered(body, model, prompt, tags if think else None)

    def _answered(self, body: Part, model: Served, prompt: str, tags: tuple[str, str] | None) -> Said:
        options = {**model.parameters, **(body.get("options") or {})}
        trained = model.info.get(f"{model.info.get('general.architecture')}.context_length", CONTEXT)
        context = min(options.get("num_ctx", CONTEXT), trained)
        self.prompts.append(prompt)
        if len(prompt) > context:
            if body.get("truncate") is False:
                raise Refused(400, EXCEEDS)
            return Said("", "", "stop", len(prompt[-context:]), 0)
        greedy = options.get("temperature", 0.8) == 0 or options.get("top_k") == 1
        output = (self.answer if greedy else self.sampled)(prompt)
        output, reason = _ended(output, options)
        seen = capability.separate(output, tags) if tags else capability.Seen("", output)
        return Said(seen.thinking, seen.content, "" if self.cuts_chat else reason, len(prompt), len(output))


def _ended(output: str, options: Part) -> tuple[str, str]:
    """Up to the first of a stop text, the most tokens, and thirty equal ones; and how that is called."""
    ends = [(output.find(stop), "stop") for stop in options.get("stop", []) if stop in output]
    most = options.get("num_predict", -1)
    if 0 <= most < len(output):
        ends.append((most, "length"))
    if found := re.search(rf"(.)\1{{{REPEATS - 1}}}", output, re.DOTALL):
        ends.append((found.end(), ""))
    at, reason = min(ends, default=(len(output), "length"))
    return output[:at], reason


def _decoded(path: Path) -> tuple[Part, str]:
    """Metadata and type of a GGUF whose tensors all lie inside the file."""
    from gguf import GGUFReader, LlamaFileType

    if path.read_bytes()[:4] != b"GGUF":
        raise Refused(400, "unknown type")
    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError) as error:
        raise Refused(500, "unexpected EOF") from error
    if any(each.data_offset + each.n_bytes > path.stat().st_size for each in reader.tensors):
        raise Refused(500, "tensor data out of range")
    info = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    kind = LlamaFileType(info["general.file_type"]).name.removeprefix("MOSTLY_") if "general.file_type" in info else ""
    return info, kind


def _digest(*what: Any) -> str:
    return f"sha256:{hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()}"


def _listed(parameters: Part) -> str:
    """As /api/show lists them: a name and a value a line, texts in quotes."""
    pairs = [(name, each) for name, value in parameters.items() for each in (value if name == "stop" else [value])]
    return "\n".join(f"{name:<30} {json.dumps(value) if name == 'stop' else value}" for name, value in pairs)
