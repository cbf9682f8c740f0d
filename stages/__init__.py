"""The table of contents: every stage, in the order of the flow.  Adding one is its line here, its file and its spec."""

from importlib import import_module

from so8t.engine.stage import Stage
from so8t.serve.settings import Serve
from so8t.spec.renames import Moved, Rename

FLOW = (
    "crawl",
    "raw",
    "cleaned",
    "labelled",
    "thinking_sft",
    "base_model",
    "chat_format",
    "so8t_model",
    "adapter",
    "preference",
    "curves",
    "adapter_scores",
    "merged_model",
    "baked_model",
    "gguf",
    "modelfile",
    "evaluation",
    "report",
    "ollama",
)

STAGES: dict[str, Stage] = {name: import_module(f"stages.{name}").STAGE for name in FLOW}
SETTINGS = {"serve": Serve}  # what a profile may set beside the stages' specs
RENAMED = (  # keys of specs that have another name or place now, in the order in which they got it
    Rename("merged_model", "parity.prompts", "conversations"),
    Rename("baked_model", "parity.prompts", "conversations"),
    Rename("gguf", "parity.texts", "conversations"),
    Rename("gguf", "bounds.*.divergence", "kl"),
    Rename("gguf", "bounds.*.agreement", "top1"),
    Rename("adapter", "validation.records", "conversations"),
    Rename("adapter_scores", "records", "conversations"),
    Rename("evaluation", "records", "conversations"),
    Rename("evaluation", "grammar.records", "conversations"),
    Moved("gguf", "pre_tokenizer", "chat_format.pre_tokenizer"),
    Moved("evaluation", "pre_tokenizer", "chat_format.pre_tokenizer"),
)
