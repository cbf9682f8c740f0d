"""One proof for every declared thinking format: no hostile output lets a thought out, wherever it is cut.

The splitter first, then a real server around it, then what Ollama would show, which the evaluation and the proof of
`doit ollama` must see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from so8t.evals.leaks import Watch, visible
from so8t.formats import leaks
from so8t.formats.layouts import ALL, ThinkingFormat
from so8t.formats.thinking import Final, Plain, Thinking, compose
from so8t.serve import policy
from so8t.serve.scripted import Scripted
from so8t.serve.splitter import Broken, Splitter
from tests.attacks.leaks.cases import SECRET, Case
from tests.attacks.leaks.hostile import cases
from tests.serve.served import POLICY, Served, served

every_format = pytest.mark.parametrize("fmt", ALL, ids=[fmt.name for fmt in ALL])


def came(fmt: ThinkingFormat, text: str, size: int, ended: str) -> tuple[str, bool]:
    """What comes out, and whether it ended as an answer does."""
    splitter, out = Splitter(fmt, 1 << 16), ""
    try:
        for at in range(0, len(text), size):
            out += splitter.feed(text[at : at + size])
        out += "" if ended == "length" else splitter.end()
    except Broken:
        return out, False
    return out, True


@every_format
def test_the_splitter_hands_out_what_may_leave_and_nothing_else(fmt: ThinkingFormat) -> None:
    for case in cases(fmt):
        for size in (1, 3, 4096):
            out, whole = came(fmt, case.output, size, case.ended)

            assert SECRET not in out, case.name
            if case.leaves is None:
                assert not whole, case.name
            else:
                assert out == case.leaves, case.name


@every_format
def test_wherever_an_output_is_cut_no_thought_comes_out(fmt: ThinkingFormat) -> None:
    for case in cases(fmt):
        for at in range(0, len(case.output), 7):
            assert SECRET not in came(fmt, case.output[:at], 5, "stop")[0], (case.name, at)


# ---- the server ------------------------------------------------------------------------------------------------------

Say = Callable[[Case], None]


@pytest.fixture(scope="module", params=ALL, ids=lambda fmt: fmt.name)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, Say, ThinkingFormat]]:
    fmt, output = request.param, [""]

    def script(prompt: str) -> Iterator[bytes]:
        data = output[0].encode()
        return (data[at : at + 7] for at in range(0, len(data), 7))

    def say(case: Case) -> None:
        output[0] = case.output

    decides = POLICY if fmt.classed else policy.Plain()
    with served(tmp_path_factory.mktemp("server") / "audit", Scripted(script), fmt=fmt, policy=decides) as here:
        yield here, say, fmt


def test_the_server_lets_nothing_of_the_thinking_out(server: tuple[Served, Say, ThinkingFormat]) -> None:
    here, say, fmt = server
    for case in (case for case in cases(fmt) if case.ended == "stop"):
        say(case)
        body = {"messages": list(case.messages)}
        whole = here.client.post("/think", json=body)
        stream = here.client.post("/v1/chat/completions", json={"model": "so8t", **body, "stream": True})

        for reply in (whole, stream):
            assert SECRET not in reply.text and r"\u9470" not in reply.text.lower(), case.name
        if case.leaves is None:
            assert whole.status_code == 502, case.name
        else:
            assert (whole.json()["answer"], "class" in whole.json()) == (case.leaves, fmt.classed)
    assert SECRET not in "".join(str(record) for record in here.records())
    assert {record["class"] for record in here.records() if record["outcome"] == "answered"} == {
        "ALLOW" if fmt.classed else None
    }


# ---- what Ollama would show ------------------------------------------------------------------------------------------


@every_format
def test_what_ollama_would_show_of_a_thought_is_seen_by_the_proof(fmt: ThinkingFormat) -> None:
    for case in cases(fmt):
        for directly in (False, True):
            shown = visible(case.output, fmt, directly)
            marked = any(marker in shown for marker in fmt.markers)
            assert bool(leaks.leak(shown, fmt, [SECRET])) == (marked or SECRET in shown), case.name


@pytest.mark.parametrize("fmt", [fmt for fmt in ALL if fmt.thinks], ids=lambda fmt: fmt.name)
def test_a_sentence_of_the_thinking_is_seen_by_the_evaluation(fmt: ThinkingFormat) -> None:
    thought, answer = "人には言えない手順がある。", "締め切りは月末です。"
    final = Final("ALLOW", 0.9, "一般", answer)
    own = Thinking(thought, "", "", final) if fmt.classed else Plain((thought,), answer)
    watch = Watch(fmt, [own], [own])

    assert watch.leaks(own, visible(compose(own, fmt), fmt, False)) == ()
    assert watch.leaks(own, f"{answer}人には言えない手順がある") == ("人には言えない手順がある",)
    assert leaks.thoughts(compose(own, fmt), fmt) == ["人には言えない手順がある"]
