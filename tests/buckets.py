"""Buckets of a local S3, for tests in this process and in those that it starts."""

from __future__ import annotations

import secrets

import pytest

from so8t.store import s3


def made(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket; what speaks S3 from now on speaks to this server."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "S3RVER")  # the keys that npm's s3rver knows; moto takes any
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S3RVER")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = f"b{secrets.token_hex(6)}"
    s3.open_fs("s3://")[0].call_s3("create_bucket", Bucket=bucket)
    return f"s3://{bucket}/so8t"
