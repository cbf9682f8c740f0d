"""Which machine computed a result, for whoever asks: in the journal, in doit why, and on other machines."""

from __future__ import annotations

import json
import shutil

from so8t.store import journal
from tests.house import House

BUILT = {"outcome": "built", "host": "node-b"}
RESTORED = {"outcome": "restored", "host": "here"}


def test_the_last_build_that_was_told_of_names_the_machine() -> None:
    assert journal.machine([]) is None
    assert journal.machine([RESTORED]) is None
    assert journal.machine([BUILT, RESTORED]) == "node-b"
    assert journal.machine([BUILT, {**BUILT, "host": "here"}]) == "here"
    assert journal.machine([{**RESTORED, "made": "node-c"}, RESTORED]) == "node-c"


def test_a_result_of_another_machine_is_named_in_the_journal_and_by_why(built: House) -> None:
    mirror = built.path / "mirror"
    built.write("specs/tiny/profile.yaml", f"store: {{mirror: '{mirror.as_uri()}', trusted: any}}\n")
    built.write("specs/tiny/card.yaml", "title: total\n")
    assert built.doit("card").code == 0
    (maker,) = mirror.glob("makers/*.json")
    maker.write_text(json.dumps({"machine": "node-b"}))
    shutil.rmtree(built.artifact("card"))
    shutil.rmtree(built.path / "artifacts/.so8t/store")
    (built.path / "artifacts/.so8t/journal.jsonl").unlink()

    run = built.doit("card")

    assert (run.code, run.ran) == (0, [])
    told = json.loads(built.read("artifacts/.so8t/journal.jsonl").splitlines()[-1])
    assert (told["outcome"], told["made"]) == ("restored", "node-b")
    assert built.why("total", "card") == ["total: up to date", "card: up to date, built on node-b"]
