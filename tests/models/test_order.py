"""Which rows each step takes."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from so8t.models.order import Order, steps_of


def order(rows: int = 40, batch: int = 4, steps: int = 25, seed: int = 0, by_length: bool = True) -> list[int]:
    return list(Order([(7 * n) % 31 for n in range(rows)], batch, steps, seed, by_length))


def test_steps_come_from_epochs_or_from_the_spec() -> None:
    assert steps_of(rows=100, batch=16, epochs=3.0, steps=None) == 19
    assert steps_of(rows=100, batch=16, epochs=0.001, steps=None) == 1
    assert steps_of(rows=100, batch=16, epochs=3.0, steps=7) == 7


def test_every_row_comes_once_an_epoch() -> None:
    for by_length in (True, False):
        dealt = order(by_length=by_length)
        assert len(dealt) == 100
        assert sorted(dealt[:40]) == sorted(dealt[40:80]) == list(range(40))
        assert dealt[:40] != dealt[40:80]
        assert max(Counter(dealt).values()) == 3


def test_the_same_seed_deals_the_same_and_another_does_not() -> None:
    assert order(seed=1) == order(seed=1) != order(seed=2)


def test_batches_hold_rows_of_like_length_in_random_order() -> None:
    lengths = [n % 100 for n in range(6400)]
    dealt = list(islice(Order(lengths, 8, 800, 0, True), 6400))
    batches = [[lengths[number] for number in dealt[at : at + 8]] for at in range(0, 6400, 8)]

    assert sum(max(batch) - min(batch) for batch in batches) / len(batches) < 10  # of 100; unsorted: 78
    firsts = [batch[0] for batch in batches[:16]]
    assert firsts != sorted(firsts)


def test_an_epoch_that_does_not_divide_runs_into_the_next() -> None:
    dealt = order(rows=10, batch=4, steps=5)
    assert sorted(dealt[:10]) == sorted(dealt[10:]) == list(range(10))
