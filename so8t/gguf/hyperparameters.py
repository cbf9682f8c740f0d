"""A model's shape and constants as the keys and small tensors that llama.cpp reads, family by family.

The values and types are those of llama.cpp's own converter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from so8t.errors import StageError
from so8t.gguf.metadata import Kind, Pair
from so8t.gguf.names import Family

FILE_TYPES = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}  # llama.cpp's numbers; its quantiser writes its own
QUANTISATION_VERSION = 2

Values = list[tuple[str, Any]]


def pairs(config: Mapping[str, Any], family: Family, file_type: int) -> list[Pair]:
    """Shape and constants; `config` is transformers' own reading of config.json, defaults filled in."""
    rope = _rope(config)
    values = {"phi3": _phi3, "gemma": _gemma, "gemma2": _gemma2}.get(family.arch, _usual)(config, rope)
    if family.arch == "llama":
        values += [("vocab_size", config["vocab_size"]), ("rope.dimension_count", _head(config))]
    if family.arch == "gemma3":
        values += _gemma3(config)
    named = [Pair(f"{family.arch}.{key}", value, _kind(value)) for key, value in values]
    general = [
        Pair("general.file_type", file_type, "uint32"),
        Pair("general.quantization_version", QUANTISATION_VERSION, "uint32"),
    ]
    return named + general


def rope_tensors(config: Mapping[str, Any], family: Family) -> list[tuple[str, list[float]]]:
    """Factors of the rotation, which llama.cpp reads as tensors."""
    rope = _rope(config)
    if family.arch == "phi3" and rope.get("long_factor"):
        half = int(rope.get("partial_rotary_factor", 1.0) * config["hidden_size"]) // config["num_attention_heads"] // 2
        for key in ("long_factor", "short_factor"):
            if len(rope.get(key) or ()) != half:
                raise StageError(f"gguf: rope's {key} has {len(rope.get(key) or ())} values, the heads need {half}")
        return [("rope_factors_long.weight", rope["long_factor"]), ("rope_factors_short.weight", rope["short_factor"])]
    if family.arch == "llama" and rope.get("rope_type") == "llama3":
        return [("rope_freqs.weight", _llama3(rope, _head(config)))]
    return []


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    rope = rope.get("full_attention", rope)
    if "type" in rope:
        rope.setdefault("rope_type", rope["type"])
    for key in ("rope_theta", "partial_rotary_factor", "original_max_position_embeddings"):
        if config.get(key) is not None:
            rope.setdefault(key, config[key])
    return rope


