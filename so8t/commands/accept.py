"""doit accept: declare an artifact current although the code that built it has changed since.

For the edit that changes no result.  The manifest records what was overruled.
"""

from __future__ import annotations

import shutil

from doit.exceptions import InvalidCommand

from so8t.engine.backend import check_stages, current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Status
from so8t.store import artifact, journal
from so8t.store.locks import stage_lock
from so8t.store.manifest import Manifest
from so8t.store.publish import write_manifest


class Accept(TaskCommand):
    name = "accept"
    doc_purpose = "declare artifacts current under changed code or packages"
    doc_usage = "TASK [TASK ...]"
    doc_description = "Changed specs, inputs or files are not accepted: those change the result."
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        check_stages(self.task_list, pos_args)
        if not pos_args:
            raise InvalidCommand("accept: name the stages to accept")
        graph = current_graph()
        for name in pos_args:
            with stage_lock(graph.plan.layout, name):
                self.outstream.write(accept(graph.session.status(name)) + "\n")
        return 0


def accept(status: Status) -> str:
    name, manifest, wanted = status.row.name, status.artifact.manifest, status.wanted
    if status.current:
        return f"{name}: is up to date, nothing to accept"
    refused = [reason.sentence for reason in status.reasons if reason.kind not in ("code", "package")]
    if refused or manifest is None or wanted is None:
        raise InvalidCommand(
            f"{name} cannot be accepted: {'; '.join(refused)}; only code and packages can be overruled"
        )
    overruled = [reason.sentence for reason in status.reasons]
    renewed = Manifest(wanted, manifest.files, (*manifest.accepted, *overruled))
    plan = current_graph().plan
    folder = plan.layout.folder(name)
    if status.artifact.dropped:
        raise InvalidCommand(f"{name} cannot be accepted: its files were removed by retain; build it again")
    write_manifest(folder, renewed)
    plan.store.keep(folder, renewed, status.row.precious)
    artifact.record(plan.layout, name, renewed, folder)
    shutil.rmtree(plan.layout.work(name, wanted.key), ignore_errors=True)
    journal.append(plan.layout, name, wanted.key, "accepted", 0.0)
    return f"{name}: accepted, overruling {'; '.join(overruled)}"
