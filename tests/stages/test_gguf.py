"""The stage on a pico checkpoint: files of every type, figures, refusals."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from so8t import external
from so8t.engine.stage import Inputs, Source
from so8t.errors import StageError
from so8t.formats import grammar, records, thinking
from so8t.gguf import quantise
from stages import gguf
from stages.gguf import Spec
from tests.bases import formats
from tests.gguf import folders

pytestmark = pytest.mark.slow

LOOSE = {"kl": 5, "perplexity": 5, "top1": 0}  # random weights show nothing of a quantisation
QUESTIONS = ("東京支店の営業時間は？", "　全角の空白😢", "What time is it?")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("artifacts")
    folders.build("phi3", root / "baked_model" / "model")
    splits = root / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "<final>はい。</final>"}]}
        for text in QUESTIONS
    ]
    for name in ("train", "test"):
        records.write(splits / f"{name}.jsonl", rows)
    formats.declare(root)
    return Inputs({name: root / name for name in ("baked_model", "thinking_sft", "chat_format")})


def build(inputs: Inputs, out: Path, **spec: Any) -> dict[str, Any]:
    out.mkdir()
    gguf.build(inputs, out, Spec(**{"bounds": {"q8_0": LOOSE, "q4_k_m": LOOSE}, **spec}))
    result: dict[str, Any] = json.loads((out / "parity.json").read_bytes())
    return result


def test_every_type_is_a_file_with_its_figures(inputs: Inputs, tmp_path: Path) -> None:
    found = build(inputs, tmp_path / "out", name="pico", types=("f16", "q8_0", "q4_k_m"))

    assert sorted(path.name for path in (tmp_path / "out" / "models").iterdir()) == [
        "pico-f16.gguf",
        "pico-q4_k_m.gguf",
        "pico-q8_0.gguf",
        "pico.gbnf",
    ]
    assert found["conversations"] == 34
    assert (tmp_path / "out" / "models" / "pico.gbnf").read_text("utf-8") == grammar.grammar(thinking.TAGS)
    assert {kind: figures["against"] for kind, figures in found["types"].items()} == {
        "f16": "baked",
        "q8_0": "f16",
        "q4_k_m": "f16",
    }
    assert found["types"]["f16"]["kl"] < 1e-6
    assert found["types"]["f16"]["conversations"] == 3
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_bytes())["types"]
    assert {kind: entry["bits_per_weight"] > 16 for kind, entry in ledger.items()} == {
        "f16": True,
        "q8_0": False,
        "q4_k_m": False,
    }
    for kind, entry in ledger.items():
        assert (entry["against"], entry["tokens"]) == (found["types"][kind]["against"], found["types"][kind]["tokens"])
        assert sum(part["tokens"] for part in entry["sections"].values()) == entry["tokens"]
        assert entry["kl"]["mean"] == pytest.approx(found["types"][kind]["kl"], rel=1e-3, abs=1e-8)
    assert list(ledger["q8_0"]["sections"]) == ["prompt", "answer"]  # an answer that does not keep the format
    errors = {kind: [each["error"] for each in ledger[kind]["tensors"].values()] for kind in ("q8_0", "q4_k_m")}
    assert "tensors" not in ledger["f16"]
    assert 0.004 < max(errors["q8_0"]) < 0.01 < max(errors["q4_k_m"]) < 0.1


def test_an_imatrix_of_the_training_split_is_measured_used_kept_and_weighed(inputs: Inputs, tmp_path: Path) -> None:
    bounds, types = {"q4_k_m": LOOSE, "iq3_xxs": LOOSE}, ("q4_k_m", "iq3_xxs")
    matrix = {"conversations": 2, "tokens": 32}
    build(inputs, tmp_path / "out", types=types, imatrix=matrix, bounds=bounds, threads=1)
    models = tmp_path / "out" / "models"

    assert sorted(path.name for path in models.iterdir()) == [
        "so8t-iq3_xxs.gguf",
        "so8t-q4_k_m.gguf",
        "so8t.gbnf",
        "so8t.imatrix",
    ]
    ledger = json.loads((tmp_path / "out" / "ledger.json").read_bytes())["types"]
    for entry in ledger.values():
        assert (entry["imatrix"]["chunks"], entry["imatrix"]["tensors"]) == (2, 8)
        assert entry["imatrix"]["missing"] == ["output.weight", "token_embd.weight"]
    assert ledger["q4_k_m"]["without_imatrix"]["kl"] != ledger["q4_k_m"]["kl"]
    assert ledger["q4_k_m"]["without_imatrix"]["size"] == ledger["q4_k_m"]["size"]
    assert "without_imatrix" not in ledger["iq3_xxs"]  # cannot be made so

    given = dataclasses.replace(inputs, sources={"imatrix": (Source("own", models / "so8t.imatrix"),)})
    build(given, tmp_path / "own", types=("q4_k_m",), imatrix="own.imatrix", bounds=bounds, threads=2)
    made = [tmp_path / name / "models" / "so8t-q4_k_m.gguf" for name in ("out", "own")]
    assert made[0].read_bytes() == made[1].read_bytes()  # whatever the threads
    assert [path.name for path in made[1].parent.iterdir() if path.suffix == ".imatrix"] == []


def test_equal_inputs_give_equal_bytes_whatever_the_threads(inputs: Inputs, tmp_path: Path) -> None:
    for threads in (1, 2):
        build(inputs, tmp_path / str(threads), threads=threads)

    for path in (tmp_path / "1").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()


def test_the_f16_that_nobody_asked_for_does_not_stay(inputs: Inputs, tmp_path: Path) -> None:
    build(inputs, tmp_path / "out", types=("q4_k_m",))

    assert [path.name for path in (tmp_path / "out" / "models").glob("*.gguf")] == ["so8t-q4_k_m.gguf"]


def test_a_passed_bound_fails_the_stage(inputs: Inputs, tmp_path: Path) -> None:
    narrow = {"kl": 1e-12, "perplexity": 1, "top1": 0}

    with pytest.raises(StageError, match=r"gguf: f16 -> q8_0: mean KL divergence .* is over 1e-12 \(kl\)"):
        build(inputs, tmp_path / "out", types=("q8_0",), bounds={"q8_0": narrow})


def test_random_weights_are_told_from_a_bad_type(inputs: Inputs, tmp_path: Path) -> None:
    narrow = {"kl": 1e-12, "perplexity": 1, "top1": 0}

    with pytest.raises(StageError) as refused:
        build(inputs, tmp_path / "out", types=("q8_0",), bounds={"q8_0": narrow})

    assert re.search(
        r"; the bounds are about trained models, and this one has learned nothing: its perplexity is \d+, "
        r"with a vocabulary of 400$",
        str(refused.value),
    )


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"types": ("q4_k",)}, "q4_k must be one of f32, f16, bf16, q8_0, q4_0"),
        ({"types": ("iq1_s",)}, "imatrix: iq1_s cannot be made without one: write imatrix: {}, or take iq4_xs"),
        ({"types": ("f16", "f16")}, "types: one of them is named twice"),
        ({"name": "a/b"}, "name: it becomes a file's name: no slash, no leading dot"),
        ({"quantiser": "llama-quantize"}, "quantiser_version: needed with quantiser, for the files depend on it"),
        (
            {"imatrix": {}, "types": ("f16", "q8_0")},
            "imatrix: f16, q8_0 take none; add a type such as q4_k_m, or leave the imatrix out",
        ),
        ({"imatrix": {"tokens": 1}}, "imatrix.tokens\n  Input should be greater than or equal to 2"),
    ],
)
def test_a_spec_that_cannot_work_says_why(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Spec(**spec)

    assert says in str(caught.value)


# ---- the user's own llama-quantize -------------------------------------------------------------------------------

PROGRAM = """#!{python}
import sys
from pathlib import Path
*extra, source, target, kind, threads = sys.argv[1:]
print("main: build = 9190 (b64739e)", " ".join(extra), kind, threads)
if kind == "Q2_K":
    sys.exit("no such type today")
