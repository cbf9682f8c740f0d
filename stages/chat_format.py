"""chat_format: the base's chat format, proven in every engine in seconds, before anything is trained."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field, model_validator

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.formats.strings import NAMED
from so8t.models import facts
from so8t.spec.fields import SpecModel

if TYPE_CHECKING:
    from so8t.formats.chat import ChatFormat
    from so8t.formats.equality import Formats

TARGETS = "adapter.lora.targets"


class Spec(SpecModel):
    """How the base's tokenizer is tried."""

    strings: int = Field(10_000, ge=0)
    """Seeded texts of many scripts on which the tokenizer and llama.cpp must agree."""
    seed: int = Field(0, ge=0)
    """Of these texts."""
    accept: tuple[str, ...] = ()
    """Kinds of text that engines may read in two ways, where llama.cpp or the base's template cannot do better."""
    pre_tokenizer: str = ""
    """llama.cpp's name of the pre-tokenizer, where it is not recognised."""

    @model_validator(mode="after")
    def _known(self) -> Spec:
        if unknown := [kind for kind in self.accept if kind not in NAMED]:
            raise ValueError(f"accept: {unknown[0]} must be one of {', '.join(NAMED)}")
        return self


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.formats import chat, owntemplate, published, thinking, tokens
    from so8t.formats.equality import Formats
    from so8t.watch.quiet import quiet

    draft = declared.load(inputs["thinking_sft"])
    folder, remote_code = inputs["base_model"] / "model", facts.remote_code(inputs["base_model"])
    with quiet():
        _check_targets(folder, remote_code, inputs.reads[TARGETS])
        tokenizer = published.tokenizer(folder, remote_code)
        fmt = _of(tokenizer, chat.from_json(draft["chat"]))
        formats = Formats(fmt, thinking.reserving(thinking.from_json(draft["thinking"]), fmt.tokens))
        tokens.check(tokenizer, fmt, formats.thinking)
        proof: dict[str, Any] = {"own_template": bool(tokenizer.chat_template), "accepted": {}}
        if tokenizer.chat_template:
            proof["accepted"] = owntemplate.check(owntemplate.own(tokenizer), fmt, formats.thinking, spec.accept)
        auto = published.auto(folder, remote_code)
        shown, spaced = _engines(folder, tokenizer, auto, formats, spec, out, proof["accepted"])
        proof |= shown
    settled = replace(formats.thinking, spaced=spaced)
    draft |= {"chat": chat.to_json(fmt), "thinking": thinking.to_json(settled)}
    draft |= {"jinja": chat.jinja_template(fmt, *thinking.dropping(formats.thinking))}
    _write_json(out / declared.FILE, draft)
    _write_json(out / "vocabulary.json", {"pre_tokenizer": spec.pre_tokenizer, "accept": spec.accept})
    _write_json(out / "proof.json", proof)
    print(
        f"chat_format: {fmt.name}; {proof['conversations']} conversations and {spec.strings:,} texts give equal tokens"
        + f", but for {', '.join(proof['accepted'])}" * bool(proof["accepted"]),
        file=sys.stderr,
    )


def _check_targets(folder: Path, remote_code: bool, wanted: Sequence[str]) -> None:
    """LoRA's targets are modules of the base; its weights are not looked at."""
    from so8t.models import checkpoint
    from so8t.train import targets

    targets.choose(checkpoint.skeleton(folder, remote_code), wanted)


def _of(tokenizer: Any, named: ChatFormat) -> ChatFormat:
    """The declared format, or the one of the base's own template; both with the ends of the base's texts."""
    from so8t.formats import recognise

    if named.name == "auto" and tokenizer.chat_template:
        return recognise.declare(tokenizer)
    name = "phi3" if named.name == "auto" else named.name
    return replace(named, name=name, bos=tokenizer.bos_token or "", eos=tokenizer.eos_token or "")


def _engines(
    folder: Path, tokenizer: Any, auto: Any, formats: Formats, spec: Spec, out: Path, accepted: dict[str, str]
) -> tuple[dict[str, Any], bool]:
    """llama.cpp and Ollama's TEMPLATE over a GGUF of the vocabulary alone, and AutoTokenizer (`auto`) beside.

    What was proven, and whether answers come back with spaces of the vocabulary's.
    """
    from so8t.formats import chat, equality, gotemplate, strings, thinking
    from so8t.gguf import bare, layout
    from so8t.gguf.llamacpp import Model

    source = layout.open_source(folder)
    marks, template = formats.thinking.tokens, chat.jinja_template(formats.chat, *thinking.dropping(formats.thinking))
    vocabulary = layout.read_vocabulary(source, marks, spec.pre_tokenizer or None, template)
    file = out / "vocabulary.gguf"
    bare.write(vocabulary, file)
    with Model(file, context=8) as engine:
        equality.check_markers(engine, formats.thinking)
        spaced = equality.check_answers(engine, tokenizer, formats)
        views = {
            "training": equality.training(tokenizer, formats),
            "pieces": equality.pieces(engine, tokenizer, formats),
            "the GGUF's own template": equality.embedded(engine, formats),
            "the Modelfile's TEMPLATE": equality.template(
                engine, gotemplate.template(formats.chat, formats.thinking), formats, formats.thinking.thinks
            ),
        }
        proven = equality.check(views, formats, engine, spec.accept)
        texts = list(strings.strings(formats.thinking, spec.strings, spec.seed))
        differing = equality.check_texts(tokenizer, engine, texts, spec.accept)
        differing |= equality.check_auto(tokenizer, auto, engine, texts, spec.accept)
    file.unlink()
    found = {**accepted, **proven.differences, **differing}
    return {"accepted": found, "conversations": proven.conversations, "strings": spec.strings}, spaced


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


STAGE = Stage(
    "chat_format",
    reads=(TARGETS,),
    spec=Spec,
    build=build,
    takes=("base_model", declared.DRAFT),
    gives=(declared.FILE, "vocabulary.json", "proof.json"),
    packages=("orjson", "gguf", "cyllama", "jinja2", "transformers", "tokenizers", "sentencepiece", "unicodedata"),
)
