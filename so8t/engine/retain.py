"""`retain: manifest`: the bytes of a large artifact go once nobody needs them; its manifest stands for them."""

from __future__ import annotations

from so8t.engine.plan import Row
from so8t.engine.status import Session
from so8t.store import artifact
from so8t.store.locks import stage_lock


def let_go(session: Session, row: Row) -> None:
    """Drop the bytes of the upstream artifacts whose consumers are all current now."""
    plan = session.plan
    for up in row.upstream:
        if plan.retain.get(up) != "manifest":
            continue
        with stage_lock(plan.layout, up):
            now = Session(plan)
            have = now.artifact(up)
            if have.manifest is not None and have.is_whole and all(now.status(c).current for c in plan.consumers(up)):
                artifact.drop_bytes(plan.layout, up, have.manifest)
                plan.store.forget_files(have.manifest)
