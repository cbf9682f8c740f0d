"""doit verify-release: whether a folder is what was released, file by file and tensor by tensor."""

from __future__ import annotations

from pathlib import Path

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from so8t.commands.release import check_order

_TEXT = {"type": str, "default": ""}


class VerifyRelease(DoitCmdBase):
    name = "verify-release"
    doc_purpose = "say whether a release is what was released, and name each file and tensor that is not"
    doc_usage = "FOLDER"
    doc_description = "Exit code 0 if all is, 1 if something is not, 2 if that cannot be told."
    cmd_options = (
        {"name": "key", "long": "key", **_TEXT, "help": "the publisher's public key, from a place that you trust"},
        {"name": "identity", "long": "identity", **_TEXT, "help": "whose a keyless signature must be"},
        {"name": "issuer", "long": "issuer", **_TEXT, "help": "who vouches for the identity"},
        {"name": "digests", "long": "digests-only", "type": bool, "default": False, "help": "ask not who released it"},
    )

    def _execute(
        self, pos_args: list[str], key: str = "", identity: str = "", issuer: str = "", digests: bool = False
    ) -> int:
        from so8t.release import verifier

        check_order(self.name, pos_args)
        if len(pos_args) != 1:
            raise InvalidCommand("doit verify-release takes one folder: doit verify-release release/tiny")
        code, lines = verifier.report(
            Path(pos_args[0]), Path(key) if key else None, identity or None, issuer or None, digests
        )
        self.outstream.writelines(f"{line}\n" for line in lines)
        return code
