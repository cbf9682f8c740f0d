"""doit mirror: keys of this machine's own: one signs what it offers to others, one opens what they encrypted for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doit.exceptions import InvalidCommand

from so8t.engine.plain import TaskCommand
from so8t.errors import UserError
from so8t.store import encryption, keys, trust


class Mirror(TaskCommand):
    name = "mirror"
    doc_purpose = "make the keys with which this machine signs what it puts into the mirror, and opens what is there"
    doc_usage = "--new-key FILE | --new-identity FILE"
    doc_description = (
        "FILE stays on this machine: store.key names the one that signs, store.encrypt.identity the one that opens. "
        "FILE.pub, which is printed, is for everybody: it goes into their store.trusted or store.encrypt.recipients, "
        "and into its own."
    )
    cmd_options = (
        {"name": "new_key", "long": "new-key", "type": str, "default": "", "help": "where the key that signs is made"},
        {"name": "new_identity", "long": "new-identity", "type": str, "default": "", "help": "and the one that opens"},
    )  # fmt: skip

    def _execute(self, new_key: str, new_identity: str, pos_args: Any = ()) -> int:
        if bool(new_key) == bool(new_identity) or pos_args:
            raise InvalidCommand(
                "doit mirror makes a key, no more: doit mirror --new-key FILE, or doit mirror --new-identity FILE"
            )
        try:
            if new_key:
                trust.new_key(Path(new_key))
            else:
                encryption.new_identity(Path(new_identity))
        except UserError as error:
            raise InvalidCommand(f"mirror: {error}") from error
        self.outstream.write(keys.told(Path(new_key or new_identity), "signs" if new_key else "opens"))
        return 0
