"""Keys: equal for equal values, different for any other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.store.fingerprint import Fingerprint, canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BASE = Fingerprint("baked", {"gates": {"count": 1}}, {"merged/m.bin": "00"}, {"stages.baked": "11"}, {"torch": "2.6"})


def test_the_key_of_a_fingerprint_is_exactly_this() -> None:
    assert BASE.key == "ac16803fa04a57f1847241b5190a1721f8e9b60480a2410fc5a5ae941369667e"


def test_canonical_json_is_sorted_tight_and_unescaped() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "日本🗾"}) == '{"a":"日本🗾","b":[1,2.5,null]}'.encode()


@pytest.mark.parametrize(
    "other",
    [
        Fingerprint("Baked", BASE.spec, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", {"gates": {"count": 2}}, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", {"gates": {"count": 1.0}}, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", {"gates": {"count": True}}, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", {"gates": {"count": "1"}}, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", {"gates.count": 1}, BASE.inputs, BASE.code, BASE.packages),
        Fingerprint("baked", BASE.spec, {"merged/m.bin": "01"}, BASE.code, BASE.packages),
        Fingerprint("baked", BASE.spec, {}, BASE.code, BASE.packages),
        Fingerprint("baked", BASE.spec, BASE.inputs, {"stages.other": "11"}, BASE.packages),
        Fingerprint("baked", BASE.spec, BASE.inputs, BASE.code, {"torch": "2.6.1"}),
        Fingerprint("baked", BASE.spec, BASE.code, BASE.inputs, BASE.packages),
    ],
)
def test_any_other_value_has_another_key(other: Fingerprint) -> None:
    assert other.key != BASE.key


@given(st.dictionaries(st.text(), VALUES, max_size=4))
@settings(derandomize=True, max_examples=40, deadline=None)
def test_the_order_of_a_table_does_not_matter(spec: dict) -> None:
    backwards = dict(reversed(spec.items()))

    one, other = (Fingerprint("s", values, values, {}, {}) for values in (spec, backwards))

    assert (one.key, one) == (other.key, other)
