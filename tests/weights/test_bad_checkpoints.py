"""What is wrong with a checkpoint or an adapter is said with its file and its tensor, before anything is written."""

from __future__ import annotations

import json
import math
import random
import shutil
import string
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from so8t.errors import StageError
from so8t.weights import header, lora, reader
from so8t.weights.header import BadHeader, Tensor
from tests.weights import workshop
from tests.weights.workshop import Trained


def raw(path: Path, table: Any, data: bytes, length: int | None = None) -> Path:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(start: int, stop: int, shape: Any = None, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(stop - start) // 4] if shape is None else shape, "data_offsets": [start, stop]}


LIES: dict[str, tuple[Any, str]] = {
    "overlap": (
        {"a": entry(0, 8), "b": entry(4, 16)},
        "tensor b overlaps the tensor before it: it begins at 4, the one before ends at 8",
    ),
    "hole": ({"a": entry(0, 4), "b": entry(8, 16)}, "tensor b leaves a hole before it: it begins at 8, the one"),
    "beyond": ({"a": entry(0, 32)}, "tensor a ends at 32, and there are 16 bytes: truncated?"),
    "left over": ({"a": entry(0, 8)}, "the tensors end at 8, and there are 16 bytes"),
    "size": ({"a": entry(0, 16, [5])}, "tensor a: F32 of shape [5] takes 20 bytes, its range has 16"),
    "overflow": ({"a": entry(0, 16, [1 << 47] * 16)}, "tensor a: F32 of shape [140737488355328, "),
    "huge dimension": (
        {"a": entry(0, 16, [1 << 64])},
        "tensor a has shape [18446744073709551616], which is not a",
    ),
    "many dimensions": ({"a": entry(0, 16, [1] * 99)}, "tensor a has shape [1, 1, 1, "),
    "negative": ({"a": entry(0, 16, [-4])}, "tensor a has shape [-4], which is not a shape"),
    "fraction": ({"a": entry(0, 16, [4.0])}, "tensor a has shape [4.0], which is not a shape"),
    "boolean": ({"a": entry(0, 16, [True, 4])}, "tensor a has shape [True, 4], which is not a shape"),
    "backwards": ({"a": {**entry(0, 16), "data_offsets": [16, 0]}}, "tensor a has data_offsets [16, 0], which are"),
    "type": ({"a": entry(0, 16, dtype="F33")}, "tensor a has type 'F33'; it must be one of F64, I64"),
    "type list": ({"a": entry(0, 16, dtype=["F32"])}, "tensor a has type ['F32']; it must be one of"),
    "more keys": ({"a": {**entry(0, 16), "x": 1}}, "tensor a is not described by dtype, shape and data_offsets"),
    "no table": ({"a": 1}, "tensor a is not described by dtype, shape and data_offsets"),
    "twice": (b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{}}', "a stands there twice"),
    "twice within": (b'{"a":{"dtype":"F32","dtype":"F16","shape":[4],"data_offsets":[0,16]}}', "dtype stands there"),
    "metadata": ({"__metadata__": {"x": 1}, "a": entry(0, 16)}, "__metadata__ is not a table of texts"),
    "surrogate": (b'{"\\ud800":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', "has a name that is not text"),
    "no number": (b'{"a":NaN}', "the header is not JSON: NaN is not JSON"),
    "deep": (b'{"a":' + b"[" * 100_000, "the header is not JSON: "),
    "no object": (b"[]", "the header is not a JSON object"),
    "not utf-8": (b'{"\xff":1}', "the header is not JSON: "),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_told_with_file_and_tensor(lie: str, tmp_path: Path) -> None:
    table, says = LIES[lie]
    path = raw(tmp_path / "model.safetensors", table, bytes(16))

    with pytest.raises(StageError) as caught:
        reader.open_folder(tmp_path, "base_model")
    assert str(caught.value).startswith("base_model: model.safetensors is not a complete safetensors file: ")
    assert says in str(caught.value)
    path.unlink()  # it was closed: Windows would not let it go


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "0 bytes are too few for a safetensors file"),
        (b"1234567", "7 bytes are too few for a safetensors file"),
        (b"\xff" * 8 + b"{}", "it claims a header of 18,446,744,073,709,551,615 bytes, and the file has 10"),
        ((3).to_bytes(8, "little") + b"{}", "it claims a header of 3 bytes, and the file has 10"),
    ],
)
def test_a_length_that_lies_is_told_before_anything_is_allocated(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(data)

    with pytest.raises(StageError) as caught:
        reader.open_folder(tmp_path, "base_model")
    assert str(caught.value) == f"base_model: model.safetensors is not a complete safetensors file: {says}"


def mutated(good: bytes, dice: random.Random) -> bytes:
    """A file's bytes with a few things wrong; often with a length that is true of them, so that they are parsed."""
    data = int.from_bytes(good[:8], "little") + 8
    made = bytearray(good[8:data])
    for _ in range(dice.choice([1, 1, 2, 3])):
        at, kind = dice.randrange(len(made) or 1), dice.choice([0, 0, 1, 2, 3, 4, 4, 4, 5])
        digits = [place for place, char in enumerate(made) if chr(char) in string.digits]
        if kind == 0:
            made[at : at + 1] = bytes([dice.choice([*range(97, 123), *range(256)])])
        elif kind == 1:
            del made[at : at + dice.randint(1, 40)]
        elif kind == 2:
            made[at:at] = dice.choice(
                [b" ", b"{", b"}", b"[", b'"', b"\\", b"1e999", b"-", b"9" * 30, b"null", b"\xff"]
            )
        elif kind == 3:
            made[at:at] = made[at : at + 60]
        elif digits:
            place = dice.choice(digits)
            small = str(dice.randrange(10))
            made[place : place + 1] = (small if kind == 4 else str(dice.choice([2**31, 2**63, 10**300]))).encode()
    count = dice.choice([len(made)] * 16 + [2**64 - 1, 2**63, 10**8, len(good), 0])
    return count.to_bytes(8, "little") + made + good[data : data + dice.choice([99, 99, 99, dice.randrange(40)])]


@pytest.mark.slow
def test_ten_thousand_damaged_headers_are_read_or_refused_without_harm() -> None:
    """Never a crash, a hang, or memory by the header's word."""
    head, _ = header.encode([Tensor("層.0.重み", "BF16", (3, 4)), Tensor("b", "F32", (2,)), Tensor("c", "U8", ())])
    good, dice = head + bytes(24 + 8 + 1), random.Random(20)
    outcomes = {"read": 0, "refused": 0}
    longest = 0.0
    tracemalloc.start()
    for _ in range(10_000):
        data = mutated(good, dice)
        began = time.perf_counter()
        try:
            count = header.length(data[:8], len(data))
            header.parse(data[8 : 8 + count], len(data) - 8 - count)
            outcomes["read"] += 1
        except BadHeader:
            outcomes["refused"] += 1
        longest = max(longest, time.perf_counter() - began)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert outcomes["read"] + outcomes["refused"] == 10_000
    assert outcomes["read"] > 100
    assert outcomes["refused"] > 5_000
    assert peak < 1_000_000
    assert longest < 1


def test_whatever_is_read_from_a_damaged_file_the_formats_own_library_reads_too(tmp_path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    head, _ = header.encode([Tensor("a", "F32", (2, 3)), Tensor("b", "F16", (4,))])
    good, dice, path = head + bytes(32), random.Random(21), tmp_path / "model.safetensors"
    read = 0
    for _ in range(1000):
        path.write_bytes(mutated(good, dice))
        try:
            with reader.open_folder(tmp_path, "base_model") as opened:
                ours = {name: tensor.shape for name, tensor in opened.tensors.items()}
        except StageError:
            continue
        try:
            with safe_open(path, "pt") as theirs:
                names = set(theirs.keys())
        except SafetensorError as error:
            raise AssertionError(f"we read what safetensors refuses: {error}") from error
        assert names == ours.keys()
        read += 1
    assert read > 5


# ---- checkpoints -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return workshop.train(tmp_path_factory.mktemp("made"))


@pytest.fixture
def trained(made: Trained, tmp_path: Path) -> Trained:
    shutil.copytree(made.base, tmp_path / "base")
    shutil.copytree(made.adapter, tmp_path / "adapter")
    return Trained(tmp_path, None)


NAME = "model.layers.1.self_attn.o_proj.weight"
DOWN, UP = (f"base_model.model.model.layers.1.self_attn.o_proj.lora_{half}.weight" for half in "AB")


def shard_of(trained: Trained, name: str = NAME) -> Path:
    return trained.base / json.loads((trained.base / reader.INDEX).read_bytes())["weight_map"][name]


def refusal(trained: Trained) -> str:
    with pytest.raises(StageError) as caught:
        workshop.merge_it(trained)
    return str(caught.value)


def test_a_truncated_shard(trained: Trained) -> None:
    shard = shard_of(trained)
    shard.write_bytes(shard.read_bytes()[:-4])
    text = refusal(trained)

    assert text.startswith(f"base_model: {shard.name} is not a complete safetensors file: tensor model.layers.")
    assert text.endswith(" bytes: truncated?")


def test_a_shard_that_is_cut_while_it_is_read(trained: Trained) -> None:
    with reader.open_folder(trained.base, "base_model") as base:
        last = [name for name in base.tensors if base.file(name) == base.file(NAME)][-1]
        size = shard_of(trained).stat().st_size
        with shard_of(trained).open("r+b") as file:
            file.truncate(size - 8)
        with pytest.raises(StageError) as caught:
            base.rows(last)

    assert str(caught.value) == f"base_model: {shard_of(trained).name} ends within {last}: it was cut short"


def test_a_missing_shard_and_missing_weights(trained: Trained) -> None:
    shard = shard_of(trained)
    shard.unlink()
    assert refusal(trained) == f"base_model: {shard.name} cannot be read: No such file or directory"

    for path in trained.base.glob("*.safetensors*"):
        path.unlink()
    assert refusal(trained) == (
        "base_model: no weights: neither model.safetensors nor model.safetensors.index.json is in base"
    )


def test_a_missing_tensor(trained: Trained) -> None:
    shard = shard_of(trained)
    workshop.edit(shard, **{NAME: None})

    assert refusal(trained) == (
        f"base_model: model.safetensors.index.json says that {NAME} is in {shard.name}, and it is not"
    )


def test_a_tensor_in_two_shards_or_in_none_of_the_index(trained: Trained) -> None:
    shard, other = shard_of(trained), shard_of(trained, "lm_head.weight")
    workshop.edit(other, **{NAME: torch.zeros(2)})
    first, second = sorted((shard.name, other.name))
    assert refusal(trained) == f"base_model: {first} and {second} both hold {NAME}"

    workshop.edit(other, **{NAME: None, "strange": torch.zeros(2)})
    assert refusal(trained) == (
        f"base_model: {other.name} holds strange, which model.safetensors.index.json does not name"
    )


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ("{", "model.safetensors.index.json is not JSON: "),
        ("[]", "model.safetensors.index.json has no weight_map from tensors to files"),
        ('{"weight_map": {"a": 1}}', "model.safetensors.index.json has no weight_map from tensors to files"),
        (
            '{"weight_map": {"a": "../x.safetensors"}}',
            "names '../x.safetensors', which is not a safetensors file of the",
        ),
        ('{"weight_map": {"a": "C:\\\\x.safetensors"}}', "which is not a safetensors file of the same folder"),
        ('{"weight_map": {"a": "config.json"}}', "names 'config.json', which is not a safetensors file of the same"),
    ],
)
def test_an_index_that_lies(trained: Trained, index: str, says: str) -> None:
    (trained.base / reader.INDEX).write_text(index, "utf-8")

    assert says in refusal(trained)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [NAME, "model.norm.weight"])
