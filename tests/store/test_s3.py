"""A store on S3, over HTTP: what is written under a condition, and what a store that does not work is called."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from so8t.store import lease, probe
from so8t.store.lease import Lease
from so8t.store.objects import MirrorError
from so8t.store.s3 import S3Objects

KEY = "ab" * 32


def test_an_object_is_created_once_and_replaced_only_by_one_who_knows_its_version(s3: str) -> None:
    objects = S3Objects(s3)

    assert objects.read("a/b.json") is None
    assert objects.swap("a/b.json", b"0", '"00"') is None
    first = objects.create("a/b.json", b"1")
    assert first
    assert objects.create("a/b.json", b"2") is None
    second = objects.swap("a/b.json", b"3", first)
    assert second
    assert objects.swap("a/b.json", b"4", first) is None
    found = objects.read("a/b.json")
    assert found and (found.data, found.version) == (b"3", second)


def test_of_sixteen_publishers_one_wins(s3: str) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda n: S3Objects(s3).create("entry", b"%d" % n), range(16)))

    (winner,) = [number for number, version in enumerate(made) if version]
    assert S3Objects(s3).read("entry").data == b"%d" % winner  # type: ignore[union-attr]


def test_this_store_keeps_its_conditions_and_is_left_as_it_was(s3: str) -> None:
    assert probe.ignored(S3Objects(s3)) == []


def test_a_lease_on_s3_goes_from_hand_to_hand(s3: str) -> None:
    objects = S3Objects(s3)
    with lease.held(objects, KEY, "a", lambda: False, pytest.fail, seconds=0.6) as hold:
        assert hold
        with pytest.raises(TimeoutError):
            lease.acquire(objects, KEY, Lease("b", 1.0), lambda: False, sleep=_once, told=lambda text: None)
    term = lease.acquire(objects, KEY, Lease("b", 1.0), lambda: False)
    assert term and term.lease.holder == "b"


def _once(seconds: float) -> None:
    raise TimeoutError


def test_a_store_that_cannot_be_reached_is_named_with_what_to_do(
    s3: str, unknown: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(MirrorError) as caught:
        S3Objects(s3).read("x")

    assert str(caught.value) == (
        f"mirror {s3}: cannot read x: the store cannot be reached; check AWS_ENDPOINT_URL and the network "
        f'(Could not connect to the endpoint URL: "http://127.0.0.1:9/{s3[5:-5]}/so8t/x")'
    )


def test_a_bucket_that_is_not_there_is_named(s3: str) -> None:
    with pytest.raises(MirrorError) as caught:
        S3Objects("s3://nosuch-bucket/so8t").create("x", b"1")

    assert str(caught.value) == (
        "mirror s3://nosuch-bucket/so8t: cannot write x: there is no such bucket; create it, or correct store.mirror "
        "(The specified bucket does not exist)"
    )


def test_without_credentials_the_variables_are_named(s3: str, unknown: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")

    with pytest.raises(MirrorError) as caught:
        S3Objects(s3).read("x")

    assert str(caught.value) == (
        f"mirror {s3}: cannot read x: there are no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or AWS_PROFILE (Unable to locate credentials)"
    )
