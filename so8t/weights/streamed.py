"""A model whose parameters are in memory while they are used: one layer, a few rows of the embedding or head.

The modules are transformers' and PEFT's own, without storage; each is filled from the disk when its turn comes, so
the computation is theirs whatever the model's size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from so8t.errors import StageError
from so8t.gate import attach
from so8t.weights.gatefiles import Stored
from so8t.weights.lora import PREFIX, Adapter, stored
from so8t.weights.reader import Checkpoint
from so8t.weights.sound import check_sound


class ParameterReader(Protocol):
    def __call__(self, name: str, start: int = 0, stop: int | None = None, /) -> Tensor:
        """Rows of a parameter by its name among the modules, float32."""


Visit = Callable[[int, Tensor, Callable[[Tensor], Tensor]], Tensor]
"""What happens at a decoder layer: its number from 0, its input, and the layer itself; gives the output."""


class Streamed:
    """A causal language model whose parameters are read when they are needed."""

    def __init__(self, model: Any, read: ParameterReader) -> None:
        self._model, self._read = model.eval(), read
        self._names = {id(module): name for name, module in model.named_modules()}
        self._head = model.get_output_embeddings()
        self._visit: Visit = lambda _number, hidden, run: run(hidden)
        names = [name.rpartition(".")[0] for name in attach.names(model).values()]
        self.layers: tuple[str, ...] = tuple(names)
        inside = {id(part) for name in names for part in model.get_submodule(name).modules()}
        for number, name in enumerate(names):
            self._stream_layer(number, model.get_submodule(name))
        for module in _units(model):
            if id(module) not in inside and module not in self._head.modules():
                self._stream_unit(module)

    @property
    def vocabulary(self) -> int:
        return int(self._head.out_features)

    @torch.no_grad()
    def hidden(self, ids: Tensor, visit: Visit) -> Tensor:
        """What goes into the head, for token ids (batch, length)."""
        self._visit = visit
        found: Tensor = self._model.get_decoder()(input_ids=ids, use_cache=False).last_hidden_state
        return found

    @torch.no_grad()
    def logits(self, ids: Tensor, hidden: Tensor, start: int, stop: int) -> Tensor:
        """Of tokens `start` to `stop` of the vocabulary, with whatever the model does to logits after its head."""
        from transformers.modeling_outputs import BaseModelOutputWithPast

        decoder = self._model.get_decoder()
        decoder.forward = lambda **_: BaseModelOutputWithPast(last_hidden_state=hidden)
        try:
            with self._present(self._head, (start, stop)):
                found: Tensor = self._model(input_ids=ids, use_cache=False).logits
        finally:
            del decoder.forward
        return found

    def _stream_layer(self, number: int, layer: Any) -> None:
        forward = layer.forward

        def streamed(hidden: Tensor, *args: Any, **options: Any) -> Any:
            with self._present(layer):
                return self._visit(number, hidden, lambda given: _first(forward(given, *args, **options)))

        layer.forward = streamed

    def _stream_unit(self, module: Any) -> None:
        forward = module.forward

        def streamed(*args: Any, **options: Any) -> Any:
            if isinstance(module, nn.Embedding):
                with self._some_rows(module, args[0]) as rows:
                    return forward(rows)
            with self._present(module):
                return forward(*args, **options)

        module.forward = streamed

    @contextmanager
    def _present(self, module: nn.Module, rows: tuple[int, int] | None = None) -> Iterator[None]:
        """A module's parameters, or only the given rows of those."""
        before = []
        for name, part, key in _parameters(module, self._names[id(module)]):
            before.append((part, key, part._parameters[key]))
            cut = rows if rows and ".lora_A." not in name else (0, None)
            self._put(part, key, self._read(name, *cut))
        try:
            yield
        finally:
            for part, key, parameter in before:
                part._parameters[key] = parameter

    @contextmanager
    def _some_rows(self, module: nn.Embedding, ids: Tensor) -> Iterator[Tensor]:
        """The rows of the tokens that occur, and the number of each token among them."""
        before, name = module._parameters["weight"], self._names[id(module)]
        used, rows = ids.unique(return_inverse=True)
        module.padding_idx = None  # of training, and a row that may not be here
        self._put(module, "weight", torch.cat([self._read(f"{name}.weight", w, w + 1) for w in used.tolist()]))
        try:
            yield rows
        finally:
            module._parameters["weight"] = before

    def _put(self, part: nn.Module, key: str, tensor: Tensor) -> None:
        part._parameters[key] = nn.Parameter(tensor, requires_grad=False)


