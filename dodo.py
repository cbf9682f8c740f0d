"""The graph: raw JSONL to an Ollama model, one task per stage.  Each stage lives in stages/<name>.py."""

from collections.abc import Iterator
from typing import Any

from doit import get_var

from so8t.engine.tasks import Graph

graph = Graph(get_var("profile"))
DOIT_CONFIG = graph.config()


def task_stages() -> Iterator[dict[str, Any]]:
    for name in graph.plan.rows:
        yield graph.task(name)
