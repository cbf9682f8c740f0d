"""A GGUF beside the folder that was made from it: PyTorch must read and compute what llama.cpp reads and computes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.formats import published
from so8t.gguf import bytelevel
from so8t.gguf.llamacpp import Model
from so8t.parity import bounds, engines
from so8t.parity.bounds import USUAL_TYPES, TypeBounds

if TYPE_CHECKING:
    from so8t.parity.engines import Precision
    from so8t.parity.figures import Figures

STRINGS = 2000
LONGEST = 256  # tokens of a text that is computed
# llama.cpp rounds what it multiplies a quantised matrix with to 8 bits: SmolLM2's Q4_1 beside the same weights in F32,
# both in llama.cpp, is a divergence of 0.006 and a top-1 agreement of 0.92
LOSSY = TypeBounds(kl=0.05, perplexity=0.1, top1=0.8)
TEXTS = {
    "Japanese": "東京支店の営業時間を教えてもらえますか？\n平日は十時から二十時まで、土曜は十七時までです。",
    "English": "What is the capital of France? The capital of France is Paris. It lies on the Seine, and about two "
    "million people live there. Its best known building is the Eiffel Tower, which was built in 1889.",
    "code": "def area(width: float, height: float) -> float:\n    return width * height\n\nprint(area(2, 3))\n",
}


def check(
    file: Path, folder: Path, told: Mapping[str, Any], accept: Collection[str], precision: Precision, threads: int
) -> Figures:
    """How far PyTorch over `folder` is from llama.cpp over `file`; beyond the usual bounds it is a StageError.

    `told` is what `base.take` says of the file.
    """
    tokenizer = published.tokenizer(folder)
    with Model(file, context=LONGEST, threads=threads) as engine:
        _check_tokens(file.name, tokenizer, engine, accept)
        config = _config(folder)
        most = engines.longest(config, LONGEST)
        ids = {name: tokenizer(text, truncation=True, max_length=most)["input_ids"] for name, text in TEXTS.items()}
        with engines.torch_model(folder, precision, threads) as computed:
            found = engines.compare(engine.logits, computed, ids)
    if problems := bounds.problems(found, _allowed(told)):
        raise StageError(
            f"base_model: PyTorch does not compute from the folder what llama.cpp computes from {file.name}: "
            f"{'; '.join(problems)}; over {found.tokens} tokens, worst in {found.worst}; "
            "take the safetensors of this model"
        )
    return found


def _allowed(told: Mapping[str, Any]) -> TypeBounds:
    """By the coarsest type that the file has."""
    return LOSSY if told["lossy"] else USUAL_TYPES["bf16" if "BF16" in told["types"] else "f16"]


def _check_tokens(name: str, tokenizer: Any, engine: Model, accept: Collection[str]) -> None:
    from so8t.formats.encoding import Encoder
    from so8t.formats.strings import strings
    from so8t.formats.thinking import TAGS

    given = [*strings(TAGS, STRINGS, 0), *(("text", text) for text in (*TEXTS.values(), bytelevel.TRIAL))]
    read = Encoder(tokenizer).texts([text for _, text in given])
    for (kind, text), ids in zip(given, read, strict=True):
        if kind not in accept and (found := engine.tokenize(text, False)) != ids:
            raise StageError(
                f"base_model: transformers does not read {text!r}, a text of the kind {kind}, as llama.cpp does with "
                f"{name}\n  llama.cpp:    {found}\n  transformers: {ids}\n"
                "accept the kind (source.accept in base_model.yaml), or take the safetensors of this model"
            )


def _config(folder: Path) -> dict[str, Any]:
    from transformers import AutoConfig

    found: dict[str, Any] = AutoConfig.from_pretrained(str(folder), local_files_only=True).to_dict()
    return found
