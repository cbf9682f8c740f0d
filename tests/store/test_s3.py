"""A store on S3, over HTTP: what is written under a condition, and what a store that does not work is called."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so8t.errors import UserError
from so8t.store import lease, probe, troubles
from so8t.store.lease import Lease
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError
from so8t.store.s3 import S3Objects
from tests import buckets
from tests.yard import Yard, fingerprint

KEY = "ab" * 32
THING = fingerprint("1").key


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


def test_a_store_that_ignores_the_conditions_is_refused_for_clusters_and_serves_as_a_mirror(
    tmp_path: Path, s3: str, unknown: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with buckets.served(buckets.careless()) as server:
        url = buckets.made(server, monkeypatch)
        with pytest.raises(UserError) as caught:
            Mirror(url).fencing()
        Yard(tmp_path / "here", mirror=url).build("1")
        assert Yard(tmp_path / "there", mirror=url).ensure("1") == "restored"

    assert str(caught.value) == (
        f"store.mirror: {url}: builders on a cluster cannot share this store, though one machine at a time can: "
        "it ignores If-None-Match (it writes over what is there) and "
        "If-Match (it replaces another version than the one that is named)"
    )


KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


@pytest.mark.parametrize(
    ("verb", "status", "code", "said"),
    [
        pytest.param(
            "GET",
            "403 Forbidden",
            "InvalidAccessKeyId",
            f"cannot read entries/{THING}.json: the store does not know the access key; {KEYS} (it said so)",
            marks=pytest.mark.soak,
        ),
        (
            "PUT",
            "507 Insufficient Storage",
            "XMinioStorageFull",
            "cannot upload: the store is full; make space there ([Errno 5] "
            "An error occurred (XMinioStorageFull) when calling the PutObject operation: it said so)",
        ),
    ],
    ids=["keys", "full"],
)
def test_a_store_that_refuses_says_why_and_what_to_do(
    tmp_path: Path, s3: str, unknown: None, monkeypatch: pytest.MonkeyPatch, capsys, verb, status, code, said
) -> None:
    with buckets.served(buckets.refusing(verb, status, code, "it said so")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        Yard(tmp_path, mirror=s3).build("1")

    assert capsys.readouterr().err == f"warning: mirror {s3}: {said}; going on without the mirror\n"


class Refused(Exception):
    """As botocore's ClientError is."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__("it said so")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class ReadTimeoutError(Exception):
    """As botocore's of this name."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            Refused("SignatureDoesNotMatch", 403),
            f"the secret key does not belong to the access key; {KEYS} (it said so)",
        ),
        (
            Refused("AccessDenied", 403),
            "these credentials may not do that; ask the owner of the bucket to allow it (it said so)",
        ),
        (Refused("SlowDown", 503), "the store is too busy, after several tries; try again later (it said so)"),
        (Refused("RequestTimeTooSkewed", 403), "the clock of this machine is wrong; set it (it said so)"),
        (Refused("QuotaExceeded", 403), "the store is full: its quota is used up; make space there (it said so)"),
        (Refused("Unheard", 507), "the store is full; make space there (it said so)"),
        (ReadTimeoutError("60 s"), "the store does not answer in time, after several tries; try again later (60 s)"),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "the disk of the store is full; make space there ([Errno 28] No space left on device)",
        ),
        (Refused("Unheard", 418), "it said so"),
        (ValueError(), "ValueError"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_every_trouble_that_is_known_has_a_cause_and_a_next_step(error: Exception, said: str) -> None:
    assert troubles.explain(error) == said


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
