"""Secrets by the formats of their vendors, and behind the words that announce them."""

from __future__ import annotations

import random
import string

import pytest

from so8t.corpus import pii
from so8t.corpus.credentials import entropy

SECRETS = pii.kinds(("secret",))
HEX = "0123456789abcdef"
ALNUM = string.ascii_letters + string.digits


def some(count: int, alphabet: str = ALNUM) -> str:
    return "".join(random.Random(count).choice(alphabet) for _ in range(count))


TOKENS = {  # no whole token stands in this file: scanners of other people would report it
    "AWS": "AK" + "IA" + some(16, string.ascii_uppercase),
    "Google": "AI" + "za" + some(35),
    "Google OAuth": "GOC" + "SPX-" + some(28),
    "GitHub": "gh" + "p_" + some(36),
    "GitHub, fine-grained": "github" + "_pat_" + some(82),
    "GitLab": "gl" + "pat-" + some(20),
    "GitLab runner": "gl" + "rt-" + some(20),
    "Slack": "xo" + "xb-" + some(12, "0123") + "-" + some(24),
    "Slack webhook": "https://hooks.slack" + ".com/services/T" + some(8) + "/B" + some(9) + "/" + some(24),
    "Stripe": "sk" + "_live_" + some(24),
    "OpenAI": "sk" + "-proj-" + some(48),
    "Anthropic": "sk" + "-ant-api03-" + some(95),
    "Hugging Face": "h" + "f_" + some(34),
    "npm": "n" + "pm_" + some(36),
    "PyPI": "py" + "pi-AgEIcHlwaS5vcmc" + some(70),
    "Twilio": "S" + "K" + some(32, HEX),
    "SendGrid": "S" + "G." + some(22) + "." + some(43),
    "Shopify": "sh" + "pat_" + some(32, HEX),
    "DigitalOcean": "do" + "p_v1_" + some(64, HEX),
    "JWT": "ey" + "J" + some(20) + ".ey" + "J" + some(30) + "." + some(43),
    "age": "AGE-SECRET" + "-KEY-1" + some(58, string.ascii_uppercase),
    "Discord webhook": "https://discord" + ".com/api/webhooks/" + some(18, "0123") + "/" + some(68),
}


@pytest.mark.parametrize("vendor", TOKENS)
@pytest.mark.parametrize("around", ["APIキーを {} に更新", "token: {}", "{}", "（{}）", "使うのは{}です"])
def test_a_vendors_token_is_found_whatever_stands_around_it(vendor: str, around: str) -> None:
    assert pii.remove(around.format(TOKENS[vendor]), SECRETS)[0] == around.format("〔秘密情報〕")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("aws_secret_access_key: " + some(40, ALNUM + "/+"), "aws_secret_access_key: 〔秘密情報〕"),
        ("curl -u taro:pa55word https://example.jp", "curl -u taro:〔秘密情報〕 https://example.jp"),
        ("mongodb+srv://app:s3cret@db.example.jp/x", "mongodb+srv://app:〔秘密情報〕@db.example.jp/x"),
        ("Server=db;User Id=sa;Password=S3cret!;", "Server=db;User Id=sa;Password=〔秘密情報〕;"),
        (
            "https://x.blob.core.windows.net/a?sig=" + some(44) + "%3D",
            "https://x.blob.core.windows.net/a?sig=〔秘密情報〕",
        ),
    ],
)
def test_what_is_announced_is_found(text: str, cleaned: str) -> None:
    assert pii.remove(text, SECRETS)[0] == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "sha256は" + some(64, HEX),
        "コミット " + some(40, HEX),
        "550e8400-e29b-41d4-a716-446655440000",
        "sk-learn、skip-this-one、hf_transfer、npm_config_cache、SG.COM",
        "aws s3 cp s3://example-bucket/some/long/path/to/a/file/that/goes/on .",
        "https://example.com/a?sig=short",
    ],
)
def test_what_only_looks_like_a_token_stays(text: str) -> None:
    assert pii.remove(text, SECRETS) == (text, {})


def test_entropy_is_of_the_texts_own_characters() -> None:
    assert (entropy("aaaa"), entropy("abab"), entropy("abcd")) == (0, 1, 2)
