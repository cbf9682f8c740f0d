"""doit verify: hash every file of every artifact again, whatever its size and times say."""

from __future__ import annotations

from so8t.engine.backend import check_stages, current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Session
from so8t.engine.tasks import build
from so8t.store import artifact


class Verify(TaskCommand):
    name = "verify"
    doc_purpose = "hash every artifact again and name what is not as it was published"
    doc_usage = "[TASK ...]"
    doc_description = "Exit code 0 if all is sound, 1 if something is damaged. The next `doit` heals it, or --heal now."
    cmd_options = (
        {
            "name": "heal",
            "long": "heal",
            "type": bool,
            "default": False,
            "help": "restore damaged stages from the store, or rebuild them",
        },
    )

    def _execute(self, pos_args: list[str], heal: bool = False) -> int:
        check_stages(self.task_list, pos_args)
        damaged = [name for name in pos_args or current_graph().plan.usual if not self._check(name)]
        if damaged and not heal:
            self.outstream.write(f"damaged: {', '.join(damaged)}; run doit to heal\n")
            return 1
        if damaged and (lacking := current_graph().lacks([(Session(current_graph().plan), damaged)])):
            self.outstream.writelines(f"{line}\n" for line in (*lacking, "nothing was built"))
            return 1
        return max((build(name) for name in damaged), default=0)

    def _check(self, name: str) -> bool:
        layout = current_graph().plan.layout
        found = artifact.inspect(layout, name, thorough=True)
        if found.damage:
            # from now on the file system's word for these files is not enough, so doit sees the damage too
            layout.seen(name).unlink(missing_ok=True)
            for sentence in found.damage:
                self.outstream.write(f"{layout.shown(layout.folder(name))}/{sentence}\n")
        elif found.manifest is None:
            self.outstream.write(f"{name}: not built\n")
        elif found.dropped:
            away = current_graph().plan.stays_away(name)
            where = "stay in the mirror" if away else "were removed by retain"
            self.outstream.write(f"{name}: its files {where}, nothing to hash\n")
        else:
            size = sum(file.size for file in found.manifest.files)
            self.outstream.write(f"{name}: sound, {len(found.manifest.files)} files, {size:,} bytes\n")
            return self._is_so_outside(name)
        return not found.damage

    def _is_so_outside(self, name: str) -> bool:
        """What a stage made out of the project has no bytes to hash, but may be gone all the same."""
        session = current_graph().session
        if not session.plan.rows[name].outside:
            return True
        reasons = [each for each in session.status_outside(name).reasons if each.kind in ("outside", "unknown")]
        for reason in reasons:
            self.outstream.write(f"{name}: {reason.sentence}\n")
        return not reasons
