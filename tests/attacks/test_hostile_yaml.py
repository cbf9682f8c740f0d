"""Files that are meant to hurt: each one is refused in words, in little time and memory."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from so8t.errors import SpecError
from so8t.spec import load, mistakes, profile, yamltree
from so8t.spec.fields import SpecModel

MIB = 1 << 20


class Hub(SpecModel):
    kind: Literal["hub"]
    repo: str


class Tiny(SpecModel):
    kind: Literal["tiny"] = "tiny"
    hidden: int = 32


class Rule(SpecModel):
    name: str = Field(min_length=1)
    patterns: tuple[str, ...] = ()


class Spec(SpecModel):
    base: Annotated[Hub | Tiny, Field(discriminator="kind")] = Tiny()
    layers: Literal["all"] | tuple[int, ...] = "all"
    rate: float = Field(0.1, gt=0)
    rules: tuple[Rule, ...] = ()
    labels: dict[str, Literal["ALLOW", "DENY"]] = Field(default={})
    nested: dict[str, dict[str, list[int]]] = Field(default={})
    flag: bool = False


def refusal(data: bytes) -> str:
    """The one problem, which came within a second."""
    started = time.perf_counter()
    found = yamltree.read(data, "a.yaml").mistakes
    text = str(mistakes.error(found))
    assert time.perf_counter() - started < 1
    return text.splitlines()[0]


def test_a_billion_laughs_explode_on_paper_only() -> None:
    rows = ['a0: &a0 "lol"'] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20)]

    assert refusal("\n".join(rows).encode()) == (
        "a.yaml:6:10: anchors that explode: more than 10,000 values when aliases are written out"
    )


@pytest.mark.parametrize(
    "data",
    [b"[" * MIB, b"{a: " * (MIB // 4), b"- " * (MIB // 2), b"? " * (MIB // 2), b"a: [" + b"[1, " * 1000],
    ids=["lists", "mappings", "block lists", "complex keys", "short"],
)
def test_deep_nesting_ends_at_64_levels(data: bytes) -> None:
    assert refusal(data).endswith(": nested deeper than 64 levels")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: b\n" * (MIB // 5), "a.yaml:5000:4: more than 10,000 values"),
        (b"a: [" + b"1," * (MIB // 2 - 4) + b"]", "a.yaml:1:19999: more than 10,000 values"),
        (b"a: " + b"9" * (MIB - 3), "a.yaml:1:4: a number of 1048573 characters is too long"),
        (b"a: 0x" + b"f" * 5000, "a.yaml:1:4: a number of 5002 characters is too long"),
        (b"a: &a {b: {c: *a}}", "a.yaml:1:15: *a stands inside &a: an anchor must not hold itself"),
        (b"&a : *a", "a.yaml:1:1: a key must be a string (got null)"),
        (b"\xfe\xff\x00a", "a.yaml:1:1: UTF-16: save the file as UTF-8"),
        (b"\xff\xfea\x00", "a.yaml:1:1: UTF-16: save the file as UTF-8"),
        (b"a: \xed\xa0\x80", "a.yaml:1:4: not UTF-8 (byte 0xed at offset 3): save the file as UTF-8"),
        (b"a: \xc0\xaf", "a.yaml:1:4: not UTF-8 (byte 0xc0 at offset 3): save the file as UTF-8"),
        (
            b"a: \x1b[31m",
            'a.yaml:1:4: the invisible character U+001B must not stand in a spec: write its escape in "double quotes"',
        ),
        (b"%YAML 1.1\n---\na: 1", "a.yaml:1:1: specs are YAML 1.2: remove the %YAML directive"),
        (
            b"!!python/object:os.system {}",
            "a.yaml:1:1: tags are refused (got !!python/object:os.system): a spec holds plain values",
        ),
    ],
)
def test_it_is_refused_in_words(data: bytes, message: str) -> None:
    assert refusal(data) == message


def test_a_message_cannot_drive_the_terminal() -> None:
    text = str(mistakes.error(yamltree.read('"a\\e[31m\u202e": 1\n"a\\e[31m\u202e": 2\n'.encode(), "a.yaml").mistakes))

    assert text == (
        "a.yaml:2:1: 'a\\x1b[31m\\u202e': duplicate key, first given in line 1\n"
        '    "a\\e[31m\N{REPLACEMENT CHARACTER}": 2\n'
        "    ^"
    )


SEED_FILE = """\
# yaml-language-server: $schema=../schema/adapter.json
base: &base {kind: hub, repo: "owner/モデル"}
layers: [1, 2, 3]
rate: 2e-4
rules:
- name: 薬
  patterns: ['(薬|くすり)', "飲み\\u5408わせ"]
- name: b
  patterns: []
labels: {安全: ALLOW, 拒否: DENY}
nested:
  a: &n {x: [1, 0x2], y: []}
  b: *n
flag: true
"""
PIECES = [
    "*base",
    "&n ",
    "!x ",
    "<<: ",
    "- ",
    ": ",
    "\t",
    "{",
    "}",
    "[",
    "]",
    "'",
    '"',
    "|\n",
    "\n---\n",
    "#",
    "? ",
    "%",
    "\u2028",
    "\x00",
    "é",
    "😀",
    "\ufeff",
    "null",
    ".nan",
    "1e999",
    "yes",
    ",",
    "\r",
    "\\",
    "\n  ",
    "@",
    "`",
]


def mutate(data: bytes, rng: random.Random) -> bytes:
    text = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([0, 1, 1, 2, 10]))
        new = rng.choice(
            [
                b"",
                bytes([rng.randrange(256)]),
                rng.choice(PIECES).encode(),
                bytes(text[rng.randrange(len(text) + 1) :][:20]),
            ]
        )
        text[start:end] = new
    return bytes(text)


@pytest.mark.slow
def test_2000_mutations_raise_spec_errors_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "specs/tiny/adapter.yaml"
    path.parent.mkdir(parents=True)
    rng = random.Random(8)
    refused = accepted = 0
    for _ in range(2000):
        path.write_bytes(mutate(SEED_FILE.encode(), rng))
        try:
            load.load(profile.read(tmp_path, "tiny"), {"adapter": Spec})
            accepted += 1
        except SpecError as error:
            refused += 1
            assert str(error).startswith("specs/tiny/adapter.yaml:")

    assert refused > 1000
    assert accepted > 100
