"""A tokenizer of our own: SentencePiece BPE trained on the corpus, and the folder that Hugging Face reads.

Llama's style: identity normalisation, byte fallback, spaces as U+2581; unlike Llama's, no space is put before a
text, so that a conversation tokenised piece by piece gets the ids that it gets as a whole.
Role tokens are special (control) tokens, the markers of the thinking format are ordinary added ones
(USER_DEFINED in a GGUF: an engine that hides special tokens must still print them).
Every token lies in tokenizer.model itself, so that SentencePiece and tokenizer.json share one table of ids.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, StageError
from so8t.formats import layouts
from so8t.formats.chat import Segment

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor

SPACE = "▁"
NUMBER_OF_BYTES = 256
CHUNK = 1000  # characters of a line at once: SentencePiece skips longer ones silently


@dataclass(frozen=True)
class Symbols:
    """The tokens that do not stand for text: the ends of a text, the roles, and the markers that are printed."""

    bos: str
    eos: str
    roles: tuple[str, ...]
    markers: tuple[str, ...]

    @property
    def special(self) -> tuple[str, ...]:
        """In the order of their ids; </s> is there because engines look for it in a Llama vocabulary."""
        return tuple(dict.fromkeys(("<unk>", self.bos, "</s>", self.eos, *self.roles)))


def symbols(declaration: dict[str, Any]) -> Symbols:
    """From chat_format.json; a format that marks whole lines has no markers of its own in the vocabulary."""
    chat, thinking = declaration["chat"], layouts.from_json(declaration["thinking"])
    return Symbols(chat["bos"], chat["eos"], tuple(chat["role_tokens"]), thinking.tokens)


def train(texts: Iterable[str], vocab_size: int, symbols: Symbols) -> bytes:
    """The bytes of tokenizer.model; the same texts give the same bytes.

    Japanese may have so few spaces that the space is left to byte tokens, which SentencePiece does not turn back.
    """
    sentences = list(_sentences(texts))
    model = _trained(sentences, vocab_size, symbols)
    if processor(model).PieceToId(SPACE) == processor(model).unk_id():
        model = _trained(sentences, vocab_size, symbols, required_chars=SPACE)
    return model


def _trained(sentences: Iterable[str], vocab_size: int, symbols: Symbols, **more: Any) -> bytes:
    try:
        import sentencepiece
    except ImportError:
        raise MissingExtra("sentencepiece", "train", "base_model's tokenizer") from None
    model = io.BytesIO()
    smallest = len(symbols.special) + len(symbols.markers) + NUMBER_OF_BYTES
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.9995,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            control_symbols=list(symbols.special[3:]),
            user_defined_symbols=list(symbols.markers),
            unk_id=0,
            bos_id=1,
            eos_id=2,
            bos_piece=symbols.bos,
            eos_piece="</s>",
            max_sentence_length=CHUNK * 4,
            num_threads=1,
            minloglevel=2,
            **more,
        )
    except (RuntimeError, OSError) as error:
        raise StageError(
            f"base_model: no tokenizer of {vocab_size} pieces can be trained on this corpus "
            f"({smallest} are taken by bytes and symbols): {_sentence(error)}; change source.vocab_size or add text"
        ) from error
    return model.getvalue()


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    """Lines, so that a line end is always a byte token and never joins two pieces of a conversation."""
    for text in texts:
        for line in text.splitlines():
            for start in range(0, len(line), CHUNK):
                yield line[start : start + CHUNK]


def _sentence(error: Exception) -> str:
    """The last line of SentencePiece's message, without its source position."""
    return str(error).strip().splitlines()[-1].split("] ", 1)[-1].strip().rstrip(".")


def processor(model: bytes) -> SentencePieceProcessor:
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_proto=model)


def encode(pieces: SentencePieceProcessor, segments: Iterable[Segment], symbols: Symbols) -> list[int]:
    """A conversation's ids: special tokens come from its structure alone, whatever a message spells."""
    special = re.compile("(" + "|".join(map(re.escape, symbols.special)) + ")")
    ids: list[int] = []
    for segment in segments:
        if not segment.structure:
            ids += pieces.encode(segment.text)
            continue
        for part in special.split(segment.text):
            ids += [pieces.PieceToId(part)] if part in symbols.special else pieces.encode(part)
    return ids


