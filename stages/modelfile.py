"""modelfile: an Ollama Modelfile for each, whose template gives the tokens that the model was trained on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.formats import capability, declared, equality, gotemplate
from so8t.formats.equality import Formats
from so8t.gguf.llamacpp import Model
from so8t.ollama import modelfile
from so8t.ollama.modelfile import Modelfile
from so8t.ollama.parameters import Parameters
from so8t.spec.fields import SpecModel

FOLDER = "ollama"
GGUF = "../../gguf/"  # the artifact's folder, seen from the Modelfiles'


class Spec(SpecModel):
    """What Ollama does with the model where a request does not say otherwise."""

    parameters: Parameters = Parameters()
    """PARAMETER lines; what is null stays Ollama's own default."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, beside those of the chat format and the end of the final part."""
    split_thinking: bool = True
    """Whether Ollama parts the thinking from the answer; else it prints all that the model writes."""
    license: str | None = None
    """The licence's name or text; null takes what the GGUF says."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    given = declared.read(inputs["chat_format"])
    formats = Formats(given.chat, given.thinking, given.direct)
    accepted = declared.vocabulary(inputs["chat_format"]).accept
    files = sorted(inputs["gguf"].rglob("*.gguf"))
    if not files:
        raise StageError("modelfile: the gguf artifact holds no .gguf file; build gguf first")
    parts = spec.split_thinking and formats.thinking.thinks
    template = gotemplate.template(formats.chat, formats.thinking if parts else None, formats.direct)
    with Model(min(files, key=lambda file: file.stat().st_size), context=64) as engine:
        checked = _check(engine, template, formats, parts, accepted)
        licence = engine.metadata.get("general.license", "") if spec.license is None else spec.license
    (out / FOLDER).mkdir()
    for file in files:
        name = f"Modelfile.{kind(file)}"
        model = Modelfile(
            source=f"{GGUF}{file.relative_to(inputs['gguf']).as_posix()}",
            template=template,
            system=given.system,
            parameters=spec.parameters,
            stop=(*formats.chat.stop, *_ends(formats, spec), *spec.stop),
            licence=licence,
        )
        (out / FOLDER / name).write_bytes(modelfile.write(model, name).encode("utf-8"))
    facts = {"conversations": checked, "tags": capability.tags(template), "files": [file.name for file in files]}
    (out / "check.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    print(f"modelfile: {len(files)} files; {checked} conversations give equal tokens", file=sys.stderr)


def kind(file: Path) -> str:
    """The quantisation that a file's name ends with: q4_k_m of so8t-q4_k_m.gguf."""
    return file.stem.rsplit("-", 1)[-1]


def _ends(formats: Formats, spec: Spec) -> tuple[str, ...]:
    """The end of the final part would stay in the answer that Ollama shows."""
    close = formats.thinking.parts[-1].close
    return (close,) if close and spec.split_thinking else ()


def _check(engine: Model, template: str, formats: Formats, split_thinking: bool, accepted: Sequence[str]) -> int:
    if words := capability.preferred_over_template(engine.template):
        raise StageError(
            f"modelfile: the GGUF's chat template speaks of {', '.join(words)}: Ollama would take it and lay the "
            "Modelfile's TEMPLATE aside; build gguf with the template of chat_format"
        )
    if (capability.tags(template) is not None) != split_thinking:
        raise StageError("modelfile: Ollama would not find the thinking in this TEMPLATE; its parts need literal tags")
    equality.check_markers(engine, formats.thinking)
    views = {
        "the GGUF's own template": equality.embedded(engine, formats),
        "the Modelfile's TEMPLATE": equality.template(engine, template, formats, split_thinking),
    }
    if not split_thinking:  # then there is one way to ask, and all that the model writes is shown
        formats = replace(formats, direct=False)
    elif not formats.direct:
        equality.check_closed(template, formats)
    return equality.check(views, formats, engine, accepted).conversations


STAGE = Stage(
    "modelfile",
    spec=Spec,
    build=build,
    takes=("gguf/models/", declared.TAKEN, declared.VOCABULARY),
    gives=(f"{FOLDER}/", "check.json"),
    packages=("orjson", "cyllama", "jinja2", "unicodedata"),
    ships=(f"{FOLDER}/*",),
)
