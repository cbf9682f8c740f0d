"""The splits as token ids: rows to train on, conversations to watch; quick to make again, and always the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from so8t.errors import StageError
from so8t.formats import published, records
from so8t.formats.encoding import Encoder
from so8t.train import conversations, pairs
from so8t.train.conversations import Conversations, Counts, Rows
from so8t.train.job import Job
from so8t.train.pairs import PairRows


@dataclass(frozen=True)
class Data:
    rows: Rows | PairRows
    counts: Counts
    held_out: Conversations | None
    held_out_counts: Counts | None
    fill: int  # the id at padding


def prepare(job: Job, work: Path) -> Data:
    tokenizer = published.tokenizer(job.base, job.remote_code)
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    encoder, room = Encoder(tokenizer), job.train.sequence
    if job.preference:
        found = list(records.read(job.preference.pairs))
        counts = pairs.write(work / "pairs", found, job.chat, encoder, room)
        _tell(counts, room, "preference", "pairs")
        return Data(PairRows(work / "pairs"), counts, None, None, fill or 0)
    counts = conversations.write(
        work / "rows", conversations.read(job.train_split, job.chat, job.thinking, encoder), room
    )
    _tell(counts, room)
    held_out = held_out_counts = None
    if job.validation.conversations:
        most = job.validation.conversations
        watched = conversations.read(job.validation_split, job.chat, job.thinking, encoder, most)
        held_out_counts = conversations.write(work / "held-out", watched, room)
        if not held_out_counts.conversations:
            raise StageError(
                "adapter: no conversation of the validation split is left to watch; give "
                "thinking_sft.fractions.validation a share, or set validation.conversations to 0"
            )
        held_out = Conversations(work / "held-out")
    rows = Rows(Conversations(work / "rows"), room if job.train.packing else None)
    return Data(rows, counts, held_out, held_out_counts, fill or 0)


def _tell(counts: Counts, room: int, stage: str = "adapter", what: str = "conversations") -> None:
    if counts.too_long:
        print(
            f"{stage}: {counts.too_long:,} {what} are longer than train.sequence ({room}) and stay out",
            file=sys.stderr,
        )
    if counts.nothing_to_learn:
        print(f"adapter: {counts.nothing_to_learn:,} conversations end without an answer and stay out", file=sys.stderr)
