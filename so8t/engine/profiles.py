"""Whole profiles built beside each other, outside of a doit run: each goes as far as it can, and none stops another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

from so8t.engine.building import Ended, build
from so8t.engine.plan import Plan
from so8t.engine.status import Session

Say = Callable[[Plan, Ended], None]
_LOOK = 0.5  # seconds after which Ctrl-C is heard, where a system does not hear it in a wait


def build_all(plans: Sequence[Plan], stages: Sequence[str], at_once: int, say: Say) -> dict[str, Ended]:
    """By profile, the stage at which it stopped; a profile that is not named is whole.

    What several of them want is built by one of them, and the others find it in the store.
    """
    waiting: queue.SimpleQueue[Plan] = queue.SimpleQueue()
    for plan in plans:
        waiting.put(plan)
    ended: queue.SimpleQueue[tuple[Plan, Ended | None] | BaseException] = queue.SimpleQueue()
    for number in range(min(at_once, len(plans))):
        # daemons: whatever ends this process ends the stages' processes, too, for they live on its pipes
        threading.Thread(
            target=_work, args=(waiting, ended, stages, say), daemon=True, name=f"builder {number}"
        ).start()
    return dict(_stopped(ended, len(plans)))


def _stopped(ended: queue.SimpleQueue, count: int) -> Iterator[tuple[str, Ended]]:
    while count:
        try:
            found = ended.get(timeout=_LOOK)
        except queue.Empty:
            continue
        if isinstance(found, BaseException):
            raise found
        count -= 1
        plan, stopped = found
        if stopped:
            yield plan.layout.profile, stopped


def _work(waiting: queue.SimpleQueue, ended: queue.SimpleQueue, stages: Sequence[str], say: Say) -> None:
    try:
        while True:
            plan = waiting.get_nowait()
            ended.put((plan, _build(plan, stages, say)))
    except queue.Empty:
        return
    except BaseException as error:  # the one who waits has to hear of it
        ended.put(error)


def _build(plan: Plan, stages: Sequence[str], say: Say) -> Ended | None:
    """In the order of the flow; the stage that could not be built, and None if all are current."""
    session = Session(plan)
    for name in plan.above(stages or plan.usual):
        if not session.is_current(name):
            ended = _again(session, name) or build(plan, name)
            say(plan, ended)
            if not ended.how:
                return ended
    return None


def _again(session: Session, name: str) -> Ended | None:
    """What missed a bound and would miss it again is not built for that."""
    kept = session.missed(name)
    return Ended(name, message=kept.sentence(session.plan.layout)) if kept else None
