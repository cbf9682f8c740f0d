"""What doit asks of the cluster room: whether a cluster can be used, and one stage built there."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from so8t.cluster import ray, slurm
from so8t.cluster.jobs import Jobs
from so8t.cluster.remote import Broken, Remote
from so8t.engine.building import Ended
from so8t.engine.ensure import ensure
from so8t.engine.plan import Plan
from so8t.engine.process import explain
from so8t.errors import UserError
from so8t.store.objects import MirrorError


def lacking(plan: Plan) -> Iterator[str]:
    """Why stages cannot be given to the cluster, asked before the first one is built."""
    try:
        _jobs(plan).check()
        if plan.store.mirror is not None:
            plan.store.mirror.fencing()  # refuses a store on which nodes could not agree who builds
    except (UserError, MirrorError) as error:
        yield str(error)


def build(plan: Plan, name: str, forced: bool = False) -> Ended:
    """Bring the stage up to date, built by a node if it has to be built."""
    layout = plan.layout
    try:
        builder = partial(Remote, jobs=_jobs(plan), anew=forced or layout.forgotten(name).exists())
        outcome = ensure(layout.project, layout.profile, name, force=forced, builder=builder)
    except UserError as error:
        return Ended(name, message=str(error))
    except Broken as error:
        return Ended(name, message=str(error), is_mistake=False)
    except Exception as error:
        message = explain(name, error)
        text = f"{name}: a bug in so8t; please report it\n{traceback.format_exc()}"
        return Ended(name, message=message or text, is_mistake=bool(message))
    return Ended(name, outcome.how, outcome.seconds)


def _jobs(plan: Plan) -> Jobs:
    if plan.cluster is None:
        raise AssertionError("a stage runs on a cluster, and the settings name none")
    return _KINDS[plan.cluster["kind"]](plan.cluster)


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Jobs]] = {
    "ray": lambda settings: ray.at(settings["address"]),
    "slurm": slurm.of,
}
