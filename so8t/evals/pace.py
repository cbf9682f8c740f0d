"""How fast answers came: figures for a log and the terminal.  They differ from run to run and belong to no artifact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import orjson

from so8t.evals.asking import Answer

LOG = "pace.json"


def figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Tokens per second, of prompts up to the first token and of answers from there on; milliseconds to the first."""
    later = sum(max(one.tokens - 1, 0) for one in answers)
    seconds = sum(one.seconds - one.first for one in answers if one.tokens > 1)
    first = [one.first * 1000 for one in answers]
    read = sum(one.first for one in answers)
    return {
        "answers": len(answers),
        "prompt_tokens": sum(one.prompt_tokens for one in answers),
        "prompt_tokens_per_second": round(sum(one.prompt_tokens for one in answers) / read, 1) if read else None,
        "tokens": sum(one.tokens for one in answers),
        "tokens_per_second": round(later / seconds, 1) if seconds else None,
        "first_token_ms": {
            "median": round(median(first), 2),
            "p90": round(quantiles(first, n=10, method="inclusive")[-1] if len(first) > 1 else first[0], 2),
        },
    }


def write(folder: Path, found: dict[str, Any]) -> None:
    """The log of the newest run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOG).write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def sentence(found: dict[str, Any]) -> str:
    """`2,410 tokens/s, first after 3.1 ms`."""
    speed = found["tokens_per_second"]
    return f"{speed:,.0f} tokens/s, first after {found['first_token_ms']['median']:.1f} ms" if speed else "no token"
