"""What each transform kept: figures beside the bounds that held, and what each type of file cost."""

from __future__ import annotations

from so8t.report import ledger
from so8t.store.manifest import File
from tests.report.made import STAGES, facts, stage


def test_what_was_found_equal_is_said_with_how_often() -> None:
    assert [(proof.what, proof.figure.text) for proof in ledger.proofs(facts())] == [
        ("Closed gates change no logit, bit for bit", "equal"),
        ("Conversations with the same tokens in every engine, before the training", "34"),
        ("Conversations with the same tokens by the GGUF's own template", "34"),
        ("Texts with the same tokens in llama.cpp", "10,000"),
    ]


def test_a_figure_stands_beside_its_bound_and_how_much_of_it_was_used() -> None:
    (entry,) = ledger.entries(facts())

    assert (entry.step, entry.tokens.text) == ("baked_model", "1,024")
    assert [(kept.name, kept.figure.text, kept.bound, kept.part and round(kept.part, 3)) for kept in entry.kept] == [
        ("largest difference", "1.0 × 10⁻⁵", "≤ 1.0 × 10⁻⁴", 0.1),
        ("KL, mean", "1.0 × 10⁻⁷", "≤ 1.0 × 10⁻⁶", 0.1),
        ("KL, largest", "3.0 × 10⁻⁷", "", None),
        ("same first choice", "99.8 %", "≥ 99.0 %", 0.2),
    ]
    assert (entry.kept[0].figure.file, entry.kept[0].figure.record) == (
        "baked_model/parity.json",
        "baked.max_difference",
    )


def test_a_type_says_size_bits_cost_and_accuracy() -> None:
    gguf = stage("gguf", "model")
    assert gguf.made
    files = (File("models/so8t-f16.gguf", 5_828_896, "ab" * 32), File("models/so8t-q4_k_m.gguf", 1_954_080, "cd" * 32))
    made = stage("gguf", "model", made=type(gguf.made)("key", files=files))
    found = ledger.types(facts(stages=(*STAGES[:3], made)))

    assert [(one.name, one.size.text, one.bits.text) for one in found] == [
        ("f16", "5.8 MB", "16.2"),
        ("q4_k_m", "2.0 MB", "5.27"),  # of the tensors alone, as its ledger counts
    ]
    assert [(kept.name, kept.figure.text, kept.bound) for kept in found[0].kept] == [
        ("KL, mean", "2.9 × 10⁻⁴", "≤ 0.001"), ("KL, 99 %", "0.0027", ""), ("KL, largest", "0.0127", ""),
        ("same first choice", "99.3 %", "≥ 98.0 %"), ("perplexity", "-0.22 %", "± 1 %"),
    ]  # fmt: skip
    assert [(split, figure.text) for split, figure, _ in found[0].accuracy] == [("test", "83.3 %")]


def test_nothing_that_was_compared_is_nothing_to_show() -> None:
    bare = facts(documents={})

    assert (ledger.proofs(bare), ledger.entries(bare), ledger.types(bare)) == ((), (), ())
