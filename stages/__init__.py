"""The table of contents: every stage, in the order of the flow."""

from stages import adapter, adapter_scores, base_model, cleaned, curves, labelled, raw, so8t_model, thinking_sft

_FLOW = (raw, cleaned, labelled, thinking_sft, base_model, so8t_model, adapter, curves, adapter_scores)
STAGES = {module.STAGE.name: module.STAGE for module in _FLOW}
