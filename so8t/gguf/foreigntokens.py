"""A GGUF's vocabulary as the tokenizer files that Hugging Face reads, so that both give the same tokens.

What a GGUF does not hold, how a text is cut before the pieces are looked for, stands here by llama.cpp's names.
transformers rebuilds a tokenizer of its class where it knows one; these files name none, and are taken as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.gguf import bytelevel, stripping
from so8t.gguf.foreign import Foreign
from so8t.gguf.tokentypes import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED

SPACE = "▁"
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_EXPRESSIONS = {name: text for text, name in bytelevel.EXPRESSIONS.items()}
_LLAMA3, _QWEN2 = _EXPRESSIONS["llama-bpe"], _EXPRESSIONS["qwen2"]
CUTS = {  # llama.cpp's name of a pre-tokenizer: its expression; none: GPT-2's own
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "smaug-bpe", "dbrx"), _LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), _QWEN2),
    **dict.fromkeys(("tekken", "pixtral"), _TEKKEN),
    **dict.fromkeys(("gpt-2", "phi-2", "smollm"), ""),
}
_WHOLE_WORDS = ("llama-bpe", "llama3", "llama-v3", "tekken", "pixtral")  # a word that is a piece is not cut; BOS first


def write(foreign: Foreign, folder: Path) -> None:
    vocabulary = _Vocabulary(foreign)
    if vocabulary.kind == "llama":
        (folder / "tokenizer.model").write_bytes(_sentencepiece(vocabulary))
        document = _pieces(vocabulary, folder / "tokenizer.model")
    elif vocabulary.kind == "gpt2":
        document = _bytes(vocabulary)
    else:
        raise StageError(
            f"base_model: {foreign.path.name} has a tokenizer of the kind {vocabulary.kind!r}; it must be llama or gpt2"
        )
    _write_json(folder / "tokenizer.json", document)
    ends = vocabulary.ends()
    _write_json(folder / "tokenizer_config.json", {**_config(vocabulary), **ends})
    _write_json(folder / "special_tokens_map.json", ends)
    _write_json(folder / "generation_config.json", vocabulary.generation())


class _Vocabulary:
    """The tokens but for the padding that fills the embedding up."""

    def __init__(self, foreign: Foreign) -> None:
        self._found, self.id = foreign.metadata, foreign.token_id
        self.name = foreign.path.name
        self.kind = self.get("model", "(none)")
        self.pre = self.get("pre", "default")
        texts, types = self.get("tokens", []), self.get("token_type", [])
        self.types = list(types) or [NORMAL] * len(texts)
        self.count = len(texts)
        while self.count and self.types[self.count - 1] == UNUSED and texts[self.count - 1].startswith("[PAD"):
            self.count -= 1
        self.texts = texts[: self.count]
        self._check_texts()
        self.context = foreign.metadata.get(f"{foreign.arch}.context_length")

    def get(self, key: str, default: Any = None) -> Any:
        return self._found.get(f"tokenizer.ggml.{key}", default)

    def _check_texts(self) -> None:
        if not self.texts:
            raise StageError(f"base_model: {self.name} has no vocabulary (tokenizer.ggml.tokens)")
        if len(set(self.texts)) < len(self.texts):
            twice = next(text for at, text in enumerate(self.texts) if text in self.texts[:at])
            raise StageError(f"base_model: {self.name} has two tokens {twice!r}: take the safetensors of this model")

    @property
    def template(self) -> str | None:
        return self._found.get("tokenizer.chat_template")

    @property
    def begins(self) -> bool:
        """Whether BOS is put before every text; where the file is silent, llama.cpp decides by kind."""
        usual = self.kind == "llama" or self.pre in _WHOLE_WORDS
        return bool(self.get("add_bos_token", usual)) and self.id("bos") is not None

    @property
    def prefix(self) -> bool:
        """Whether a text is read as if a space stood before it."""
        return self.kind == "llama" and bool(self.get("add_space_prefix", True))

    def added(self) -> Iterator[dict[str, Any]]:
        """Tokens that are looked for before the text is cut; llama.cpp knows by name whose swallow white space."""
        strips = stripping.says_so(str(self._found.get("general.name", "")))
        for number, (text, kind) in enumerate(zip(self.texts, self.types, strict=False)):
            if kind in (CONTROL, USER_DEFINED, UNKNOWN):
                flags = {"single_word": False, "lstrip": False, "rstrip": strips and stripping.may_strip(text)}
                yield {"id": number, "content": text, **flags, "normalized": False, "special": kind != USER_DEFINED}

    def ends(self) -> dict[str, str]:
        keys = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
        ids = {name: self.id(key) for name, key in keys.items()}
        ids["pad_token"] = ids["eos_token"] if ids["pad_token"] is None else ids["pad_token"]
        return {name: self.texts[number] for name, number in ids.items() if number is not None and number < self.count}

    def generation(self) -> dict[str, Any]:
        ends = dict.fromkeys(number for key in ("eos", "eot", "eom") if (number := self.id(key)) is not None)
        pad = self.id("padding")
        if pad is None:
            pad = next(iter(ends), None)
        return {"bos_token_id": self.id("bos"), "eos_token_id": list(ends) or None, "pad_token_id": pad}


def _config(vocabulary: _Vocabulary) -> dict[str, Any]:
    listed = {str(entry.pop("id")): entry for entry in vocabulary.added()}
    template = {"chat_template": vocabulary.template} if vocabulary.template else {}
    given = {f"add_{end}_token": vocabulary.get(f"add_{end}_token") for end in ("bos", "eos")}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "added_tokens_decoder": listed,
        **{name: value for name, value in given.items() if value is not None},
        "clean_up_tokenization_spaces": False,
        "model_max_length": vocabulary.context,
        "padding_side": "left",
        **template,
    }


def _document(vocabulary: _Vocabulary, model: Mapping[str, Any], **steps: Any) -> dict[str, Any]:
    usual = {"dropout": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    texts = {text: number for number, text in enumerate(vocabulary.texts)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(vocabulary.added()),
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": _beginning(vocabulary) if vocabulary.begins else None,
        **steps,
        "model": {"type": "BPE", **usual, **model, "vocab": texts},
    }


def _beginning(vocabulary: _Vocabulary) -> dict[str, Any]:
    number = vocabulary.id("bos")
    assert number is not None  # else nothing begins with it
    token = vocabulary.texts[number]
    begin, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    known = {token: {"id": token, "ids": [number], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": [begin, text], "pair": [begin, text], "special_tokens": known}


# ---- pieces of bytes -------------------------------------------------------------------------------------------


def _bytes(vocabulary: _Vocabulary) -> dict[str, Any]:
    if vocabulary.pre not in CUTS:
        raise StageError(
            f"base_model: {vocabulary.name} cuts texts by the way that llama.cpp calls {vocabulary.pre!r}; "
            f"known here are {', '.join(CUTS)}: take the safetensors of this model"
        )
    expression = CUTS[vocabulary.pre]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": not expression}
    if expression:
        cut = [{"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}]
    else:
        cut = [{"type": "Digits", "individual_digits": True}] if vocabulary.pre == "smollm" else []
    merges = [merge.split(" ", 1) for merge in vocabulary.get("merges", [])]
    model = {
        "unk_token": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": vocabulary.pre in _WHOLE_WORDS,
        "merges": merges,
    }
    steps = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [*cut, level]}, "decoder": level}
    return _document(vocabulary, model, **steps)


# ---- SentencePiece ---------------------------------------------------------------------------------------------


def _sentencepiece(vocabulary: _Vocabulary) -> bytes:
    """tokenizer.model; GGUF's kinds of tokens are SentencePiece's."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    made = proto.ModelProto()  # type: ignore[attr-defined]  # made at import
    scores = vocabulary.get("scores") or [0.0] * vocabulary.count
    for text, kind, score in zip(vocabulary.texts, vocabulary.types, scores, strict=False):
        made.pieces.add(piece=text, type=kind, score=score)
    training, normalizer = made.trainer_spec, made.normalizer_spec
    training.model_type, training.vocab_size = 2, vocabulary.count
    training.byte_fallback = BYTE in vocabulary.types
    for name, key in (("unk", "unknown"), ("bos", "bos"), ("eos", "eos"), ("pad", "padding")):
        number = vocabulary.id(key)
        setattr(training, f"{name}_id", -1 if number is None else number)
        if number is not None:
            setattr(training, f"{name}_piece", vocabulary.texts[number])
    normalizer.name, normalizer.add_dummy_prefix = "identity", vocabulary.prefix
    normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = False, True
    return bytes(made.SerializeToString())


def _pieces(vocabulary: _Vocabulary, model: Path) -> dict[str, Any]:
    """tokenizer.json, whose merges come in the order of the scores of what they make."""
    from so8t.models import tokenizer

    pieces = tokenizer.processor(model.read_bytes())
    score = {pieces.IdToPiece(number): pieces.GetScore(number) for number in range(vocabulary.count)}
    merges = sorted(tokenizer.merges(pieces), key=lambda pair: -score["".join(pair)])
    unknown = vocabulary.ends().get("unk_token")
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    prepend = [{"type": "Prepend", "prepend": SPACE}] if vocabulary.prefix else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if vocabulary.prefix else []
    fallback = BYTE in vocabulary.types
    return _document(
        vocabulary,
        {"unk_token": unknown, "fuse_unk": True, "byte_fallback": fallback, "ignore_merges": False, "merges": merges},
        normalizer={"type": "Sequence", "normalizers": [*prepend, replace]},
        decoder={"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]},
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_bytes((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8"))
