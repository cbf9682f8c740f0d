"""Classes that a quantisation changed: counted from the unquantised file's answers, and named record by record."""

from __future__ import annotations

from so8t.evals.fidelity import Given
from so8t.evals.flips import flips
from so8t.evals.outcomes import Outcome


def outcomes(*said: str | None) -> list[Outcome]:
    return [Outcome(f"r{at}", "DENY", one, None, None, "stop", "") for at, one in enumerate(said)]  # type: ignore[arg-type]


BY_MODEL = {
    "base": outcomes(None, None, None, None),
    "f16": outcomes("REFUSE", "REFUSE", "ALLOW", None),
    "q4_k_m": outcomes("REFUSE", "ALLOW", "ALLOW", "DENY"),
}
GIVEN = {("test", one.id): Given("DENY", one.said, "") for one in outcomes("REFUSE", "REFUSE", "DENY", None)}


def test_a_quantised_type_is_beside_the_unquantised_one() -> None:
    assert flips(BY_MODEL, "q4_k_m", GIVEN, "test") == {
        "against": "f16",
        "of": {"ALLOW": 1, "ESCALATION": 0, "DENY": 0, "REFUSE": 2, "(no format)": 1},
        "became": {
            "ALLOW": {"ESCALATION": 0, "DENY": 0, "REFUSE": 0, "(no format)": 0},
            "REFUSE": {"ALLOW": 1, "ESCALATION": 0, "DENY": 0, "(no format)": 0},
            "(no format)": {"ALLOW": 0, "ESCALATION": 0, "DENY": 1, "REFUSE": 0},
        },
        "records": [
            {"id": "r1", "from": "REFUSE", "to": "ALLOW"},
            {"id": "r3", "from": "(no format)", "to": "DENY"},
        ],
    }


def test_an_unquantised_type_is_beside_pytorch_and_so_is_a_type_that_has_no_other() -> None:
    assert flips(BY_MODEL, "f16", GIVEN, "test")["against"] == "pytorch"
    assert flips(BY_MODEL, "f16", GIVEN, "test")["records"] == [{"id": "r2", "from": "DENY", "to": "ALLOW"}]
    alone = {"q4_k_m": BY_MODEL["q4_k_m"]}
    assert flips(alone, "q4_k_m", GIVEN, "test")["became"]["REFUSE"]["ALLOW"] == 1
    assert flips(alone, "q4_k_m", GIVEN, "test")["against"] == "pytorch"
