"""The table of contents: every stage, in the order of the flow."""

from so8t.serve.settings import Serve
from stages import (
    adapter,
    adapter_scores,
    baked_model,
    base_model,
    cleaned,
    curves,
    evaluation,
    gguf,
    labelled,
    merged_model,
    modelfile,
    ollama,
    raw,
    so8t_model,
    thinking_sft,
)

_DATA = (raw, cleaned, labelled, thinking_sft)
_TRAINING = (base_model, so8t_model, adapter, curves, adapter_scores)
_MODELS = (merged_model, baked_model, gguf, modelfile, evaluation, ollama)
STAGES = {module.STAGE.name: module.STAGE for module in (*_DATA, *_TRAINING, *_MODELS)}
SETTINGS = {"serve": Serve}  # what a profile may set beside the stages' specs
