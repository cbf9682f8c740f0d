"""What a store that does not work says, in words that tell what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_CODES = {
    "InvalidAccessKeyId": f"the store does not know the access key; {_KEYS}",
    "SignatureDoesNotMatch": f"the secret key does not belong to the access key; {_KEYS}",
    "ExpiredToken": "the credentials have expired; get new ones",
    "AccessDenied": "these credentials may not do that; ask the owner of the bucket to allow it",
    "403": "the store does not accept these credentials for that; check AWS_ACCESS_KEY_ID and the bucket's policy",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
    "NoSuchBucket": "there is no such bucket; create it, or correct store.mirror",
    "InvalidBucketName": "this is not a name for a bucket; correct store.mirror",
    "PermanentRedirect": "the bucket is in another region; set AWS_DEFAULT_REGION",
    "SlowDown": "the store is too busy, after several tries; try again later",
    "503": "the store is too busy, after several tries; try again later",
    "QuotaExceeded": "the store is full: its quota is used up; make space there",
    "InsufficientStorage": "the store is full; make space there",
    "XMinioStorageFull": "the store is full; make space there",
    "507": "the store is full; make space there",
}
_KINDS = {
    "NoCredentialsError": f"there are no credentials; {_KEYS}",
    "PartialCredentialsError": f"one of the credentials is missing; {_KEYS}",
    "ProfileNotFound": "AWS_PROFILE names no profile of ~/.aws/config; correct it",
    "EndpointConnectionError": "the store cannot be reached; check AWS_ENDPOINT_URL and the network",
    "ClientConnectorError": "the store cannot be reached; check AWS_ENDPOINT_URL and the network",
    "ConnectTimeoutError": "the store cannot be reached; check AWS_ENDPOINT_URL and the network",
    "ReadTimeoutError": "the store does not answer in time, after several tries; try again later",
    "ConnectionClosedError": "the store breaks connections off, after several tries; try again later",
}
_NUMBERS = {
    errno.ENOSPC: "the disk of the store is full; make space there",
    errno.EDQUOT: "the quota on the disk of the store is used up; make space there",
    errno.EROFS: "the store cannot be written to; make its folder writable",
}


def explain(error: BaseException) -> str:
    """The cause and the next step where we know them, and always what the store itself said."""
    for each in _chain(error):
        code = str(_answer(each).get("Error", {}).get("Code", ""))
        status = str(_answer(each).get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        number = getattr(each, "errno", None)
        known = _CODES.get(code) or _CODES.get(status) or _KINDS.get(type(each).__name__) or _NUMBERS.get(number)  # type: ignore[arg-type]
        if known:
            return f"{known} ({error})"
    return str(error) or type(error).__name__


def status(error: BaseException) -> int | None:
    """The HTTP status with which the store refused."""
    found = (_answer(each).get("ResponseMetadata", {}).get("HTTPStatusCode") for each in _chain(error))
    return next((number for number in found if number is not None), None)


def code(error: BaseException) -> str | None:
    """The name by which S3 calls the error."""
    found = (_answer(each).get("Error", {}).get("Code") for each in _chain(error))
    return next((name for name in found if name is not None), None)


def _answer(error: BaseException) -> dict:  # type: ignore[type-arg]
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
