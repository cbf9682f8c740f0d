"""The door to other people's validators: what they say of the documents of a release."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from so8t.errors import MissingExtra, UserError
from so8t.release.documents import BOM, CROISSANT, STATEMENTS


def check(documents: Mapping[str, str]) -> None:
    """UserError with the first thing that a validator does not take."""
    for name, text in documents.items():
        found = next(problems(name, text), None)
        if found is not None:
            raise UserError(f"release: {name} is not valid: {found}")


def problems(name: str, text: str) -> Iterator[str]:
    try:
        if name == BOM:
            yield from _bom(text)
        elif name == CROISSANT:
            yield from _croissant(json.loads(text))
        elif name.startswith(f"{STATEMENTS}/"):
            yield from _statement(text)
    except ImportError as error:
        raise MissingExtra(str(error.name), "release", f"the check of {name}") from error


def _bom(text: str) -> Iterator[str]:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_7).validate_str(text)
    if found is not None:
        yield str(found)


def _croissant(document: dict[str, Any]) -> Iterator[str]:
    """Errors and warnings: what it recommends is there, too."""
    import mlcroissant

    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        found = mlcroissant.Dataset(document).metadata.ctx.issues
    except mlcroissant.ValidationError as error:
        yield str(error)
        return
    yield from (*sorted(found.errors), *sorted(found.warnings))


def _statement(text: str) -> Iterator[str]:
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement, statement_pb2

    try:
        parsed = json_format.Parse(text, statement_pb2.Statement())
        statement.Statement.copy_from_pb(parsed).validate()
        json_format.ParseDict(json_format.MessageToDict(parsed.predicate), provenance_pb2.Provenance())
    except (ValueError, json_format.ParseError) as error:
        yield str(error)
