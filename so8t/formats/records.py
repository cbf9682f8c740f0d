"""Records on their way between stages: one JSON object a line, UTF-8, keys in a fixed order.

    id        16 hex digits of the content's hash, the same wherever the record stands
    text      the user's message
    system, history                       what came before it (optional)
    label, reason, answer, thinking       given by the source (optional)
    rejected  an answer that is worse, for preference tuning (optional)
    split     pins the record to a split, such as a held-out test (optional)
    tags      free facts about the record, such as domain and pattern (optional)
    source    provenance: name, file, line, terms, trust

These readers trust their input, because a stage wrote it; `sources` is the door for files from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

Record = dict[str, Any]
Label = Literal["ALLOW", "ESCALATION", "DENY", "REFUSE"]
LABELS: tuple[Label, ...] = get_args(Label)
NO_FORMAT = "(no format)"  # in tables: an answer that names none of them
THOUGHTLESS = "only"  # in a conversation's `direct`: its answer has no thinking, and is learned directly alone


def read(path: Path) -> Iterator[Record]:
    with path.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            yield orjson.loads(line)


def write(path: Path, records: Iterable[Record]) -> int:
    """Write the records and return how many there were."""
    count = 0
    with path.open("wb", buffering=1 << 20) as out:
        for record in records:
            out.write(line(record))
            count += 1
    return count


def line(record: Record) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
