"""Where a Ray head may be: whoever reaches it runs what they like."""

from __future__ import annotations

import pytest

from so8t.cluster import address
from so8t.cluster.address import Place
from so8t.errors import StageError


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("10.0.0.5", "http://10.0.0.5:8265"),
        ("head", "http://head:8265"),
        ("head:80", "http://head:80"),
        ("http://127.0.0.1:8265", "http://127.0.0.1:8265"),
        ("https://ray.example/", "https://ray.example:8265"),
        ("[fd00::1]:9", "http://[fd00::1]:9"),
    ],
)
def test_an_address_is_a_host_with_a_scheme_and_a_port(written: str, url: str) -> None:
    assert address.place(written).url == url


@pytest.mark.parametrize("written", ["ray://10.0.0.5:10001", "10.0.0.5:8265/api", "a b", "http://", "user@head", "h:x"])
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(StageError) as refused:
        address.place(written)

    assert str(refused.value) == (
        f"cluster.address: must be the address of Ray's dashboard, such as 10.0.0.5:8265 (got {written})"
    )


@pytest.mark.parametrize(
    ("number", "private"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.77.0.1", True),
        ("172.16.3.4", True),
        ("192.168.1.9", True),
        ("fd00::1", True),
        ("fe80::1%eth0", True),
        ("::ffff:10.0.0.1", True),
        ("100.64.1.2", False),  # of a provider, shared with strangers
        ("8.8.8.8", False),
        ("2001:4860:4860::8888", False),
        ("::ffff:8.8.8.8", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_a_number_is_private_or_it_is_not(number: str, private: bool) -> None:
    assert address.is_private(number) is private


def test_a_name_is_used_by_the_number_that_was_looked_at() -> None:
    assert address.checked("head", lambda name: ["10.0.0.5"]) == Place("http", "10.0.0.5", 8265)
    assert address.checked("https://head", lambda name: ["10.0.0.5"]) == Place("https", "head", 8265)


def test_a_public_address_is_refused_even_as_one_of_several() -> None:
    with pytest.raises(StageError) as refused:
        address.checked("ray.example", lambda name: ["10.0.0.5", "203.0.114.9"])

    assert str(refused.value) == (
        "cluster.address: ray.example is at 203.0.114.9, which is not a private address: whoever reaches a Ray head "
        "can run anything on it, so it is used on this machine and in private networks alone; reach it through a VPN, "
        "or through a tunnel (ssh -N -L 8265:localhost:8265 ray.example) and name localhost"
    )
