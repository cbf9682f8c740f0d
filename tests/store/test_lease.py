"""One builder of a key at a time, over all machines: the real code on a clock and a schedule that a seed decides."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from so8t.store import lease, probe
from so8t.store.lease import Lease, Lost, Seen, Term
from so8t.store.objects import Found, MirrorError, put
from tests.bins import Bin, Careless, HalfCareless, silent

KEY = "ab" * 32
NAME = f"leases/{KEY}.json"
ENTRY = f"entries/{KEY}.json"


# ---- decisions -------------------------------------------------------------------------------------------------


def test_a_lease_in_the_store_can_be_read_by_people() -> None:
    assert Lease("node 1, process 7, 0a", 60.0, 3).encode() == (
        b'{"holder": "node 1, process 7, 0a", "seconds": 60.0, "beat": 3, "free": false}\n'
    )
    assert lease.decode(Lease("計算機", 1.5).encode()) == Lease("計算機", 1.5)


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"holder": 1, "seconds": 60}', b'{"holder": "a", "seconds": 0}'])
def test_what_is_not_a_lease_is_said(torn: bytes) -> None:
    with pytest.raises(MirrorError, match=r"not a lease \(.*\); remove it and try again"):
        lease.decode(torn)


def test_one_who_waits_counts_from_the_last_renewal_that_it_saw() -> None:
    first = Found(Lease("a", 60.0).encode(), "v1")
    second = Found(Lease("a", 60.0, 1).encode(), "v2")

    at_first = lease.look(None, first, now=100.0)
    still = lease.look(at_first, first, now=140.0)
    renewed = lease.look(still, second, now=150.0)

    assert (at_first, still, renewed) == (
        Seen(Lease("a", 60.0), "v1", 100.0),
        Seen(Lease("a", 60.0), "v1", 100.0),
        Seen(Lease("a", 60.0, 1), "v2", 150.0),
    )
    assert [lease.left(still, now) for now in (140.0, 159.5, 160.0, 999.0)] == [20.0, 0.5, 0.0, 0.0]
    assert lease.left(renewed, 160.0) == 50.0


def test_a_lease_that_was_given_back_or_never_taken_is_free_at_once() -> None:
    assert lease.left(None, 0.0) == 0.0
    assert lease.left(Seen(Lease("a", 60.0, 4, free=True), "v", 0.0), 0.0) == 0.0


def test_a_lease_is_renewed_after_a_third_of_its_time() -> None:
    assert lease.due(Term(Lease("a", 60.0), "v", until=160.0)) == 120.0


def test_what_is_held_counts_from_before_the_request_and_what_is_waited_for_from_after_it() -> None:
    """The holder gives up first, however slow the store is: by each one's own clock."""
    times = iter([10.0, 30.0])  # asked, then renewed
    store = Bin()

    term = lease.claim(store, KEY, Lease("a", 60.0), None, lambda: next(times))
    assert term and term.until == 70.0
    renewed = lease.renew(store, KEY, term, lambda: next(times))
    assert renewed and (renewed.until, renewed.lease.beat) == (90.0, 1)


def test_a_request_that_was_done_and_whose_answer_was_lost_counts_as_done() -> None:
    store = Bin()
    lost = iter([True, False])

    def lose(request: str) -> None:
        if next(lost):
            raise MirrorError("lost")

    store.after = lose
    with pytest.raises(MirrorError):
        put(store, "x", b"mine", None)

    assert put(store, "x", b"mine", None) == store.read("x").version  # type: ignore[union-attr]
    assert put(store, "x", b"another's", None) is None


# ---- holding, in real time -------------------------------------------------------------------------------------


def nothing_done() -> bool:
    return False


def test_a_lease_is_renewed_while_it_is_held_and_free_afterwards() -> None:
    store = Bin()
    with lease.held(store, KEY, "a", nothing_done, pytest.fail, seconds=0.3) as hold:
        assert hold
        time.sleep(0.5)
        hold.check()
        held = lease.decode(store.held[NAME])

    after = lease.decode(store.held[NAME])
    assert (held.holder, held.free, held.beat >= 2) == ("a", False, True)
    assert (after.holder, after.free) == ("a", True)


