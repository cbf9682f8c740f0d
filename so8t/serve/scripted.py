"""A backend without a model: it writes what a script says.  For tests and benchmarks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from so8t.formats.chat import Segment
from so8t.serve.backend import Emit, Ended, Prompt

Script = Callable[[str], Iterable[bytes]]


class Scripted:
    """`script` gets the conversation as text; what it yields is the output, in these chunks.

    A byte is a token; `cuts`: the output ends at the most tokens, which it otherwise heeds as little as a test does.
    """

    digest = "scripted"

    def __init__(
        self, script: Script, name: str = "so8t", slots: int = 1, context: int = 1 << 20, cuts: bool = False
    ) -> None:
        self.name, self.slots, self.context = name, slots, context
        self._script, self._cuts = script, cuts

    def check(self) -> None:
        pass

    def prepare(self, pieces: Sequence[Segment]) -> Prompt:
        text = "".join(piece.text for piece in pieces)
        return Prompt(len(text.encode("utf-8")), text)

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> Ended:
        for chunk in self._script(prompt.content):
            if cancel.is_set():
                break
            emit(chunk[:most] if self._cuts else chunk)
            most -= len(chunk)
            if self._cuts and most < 0:
                return Ended("length", self.digest)
        return Ended("stop", self.digest)

    def count(self, text: str) -> int | None:
        return len(text.encode("utf-8"))

    def close(self) -> None:
        pass
