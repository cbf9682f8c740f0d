"""What a type changed, closer: parts of conversations, classes with their records, tensors from the worst on."""

from __future__ import annotations

from so8t.report import ledger, page, redact, spread
from so8t.report.facts import Figure
from tests.report.made import documents, facts


def test_parts_stand_below_the_whole_with_the_place_that_they_came_from() -> None:
    whole, prompt, label, without = spread.parts(facts())

    assert [(part.type, part.name, part.tokens.text, part.share.text) for part in (whole, prompt, label, without)] == [
        ("q4_k_m", "all", "4,803", "100.0 %"),
        ("q4_k_m", "prompt", "4,000", "90.0 %"),
        ("q4_k_m", "class", "803", "10.0 %"),
        ("q4_k_m without imatrix", "all", "4,803", "100.0 %"),
    ]
    assert [figure.text for figure in whole.kl] == ["2.9 × 10⁻⁴", "1.0 × 10⁻⁴", "0.0011", "0.0027", "0.0094", "0.013"]
    assert [figure.text for figure in whole.delta_p] == ["-0.04 %", "0.51 %"]
    assert [figure.text for figure in (*label.delta_p, label.perplexity)] == ["–", "–", "–"]
    assert prompt.kl[3] == Figure("0.0027", "gguf/ledger.json", "types.q4_k_m.sections.prompt.kl.p99")


def test_an_imatrix_says_what_it_covers() -> None:
    (found,) = spread.weighed(facts())

    assert [each.text for each in (found.tokens, found.chunks, found.known, found.of)] == ["2,421", "32", "1", "2"]
    assert found.missing == ("output.weight",)


def test_harmful_turns_are_counted_first_and_every_record_is_named() -> None:
    (found,) = spread.flips(facts())

    assert (found.split, found.type, found.against, found.changed.text) == ("test", "q4_k_m", "f16", "1")
    assert [f"{count.text} {said}" for said, count in found.harmful] == [
        "0 of 3 REFUSE became ALLOW",
        "0 of 4 DENY became ALLOW",
    ]
    assert found.records == (
        Figure("r2 DENY → REFUSE", "evaluation/scores.json", "splits.test.q4_k_m.flips.records[0]"),
    )


def test_tensors_come_from_the_worst_on() -> None:
    (found,) = spread.tensors(facts())

    assert [(name, stored, error.text) for name, stored, error in found.worst] == [
        ("blk.0.attn_qkv.weight", "Q4_K", "7.15 %"),
        ("output.weight", "Q6_K", "1.76 %"),
    ]
    assert found.more == 0


def test_the_page_says_it_and_a_redacted_one_names_no_record() -> None:
    whole, redacted = page.render(facts()), page.render(redact.redact(facts(), frozenset()))

    for text in ("Where the divergence lies", "REFUSE became ALLOW", "blk.0.attn_qkv.weight"):
        assert text in whole and text in redacted
    assert "r2 DENY → REFUSE" in whole
    assert "r2 DENY → REFUSE" not in redacted


def test_speed_is_of_prompts_and_of_answers() -> None:
    pace = {"models": {"f16": {"prompt_tokens_per_second": 9876.5, "tokens_per_second": 543.2}, "q4_k_m": {}}}

    found = ledger.types(facts(documents={**documents(), "pace": pace}))
    assert [one.speed for one in found] == ["9,876 / 543", ""]
    assert (spread.parts(facts(documents={})), spread.flips(facts(documents={}))) == ((), ())
