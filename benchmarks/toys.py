"""Toy pipelines of the benchmarks, spelled for so8t, make, ninja, DVC and Snakemake: one stage program for all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pairs

import so8t

PROGRAM = '''
"""the stage program, the same for every tool: size bytes that depend on the salt and on the heads of the inputs"""
import hashlib
import sys

BLOCK = 1 << 20


def make(out, size, salt, inputs, computed=False):
    seed = hashlib.blake2b(str(salt).encode())
    for path in inputs:
        with open(path, "rb") as data:
            seed.update(data.read(4096))
    block = bytearray(hashlib.shake_128(seed.digest()).digest(BLOCK))
    with open(out, "wb", buffering=0) as data:
        for start in range(0, size, BLOCK):
            if computed:  # every byte is made anew, as weights are
                block = hashlib.shake_128(seed.digest() + start.to_bytes(8, "little")).digest(BLOCK)
            else:  # the least that a writer can do: one block again and again
                block[:8] = start.to_bytes(8, "little")
            data.write(memoryview(block)[: min(BLOCK, size - start)])


if __name__ == "__main__":
    spec, out, *inputs = sys.argv[1:]
    with open(spec, encoding="utf-8") as lines:
        values = dict(line.split(": ") for line in lines)
    make(out, int(values["size"]), int(values["salt"]), inputs, bool(int(values["computed"])))
'''

STAGE = '''
"""{name} of the toy pipeline"""
from pathlib import Path
from stages import program
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    size: int = 0
    """Bytes to write."""
    salt: int = 0
    """Makes the content this stage's own."""
    computed: int = 0
    """1: every byte is made anew."""


def build(inputs, out: Path, spec: Spec) -> None:
    taken = [folder / "data.bin" for folder in inputs.artifacts.values()]
    names = [*taken, *(source.path for source in inputs.sources.get("raw", ()))]
    program.make(out / "data.bin", spec.size, spec.salt, names, bool(spec.computed))


STAGE = Stage("{name}", Spec, build, takes={takes!r}, gives=("data.bin",), sources=lambda spec: {sources!r})
'''

# the same command that the other tools start, for a stage that is somebody else's program
CALLED = """
def build(inputs, out: Path, spec: Spec) -> None:
    import subprocess
    import sys

    taken = [str(folder / "data.bin") for folder in inputs.artifacts.values()]
    names = [*taken, *(str(source.path) for source in inputs.sources.get("raw", ()))]
    command = [sys.executable, program.__file__, "specs/tiny/{name}.yaml", str(out / "data.bin"), *names]
    subprocess.run(command, check=True)
"""

# many stages in one module: `build` is one function, the stages differ by name and by what they take
CHAINS = '''
"""chains of ten small stages"""
from pathlib import Path
from stages import program
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    size: int = 100
    """Bytes to write."""
    salt: int = 0
    """Makes the content this stage's own."""


def build(inputs, out: Path, spec: Spec) -> None:
    taken = [folder / "data.bin" for folder in inputs.artifacts.values()]
    names = [*taken, *(source.path for source in inputs.sources.get("raw", ()))]
    program.make(out / "data.bin", spec.size, spec.salt, names)


def chained(number):
    first = number % 10 == 0
    takes = () if first else (f"s{{number - 1:04d}}",)
    sources = (lambda spec: {{"raw": ["raw.txt"]}}) if first else None
    return Stage(f"s{{number:04d}}", Spec, build, takes=takes, gives=("data.bin",), sources=sources)


