"""What is counted and timed, for Prometheus.  Labels come from fixed sets, never from requests or output."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """Of one app: two in a process do not share a number."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second time series beside each, which no one asks for
        self._all = CollectorRegistry()
        self._responses = Counter(
            "so8t_responses", "Responses by endpoint and status.", ("endpoint", "status"), registry=self._all
        )
        self._replies = Counter(
            "so8t_replies", "Replies of the model by outcome and class.", ("outcome", "class"), registry=self._all
        )
        self.wait = Histogram("so8t_wait_seconds", "From a request to its slot.", buckets=BUCKETS, registry=self._all)
        self.answer = Histogram(
            "so8t_answer_seconds", "From a slot to the answer.", buckets=BUCKETS, registry=self._all
        )
        self._free = Gauge("so8t_slots_free", "Answers that could begin now.", registry=self._all)
        self._waiting = Gauge("so8t_queue_waiting", "Requests that wait for a slot.", registry=self._all)

    def responded(self, endpoint: str, status: int) -> None:
        self._responses.labels(endpoint, str(status)).inc()

    def replied(self, outcome: str, label: str | None) -> None:
        self._replies.labels(outcome, label or "none").inc()

    def text(self, free: int, waiting: int) -> str:
        self._free.set(free)
        self._waiting.set(waiting)
        return generate_latest(self._all).decode("utf-8")
