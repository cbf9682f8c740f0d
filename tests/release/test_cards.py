"""The cards: a head that the hub reads, figures with their intervals, terms, and nothing that was redacted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from so8t.release import frontmatter, licences

HEAD = re.compile(r"---\n(.*?)\n---\n", re.DOTALL)


def test_the_hubs_own_library_reads_the_head(released: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard((released / "README.md").read_text("utf-8"))

    assert (card.data.license, card.data.language, card.data.library_name) == ("apache-2.0", ["ja"], "transformers")
    assert card.data.pipeline_tag == "text-generation"
    found = {(one.dataset_name, one.metric_name): one.metric_value for one in card.data.eval_results}
    assert found["test", "right class, f16"] == 0.833333
    assert found["test", "right class, q4_k_m"] == 0.75
    assert len(found) == 10


def test_the_model_card_says_what_a_careful_reader_asks(released: Path) -> None:
    text = (released / "README.md").read_text("utf-8")

    for line in (
        "# pico",
        "Published by 工房.",
        "For training and testing of models that judge requests.",
        "Not for learning how to do harm, and not for finding out about persons.",
        "| right class | 83.3 % (58.3–100.0) | 75.0 % (50.0–100.0) |",
        "Harmful and NSFW texts in the data serve detection and refusal only: they are examples of DENY and REFUSE, "
        "never a text to generate. The build checks that.",
        "| own | 14 | CC-BY-4.0; collected by hand | high |",
        "    ollama create pico:q4_k_m -f Modelfile.q4_k_m && ollama run pico:q4_k_m",
        "All stages took 1 min 6 s on a machine that took 65 W: 0.00119 kWh.",
        "- q4_k_m: approximations; the table above says how near.",
    ):
        assert line in text.splitlines(), line


def test_the_data_card_says_what_was_looked_for(released: Path) -> None:
    lines = (released / "DATA.md").read_text("utf-8").splitlines()

    assert "Personal data of these kinds are replaced before anything is stored: email, phone." in lines
    assert "| cleaned | 14 | 12 | language 2 |" in lines
    assert "  - terms of use: CC-BY-4.0; collected by hand" in lines


@pytest.mark.parametrize(
    "value",
    [
        "yes",
        "null",
        "1e3",
        "a: b",
        "# no",
        '"',
        "改行\nあり",
        "😀",
        "\x7f\x85\u2028\ufeff",
        " lead",
        "-",
        "2026-01-01",
        "~",
    ],
)
def test_any_text_comes_back_from_the_head_as_it_was(value: str) -> None:
    told = {"one": value, "many": [value, {"deep": value, "rows": [[1, 2.5], True]}]}
    assert yaml.safe_load(HEAD.match(frontmatter.block(told))[1]) == told  # type: ignore[index]


def test_a_licence_that_the_hub_does_not_know_is_named_beside_other() -> None:
    assert licences.front("MIT") == {"license": "mit"}
    assert licences.front("CDLA-Permissive-2.0") == {"license": "cdla-permissive-2.0"}
    assert licences.front("house-1.0") == {
        "license": "other",
        "license_name": "house-1.0",
        "license_link": "LICENSE",
    }