def test_weights_that_are_no_numbers(trained: Trained, name: str, value: float) -> None:
    weight = workshop.weights(trained.base)[name]
    weight.view(-1)[5] = value
    workshop.edit(shard_of(trained, name), **{name: weight})

    assert refusal(trained) == (
        f"base_model: {shard_of(trained, name).name}: tensor {name} has values that are infinite or NaN"
    )


def test_a_type_that_nothing_can_be_merged_into(trained: Trained) -> None:
    weight = workshop.weights(trained.base)[NAME]
    workshop.edit(shard_of(trained), **{NAME: weight.to(torch.int8)})

    assert refusal(trained) == (
        f"base_model: {shard_of(trained).name}: {NAME} holds I8, and an adapter is merged into floats: "
        "take the base that is not quantised"
    )


def test_what_overflows_its_type_is_told(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, dtype="float16")
    workshop.edit(trained.adapter / lora.WEIGHTS, **{UP: torch.full((48, 4), 1e6)})

    assert refusal(trained) == f"adapter: merged into {NAME}, it overflows F16"


# ---- adapters ----------------------------------------------------------------------------------------------------


def changed(trained: Trained, **changes: Any) -> None:
    path = trained.adapter / lora.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def test_an_adapter_of_another_base(trained: Trained, tmp_path: Path) -> None:
    other = workshop.train(tmp_path / "other", "llama")
    shutil.copytree(other.adapter, trained.adapter, dirs_exist_ok=True)
    assert refusal(trained) == (
        "adapter: adapter_model.safetensors: base_model.model.model.layers.0.mlp.gate_proj.lora_A.weight is for "
        "model.layers.0.mlp.gate_proj.weight, which the base lacks: this adapter was trained on another base"
    )

    other = workshop.train(tmp_path / "wider", shape={"intermediate_size": 88})
    shutil.copytree(other.adapter, trained.adapter, dirs_exist_ok=True)
    name = "base_model.model.model.layers.0.mlp.down_proj"
    assert refusal(trained) == (
        f"adapter: adapter_model.safetensors: {name}.lora_B.weight [48, 4] and {name}.lora_A.weight [4, 88] do not "
        "make model.layers.0.mlp.down_proj.weight [48, 80]: this adapter was trained on another base"
    )


