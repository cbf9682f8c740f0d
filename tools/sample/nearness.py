"""How near two texts may come: the true Jaccard similarity of their character n-grams, for all pairs."""

from __future__ import annotations

from collections import Counter

from so8t.corpus.normalise import normalise

BOUNDS = {3: 0.7, 5: 0.6}
"""n -> the similarity that no pair reaches."""


class Nearness:
    """The texts taken so far, found by the n-grams that they hold."""

    def __init__(self) -> None:
        self._holders: dict[int, dict[str, list[int]]] = {n: {} for n in BOUNDS}
        self._sizes: dict[int, list[int]] = {n: [] for n in BOUNDS}

    def add(self, text: str) -> bool:
        """Take the text unless it comes too near to one that was taken."""
        found = {n: grams(text, n) for n in BOUNDS}
        if any(self._nearest(n, found[n]) >= bound for n, bound in BOUNDS.items()):
            return False
        for n, texts_grams in found.items():
            for gram in texts_grams:
                self._holders[n].setdefault(gram, []).append(len(self._sizes[n]))
            self._sizes[n].append(len(texts_grams))
        return True

    def _nearest(self, n: int, texts_grams: frozenset[str]) -> float:
        shared: Counter[int] = Counter()
        for gram in texts_grams:
            shared.update(self._holders[n].get(gram, ()))
        sizes, mine = self._sizes[n], len(texts_grams)
        return max((both / (mine + sizes[other] - both) for other, both in shared.items()), default=0.0)


def grams(text: str, n: int) -> frozenset[str]:
    """As the `cleaned` stage sees the text: width makes no difference."""
    text = normalise(text)
    return frozenset(text[start : start + n] for start in range(len(text) - n + 1))
