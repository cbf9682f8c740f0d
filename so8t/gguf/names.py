"""Which tensor of a checkpoint becomes which tensor of a GGUF, as tables per family of models.

The tables say what llama.cpp's own converter does; a name that stands in none of them is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from so8t.errors import StageError

Rows = Literal["", "query", "key"]

OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
PLAIN = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
FUSED = {
    "input_layernorm": "attn_norm",
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
HEAD_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
SANDWICH = {
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


@dataclass(frozen=True)
class Family:
    """How one architecture of transformers is spelt in a GGUF."""

    arch: str
    layer: Mapping[str, str]
    interleaved: bool = False  # llama.cpp rotates neighbouring values of a head: rows of q and k are reordered
    norm_shift: float = 0.0  # Gemma stores what is to be added to 1
    dropped: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True)
class Conversion:
    """What becomes of one tensor."""

    name: str
    rows: Rows = ""
    shift: float = 0.0


_NO_HEAD = frozenset({"lm_head.weight"})  # always tied to the embedding there
FAMILIES = {
    "Phi3ForCausalLM": Family("phi3", FUSED),
    "LlamaForCausalLM": Family("llama", PLAIN, interleaved=True),
    "MistralForCausalLM": Family("llama", PLAIN, interleaved=True),
    "Qwen2ForCausalLM": Family("qwen2", PLAIN),
    "Qwen3ForCausalLM": Family("qwen3", PLAIN | HEAD_NORMS),
    "GemmaForCausalLM": Family("gemma", PLAIN, norm_shift=1.0, dropped=_NO_HEAD),
    "Gemma2ForCausalLM": Family("gemma2", PLAIN | SANDWICH, norm_shift=1.0, dropped=_NO_HEAD),
    "Gemma3ForCausalLM": Family("gemma3", PLAIN | SANDWICH | HEAD_NORMS, norm_shift=1.0),
}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_OTHER = re.compile(r"(.+)\.(weight|bias)")


def family(architecture: str) -> Family:
    if architecture not in FAMILIES:
        raise StageError(f"gguf: no table for {architecture}; there are tables for {', '.join(sorted(FAMILIES))}")
    return FAMILIES[architecture]


def conversion(name: str, family: Family) -> Conversion | None:
    """Where a tensor goes; None: it is left out, as llama.cpp's converter leaves it out."""
    if name in family.dropped or name.endswith(".rotary_emb.inv_freq"):
        return None
    shift = family.norm_shift if name.endswith("norm.weight") else 0.0
    if match := _LAYER.fullmatch(name):
        number, inside, kind = match.groups()
        if inside in family.layer:
            return Conversion(f"blk.{number}.{family.layer[inside]}.{kind}", _rows(inside, family), shift)
    elif (match := _OTHER.fullmatch(name)) and match[1] in OUTSIDE:
        return Conversion(f"{OUTSIDE[match[1]]}.{match[2]}", "", shift)
    raise StageError(f"gguf: {family.arch} has no tensor {name}; is the model a plain one, with its adapters merged?")


def _rows(inside: str, family: Family) -> Rows:
    if not family.interleaved:
        return ""
    return {"self_attn.q_proj": "query", "self_attn.k_proj": "key"}.get(inside, "")  # type: ignore[return-value]
