"""A temporary project with toy stages and the real engine: scenarios in five lines.

    numbers (a source file) -> doubled -> total -> card        parity takes numbers alone
Every build appends its name to a log of its own, so what ran is known from outside the engine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests import warm

DOIT = [sys.executable, "-m", "doit"]

INIT = """
from stages import card, doubled, numbers, parity, total

STAGES = {stage.name: stage for stage in (numbers.STAGE, doubled.STAGE, total.STAGE, card.STAGE, parity.STAGE)}
"""

NUMBERS = '''
"""numbers from a file"""
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel, execution
from so8t.engine.stage import Stage


class Spec(SpecModel):
    path: str = "numbers.txt"
    """Where the numbers are."""
    offset: int = 0
    """Added to each."""
    rate: float = 0.5
    """A number with several spellings."""
    workers: int = execution(1)
    """How many hands."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("numbers")
    (source,) = inputs.sources["numbers"]
    values = [int(line) + spec.offset for line in source.path.read_text("utf-8").split()]
    log.linger("numbers")
    (out / "numbers.txt").write_text("\\n".join(map(str, values)) + "\\n", "utf-8")


STAGE = Stage("numbers", Spec, build, gives=("numbers.txt",), sources=lambda spec: {"numbers": [spec.path]})
'''

DOUBLED = '''
"""twice the numbers"""
from pathlib import Path
from stages import arithmetic, log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    times: int = 2
    """The factor."""
    size: int = 0
    """Bytes of ballast."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("doubled")
    (out / "ballast").mkdir()
    with (out / "ballast" / "bytes.bin").open("wb") as ballast:
        for _ in range(0, spec.size, 1 << 16):
            ballast.write(b"x" * min(spec.size, 1 << 16))
    log.linger("doubled")
    values = [arithmetic.scale(int(n), spec.times) for n in (inputs["numbers"] / "numbers.txt").read_text().split()]
    (out / "doubled.txt").write_text("\\n".join(map(str, values)) + "\\n", "utf-8")


STAGE = Stage("doubled", Spec, build, takes=("numbers",), gives=("doubled.txt", "ballast/"), ships=("doubled.txt",))
'''

TOTAL = '''
"""the sum"""
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    cap: int = 1000000
    """The most it may be."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("total")
    log.linger("total")
    values = [int(n) for n in (inputs["doubled"] / "doubled.txt").read_text().split()]
    (out / "total.txt").write_text(f"{min(sum(values), spec.cap)}\\n", "utf-8")


STAGE = Stage("total", Spec, build, takes=("doubled/doubled.txt",), gives=("total.txt",))
'''

CARD = '''
"""a card with the total"""
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    title: str = "合計"
    """What stands on the card."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("card")
    log.linger("card")
    (out / "card.txt").write_text(f"{spec.title}: {(inputs['total'] / 'total.txt').read_text()}", "utf-8")


STAGE = Stage("card", Spec, build, takes=("total",), gives=("card.txt",))
'''

PARITY = '''
"""odd or even, going on where it was stopped"""
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    pass


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("parity")
    values = [int(n) for n in (inputs["numbers"] / "numbers.txt").read_text().split()]
    part = out / "parity.txt"
    done = len(part.read_text().split()) if part.exists() else 0
    with part.open("a") as lines:
        for number in values[done:]:
            log.note(f"parity of {number}")
            lines.write("odd\\n" if number % 2 else "even\\n")
            lines.flush()
            log.linger("parity")


STAGE = Stage("parity", Spec, build, takes=("numbers",), gives=("parity.txt",), resumable=True)
'''

ARITHMETIC = '''
"""sums"""


def scale(number, times):
    """One number, times over."""
    return number * times  # plainly
'''

LOG = '''
"""what ran, told to the test, and pauses that the test asks for"""
import os
import time
from pathlib import Path


def note(text):
    with open(os.environ["HOUSE_LOG"], "a", encoding="utf-8") as log:
        log.write(text + "\\n")


def linger(name):
    """Wait while the test holds this stage's door shut."""
    door = Path(os.environ["HOUSE_LOG"]).with_name(f"hold-{name}")
    reached = door.with_name(f"reached-{name}")
    if door.exists():
        reached.touch()
    while door.exists():
        time.sleep(0.005)
