"""doit release: a folder to hand over, from the manifests of a profile: weights, cards, digests, a signature."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from doit.exceptions import InvalidCommand

from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.errors import UserError

if TYPE_CHECKING:
    from so8t.report.facts import Facts
    from so8t.store.layout import Layout


class Release(TaskCommand):
    name = "release"
    doc_purpose = "write a folder that can be handed over: weights, Modelfiles, cards, digests, a signature"
    doc_usage = "[gguf | TYPE | safetensors ...]"
    doc_description = (
        "gguf stands for every GGUF of the profile, a TYPE such as q4_k_m for one, safetensors for the checkpoint; "
        "without a word it is gguf. Nothing is built: a release tells of what is published."
    )
    cmd_options = (
        {"name": "out", "long": "out", "type": str, "default": "", "help": "the folder; else release/<profile>"},
        {"name": "license", "long": "license", "type": str, "default": "LICENSE", "help": "the licence's text"},
        {"name": "publisher", "long": "publisher", "type": str, "default": "", "help": "who hands it over"},
        {"name": "watts", "long": "watts", "type": str, "default": "", "help": "what the machine took, on average"},
        {"name": "key", "long": "key", "type": str, "default": "", "help": "the private key that signs it"},
        {"name": "keyless", "long": "keyless", "type": bool, "default": False, "help": "sign with an identity, online"},
        {"name": "new_key", "long": "new-key", "type": str, "default": "", "help": "make a key there, no more"},
        {"name": "data", "long": "data", "type": bool, "default": False, "help": "hand the conversations over, too"},
        {"name": "redacted", "long": "redacted", "type": bool, "default": False, "help": "no chosen names, no texts"},
    )  # fmt: skip

    def _execute(
        self,
        pos_args: list[str],
        out: str = "",
        license: str = "LICENSE",
        publisher: str = "",
        watts: str = "",
        key: str = "",
        keyless: bool = False,
        new_key: str = "",
        data: bool = False,
        redacted: bool = False,
    ) -> int:
        from so8t.release import folder, reading, signing, validators
        from so8t.store import keys

        check_order("release", pos_args)
        plan = current_graph().plan
        layout, forms = plan.layout, tuple(pos_args) or (folder.GGUF,)
        target = layout.project / (out or f"release/{layout.profile}")
        try:
            if new_key:
                signing.new_key(Path(new_key))
                self.outstream.write(keys.told(Path(new_key), "signs"))
                return 0
            redact = _redact(layout) if redacted else None
            order = folder.Order(
                forms, Path(license), publisher, _watts(watts), redact, _sign(key, keyless), validators.check, data
            )
            told = folder.write(reading.shelf(layout, plan.store, folder.wanted(forms)), order, target)
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        size = sum(file.size for file in told.files)
        signed = "signed" if order.sign else "not signed"
        self.outstream.write(f"{layout.shown(target)}: {len(told.files)} files, {size:,} bytes, {signed}\n")
        return 0


def check_order(command: str, words: list[str]) -> None:
    """doit reads options in front of words alone."""
    if late := [word for word in words if word.startswith("-")]:
        raise InvalidCommand(f"options come before words: doit {command} {late[0]} ...")


def _sign(key: str, keyless: bool) -> Callable[[Path], None] | None:
    from so8t.release import signing

    if key and keyless:
        raise UserError("release: --key and --keyless: name one of them")
    return partial(signing.with_key, key=Path(key)) if key else signing.keyless if keyless else None


def _watts(text: str) -> float | None:
    try:
        found = float(text) if text else None
    except ValueError:
        found = -1.0
    if found is not None and not 0 < found < 1e9:
        raise UserError(f"--watts {text}: a number of watts, such as 250")
    return found


def _redact(layout: Layout) -> Callable[[Facts], Facts]:
    from so8t.report import reading, redact

    return partial(redact.redact, fields=reading.fields(layout))