def dense(folder: Path, weights: Checkpoint, gates: Stored | None = None, remote_code: bool = False) -> Streamed:
    """A checkpoint, with gates or, once they are folded in, without."""
    model = _skeleton(folder, remote_code)
    _put_gates(model, gates)
    return Streamed(model, lambda name, start=0, stop=None: _rows(weights, stored(name, weights), start, stop))


def adapted(
    base_folder: Path,
    base: Checkpoint,
    adapter_folder: Path,
    adapter: Adapter,
    gates: Stored | None,
    remote_code: bool = False,
) -> Streamed:
    """Base, adapter and gates as training has them: PEFT's own modules, nothing merged."""
    from peft import LoraConfig, inject_adapter_in_model

    model = _skeleton(base_folder, remote_code)
    config = LoraConfig.from_pretrained(str(adapter_folder))
    config.inference_mode, config.init_lora_weights = True, False
    # modules and rows that were trained as they are stand in the base's place instead
    config.modules_to_save, config.trainable_token_indices, config.ensure_weight_tying = None, None, False
    inject_adapter_in_model(config, model, low_cpu_mem_usage=True)
    _put_gates(model, gates)

    def read(name: str, start: int = 0, stop: int | None = None) -> Tensor:
        plain = name.replace(".base_layer.", ".")
        if ".lora_" in name:
            own = PREFIX + name.replace(".default", "")
            own = own.removesuffix(".weight") if own.endswith(".lora_magnitude_vector.weight") else own
            return _rows(adapter.tensors, own, start, stop)
        learned = stored(plain, base) if adapter.together else plain
        if learned in adapter.whole:
            return _rows(adapter.tensors, adapter.whole[learned], start, stop)
        found = _rows(base, stored(plain, base), start, stop)
        adapter.replace_(found, learned, start)
        return found

    return Streamed(model, read)


def _skeleton(folder: Path, remote_code: bool) -> Any:
    """Modules without parameters; buffers, such as the rotary frequencies, are there."""
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=remote_code)
    with init_empty_weights(include_buffers=False), _NoRandomValues():
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=remote_code)


class _NoRandomValues(TorchFunctionMode):
    """Modules draw first weights before their storage is taken from them: minutes, for a large model."""

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), options: Any = None) -> Any:
        if function in (Tensor.uniform_, Tensor.normal_):
            return args[0]
        return function(*args, **(options or {}))


def _put_gates(model: Any, gates: Stored | None) -> None:
    if gates is None:
        return
    modules = attach.attentions(model)
    if strange := sorted(gates.attentions.keys() - modules.keys()):
        raise StageError(f"the model has no layer {strange[0]}, but the gates name it: they belong to another model")
    attach.route(model)
    for layer in gates.attentions:
        modules[layer].so8_gate = gates.gate(layer)


def _rows(weights: Checkpoint, name: str, start: int, stop: int | None) -> Tensor:
    found = weights.rows(name, start, stop)
    check_sound(found, weights, name)
    return found.float()


def _units(model: nn.Module) -> Iterator[nn.Module]:
    """Modules that hold parameters and are called: PEFT's, which keep theirs in lists, and plain ones."""
    kept: set[int] = set()
    for module in model.modules():
        if hasattr(module, "base_layer"):
            kept |= {id(part) for name, part in module.named_modules() if "lora_" in name}
            yield module
        elif module._parameters and id(module) not in kept:
            yield module


def _parameters(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module, str]]:
    """Name, holder and key of what has no storage; a shared one once for each name that it has."""
    for name, part in module.named_modules(prefix=prefix):
        for key, parameter in part._parameters.items():
            if parameter is not None and parameter.is_meta:
                yield f"{name}.{key}", part, key


def _first(output: Any) -> Tensor:
    found: Tensor = output[0] if isinstance(output, Sequence) else output
    return found
