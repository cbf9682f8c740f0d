"""The table of contents: every stage, in the order of the flow."""

from stages import cleaned, labelled, raw, thinking_sft

STAGES = {stage.name: stage for stage in (raw.STAGE, cleaned.STAGE, labelled.STAGE, thinking_sft.STAGE)}
