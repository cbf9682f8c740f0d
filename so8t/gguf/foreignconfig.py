"""A GGUF's metadata as the config.json of transformers: `hyperparameters` backwards, and checked by going forwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from so8t.errors import StageError
from so8t.gguf import hyperparameters, names
from so8t.gguf.foreign import Foreign

MODEL_TYPES = {"gemma3": "gemma3_text"}  # by architecture, where the two differ
_ROPE = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_LARGEST_GEMMAS = {"gemma2": 46, "gemma3": 62}  # layers of those whose attention is scaled by the width of a head
_ORIGINALS = tuple(2**power for power in range(5, 21))  # contexts that a Llama 3 may have been trained with


def architecture(foreign: Foreign) -> str:
    """The class of transformers; Mistral's models are Llama's in a GGUF."""
    for name, family in names.FAMILIES.items():
        if family.arch == foreign.arch:
            return name
    known = ", ".join(dict.fromkeys(family.arch for family in names.FAMILIES.values()))
    raise StageError(
        f"base_model: {foreign.path.name} has the architecture {foreign.arch or '(none)'}; it must be one of {known}"
    )


def is_rope(name: str) -> bool:
    """Tensors that become a part of config.json."""
    return name in _ROPE


def config(foreign: Foreign) -> dict[str, Any]:
    found = _Found(foreign)
    arch, heads = foreign.arch, found.need("attention.head_count")
    values: dict[str, Any] = {
        "architectures": [architecture(foreign)],
        "model_type": MODEL_TYPES.get(arch, arch),
        "vocab_size": foreign.tensors["token_embd.weight"].shape[0],
        "hidden_size": found.need("embedding_length"),
        "intermediate_size": found.need("feed_forward_length"),
        "num_hidden_layers": found.need("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": found.get("attention.head_count_kv", heads),
        "max_position_embeddings": found.need("context_length"),
        "rms_norm_eps": found.need("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": "output.weight" not in foreign.tensors,
        "rope_parameters": _rope(found),
        "dtype": _dtype(foreign),
        **_ends(foreign),
    }
    head = found.get("attention.key_length", found.get("rope.dimension_count", values["hidden_size"] // heads))
    if arch not in ("phi3", "qwen2"):
        values["head_dim"] = head
    if arch in ("llama", "qwen3"):
        values["attention_bias"] = "blk.0.attn_q.bias" in foreign.tensors
    if arch == "llama":
        values["mlp_bias"] = "blk.0.ffn_up.bias" in foreign.tensors
    if arch == "phi3":
        longest = values["max_position_embeddings"]
        values["original_max_position_embeddings"] = found.get("rope.scaling.original_context_length", longest)
        values["sliding_window"] = found.get("attention.sliding_window") or None
    if arch in ("gemma2", "gemma3"):
        values |= _gemma(found, head)
    return values


def check(foreign: Foreign, config: Mapping[str, Any]) -> None:
    """`config` is transformers' reading of what was made: converted again, it must say what the file says."""
    family = names.family(config["architectures"][0])
    made = {pair.key: pair.value for pair in hyperparameters.pairs(config, family, 0)}
    own = {key: value for key, value in foreign.metadata.items() if key.startswith(f"{foreign.arch}.")}
    for key, value in own.items():
        if not _same(made.get(key), value) and not _is_implied(key, value, config):
            raise StageError(
                f"base_model: {foreign.path.name} says {key}: {value!r}, and a config.json cannot say so here "
                f"(it gives {made.get(key)!r}): take the safetensors of this model"
            )
    for name, factors in hyperparameters.rope_tensors(config, family):
        if not _equal(foreign, name, factors):
            raise StageError(f"base_model: {foreign.path.name}: {name} is not what config.json gives")


class _Found:
    """The architecture's own keys."""

    def __init__(self, foreign: Foreign) -> None:
        self.foreign, self._prefix = foreign, f"{foreign.arch}."

    def get(self, key: str, default: Any = None) -> Any:
        return self.foreign.metadata.get(self._prefix + key, default)

    def need(self, key: str) -> Any:
        value = self.get(key)
        if not isinstance(value, (int, float)):
            raise StageError(f"base_model: {self.foreign.path.name} has no {self._prefix}{key}, or it is not a number")
        return value


