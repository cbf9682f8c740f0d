"""The graph: raw JSONL to an Ollama model, one task per stage.  Each stage lives in stages/<name>.py."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from doit import get_var

from so8t.engine.status import Session
from so8t.engine.tasks import Graph


def foresee(session: Session, names: Sequence[str]) -> tuple[list[str], list[str]]:
    from so8t.planning import ahead  # where something is built, and only there

    return ahead.foresee(session, names)


def cluster() -> Any:
    from so8t.cluster import door  # where a stage is built on a cluster, and only there

    return door


def join(call: Path, rank: int) -> None:
    from so8t.models import joined  # in a process of torchrun's that only trains, and only there

    joined.join(call, rank)


graph = Graph(get_var("profile"), foresee=foresee, cluster=cluster, join=join)
DOIT_CONFIG = graph.config()


def task_stages() -> Iterator[dict[str, Any]]:
    for name in graph.plan.rows:
        yield graph.task(name)