Path(target).write_bytes(Path(source).read_bytes())
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "llama-quantize"
    path.write_text(PROGRAM.format(python=sys.executable), "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    if os.name == "nt":
        path = path.rename(path.with_suffix(".py"))
    return str(path)


def test_ones_own_llama_quantize_is_called_with_its_imatrix(program: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.gguf", tmp_path / "out.gguf"
    source.write_bytes(b"GGUF")
    quantise.by_program(program, "build = 9190", source, target, "iq2_xs", 2, tmp_path / "imatrix.gguf")

    assert target.read_bytes() == b"GGUF"


def test_another_version_than_the_spec_names_is_refused(program: str, tmp_path: Path) -> None:
    source = tmp_path / "in.gguf"
    source.write_bytes(b"GGUF")

    with pytest.raises(StageError) as caught:
        quantise.by_program(program, "build = 11669", source, tmp_path / "out.gguf", "q4_k_m", 2)
    assert str(caught.value) == (
        "gguf: q4_k_m: llama-quantize is not version build = 11669 but says "
        "'main: build = 9190 (b64739e)  Q4_K_M 2'; correct quantiser_version"
    )


def test_a_failing_or_missing_program_says_what_it_said(program: str, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        quantise.by_program(program, "9190", tmp_path / "in", tmp_path / "out", "q2_k", 2)
    assert str(caught.value) == (
        "gguf: q2_k: llama-quantize ended with exit code 1 and said\n"
        "  main: build = 9190 (b64739e)  Q2_K 2\n"
        "  no such type today"
    )

    with pytest.raises(StageError, match="gguf: q2_k needs no-such-program, which is not on PATH; install it, or"):
        external.find("no-such-program", "gguf: q2_k")
