"""doit plan: what a build would do and need, and why it cannot come to its end, before it starts."""

from __future__ import annotations

from typing import Any

from so8t.commands.doctor import lacking
from so8t.engine import placed
from so8t.engine.backend import check_stages, current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Session
from so8t.planning import ahead, outline, vram
from so8t.planning.outline import Ahead
from so8t.watch import cuda


class ShowPlan(TaskCommand):
    name = "plan"
    doc_purpose = "say what a build would do, what it needs, and whether this machine has it"
    doc_usage = "[TASK ...]"
    doc_description = "Exit code 0 if nothing speaks against the build, 1 if something does."
    cmd_options = (
        {
            "name": "vram",
            "long": "vram",
            "type": float,
            "default": 0.0,
            "help": "plan for a CUDA device with so many GiB, in place of the one that is here",
        },
    )

    def execute(self, opt_values: dict[str, Any], args: list[str]) -> Any:
        self.vram = opt_values["vram"]
        return super().execute(opt_values, args)

    def _execute(self, pos_args: list[str]) -> int:
        check_stages(self.task_list, pos_args)
        session = current_graph().session
        plan = session.plan
        names = plan.above(pos_args or plan.usual)
        stages = ahead.look(session, names, ahead.past(session), plan.store)
        here = ahead.machine_here(session)
        told, too_much = on_a_card(session, stages, self.vram)
        against = [*outline.problems(stages, here), *too_much, *session.lacking(names), *lacking(plan, names)]
        said = [*outline.lines(plan.layout.profile, stages, here), *told]
        self.outstream.writelines(f"{line}\n" for line in said)
        self.outstream.writelines(f"cannot be built: {each}\n" for each in against)
        return int(bool(against))


def on_a_card(session: Session, stages: list[Ahead], given: float) -> tuple[list[str], list[str]]:
    """What training takes on a CUDA device, where one is meant, and why it cannot."""
    row = session.plan.rows.get("adapter")
    if (
        row is None
        or not session.plan.runs_here("adapter")
        or not any(each.stage == "adapter" and each.how == "built" for each in stages)
    ):
        return [], []
    device = row.values["train"]["device"]
    card = given * vram.GIB or (cuda.memory(int(device.partition(":")[2] or 0)) if device != "cpu" else None)
    if not card and not device.startswith("cuda"):
        return [], []
    base = ahead.base(session)
    if base is None:
        return ["VRAM is told when the base is here"], []
    cards = None if given else 1 if ":" in device else cuda.devices()  # with --vram, as many as the spec asks for
    run = vram.training(row.values, session.plan.rows["so8t_model"].values["layers"], base, cards)
    against = vram.problem(base, run, card) if card else ""
    return list(vram.lines(base, run, card)), [placed.shown(session.plan, "adapter", against)] if against else []