def write(folder: Path, model: bytes, symbols: Symbols, template: str, longest: int) -> None:
    """A tokenizer folder as AutoTokenizer, llama.cpp's converter and Ollama expect it."""
    pieces = processor(model)
    (folder / "tokenizer.model").write_bytes(model)
    write_json(folder / "tokenizer.json", fast(pieces, symbols))
    write_json(folder / "tokenizer_config.json", config(pieces, symbols, template, longest))
    write_json(folder / "special_tokens_map.json", _ends(symbols))
    (folder / "chat_template.jinja").write_bytes(template.encode("utf-8"))


def fast(pieces: SentencePieceProcessor, symbols: Symbols) -> dict[str, Any]:
    """tokenizer.json: the same pieces, with the merges that SentencePiece keeps only as an order of scores."""
    table = [pieces.IdToPiece(number) for number in range(pieces.vocab_size())]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, **flags(token, special)} for number, token, special in _added(pieces, symbols)],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: number for number, piece in enumerate(table)},
            "merges": merges(pieces),
        },
    }


def merges(pieces: SentencePieceProcessor) -> list[list[str]]:
    """Every way to join two pieces into a third, in the order in which SentencePiece would join them."""
    plain = {
        pieces.IdToPiece(number): number
        for number in range(pieces.vocab_size())
        if not (pieces.IsControl(number) or pieces.IsUnknown(number) or pieces.IsByte(number))
    }
    found = []
    for piece, number in plain.items():
        splits = ((piece[:at], piece[at:]) for at in range(1, len(piece)))
        found += [
            (number, plain[left], plain[right], [left, right])
            for left, right in splits
            if {left, right} <= plain.keys()
        ]
    # a piece's number is its rank: SentencePiece numbers them by falling score
    return [pair for _, _, _, pair in sorted(found)]


def config(pieces: SentencePieceProcessor, symbols: Symbols, template: str, longest: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "LlamaTokenizer",
        "added_tokens_decoder": {
            str(number): flags(token, special) for number, token, special in _added(pieces, symbols)
        },
        "add_bos_token": False,
        "add_eos_token": False,
        "add_prefix_space": False,
        "legacy": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": longest,
        "padding_side": "left",
        **_ends(symbols),
        "chat_template": template,
    }


def _ends(symbols: Symbols) -> dict[str, str]:
    return {"bos_token": symbols.bos, "eos_token": symbols.eos, "pad_token": symbols.eos, "unk_token": "<unk>"}


def _added(pieces: SentencePieceProcessor, symbols: Symbols) -> list[tuple[int, str, bool]]:
    named = [(token, True) for token in symbols.special] + [(token, False) for token in symbols.markers]
    return sorted((pieces.PieceToId(token), token, special) for token, special in named)


def flags(token: str, special: bool) -> dict[str, Any]:
    return {
        "content": token,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def check(folder: Path, texts: Iterable[str]) -> None:
    """Refuse a folder whose readers disagree on the ids of a text, or lose a character of it.

    Three readers: SentencePiece, tokenizer.json as it stands, and the class that transformers makes of the folder.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    pieces = processor((folder / "tokenizer.model").read_bytes())
    plain = Tokenizer.from_file(str(folder / "tokenizer.json"))
    quick = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    for text in texts:
        ids = pieces.encode(text)
        if plain.encode(text, add_special_tokens=False).ids != ids:
            raise StageError(f"base_model: tokenizer.model and tokenizer.json disagree on {text!r}")
        if quick(text, add_special_tokens=False)["input_ids"] != ids:
            raise StageError(f"base_model: transformers reads another tokenizer from the folder: see {text!r}")
        back = (pieces.decode(ids), plain.decode(ids), quick.decode(ids))
        if set(back) != {text.replace(SPACE, " ")}:  # SentencePiece writes a space so, and cannot tell them apart
            raise StageError(f"base_model: the tokenizer does not give {text!r} back, but {back}")


def write_json(path: Path, value: Any) -> None:
    path.write_bytes((json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode("utf-8"))
