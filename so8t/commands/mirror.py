"""doit mirror: a key of this machine's own, with which it signs what it offers to others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doit.exceptions import InvalidCommand

from so8t.engine.plain import TaskCommand
from so8t.errors import UserError
from so8t.store import trust


class Mirror(TaskCommand):
    name = "mirror"
    doc_purpose = "make the key with which this machine signs what it puts into the mirror"
    doc_usage = "--new-key FILE"
    doc_description = (
        "FILE signs and stays on this machine: store.key names it. The line that is printed is for everybody who "
        "trusts this machine: it goes into their store.trusted, and into its own."
    )
    cmd_options = (
        {"name": "new_key", "long": "new-key", "type": str, "default": "", "help": "where the key is written"},
    )  # fmt: skip

    def _execute(self, new_key: str, pos_args: Any = ()) -> int:
        if not new_key or pos_args:
            raise InvalidCommand("doit mirror makes a key, no more: doit mirror --new-key FILE")
        try:
            self.outstream.write(trust.new_key(Path(new_key)) + "\n")
        except UserError as error:
            raise InvalidCommand(f"mirror: {error}") from error
        return 0
