"""An importance matrix: measured in PyTorch as llama.cpp's callback hears it, kept in llama.cpp's file, and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader

from so8t.errors import StageError
from so8t.gguf import activations, imatrix, layout, llamacpp, quantise, weighted, writer
from so8t.gguf.imatrix import Imatrix
from so8t.gguf.metadata import Provenance
from tests.gguf import folders, listening

GOLDEN = Path(__file__).parents[1] / "golden" / "llamacpp" / "pico.imatrix"
TALKS = ([5, 17, 200, 31, 8, 99, 140], [7, 8, 9], [11, 300, 12, 250, 64])


def measured(folder: Path, threads: int = 1) -> Imatrix:
    return activations.measure(folder, TALKS, layout.open_source(folder).family, "float32", threads)


def full(folder: Path, target: Path) -> Path:
    source = layout.open_source(folder)
    vocabulary = layout.read_vocabulary(source, folders.MARKERS)
    writer.write(source, target, "f32", Provenance("pico"), vocabulary)
    return target


@pytest.fixture(scope="module")
def found(phi3: Path) -> Imatrix:
    return measured(phi3)


@pytest.mark.parametrize("family", ["phi3", "llama"])
def test_pytorch_measures_what_llama_cpp_s_own_callback_hears(family: str, phi3: Path, tmp_path: Path) -> None:
    folder = phi3 if family == "phi3" else folders.build(family, tmp_path / family)
    heard = listening.squares(full(folder, tmp_path / "f32.gguf"), TALKS)
    found = measured(folder).squares

    parts = ("attn_qkv", "ffn_up") if family == "phi3" else ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")
    names = {f"blk.{layer}.{part}.weight" for layer in (0, 1) for part in (*parts, "attn_output", "ffn_down")}
    assert set(found) == set(heard) == names
    for name in names:  # two float32 engines; llama-imatrix of Debian's llama.cpp differs from this by 1.2e-5 at most
        assert np.abs(found[name] / heard[name] - 1).max() < 1e-4, name


def test_pytorch_measures_what_llama_imatrix_wrote(phi3: Path, tmp_path: Path) -> None:
    """See the README beside the file."""
    written = imatrix.read(GOLDEN)
    with llamacpp.Model(full(phi3, tmp_path / "f32.gguf"), 64) as model:
        ids = model.tokenize("\n".join(folders.TEXTS * 2), special=False)
    talks = [ids[start : start + 32] for start in range(0, len(ids) - 31, 32)]  # it leaves out what fills no chunk
    found = activations.measure(phi3, talks, layout.open_source(phi3).family, "float32", 1)

    assert (found.tokens, found.chunks, found.longest) == (written.tokens, written.chunks, written.longest)
    assert set(found.squares) == set(written.squares)
    for name, values in found.squares.items():  # 9e-7 at most where it was made; other machines draw other last bits
        assert np.abs(values / written.squares[name] - 1).max() < 1e-4, name


def test_threads_change_no_bit(phi3: Path, found: Imatrix) -> None:
    other = measured(phi3, threads=2)

    assert {name: values.tobytes() for name, values in other.squares.items()} == {
        name: values.tobytes() for name, values in found.squares.items()
    }


def test_the_file_is_the_one_that_llama_imatrix_writes(found: Imatrix, tmp_path: Path) -> None:
    path = tmp_path / "pico.imatrix"
    imatrix.write(path, found, "thinking_sft/train")
    file = GGUFReader(str(path))
    tensors = {tensor.name: (tensor.tensor_type.name, tensor.shape.tolist()) for tensor in file.tensors}

    assert file.fields["general.type"].contents() == "imatrix"
    assert file.fields["imatrix.datasets"].contents() == ["thinking_sft/train"]
    assert [file.fields[f"imatrix.chunk_{part}"].contents() for part in ("count", "size")] == [3, 7]
    assert len(tensors) == 16
    assert tensors["blk.0.attn_qkv.weight.in_sum2"] == ("F32", [64, 1])
    assert tensors["blk.0.attn_qkv.weight.counts"] == ("F32", [1, 1])
    back = imatrix.read(path)
    assert (back.tokens, back.chunks, back.longest) == (15, 3, 7)
    for name, values in found.squares.items():
        assert back.squares[name] == pytest.approx(values, rel=1e-6)


def test_a_file_that_is_not_an_imatrix_says_what_to_do(phi3_f16: Path, tmp_path: Path) -> None:
    old = tmp_path / "imatrix.dat"
    old.write_bytes(b"\x10\0\0\0old")
    with pytest.raises(StageError, match=r"gguf: imatrix: imatrix.dat is not a GGUF: .*; make it anew with a llama-im"):
        imatrix.read(old)
    with pytest.raises(StageError) as caught:
        imatrix.read(phi3_f16)
    assert str(caught.value) == (
        "gguf: imatrix: pico-f16.gguf holds no sums with one count each: it is not an imatrix to use"
    )


def test_llama_cpp_takes_it_and_columns_that_matter_are_kept_better(
    phi3_f16: Path, found: Imatrix, tmp_path: Path
) -> None:
    plain, with_it = tmp_path / "plain.gguf", tmp_path / "with.gguf"
    quantise.quantise(phi3_f16, plain, "iq4_nl", 1)
    weights = {name: np.where(np.arange(len(each)) < 32, 1e4, 1e-4) for name, each in found.squares.items()}
    weighted.quantize(
        phi3_f16,
        with_it,
        quantise.TYPES["iq4_nl"],
        1,
        {name: each.astype(np.float32) for name, each in weights.items()},
    )

    def error(path: Path) -> float:
        ours, theirs = (layout_values(each, "blk.0.attn_qkv.weight") for each in (path, phi3_f16))
        return float(np.square(ours - theirs)[:, :32].sum())

    assert with_it.stat().st_size == plain.stat().st_size
    assert error(with_it) <= error(plain)
    assert with_it.read_bytes() != plain.read_bytes()


def layout_values(path: Path, name: str) -> np.ndarray:
    from so8t.gguf.foreign import open_file

    tensor = open_file(path).tensors[name]
    return tensor.values(np.arange(tensor.shape[0]))


def test_what_llama_cpp_refuses_is_said_and_leaves_no_file(phi3_f16: Path, tmp_path: Path) -> None:
    broken = {"blk.0.attn_qkv.weight": np.full(64, np.nan, dtype=np.float32)}
    with pytest.raises(StageError, match=r"llama.cpp cannot quantise pico-f16.gguf: .*imatrix contains non-finite"):
        weighted.quantize(phi3_f16, tmp_path / "out.gguf", quantise.TYPES["iq4_nl"], 1, broken)
    assert not (tmp_path / "out.gguf").exists()


def test_a_cyllama_that_keeps_its_parameters_otherwise_is_not_touched() -> None:
    class Moved:
        nthread = ftype = 0

    with pytest.raises(StageError) as caught:
        weighted._inside(Moved())
    assert str(caught.value) == (
        "gguf: imatrix: this cyllama keeps llama.cpp's parameters in another way; use your own llama-quantize "
        "(quantiser in gguf.yaml), or leave the imatrix out"
    )


def test_coverage_names_what_it_does_not_know(found: Imatrix) -> None:
    assert found.coverage(["blk.0.ffn_down.weight", "output.weight", "token_embd.weight"]) == {
        "tokens": 15,
        "chunks": 3,
        "tensors": 1,
        "of": 3,
        "missing": ["output.weight", "token_embd.weight"],
    }
