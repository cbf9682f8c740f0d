"""Each cause against our splitter, our server on both of its backends, and plain Ollama as the stand-in plays it.

Nothing of the thinking leaves the server in any case, and what may leave does.  Plain Ollama does leak; there every
leak must be one that the proof of `doit ollama` sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from so8t.formats import gotemplate, leaks
from so8t.formats.chat import PHI3
from so8t.formats.thinking import TAGS
from so8t.gguf.llamacpp import Generated, Model
from so8t.ollama import asking
from so8t.ollama.asking import Door, Way
from so8t.ollama.client import Client, Refused
from so8t.serve import local
from so8t.serve.local import LocalBackend
from so8t.serve.ollama import OllamaBackend
from so8t.serve.settings import LlamaCpp
from so8t.serve.settings import Ollama as OllamaSettings
from so8t.serve.splitter import Broken, Splitter
from tests.attacks.leaks.cases import CASES, QUESTION, SECRET, THOUGHT, WHOLE, Case
from tests.formats import untrained
from tests.ollama.standin import StandIn
from tests.ollama.standin_http import running
from tests.serve.served import Served, served

SIZES = (1, 2, 3, 5, 4096)
DOORS: tuple[Door, ...] = ("/api/chat", "/api/generate", "/v1/chat/completions")
every_case = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


# ---- the splitter ----------------------------------------------------------------------------------------------------


def split(text: str, size: int, ended: str) -> str | None:
    """What comes out; None where the format broke before anything came."""
    splitter, came = Splitter(TAGS, 1 << 16), ""
    try:
        for at in range(0, len(text), size):
            came += splitter.feed(text[at : at + size])
        came += "" if ended == "length" else splitter.end()
    except Broken:
        return came or None
    return came


@every_case
@pytest.mark.parametrize("size", SIZES)
def test_the_splitter_hands_out_what_may_leave_and_nothing_else(case: Case, size: int) -> None:
    came = split(case.output, size, case.ended)

    assert SECRET not in (came or "")
    if case.leaves is not None:
        assert came == case.leaves


def test_wherever_an_output_is_cut_no_thought_comes_out() -> None:
    for case in CASES:
        for at in range(len(case.output)):
            for ended in ("stop", "length"):
                assert SECRET not in (split(case.output[:at], 3, ended) or ""), (case.name, at)


# ---- the server, on both of its backends -----------------------------------------------------------------------------


class Dictated(Model):
    """A real model's vocabulary, under an output that is given: what `doit serve` loads, but for its weights' will."""

    output, ended, size = "", "stop", 3

    def generate(self, ids: Any, max_tokens: int, stop_ids: Any, *_: Any, **options: Any) -> Generated:
        data = self.output.encode()
        self._pieces = [data[at : at + self.size] for at in range(0, len(data), self.size)]
        for number in range(len(self._pieces)):
            options["on_token"](number)
        return Generated((), "length" if self.ended == "length" else "stop")

    def piece(self, number: int, special: bool = False) -> bytes:
        return self._pieces[number]


Say = Callable[[Case], None]


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    untrained.write(folder / "m.gguf", untrained.train(folder / "tokenizer", TAGS, 700), TAGS)
    return folder / "m.gguf"


@pytest.fixture(scope="module")
def in_process(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Say]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "Model", Dictated)
        backend = LocalBackend(LlamaCpp(threads=1), "so8t", PHI3, gguf, None)

    def say(case: Case) -> None:
        Dictated.output, Dictated.ended = case.output, case.ended

    with served(tmp_path_factory.mktemp("local") / "audit", backend) as here:
        yield here, say


@pytest.fixture(scope="module")
def through_ollama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Say]]:
    state = StandIn(tmp_path_factory.mktemp("ollama"), str)
    state.have("so8t", template=gotemplate.template(PHI3, TAGS))

    def say(case: Case) -> None:
        state.answer = lambda prompt: case.output + ("" if case.ended == "length" else "<|end|>")

    with running(state):
        backend = OllamaBackend(OllamaSettings(kind="ollama", model="so8t", url=state.url), "so8t", PHI3, 10.0)
        with served(tmp_path_factory.mktemp("through") / "audit", backend) as here:
            yield here, say


@pytest.fixture(params=["in process", "through Ollama"])
def server(request: pytest.FixtureRequest) -> tuple[Served, Say]:
    name = "in_process" if request.param == "in process" else "through_ollama"
    found: tuple[Served, Say] = request.getfixturevalue(name)
    return found


@every_case
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_the_server_lets_nothing_of_the_thinking_out(server: tuple[Served, Say], case: Case, stream: bool) -> None:
    here, say = server
    say(case)
    body = {"messages": list(case.messages), "stream": stream}
    replies = [
        here.client.post("/v1/chat/completions", json={"model": "so8t", **body}),
        here.client.post("/think", json=body),
    ]

    for reply in replies:
        assert SECRET not in reply.text and r"\u9470" not in reply.text.lower()
        assert "think-" not in reply.text
    if case.leaves and not stream:
        assert replies[0].json()["choices"][0]["message"]["content"] == case.leaves
        assert replies[1].json()["answer"] == case.leaves
    if case.leaves is None and not stream:
        assert [reply.status_code for reply in replies] == [502, 502]


def test_turns_of_tools_are_refused_before_the_model_is_asked(server: tuple[Served, Say]) -> None:
    here, say = server
    say(CASES[0])
    before = len(here.records())
    turns = [QUESTION, {"role": "tool", "content": SECRET, "tool_call_id": "1"}]
    for more in ({"messages": turns}, {"messages": [QUESTION], "tools": [{"type": "function"}]}):
        reply = here.client.post("/v1/chat/completions", json={"model": "so8t", **more})
        assert (reply.status_code, SECRET in reply.text) == (422, False)

    assert len(here.records()) == before


def test_two_state_machines_are_one_too_many(tmp_path: Path) -> None:
    """An Ollama that parts thinking from content, though raw and told not to, gives parts that nobody may join."""
    state = StandIn(tmp_path, str)
    state.have("so8t")
    rest = WHOLE.removeprefix(THOUGHT)
    state.lines = [{"response": "", "thinking": THOUGHT}, {"response": rest}, {"response": "", "done": True}]
    with running(state):
        backend = OllamaBackend(OllamaSettings(kind="ollama", model="so8t", url=state.url), "so8t", PHI3, 10.0)
        with served(tmp_path / "audit", backend) as here:
            for reply in (here.think(), here.chat(), here.think(stream=True), here.chat(stream=True)):
                assert SECRET not in reply.text and "月末" not in reply.text


# ---- plain Ollama ----------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_what_plain_ollama_leaks_is_seen_by_the_proof(case: Case, stream: bool, tmp_path: Path) -> None:
    state = StandIn(tmp_path, lambda prompt: case.output + "<|end|>")
    stops = {"top_k": 1, "stop": ["<|end|>", "</final>"]}
    state.have("so8t", template=gotemplate.template(PHI3, TAGS), parameters=stops)
    thoughts = [SECRET]
    with running(state), Client(state.url, 10) as ollama:
        for door in DOORS:
            for think in (True, None, False) if door != "/v1/chat/completions" else (None, False):
                messages = list(case.messages) if door != "/api/generate" else [case.messages[-1]]
                reply = asking.hear(ollama, "so8t", messages, Way(door, think, stream))
                shown = any(each in reply.content for each in (SECRET, "<think-", "</think-"))
                found = leaks.leak(reply.content, TAGS, thoughts)
                assert bool(found) >= shown, (door, think, reply.content)


def test_plain_ollama_leaks_where_a_model_never_learned_to_answer_directly(tmp_path: Path) -> None:
    state = StandIn(tmp_path, lambda prompt: WHOLE + "<|end|>")
    state.have("so8t", template=gotemplate.template(PHI3, TAGS), parameters={"top_k": 1})
    with running(state), Client(state.url, 10) as ollama:
        for door in DOORS:
            reply = asking.hear(ollama, "so8t", [QUESTION], Way(door, False, stream=True))
            assert (SECRET in reply.content, leaks.leak(reply.content, TAGS)) == (True, "<think-task>")


def test_a_closed_template_leaks_nothing_where_thinking_is_turned_off(tmp_path: Path) -> None:
    """What is left of the list where a model never learned to answer directly: an error, and no text."""
    open_ = "{{ if and $.IsThinkSet (not $.Think) }}"
    closed = gotemplate.template(PHI3, TAGS).replace(f"{open_}<final>", open_ + "{{ .NoSuchField }}")
    state = StandIn(tmp_path, lambda prompt: WHOLE + "<|end|>")
    state.have("so8t", template=closed, parameters={"top_k": 1})
    with running(state), Client(state.url, 10) as ollama:
        for door in DOORS:
            for stream in (True, False):
                with pytest.raises(Refused) as refused:
                    asking.hear(ollama, "so8t", [QUESTION], Way(door, False, stream))
                assert SECRET not in str(refused.value)
        raw = httpx.post(f"{state.url}/api/chat", json={"model": "so8t", "messages": [QUESTION], "think": False})
        assert (raw.status_code, SECRET in raw.text) == (500, False)