STAGES = {{stage.name: stage for stage in map(chained, range({count}))}}
'''

DODO = (Path(__file__).parent.parent / "dodo.py").read_text("utf-8")  # the one of the project itself


@dataclass(frozen=True)
class Toy:
    name: str
    takes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    size: int = 1000
    salt: int = 0
    computed: bool = False

    @property
    def spec(self) -> str:
        return f"size: {self.size}\nsalt: {self.salt}\ncomputed: {int(self.computed)}\n"

    @property
    def inputs(self) -> list[str]:
        """What the other tools call its inputs."""
        return [*(f"{taken}.bin" for taken in self.takes), *self.sources]

    def command(self) -> str:
        return " ".join([sys.executable, "program.py", f"spec/{self.name}.yaml", f"{self.name}.bin", *self.inputs])


def pipeline(big: int = 1000) -> list[Toy]:
    """The eight stages from raw text to Modelfile; `big` is the size of what holds weights."""
    return [
        Toy("cleaned", (), ("raw.txt",)),
        Toy("sft", ("cleaned",)),
        Toy("split", ("sft",)),
        Toy("adapter", ("split",), ("base.bin",), size=big, salt=1),
        Toy("merged", ("adapter",), ("base.bin",), size=big, salt=2),
        Toy("baked", ("merged",), size=big, salt=3),
        Toy("gguf", ("baked",), size=big, salt=4),
        Toy("modelfile", ("gguf",)),
    ]


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def sources(folder: Path) -> None:
    write(folder, "raw.txt", "入力\n" * 100)
    write(folder, "base.bin", "base\n" * 100)


# ---- so8t ----------------------------------------------------------------------------------------------------


def snapshot(folder: Path) -> dict[str, str]:
    """A copy of the package as it is now, so that editing it meanwhile disturbs no run; the environment to use it."""
    shutil.copytree(Path(so8t.__path__[0]), folder / "so8t", ignore=shutil.ignore_patterns("__pycache__"))
    return {"PYTHONPATH": str(folder)}


def so8t_project(folder: Path, toys: Sequence[Toy], called: bool = False) -> Path:
    sources(folder)
    write(folder, "stages/program.py", PROGRAM)
    for toy in toys:
        text = STAGE.format(name=toy.name, takes=toy.takes, sources={"raw": list(toy.sources)} if toy.sources else {})
        if called:
            start, end = text.index("def build"), text.index("STAGE = ")
            text = text[:start] + CALLED.format(name=toy.name).lstrip() + "\n\n" + text[end:]
        write(folder, f"stages/{toy.name}.py", text)
        write(folder, f"specs/tiny/{toy.name}.yaml", toy.spec)
    names = [toy.name for toy in toys]
    table = ", ".join(f"{name}.STAGE" for name in names)
    write(folder, "stages/__init__.py", f"from stages import {', '.join(names)}\n\n"
          f"STAGES = {{stage.name: stage for stage in ({table},)}}\n")  # fmt: skip
    write(folder, "dodo.py", DODO)
    return folder


def so8t_chains(folder: Path, count: int) -> Path:
    sources(folder)
    write(folder, "stages/program.py", PROGRAM)
    write(folder, "stages/chains.py", CHAINS.format(count=count))
    write(folder, "stages/__init__.py", "from stages.chains import STAGES\n")
    write(folder, "specs/tiny/profile.yaml", "description: chains of ten\n")
    write(folder, "dodo.py", DODO)
    return folder


BUILD_ALL = """
import sys
from pathlib import Path
from so8t.engine import plan
from so8t.engine.ensure import ensure
sys.path.insert(0, "")
for name in plan.load(Path.cwd(), "tiny").rows:
    ensure(Path.cwd(), "tiny", name)
"""


def build_in_one_process(folder: Path, env: dict[str, str]) -> None:
    """Publish every stage without a process each; only to set up what is then measured."""
    subprocess.run([sys.executable, "-c", BUILD_ALL], cwd=folder, env={**pairs.surroundings(), **env}, check=True)


# ---- the other tools -----------------------------------------------------------------------------------------


def peer_project(folder: Path, toys: Sequence[Toy]) -> Path:
    """One folder per tool: the program, the specs and every tool's own file."""
    sources(folder)
    write(folder, "program.py", PROGRAM)
    for toy in toys:
        write(folder, f"spec/{toy.name}.yaml", toy.spec)
    write(folder, "Makefile", makefile(toys))
    write(folder, "build.ninja", ninja(toys))
    write(folder, "dvc.yaml", dvc(toys))
    write(folder, "Snakefile", snakefile(toys))
    return folder


def makefile(toys: Sequence[Toy]) -> str:
    rules = [
        f"{toy.name}.bin: {' '.join(toy.inputs)} spec/{toy.name}.yaml program.py\n\t{toy.command()}\n" for toy in toys
    ]
    return "\n".join([f"all: {' '.join(f'{toy.name}.bin' for toy in toys)}\n", *rules])


def ninja(toys: Sequence[Toy]) -> str:
    rule = f"rule toy\n  command = {sys.executable} program.py $spec $out $in\n"
    builds = [
        f"build {toy.name}.bin: toy {' '.join(toy.inputs)} | spec/{toy.name}.yaml program.py\n"
        f"  spec = spec/{toy.name}.yaml\n"
        for toy in toys
    ]
    return "\n".join([rule, *builds])


def dvc(toys: Sequence[Toy]) -> str:
    stages = {
        toy.name: {
            "cmd": toy.command(),
            "deps": [*toy.inputs, "program.py"],
            "params": [{f"spec/{toy.name}.yaml": ["size", "salt", "computed"]}],
            "outs": [f"{toy.name}.bin"],
        }
        for toy in toys
    }
    return json.dumps({"stages": stages}, indent=1)


def snakefile(toys: Sequence[Toy]) -> str:
    rules = [
        f"rule {toy.name}:\n"
        f"    input: {', '.join(map(repr, [*toy.inputs, 'program.py']))}\n"
        f"    output: '{toy.name}.bin'\n"
        f"    params: spec=yaml.safe_load(open('spec/{toy.name}.yaml'))\n"
        f"    shell: '{toy.command()}'\n"
        for toy in toys
    ]
    wanted = ", ".join(repr(f"{toy.name}.bin") for toy in toys)
    return "\n".join([f"import yaml\n\nrule all:\n    input: {wanted}\n", *rules])


ARGUMENTS = {
    "make": ("-s",),
    "ninja": ("--quiet",),
    "dvc": ("repro", "-q"),
    "snakemake": ("-c1", "--quiet", "all"),
}
DVC_ENV = {"DVC_NO_ANALYTICS": "1"}


def peer_command(name: str, program: str, folder: Path) -> pairs.Command:
    return pairs.Command([program, *ARGUMENTS[name]], folder, DVC_ENV if name == "dvc" else {})


def prepare_dvc(program: str, folder: Path) -> None:
    for arguments in (["init", "--no-scm", "-q"], ["config", "core.check_update", "false"]):
        subprocess.run([program, *arguments], cwd=folder, env={**pairs.surroundings(), **DVC_ENV}, check=True)