def _edit(**tensors: Any) -> Callable[[Trained], None]:
    return lambda trained: workshop.edit(trained.adapter / lora.WEIGHTS, **tensors)


def _change(**settings: Any) -> Callable[[Trained], None]:
    return lambda trained: changed(trained, **settings)


MAGNITUDE = DOWN.replace(".lora_A.weight", ".lora_magnitude_vector")
ADAPTERS: dict[str, tuple[Callable[[Trained], None], str]] = {
    "half": (_edit(**{UP: None}), f"adapter: adapter_model.safetensors: {UP} is missing beside {DOWN}"),
    "other half": (
        _edit(**{DOWN: None}),
        f"adapter: adapter_model.safetensors: {UP} is there without the lora_A that belongs to it",
    ),
    "no number": (
        _edit(**{UP: torch.full((48, 4), math.nan)}),
        f"adapter: adapter_model.safetensors: tensor {UP} has values that are infinite or NaN",
    ),
    "integers": (
        _edit(**{UP: torch.zeros(48, 4, dtype=torch.int8)}),
        f"adapter: adapter_model.safetensors: tensor {UP} holds I8: an adapter holds floats",
    ),
    "rank": (
        _change(r=8, lora_alpha=8),
        "adapter: base_model.model.model.layers.0.mlp.down_proj.lora_A.weight has shape [4, 80], adapter_config.json "
        "gives this module rank 8",
    ),
    "dora without magnitudes": (
        _change(use_dora=True),
        "adapter: adapter_config.json says use_dora: True, and adapter_model.safetensors lacks "
        "base_model.model.model.layers.0.mlp.down_proj.lora_magnitude_vector",
    ),
    "magnitudes without dora": (
        _edit(**{MAGNITUDE: torch.ones(48)}),
        f"adapter: adapter_config.json says use_dora: False, and adapter_model.safetensors has {MAGNITUDE}",
    ),
    "bias": (_change(bias="all"), "adapter: adapter_config.json: bias: 'all' changes what the adapter computes"),
    "layers repeated": (
        _change(layer_replication=[[0, 2]]),
        "adapter: adapter_config.json: layer_replication: [[0, 2]]",
    ),
    "what is new": (_change(use_next_idea=True), "adapter: adapter_config.json: use_next_idea: True changes what the"),
    "pissa": (_change(init_lora_weights="pissa"), "adapter: adapter_config.json: init_lora_weights: 'pissa' changes"),
    "alpha": (
        _change(lora_alpha="8"),
        "adapter: adapter_config.json: lora_alpha is '8', and must be a positive number",
    ),
    "not lora": (_change(peft_type="IA3"), "adapter: adapter_config.json does not describe a LoRA adapter"),
    "strange tensor": (
        _edit(strange=torch.zeros(2)),
        "adapter: adapter_model.safetensors: tensor strange does not begin with base_model.model.: not a PEFT",
    ),
    "unknown kind": (
        _edit(**{DOWN.replace("lora_A", "lora_C"): torch.zeros(2)}),
        f"adapter: adapter_model.safetensors: tensor {DOWN.replace('lora_A', 'lora_C')} is of a kind that cannot be",
    ),
    "enlarged vocabulary": (
        _edit(base_model__model__lm_head__weight=torch.zeros(99, 48)),
        "adapter: adapter_model.safetensors: base_model.model.lm_head.weight has shape [99, 48], the base's has "
        "[97, 48]: this adapter was trained on another base, or its vocabulary was enlarged",
    ),
    "truncated": (
        lambda trained: (
            (trained.adapter / lora.WEIGHTS).write_bytes((trained.adapter / lora.WEIGHTS).read_bytes()[:-1]) and None
        ),
        "adapter: adapter_model.safetensors is not a complete safetensors file: tensor base_model.model.",
    ),
    "missing": (
        lambda trained: (trained.adapter / lora.WEIGHTS).unlink(),
        "adapter: adapter_model.safetensors cannot be read: No such file or directory",
    ),
    "no settings": (
        lambda trained: (trained.adapter / lora.CONFIG).unlink(),
        "adapter: adapter_config.json cannot be read: No such file or directory",
    ),
}


@pytest.mark.parametrize("case", ADAPTERS)
def test_an_adapter_that_cannot_be_merged_says_why(case: str, trained: Trained) -> None:
    spoil, says = ADAPTERS[case]
    spoil(trained)

    assert refusal(trained).startswith(says)
    assert not (trained.root / "merged" / "model.safetensors").exists()


def test_gates_of_another_model_are_refused(made: Trained) -> None:
    workshop.merge_it(made)
    matrices = made.gates.matrices()

    with pytest.raises(StageError) as caught:
        workshop.bake_it(made, {NAME: matrices[NAME][:-1]})
    assert str(caught.value).endswith(
        f": {NAME} is F32 [48, 64], and its gate turns 7 blocks of 8: these gates belong to another model"
    )
    with pytest.raises(StageError, match=r"merged_model: no tensor model\.layers\.9\.x, and there is a gate before it"):
        workshop.bake_it(made, {"model.layers.9.x": matrices[NAME]})
    with pytest.raises(StageError, match="has values that are infinite or NaN"):
        workshop.bake_it(made, {NAME: matrices[NAME] * math.nan})
