"""doit verify-release: whether a folder is what was released, file by file and tensor by tensor."""

from __future__ import annotations

from pathlib import Path

from doit.exceptions import InvalidCommand

from so8t.commands.release import check_order
from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand

_TEXT = {"type": str, "default": ""}


class VerifyRelease(TaskCommand):
    name = "verify-release"
    doc_purpose = "say whether a release is what was released, and name each file and tensor that is not"
    doc_usage = "FOLDER"
    doc_description = "Exit code 0 if all is, 1 if something is not, 2 if that cannot be told."
    cmd_options = (
        {"name": "key", "long": "key", **_TEXT, "help": "the publisher's public key, from a place that you trust"},
        {"name": "identity", "long": "identity", **_TEXT, "help": "whose a keyless signature must be"},
        {"name": "issuer", "long": "issuer", **_TEXT, "help": "who vouches for the identity"},
        {"name": "rebuild", "long": "rebuild", **_TEXT, "help": "build this stage again, and compare every byte"},
        {"name": "digests", "long": "digests-only", "type": bool, "default": False, "help": "ask not who released it"},
    )

    def _execute(
        self,
        pos_args: list[str],
        key: str = "",
        identity: str = "",
        issuer: str = "",
        rebuild: str = "",
        digests: bool = False,
    ) -> int:
        from so8t.release import verifier

        check_order(self.name, pos_args)
        if len(pos_args) != 1:
            raise InvalidCommand("doit verify-release takes one folder: doit verify-release release/tiny")
        folder = Path(pos_args[0])
        code, lines = verifier.report(folder, Path(key) if key else None, identity or None, issuer or None, digests)
        if rebuild and code != 1:
            code, lines = _with(code, lines, *_rebuilt(folder, rebuild))
        self.outstream.writelines(f"{line}\n" for line in lines)
        return code


def _rebuilt(folder: Path, stage: str) -> tuple[int, list[str]]:
    from so8t.release import rebuild
    from so8t.release.verifier import CannotTell

    try:
        return rebuild.rebuild(current_graph().plan, folder, stage)
    except CannotTell as error:
        return 2, [str(error)]


def _with(code: int, lines: list[str], other: int, more: list[str]) -> tuple[int, list[str]]:
    """What is wrong counts more than what nobody can tell."""
    return 1 if 1 in (code, other) else max(code, other), lines + more
