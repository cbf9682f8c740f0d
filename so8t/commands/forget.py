"""doit forget: the next run builds these stages again, whatever is published or in the store."""

from __future__ import annotations

from typing import Any

from doit.cmd_forget import Forget as DoitForget


class Forget(DoitForget):
    doc_purpose = "build stages again next time, even from an unchanged spec"

    def _execute(self, forget_sub: bool, forget_disable_default: bool, forget_all: bool) -> Any:
        self.dep_manager.remove = self.dep_manager.backend.forget
        return super()._execute(forget_sub, forget_disable_default, forget_all)
