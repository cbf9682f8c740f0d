"""doit audit: verify the server's audit log and name its first broken record."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from doit.exceptions import InvalidCommand

from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.errors import UserError

if TYPE_CHECKING:
    from so8t.serve.chain import Finding


class Audit(TaskCommand):
    name = "audit"
    doc_purpose = "verify the server's audit log"
    doc_usage = ""
    doc_description = "Exit code 0 if every record is as it was written, 1 if not."
    cmd_options = (
        {
            "name": "new_key",
            "long": "new-key",
            "type": bool,
            "default": False,
            "help": "print a new line for the key file, and do nothing else",
        },
        {
            "name": "since",
            "long": "since",
            "type": int,
            "default": 1,
            "help": "the first record that must be there, where older files were taken away",
        },
    )

    def _execute(self, new_key: bool, since: int, pos_args: Any = ()) -> int:
        from so8t.serve import chain, keys, start

        if new_key:
            self.outstream.write(keys.new(f"{datetime.now(timezone.utc):%Y-%m-%d}") + "\n")
            return 0
        graph = current_graph()
        try:
            plan = start.read(graph.project, graph.profile)
            named = plan.settings.audit.key_file
            known = keys.read(plan.path(named) if named else None, os.environ)
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        found = chain.verify(plan.path(plan.settings.audit.folder) / graph.profile, known)
        self.outstream.write(describe(found, since) + "\n")
        return 1 if found.broken or found.first > since else 0


def describe(found: Finding, since: int) -> str:
    if found.broken:
        return f"broken: {found.broken}"
    if not found.first:
        return "audit: the log holds no records yet"
    if found.first > since:
        return f"broken: records {since} to {found.first - 1} are missing (--since {found.first} if they were put away)"
    files = "1 file" if found.files == 1 else f"{found.files} files"
    text = f"audit: records {found.first} to {found.head.seq} in {files} are whole; head {found.head.hash}"
    if found.unsealed:
        text += f"\nseals not compared, for want of the key: {', '.join(sorted(found.unsealed))}"
    return text