def test_what_is_there_already_is_not_built_and_takes_no_lease() -> None:
    store = Bin()
    with lease.held(store, KEY, "a", lambda: True, pytest.fail) as hold:
        assert hold is None
    assert store.held == {}


def test_a_builder_whose_lease_was_taken_is_told_and_publishes_nothing() -> None:
    store, told = Bin(), threading.Event()
    with lease.held(store, KEY, "a", nothing_done, told.set, seconds=0.3) as hold:
        assert hold
        theirs = store.held[NAME] = Lease("b", 60.0).encode()
        assert told.wait(5)
        with pytest.raises(Lost) as caught:
            hold.check()

    assert str(caught.value) == ("the lease of abababababababab is b's by now; nothing was published, run doit again")
    assert store.held[NAME] == theirs  # it is not given back by one who lost it


def test_a_builder_that_reaches_its_store_no_more_stops_when_others_may_begin() -> None:
    store, told = Bin(), threading.Event()
    with lease.held(store, KEY, "a", nothing_done, told.set, seconds=0.3) as hold:
        assert hold
        store.before = silent
        assert told.wait(5)
        with pytest.raises(Lost) as caught:
            hold.check()

    assert str(caught.value) == (
        "the lease of abababababababab was not renewed for 0.3 s: the store did not answer; "
        "nothing was published, run doit again"
    )


def test_a_store_that_hangs_does_not_keep_the_builder_from_hearing_that_its_time_is_over() -> None:
    store, told, hang = Bin(), threading.Event(), threading.Event()
    with lease.held(store, KEY, "a", nothing_done, told.set, seconds=0.3) as hold:
        assert hold
        store.before = lambda request: hang.wait(5)
        assert told.wait(2)
        hang.set()


def test_one_who_waits_is_told_for_whom_and_takes_over_after_its_silence() -> None:
    store, said, now = Bin(), [], [0.0]
    store.held[NAME] = Lease("node 7", 60.0).encode()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    term = lease.acquire(store, KEY, Lease("b", 60.0), nothing_done, lambda: now[0], sleep, said.append)

    assert term == Term(Lease("b", 60.0), store.read(NAME).version, 120.0)  # type: ignore[union-attr]
    assert said == ["waiting for node 7, which builds it; its turn ends after 60 s of silence"]


# ---- many builders ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    """No code of this builder runs any more."""


@dataclass
class Turns:
    """Threads that run one at a time, from request to request, in an order that a seed decides, on one clock."""

    chance: random.Random
    now: float = 0.0
    waiting: dict[str, float] = field(default_factory=dict)  # who wants to go on, and when at the earliest
    doomed: dict[str, float] = field(default_factory=dict)  # who is killed, and when
    turn: dict[str, threading.Event] = field(default_factory=dict)
    idle: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float = 0.0) -> None:
        """What every builder calls before each request, and to sleep."""
        me = threading.current_thread().name
        self.waiting[me] = self.now + seconds
        self.idle.set()
        self.turn[me].wait()
        self.turn[me].clear()
        if self.now >= self.doomed.get(me, float("inf")):
            raise Killed

    def run(self, builders: dict[str, Callable[[], None]]) -> None:
        threads = {
            name: threading.Thread(target=self._one, args=(build,), name=name) for name, build in builders.items()
        }
        for name, thread in threads.items():
            self.turn[name] = threading.Event()
            self._until_idle(thread.start)
        while self.waiting:
            ready = sorted(name for name, at in self.waiting.items() if at <= self.now)
            if not ready:
                self.now = min(self.waiting.values())
                continue
            name = self.chance.choice(ready)
            del self.waiting[name]
            self.now += self.chance.choice((0.0, 0.0, 0.05, 0.5))  # what a request may take
            self._until_idle(self.turn[name].set)
        for thread in threads.values():
            thread.join(5)

    def _one(self, build: Callable[[], None]) -> None:
        with suppress(Killed):  # nothing of it is left but what lies in the store
            self.wait()
            build()
        self.idle.set()

    def _until_idle(self, go: Callable[[], None]) -> None:
        self.idle.clear()
        go()
        assert self.idle.wait(5)


