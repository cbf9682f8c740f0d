"""doit clean: take artifacts away; the store still has what is needed to bring them back."""

from __future__ import annotations

from typing import Any

from doit.cmd_clean import Clean as DoitClean


class Clean(DoitClean):
    doc_purpose = "remove artifacts (--forget: and build them anew next time)"

    def _execute(self, dryrun: bool, cleandep: bool, cleanall: bool, cleanforget: bool, pos_args: Any = None) -> Any:
        self.dep_manager.remove = self.dep_manager.backend.forget
        return super()._execute(dryrun, cleandep, cleanall, cleanforget, pos_args)