def _phi3(config: Mapping[str, Any], rope: Mapping[str, Any]) -> Values:
    heads = config["num_attention_heads"]
    longest = config["max_position_embeddings"]
    original = rope.get("original_max_position_embeddings", longest)
    values: Values = [
        ("context_length", longest),
        ("rope.scaling.original_context_length", original),
        ("embedding_length", config["hidden_size"]),
        ("feed_forward_length", config["intermediate_size"]),
        ("block_count", config["num_hidden_layers"]),
        ("attention.head_count", heads),
        ("attention.head_count_kv", config["num_key_value_heads"]),
        ("attention.layer_norm_rms_epsilon", float(config["rms_norm_eps"])),
        ("rope.dimension_count", int(rope.get("partial_rotary_factor", 1.0) * config["hidden_size"]) // heads),
        ("rope.freq_base", float(rope["rope_theta"])),
        ("attention.sliding_window", config.get("sliding_window") or 0),
    ]
    if rope.get("long_factor"):
        values.append(("rope.scaling.attn_factor", _attention_factor(rope, longest / original, original)))
    return values


def _attention_factor(rope: Mapping[str, Any], scale: float, original: int) -> float:
    kind = str(rope.get("rope_type", "")).lower()
    if kind in ("su", "longrope"):
        return math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
    if kind == "yarn":
        return 0.1 * math.log(scale) + 1.0 if scale > 1 else 1.0
    raise StageError(f"gguf: rope scaling {kind!r} is not known; it must be longrope, su or yarn")


def _usual(config: Mapping[str, Any], rope: Mapping[str, Any]) -> Values:
    values: Values = [
        ("block_count", config["num_hidden_layers"]),
        ("context_length", config["max_position_embeddings"]),
        ("embedding_length", config["hidden_size"]),
        ("feed_forward_length", config["intermediate_size"]),
        ("attention.head_count", config["num_attention_heads"]),
        ("attention.head_count_kv", config["num_key_value_heads"]),
        *_scaling(rope),
        ("rope.freq_base", float(rope["rope_theta"])),
        ("attention.layer_norm_rms_epsilon", float(config["rms_norm_eps"])),
    ]
    if config.get("head_dim") is not None:
        values += [("attention.key_length", config["head_dim"]), ("attention.value_length", config["head_dim"])]
    return values


def _scaling(rope: Mapping[str, Any]) -> Values:
    kind, factor = rope.get("rope_type", "default"), rope.get("factor")
    if kind in ("default", "llama3"):  # llama3's is a tensor
        return []
    if kind == "linear" and factor is not None:
        return [("rope.scaling.type", "linear"), ("rope.scaling.factor", float(factor))]
    if kind == "yarn" and factor is not None:
        names = {
            "extrapolation_factor": "yarn_ext_factor",
            "attention_factor": "yarn_attn_factor",
            "attn_factor": "yarn_attn_factor",
            "beta_fast": "yarn_beta_fast",
            "beta_slow": "yarn_beta_slow",
        }
        return [
            ("rope.scaling.type", "yarn"),
            ("rope.scaling.factor", float(factor)),
            ("rope.scaling.original_context_length", int(rope["original_max_position_embeddings"])),
            *((f"rope.scaling.{to}", float(rope[key])) for key, to in names.items() if rope.get(key) is not None),
        ]
    raise StageError(f"gguf: rope scaling {kind!r} is not known here; known are linear, yarn, llama3 and Phi-3's")


def _gemma(config: Mapping[str, Any], rope: Mapping[str, Any]) -> Values:
    return [
        ("context_length", config["max_position_embeddings"]),
        ("embedding_length", config["hidden_size"]),
        ("block_count", config["num_hidden_layers"]),
        ("feed_forward_length", config["intermediate_size"]),
        ("attention.head_count", config["num_attention_heads"]),
        ("attention.head_count_kv", config["num_key_value_heads"]),
        ("attention.layer_norm_rms_epsilon", float(config["rms_norm_eps"])),
        ("attention.key_length", config["head_dim"]),
        ("attention.value_length", config["head_dim"]),
    ]


def _gemma2(config: Mapping[str, Any], rope: Mapping[str, Any]) -> Values:
    return [
        *_gemma(config, rope),
        ("attn_logit_softcapping", float(config["attn_logit_softcapping"])),
        ("final_logit_softcapping", float(config["final_logit_softcapping"])),
        ("attention.sliding_window", config["sliding_window"]),
    ]


def _gemma3(config: Mapping[str, Any]) -> Values:
    if config.get("attn_logit_softcapping") is not None:
        raise StageError("gguf: llama.cpp's gemma3 has no attn_logit_softcapping")
    values: Values = []
    local = (config.get("rope_parameters") or {}).get("sliding_attention", {}).get("rope_theta")
    if local is not None:
        values.append(("rope.freq_base_swa", float(local)))
    if config.get("final_logit_softcapping"):
        values.append(("final_logit_softcapping", float(config["final_logit_softcapping"])))
    if config.get("sliding_window_pattern") != 1:
        values.append(("attention.sliding_window", config["sliding_window"]))
    return values


def _head(config: Mapping[str, Any]) -> int:
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def _llama3(rope: Mapping[str, Any], head: int) -> list[float]:
    """Llama 3.1's stretching of slow rotations, as divisors of each frequency; float32 throughout, as everywhere."""
    import torch

    factor, low, high = rope.get("factor", 8.0), rope.get("low_freq_factor", 1.0), rope.get("high_freq_factor", 4.0)
    original, base = rope.get("original_max_position_embeddings", 8192), rope.get("rope_theta", 10000.0)
    wave = 2 * math.pi / (1.0 / (base ** (torch.arange(0, head, 2, dtype=torch.float32) / head)))
    smooth = (original / wave - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth)
    slow = torch.where(wave > original / low, torch.full_like(wave, factor), between)
    values: list[float] = torch.where(wave < original / high, torch.ones_like(wave), slow).tolist()
    return values


def _kind(value: Any) -> Kind:
    if isinstance(value, str):
        return "string"
    return "float32" if isinstance(value, float) else "uint32"