'''

FILES = {
    "dodo.py": (Path(__file__).parent.parent / "dodo.py").read_text("utf-8"),  # the real one
    "stages/__init__.py": INIT,
    "stages/numbers.py": NUMBERS,
    "stages/doubled.py": DOUBLED,
    "stages/total.py": TOTAL,
    "stages/card.py": CARD,
    "stages/parity.py": PARITY,
    "stages/arithmetic.py": ARITHMETIC,
    "stages/log.py": LOG,
    "specs/tiny/numbers.yaml": "# the source\npath: numbers.txt\noffset: 0\nrate: 0.5\n",
    "specs/tiny/doubled.yaml": "times: 2\n",
    "numbers.txt": "1\n2\n3\n",
}


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str
    ran: list[str]  # what the stages themselves noted during the run


class House:
    def __init__(self, folder: Path) -> None:
        self.path = folder
        for name, text in FILES.items():
            self.write(name, text)

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def command(self) -> list[str]:
        return DOIT

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "HOUSE_LOG": str(self.log), "PYTHONDONTWRITEBYTECODE": "1"}

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text("utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new))

    def read(self, name: str) -> str:
        return (self.path / name).read_text("utf-8")

    def artifact(self, name: str, profile: str = "tiny") -> Path:
        return self.path / "artifacts" / profile / name

    def noted(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines() if self.log.exists() else []

    def start(self, *args: str, **options: object) -> subprocess.Popen[str]:
        """A doit in a process group of its own."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        return subprocess.Popen(
            [*self.command, *args],
            cwd=self.path,
            env=self.env,
            text=True,
            start_new_session=True,
            **{**pipes, **options},
        )

    def doit(self, *args: str) -> Run:
        """One that runs to its end; forked, where that can be, and unless it is another command."""
        if not warm.IS_POSSIBLE or self.command != DOIT:
            return self.cold(*args)
        before = len(self.noted())
        doing = warm.Doit(args, self.path, self.env)
        out, err = doing.communicate(timeout=120)
        return Run(doing.wait(), out, err, self.noted()[before:])

    def cold(self, *args: str) -> Run:
        """One that Python starts, as a user's."""
        before = len(self.noted())
        doing = self.start(*args)
        out, err = doing.communicate(timeout=120)
        return Run(doing.returncode, out, err, self.noted()[before:])

    def why(self, *names: str) -> list[str]:
        return self.doit("why", *names).out.splitlines()

    def status(self) -> dict[str, str]:
        """Letters of `doit list --status` by stage."""
        lines = self.doit("list", "--status", "--all", "--quiet").out.splitlines()
        return {name: letter for letter, name in (line.split() for line in lines) if name != "stages"}

    # ---- interruptions ---------------------------------------------------------------------------------------

    def hold(self, stage: str) -> None:
        self._door("hold", stage).touch()

    def release(self, stage: str) -> None:
        self._door("hold", stage).unlink()
        self._door("reached", stage).unlink(missing_ok=True)

    def _door(self, kind: str, stage: str) -> Path:
        return self.log.with_name(f"{kind}-{stage}")

    def wait_for(self, stage: str) -> None:
        deadline = time.monotonic() + 60
        while not self._door("reached", stage).exists():
            assert time.monotonic() < deadline, f"{stage} was never reached"
            time.sleep(0.005)

    def kill(self, doing: subprocess.Popen[str] | warm.Doit, number: int = signal.SIGKILL) -> str:
        """Kill the whole process group; what doit had said on stderr."""
        os.killpg(doing.pid, number)
        return doing.communicate(timeout=60)[1]

    def kill_in(self, stage: str, *args: str, number: int = signal.SIGKILL) -> subprocess.Popen[str]:
        """A doit that was killed with its whole group while it was in this stage."""
        self.hold(stage)
        doing = self.start(*args)
        self.wait_for(stage)
        self.kill(doing, number)
        self.release(stage)
        return doing

    def digests(self, profile: str = "tiny") -> dict[str, str]:
        """What every manifest says, file by file."""
        found = {}
        for path in sorted((self.path / "artifacts" / profile).glob("*/manifest.json")):
            for file in json.loads(path.read_bytes())["files"]:
                found[f"{path.parent.name}/{file['path']}"] = file["blake3"]
        return found

    def copy(self, folder: Path) -> House:
        """The project without its artifacts, elsewhere."""
        shutil.copytree(self.path, folder, ignore=shutil.ignore_patterns("artifacts", "log.txt", "__pycache__"))
        other = House.__new__(House)
        other.path = folder
        return other