def _rope(found: _Found) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": found.get("rope.freq_base", 10000.0)}
    kind = found.get("rope.scaling.type", "none")
    if kind in ("linear", "yarn"):
        rope |= {"rope_type": kind, "factor": found.need("rope.scaling.factor")}
    if kind == "yarn":
        keys = {
            "original_context_length": "original_max_position_embeddings",
            "yarn_ext_factor": "extrapolation_factor",
            "yarn_attn_factor": "attention_factor",
            "yarn_beta_fast": "beta_fast",
            "yarn_beta_slow": "beta_slow",
        }
        given = {name: found.get(f"rope.scaling.{key}") for key, name in keys.items()}
        rope |= {name: value for name, value in given.items() if value is not None}
    if found.foreign.arch == "phi3":
        rope |= _phi3(found)
    if "rope_freqs.weight" in found.foreign.tensors:
        rope |= _llama3(found.foreign, rope["rope_theta"])
    if found.foreign.arch == "gemma3":
        near = {"rope_type": "default", "rope_theta": found.get("rope.freq_base_swa", 10000.0)}
        return {"full_attention": rope, "sliding_attention": near}
    return rope


def _phi3(found: _Found) -> dict[str, Any]:
    width = found.need("embedding_length") // found.need("attention.head_count")
    rope = {"partial_rotary_factor": found.get("rope.dimension_count", width) / width}
    for length in ("long", "short"):
        if tensor := found.foreign.tensors.get(f"rope_factors_{length}.weight"):
            rope |= {"rope_type": "longrope", f"{length}_factor": tensor.data.tolist()}
    return rope


def _llama3(foreign: Foreign, theta: float) -> dict[str, Any]:
    """The parameters whose factors the file holds."""
    factors = foreign.tensors["rope_freqs.weight"].data
    head, family = 2 * len(factors), names.FAMILIES["LlamaForCausalLM"]
    for original in _ORIGINALS:
        rope = {
            "rope_type": "llama3",
            "rope_theta": theta,
            "factor": float(factors.max()),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": original,
        }
        made = hyperparameters.rope_tensors({"rope_parameters": rope, "head_dim": head}, family)
        if _equal(foreign, *made[0]):
            return rope
    raise StageError(
        f"base_model: {foreign.path.name}: no parameters of Llama 3 give its rope_freqs.weight: "
        "take the safetensors of this model"
    )


def _equal(foreign: Foreign, name: str, factors: list[float]) -> bool:
    import numpy as np

    tensor = foreign.tensors.get(name)
    return tensor is not None and np.array_equal(tensor.data, np.asarray(factors, dtype=np.float32))


def _gemma(found: _Found, head: int) -> dict[str, Any]:
    """What llama.cpp assumes where the file is silent."""
    layers, width = found.need("block_count"), found.need("embedding_length") // found.need("attention.head_count")
    largest = layers == _LARGEST_GEMMAS[found.foreign.arch]
    return {
        "query_pre_attn_scalar": width if largest else head,
        "sliding_window": found.get("attention.sliding_window", 4096),
        "attn_logit_softcapping": found.get("attn_logit_softcapping"),
        "final_logit_softcapping": found.get("final_logit_softcapping"),
    }


def _dtype(foreign: Foreign) -> str:
    kind = foreign.tensors["token_embd.weight"].kind
    return {"F16": "float16", "BF16": "bfloat16"}.get(kind, "float32")


def _ends(foreign: Foreign) -> dict[str, Any]:
    end, pad = foreign.token_id("eos"), foreign.token_id("padding")
    return {"bos_token_id": foreign.token_id("bos"), "eos_token_id": end, "pad_token_id": end if pad is None else pad}


def _same(made: Any, found: Any) -> bool:
    import numpy as np

    if isinstance(made, float) and isinstance(found, float):
        return bool(np.float32(made) == np.float32(found))
    return bool(made == found)


def _is_implied(key: str, value: Any, config: Mapping[str, Any]) -> bool:
    """Keys that some converters leave out because they follow from others, and those that say: nothing."""
    if not value or value == "none":
        return True
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    implied = {"attention.key_length": head, "attention.value_length": head, "rope.dimension_count": head}
    return implied.get(key.split(".", 1)[1]) == value or (key.endswith(".vocab_size") and value == config["vocab_size"])
