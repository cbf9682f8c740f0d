"""What we override, call or imitate of transformers and peft without a promise of theirs: signatures as we read them.

A test that fails here names the method that changed: read its new code, then ours, then record it and raise the bound
in pyproject.toml.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import peft
import pytest
import transformers
from peft.tuners.lora import Linear
from transformers import Phi3Config, Phi3ForCausalLM, Trainer
from transformers.models.phi3.modeling_phi3 import Phi3Attention, Phi3DecoderLayer, Phi3PreTrainedModel

from so8t.train.trainer import GatedTrainer

RECORDED: dict[str, tuple[Any, str]] = {
    "Trainer._get_train_sampler": (Trainer._get_train_sampler, "(self, train_dataset=None)"),
    "Trainer.get_batch_samples": (Trainer.get_batch_samples, "(self, epoch_iterator, num_batches, device)"),
    "Trainer.compute_loss": (
        Trainer.compute_loss,
        "(self, model, inputs, return_outputs=False, num_items_in_batch=None)",
    ),
    "Trainer.compute_loss_context_manager": (Trainer.compute_loss_context_manager, "(self)"),
    "Trainer.training_step": (Trainer.training_step, "(self, model, inputs, num_items_in_batch=None)"),
    "Trainer.create_optimizer": (Trainer.create_optimizer, "(self, model=None)"),
    "Trainer._clip_grad_norm": (Trainer._clip_grad_norm, "(self, model)"),
    "Trainer._get_output_dir": (Trainer._get_output_dir, "(self, trial)"),
    "Trainer._save_checkpoint": (Trainer._save_checkpoint, "(self, model, trial)"),
    "Trainer._save": (Trainer._save, "(self, output_dir=None, state_dict=None)"),
    "Trainer._load_from_checkpoint": (Trainer._load_from_checkpoint, "(self, resume_from_checkpoint, model=None)"),
    "Trainer._prepare_inputs": (Trainer._prepare_inputs, "(self, inputs)"),
    "Phi3PreTrainedModel._init_weights": (Phi3PreTrainedModel._init_weights, "(self, module)"),
    "Phi3ForCausalLM._from_config": (Phi3ForCausalLM._from_config, "(config, **kwargs)"),
    "Phi3Attention.__init__": (Phi3Attention.__init__, "(self, config, layer_idx=None)"),
    "Phi3DecoderLayer.__init__": (Phi3DecoderLayer.__init__, "(self, config, layer_idx)"),
    "peft.get_peft_model_state_dict": (
        peft.get_peft_model_state_dict,
        "(model, state_dict=None, adapter_name='default', unwrap_compiled=False, save_embedding_layers='auto')",
    ),
    "peft.set_peft_model_state_dict": (
        peft.set_peft_model_state_dict,
        "(model, peft_model_state_dict, adapter_name='default', ignore_mismatched_sizes=False, "
        "low_cpu_mem_usage=False)",
    ),
    "peft.inject_adapter_in_model": (
        peft.inject_adapter_in_model,
        "(peft_config, model, adapter_name='default', low_cpu_mem_usage=False, state_dict=None)",
    ),
    "peft.tuners.lora.Linear.get_delta_weight": (Linear.get_delta_weight, "(self, adapter)"),
}


def bare(method: Callable[..., Any]) -> str:
    """The signature without annotations."""
    found = inspect.signature(method)
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in found.parameters.values()]
    return str(found.replace(parameters=plain, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize("name", RECORDED)
def test_the_signature_is_the_one_that_was_read(name: str) -> None:
    method, recorded = RECORDED[name]

    said = f"{name} is {bare(method)} in transformers {transformers.__version__}, peft {peft.__version__}"
    assert bare(method) == recorded, said


def test_every_method_of_the_trainer_that_we_override_is_recorded() -> None:
    ours = {name for name, value in vars(GatedTrainer).items() if callable(value) and hasattr(Trainer, name)}

    assert {f"Trainer.{name}" for name in ours - {"__init__"}} <= RECORDED.keys()


def test_a_configuration_still_keeps_its_attention_under_these_names() -> None:
    config = Phi3Config(attn_implementation="eager")

    assert (config._attn_implementation, config._attn_implementation_internal) == ("eager", "eager")
    config._attn_implementation_internal = "so8t"
    assert config._attn_implementation == "so8t"
