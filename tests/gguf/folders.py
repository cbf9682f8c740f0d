"""Small checkpoints of every family, with random weights and tokenizers of both kinds, made here in a moment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from so8t.formats import chat
from so8t.models import tokenizer

TEXTS = (
    "東京支店の営業時間は十時から二十時までです。ご用件をお知らせください。",
    "ＯＳＡＫＡ店　全角の空白、ｶﾅと漢字、naïve café 😢🏳️‍🌈 123 4567",
    "The quick brown fox's 12345 numbers, don't they?\nNew line\n\n  two spaces",
)
WORDS = 400
MARKERS = ("<think-task>", "</think-task>", "<final>", "</final>")
SYMBOLS = tokenizer.Symbols("<s>", "<|endoftext|>", chat.PHI3.role_tokens, MARKERS)
SHAPE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 3,
}
LONG = {
    "rope_type": "longrope",
    "long_factor": [1.0 + 0.5 * at for at in range(8)],
    "short_factor": [1.0 + 0.1 * at for at in range(8)],
    "rope_theta": 10000.0,
    "partial_rotary_factor": 1.0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
HEAD = {"head_dim": 16}
# name: transformers' model, its kind of vocabulary, and what its config says besides the shape
FAMILIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "phi3": ("Phi3", "pieces", {"sliding_window": 48, "original_max_position_embeddings": 128}),
    "phi3-long": (
        "Phi3",
        "pieces",
        {"rope_parameters": LONG, "max_position_embeddings": 1024, "original_max_position_embeddings": 256},
    ),
    "phi3-tied": ("Phi3", "pieces", {"tie_word_embeddings": True, "original_max_position_embeddings": 128}),
    "llama": ("Llama", "pieces", {"attention_bias": True, **HEAD}),
    "llama3": ("Llama", "bytes", {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "mistral": ("Mistral", "pieces", {"sliding_window": 48}),
    "qwen2": ("Qwen2", "bytes", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3", "bytes", {**HEAD, "num_attention_heads": 8}),
    "gemma": ("Gemma", "pieces", HEAD),
    "gemma2": ("Gemma2", "pieces", {**HEAD, "query_pre_attn_scalar": 16, "sliding_window": 48}),
    "gemma3": (  # the sixth layer is the first that sees everything; llama.cpp demands one
        "Gemma3Text",
        "pieces",
        {**HEAD, "query_pre_attn_scalar": 16, "sliding_window": 48, "num_hidden_layers": 6},
    ),
}


def build(name: str, folder: Path, dtype: str = "float32") -> Path:
    """A folder as transformers saves it, tokenizer included."""
    import torch
    import transformers

    model, kind, extra = FAMILIES[name]
    config = getattr(transformers, f"{model}Config")(**{**SHAPE, **extra})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        causal = getattr(transformers, f"{model.removesuffix('Text')}ForCausalLM")(config)
        for parameter_name, parameter in causal.named_parameters():  # norms too: a shift that is lost must show
            noise = torch.randn_like(parameter) * (0.1 if "norm" in parameter_name else 0.05)
            parameter.data += noise
    causal.to(getattr(torch, dtype)).save_pretrained(str(folder))
    (write_bytes if kind == "bytes" else write_pieces)(folder)
    return folder


def write_pieces(folder: Path) -> None:
    template = chat.jinja_template(chat.PHI3)
    tokenizer.write(folder, tokenizer.train(TEXTS * 3, WORDS - 4, SYMBOLS), SYMBOLS, template, 128)


def write_bytes(folder: Path, expression: str = "") -> None:
    """Qwen's tokenizer, trained on next to nothing."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    from so8t.gguf.bytelevel import EXPRESSIONS

    qwen = next(text for text, name in EXPRESSIONS.items() if name == "qwen2")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(expression or qwen), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=WORDS - 20, initial_alphabet=sorted(alphabet), show_progress=False)
    )
    made.add_special_tokens(["<|endoftext|>", *chat.PHI3.role_tokens])
    made.add_tokens([AddedToken(marker, normalized=False) for marker in MARKERS])
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "chat_template": chat.jinja_template(chat.PHI3),
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
