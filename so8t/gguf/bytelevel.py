"""Byte-level BPE from tokenizer.json: the tokens, and which of llama.cpp's ways of cutting a text fits.

llama.cpp knows pre-tokenizers by name.  The name comes from the hash that its converter takes of a test text's ids,
and for vocabularies trained anew from the expression that cuts the text.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.formats.structure import looks_special
from so8t.gguf.tokentypes import CONTROL, NORMAL, UNUSED, USER_DEFINED

# the text whose ids llama.cpp's converter hashes
TRIAL = (
    "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 3 "
    "33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= "
    "нещо на Български ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure "
    "I'll make it, 'D you like some tea? We'Ve a'lL"
)
HASHES = {
    "0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5": "llama-bpe",  # Llama 3
    "d353350c764d8c3b39c763113960e4fb4919bea5fbf208a0e3b22e8469dc7406": "llama4",
    "e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea": "qwen2",  # Qwen 1.5 to 3
    "d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c": "qwen2",  # Qwen3 embedding
    "63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e": "tekken",  # Mistral Nemo
    "0e9433cbbb161f89e264eb32e8e64bfe69e834973ffca5d41d3948a604a3e2a3": "pixtral",
    "3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454": "gpt-2",
    "855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249": "smollm",
    "fcace8b9cac38ce847670c970cd5892031a753a1ef381abd1d9af00f713da085": "phi-2",
    "a8594e3edff7c29c003940395316294b2c623e09894deebbc65f33f1515df79e": "dbrx",  # Phi-4
}
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
EXPRESSIONS = {
    _CONTRACTIONS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _CONTRACTIONS + r"\p{N}" + _REST: "qwen2",
}


def tokens(path: Path, rows: int) -> tuple[list[str], list[int]]:
    """One text and one type per row of the embedding."""
    reader = _reader(path)
    added = {int(entry["id"]): entry for entry in _document(path).get("added_tokens", [])}
    texts = {number: token for token, number in reader.get_vocab(with_added_tokens=True).items()}
    if max(texts) >= rows:
        raise StageError(
            f"gguf: the tokenizer's highest id is {max(texts)} and the embedding has {rows} rows: "
            "they belong to different models; resize the embedding when tokens are added"
        )
    found, types = [], []
    for number in range(rows):
        entry = added.get(number)
        if number not in texts:
            found.append(f"[PAD{number}]")
            types.append(UNUSED)
        elif entry is None:
            found.append(texts[number])
            types.append(NORMAL)
        else:
            is_special = bool(entry.get("special")) or looks_special(texts[number])
            found.append(texts[number] if is_special else texts[number].replace("▁", " "))
            types.append(CONTROL if is_special else USER_DEFINED)
    return found, types


def pre_tokenizer(path: Path) -> str:
    """llama.cpp's name, by hash, else by expression."""
    digest = hashlib.sha256(str(_reader(path).encode(TRIAL).ids).encode()).hexdigest()
    if digest in HASHES:
        return HASHES[digest]
    way = _document(path).get("pre_tokenizer") or {}
    for step in way.get("pretokenizers", [way]):
        if step.get("type") == "Split" and step.get("pattern", {}).get("Regex") in EXPRESSIONS:
            return EXPRESSIONS[step["pattern"]["Regex"]]
        if step.get("type") == "ByteLevel" and step.get("use_regex", True):
            return "gpt-2"
    raise StageError(
        f"gguf: llama.cpp's name for this pre-tokenizer is not known (hash {digest[:16]}…); "
        f"give it as pre_tokenizer in gguf.yaml, for instance {', '.join(sorted(set(HASHES.values())))}"
    )


def _reader(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for a malformed file
        raise StageError(f"gguf: tokenizer.json cannot be read: {error}") from error


def _document(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value
