"""doit doctor: what this machine has, and which stage lacks what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.plan import Plan
from so8t.engine.reading import NOT_INSTALLED
from so8t.watch import machine


class Doctor(TaskCommand):
    name = "doctor"
    doc_purpose = "say what this machine has, and which stage lacks what"
    doc_usage = ""
    doc_description = "Exit code 0 if every stage of the profile finds its packages, 1 if one does not."
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        plan = current_graph().plan
        missing = list(lacking(plan, plan.rows))
        lines = [*machine.host(plan.layout.project), *machine.gpu(machine.torch()), *libraries(), *missing]
        self.outstream.writelines(f"{line}\n" for line in lines)
        if not missing:
            self.outstream.write(f"every stage of {plan.layout.profile} finds its packages\n")
        return int(bool(missing))


def libraries() -> Iterator[str]:
    from so8t.gguf import llamacpp

    try:
        yield f"llama.cpp: {llamacpp.version()}"
    except ImportError:
        yield "llama.cpp: not installed (cyllama)"


def lacking(plan: Plan, names: Iterable[str]) -> Iterator[str]:
    """A line a stage, with the line that installs what it lacks."""
    known = machine.extras("so8t")
    for row in (plan.rows[name] for name in names):
        missing = [package for package, version in row.packages.items() if version == NOT_INSTALLED]
        if missing:
            named = sorted({known[package] for package in missing if package in known})
            how = f"; pip install 'so8t[{','.join(named)}]'" if named else ""
            yield f"{row.name} lacks {', '.join(missing)}{how}"
