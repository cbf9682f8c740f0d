"""doit runs: every result with scores that the store still knows, what made it, and how good it is."""

from __future__ import annotations

import json as json_

from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.runs import text
from so8t.runs.door import Runs

JSON = {"name": "json", "long": "json", "type": bool, "default": False, "help": "one JSON document"}


class ListRuns(TaskCommand):
    name = "runs"
    doc_purpose = "list the results that the store still knows, with their figures"
    doc_usage = ""
    doc_description = "Below each run stand the values that are not the same in all of them. doit compare says more."
    cmd_options = (JSON,)

    def _execute(self, json: bool = False) -> int:
        runs = Runs(current_graph().plan)
        found = [(run, told, runs.scores(run)) for run, told in runs.all()]
        if json:
            self.outstream.write(_document(found))
        elif not found:
            self.outstream.write("no run yet: a run is a result with scores; doit makes one\n")
        else:
            self.outstream.writelines(f"{line}\n" for line in text.table(found))
        return 0


def _document(found: list) -> str:
    rows = [
        {
            "key": run.key,
            "profile": told.profile if told else None,
            "when": told.when if told else None,
            "host": told.host if told else None,
            "seconds": told.seconds if told else None,
            "size": run.size,
            "missed": run.missed.why if run.missed else None,
            "stages": {stage: manifest.key for stage, manifest in run.parts.items()},
            "spec": run.spec,
            "scores": scores,
        }
        for run, told, scores in found
    ]
    return json_.dumps(rows, ensure_ascii=False, indent=1) + "\n"