def builder(name: str, store: Bin, turns: Turns, terms: dict[str, Term], ends: dict[str, str]) -> Callable[[], None]:
    """Acquires, works for about forty seconds, renews when it is due, asks before it publishes."""

    def clock() -> float:
        return turns.now

    def build() -> None:
        try:
            ends[name] = whole()
        except MirrorError:
            ends[name] = "failed"  # as a job would, and its lease runs out

    def whole() -> str:
        term = lease.acquire(
            store, KEY, Lease(name, 10.0), lambda: ENTRY in store.held, clock, turns.wait, lambda text: None
        )
        if term is None:
            return "restored"
        for _ in range(turns.chance.randrange(20, 60)):
            terms[name] = term
            turns.wait(
                turns.chance.choice((0.5, 1.0, 1.0, 30.0 if turns.chance.random() < 0.02 else 1.0))
            )  # or it sleeps
            while clock() >= lease.due(term):
                try:
                    renewed = lease.renew(store, KEY, term, clock)
                except MirrorError:
                    renewed = term
                    turns.wait(1.0)
                if renewed is None or clock() >= term.until:
                    return "lost"
                term = terms[name] = renewed
        if clock() >= term.until:
            return "lost"
        end = "built" if put(store, ENTRY, name.encode(), None) else "beaten"
        lease.release(store, KEY, term)
        return end

    return build


def play(seed: int) -> tuple[dict[str, str], Bin, list[str]]:
    """Four builders of one key, kills, sleeps and lost answers; how each ended, the store, and who overlapped."""
    chance = random.Random(seed)
    turns, terms, ends, overlaps = Turns(chance), {}, {}, []
    names = ["a", "b", "c", "d"]
    turns.doomed = {name: chance.uniform(0, 60) for name in names[: chance.randrange(4)]}

    def before(request: str) -> None:
        turns.wait()
        alive = [name for name, term in terms.items() if turns.now < term.until and ends.get(name) is None]
        alive = [name for name in alive if turns.now < turns.doomed.get(name, float("inf"))]
        if len(alive) > 1:
            overlaps.append(f"at {turns.now:.2f} s {' and '.join(alive)} both hold the lease")

    def after(request: str) -> None:
        if chance.random() < 0.05 and terms:
            raise MirrorError("the answer was lost")

    store = Bin(before=before, after=after)
    turns.run({name: builder(name, store, turns, terms, ends) for name in names})
    return ends, store, overlaps


def judged(seeds: range) -> dict[str, int]:
    """Every schedule ends with one entry, which one builder made; how often builders ended how."""
    counts: dict[str, int] = {}
    for seed in seeds:
        ends, store, overlaps = play(seed)
        assert overlaps == [], f"seed {seed}"
        makers = [name for name, end in ends.items() if end == "built"]
        assert makers in ([], [store.held.get(ENTRY, b"").decode()]), f"seed {seed}: {ends}"
        assert ENTRY in store.held or not {"built", "restored"} & set(ends.values()), f"seed {seed}: {ends}"
        for end in ends.values():
            counts[end] = counts.get(end, 0) + 1
    return counts


def test_of_many_builders_one_at_a_time_holds_the_lease_whatever_happens_to_them() -> None:
    counts = judged(range(40))

    assert counts["built"] > 20
    assert counts["restored"] > 20


@pytest.mark.soak
def test_so_it_is_on_three_thousand_schedules() -> None:
    judged(range(3000))


# ---- stores ----------------------------------------------------------------------------------------------------


def test_a_store_that_ignores_conditions_is_found_out_and_left_clean() -> None:
    none_match = "If-None-Match (it writes over what is there)"
    match = "If-Match (it replaces another version than the one that is named)"
    stores = [Bin(), Careless(), HalfCareless()]

    assert [probe.ignored(store) for store in stores] == [[], [none_match, match], [match]]
    assert [store.held for store in stores] == [{}, {}, {}]
