"""How long texts are: exact percentiles from counts per length, in memory bounded by the number of lengths."""

from __future__ import annotations

from collections import defaultdict

PERCENTILES = (50, 90, 95, 99)


class Lengths:
    """A streaming histogram; `counts[length] += 1` is the whole of adding."""

    def __init__(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)

    def summary(self) -> dict[str, int]:
        """Nearest-rank percentiles, smallest, largest and the sum; empty without texts."""
        total = sum(self.counts.values())
        if not total:
            return {}
        lengths = sorted(self.counts)
        ranks = {f"p{percent}": -(-total * percent // 100) for percent in PERCENTILES}
        return {
            "min": lengths[0],
            **{name: self._at(rank, lengths) for name, rank in ranks.items()},
            "max": lengths[-1],
            "sum": sum(length * count for length, count in self.counts.items()),
        }

    def _at(self, rank: int, lengths: list[int]) -> int:
        seen = 0
        for length in lengths:
            seen += self.counts[length]
            if seen >= rank:
                break
        return length
