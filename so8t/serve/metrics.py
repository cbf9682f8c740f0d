"""Counters and histograms in Prometheus' text format.  Labels come from fixed sets, never from requests or output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[next((index for index, bound in enumerate(BUCKETS) if seconds <= bound), len(BUCKETS))] += 1
        self._sum += seconds

    def lines(self, name: str) -> Iterable[str]:
        below = 0
        for bound, count in zip((*BUCKETS, "+Inf"), self._counts, strict=True):
            below += count
            yield f'{name}_bucket{{le="{bound}"}} {below}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {below}"


class Metrics:
    def __init__(self) -> None:
        self._responses: Counter[tuple[str, int]] = Counter()
        self._replies: Counter[tuple[str, str]] = Counter()
        self.wait, self.answer = Histogram(), Histogram()

    def responded(self, endpoint: str, status: int) -> None:
        self._responses[endpoint, status] += 1

    def replied(self, outcome: str, label: str | None) -> None:
        self._replies[outcome, label or "none"] += 1

    def text(self, free: int, waiting: int) -> str:
        lines = ["# TYPE so8t_responses_total counter"]
        for (endpoint, status), count in sorted(self._responses.items()):
            lines.append(f'so8t_responses_total{{endpoint="{endpoint}",status="{status}"}} {count}')
        lines.append("# TYPE so8t_replies_total counter")
        for (outcome, label), count in sorted(self._replies.items()):
            lines.append(f'so8t_replies_total{{outcome="{outcome}",class="{label}"}} {count}')
        for name, histogram in (("so8t_wait_seconds", self.wait), ("so8t_answer_seconds", self.answer)):
            lines += [f"# TYPE {name} histogram", *histogram.lines(name)]
        for name, value in (("so8t_slots_free", free), ("so8t_queue_waiting", waiting)):
            lines += [f"# TYPE {name} gauge", f"{name} {value}"]
        return "\n".join(lines) + "\n"
