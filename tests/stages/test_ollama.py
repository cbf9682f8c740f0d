"""The stage ollama: the Modelfiles in a server that is asked as users ask, as a stand-in plays it over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats import gotemplate, records
from so8t.formats.chat import PHI3
from so8t.formats.thinking import HEADINGS, TAGS, THINK
from so8t.ollama import client
from stages import modelfile as modelfile_stage
from stages import ollama as ollama_stage
from tests.ollama.profile import QUESTIONS, SYSTEM, THOUGHT, artifacts, knowing
from tests.ollama.standin import StandIn
from tests.ollama.standin_http import running

pytestmark = pytest.mark.slow

DIRECT = "{{ if and $.IsThinkSet (not $.Think) }}"
CLOSED = DIRECT + "{{ .NoSuchField }}"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    inputs = artifacts(tmp_path_factory.mktemp("profile"))
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    return inputs


@pytest.fixture
def built(source: Inputs, tmp_path: Path) -> Inputs:
    """With a memory of its own of what was put into servers."""
    return replace(source, scratch=tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[StandIn]:
    (tmp_path / "server").mkdir()
    with running(StandIn(tmp_path / "server", knowing(TAGS))) as state:
        yield state


def build(inputs: Inputs, server: StandIn, out: Path, **values: Any) -> Any:
    ollama_stage.build(inputs, out, ollama_stage.Spec(host=server.url, **values))
    return json.loads((out / "ollama.json").read_text("utf-8"))


def refusal(inputs: Inputs, server: StandIn, out: Path, **values: Any) -> str:
    with pytest.raises(StageError) as refused:
        build(inputs, server, out, **values)
    assert not (out / "ollama.json").exists()
    return str(refused.value)


def edited(inputs: Inputs, folder: Path, old: str, new: str) -> Inputs:
    """With other Modelfiles than the stage before would write."""
    (folder / "other" / "ollama").mkdir(parents=True)
    for file in (inputs["modelfile"] / "ollama").iterdir():
        text = file.read_text("utf-8")
        assert old in text
        (folder / "other" / "ollama" / file.name).write_text(text.replace(old, new), "utf-8")
    return replace(inputs, artifacts={**inputs.artifacts, "modelfile": folder / "other"})


# ---- what is recorded ------------------------------------------------------------------------------------------------


def test_the_models_are_proven_and_recorded_as_the_server_keeps_them(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    found = build(built, server, tmp_path)
    blob = client.digest(built["gguf"] / "models" / "so8t-f16.gguf")

    assert found["server"] == "0.32.15"
    assert [model["name"] for model in found["models"]] == ["so8t:f16", "so8t:q8_0"]
    assert found["models"][0] == {
        "name": "so8t:f16",
        "digest": f"sha256:{server.models['so8t:f16'].digest}",
        "sent": blob,
        "served": blob,
        "template": gotemplate.template(PHI3, TAGS),
        "parameters": [
            "num_predict                    2048",
            "top_k                          1",
            "temperature                    0.0",
            "repeat_penalty                 1.0",
            'stop                           "<|end|>"',
            'stop                           "<|endoftext|>"',
            'stop                           "</final>"',
        ],
        "capabilities": ["completion", "thinking"],
        "proof": {
            "asked": 20,
            "right": {"think true": 20, "think left out": 20, "think false": 20},
            "beside": 24,
            "leaks": 0,
        },
        "messages": [
            {"role": "user", "content": "ALLOWの質問0"},
            {
                "role": "assistant",
                "thinking": f"task>{THOUGHT}</think-task><think-safety>危険なし</think-safety>"
                "<think-policy>答える</think-policy>",
                "content": "判定: ALLOW\n確信度: 0.98\n理由: 理由\n回答: 回答します。",
            },
        ],
    }


def test_the_proof_asks_through_every_door_with_thinking_on_left_out_and_off_whole_and_in_parts(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    build(built, server, tmp_path, quantisations=("f16",))
    doors = {path.removeprefix("POST ") for path in server.asked if path.startswith("POST ")}
    seen = {
        ("prompt" in body, body.get("think", body.get("reasoning_effort")), body["stream"]) for body in server.bodies
    }

    assert doors >= {"/api/chat", "/api/generate", "/v1/chat/completions"}
    assert seen == {
        *(
            (prompt, think, stream)
            for prompt in (True, False)
            for think in (True, False, None)
            for stream in (True, False)
        ),
        *((False, "none", stream) for stream in (True, False)),
    }
    assert not [body for body in server.bodies if "temperature" in body or "options" in body]
    assert server.prompts[0] == f"<|system|>\n{SYSTEM}<|end|>\n<|user|>\nALLOWの質問0<|end|>\n<|assistant|>\n"
    assert [prompt for prompt in server.prompts if "<think-task></think-task>" in prompt]
    assert [prompt for prompt in server.prompts if prompt.count("<|user|>") == 2 and f"<think-task>{THOUGHT}" in prompt]


def test_ollama_host_names_the_server(
    built: Inputs, server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url.removeprefix("http://"))
    ollama_stage.build(built, tmp_path, ollama_stage.Spec(quantisations=("q8_0",)))

    assert list(server.models) == ["so8t:q8_0"]


# ---- what the proof refuses ------------------------------------------------------------------------------------------


def test_thinking_in_the_content_of_think_false_is_a_leak(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    server.answer = knowing(TAGS, direct=False)  # the TEMPLATE begins an answer that training never showed

    assert refusal(built, server, tmp_path) == (
        "ollama: so8t:f16 shows its thinking (/api/chat, think false, stream): '<think-task>' stands in "
        f"'<think-task>{THOUGHT}</think-task><think-safety>危険なし</think-safety><think-policy>答える</think-policy>"
        "<final>判定: ALLOW\\n確信度: 0.98\\n理由: 理由\\n回答: 回答します。'; "
        "take it out of the server with `ollama rm so8t:f16` until that is mended"
    )


def test_a_sentence_of_the_thinking_without_a_tag_is_a_leak_too(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    say = knowing(TAGS)
    server.answer = lambda prompt: say(prompt).replace("回答します。", f"回答します。{THOUGHT}")

    assert refusal(built, server, tmp_path).startswith(
        "ollama: so8t:f16 shows its thinking (/api/chat, think true, stream): 'これは秘密の思考です' stands in "
    )


def test_v1_without_a_temperature_must_not_be_luck(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    say = knowing(TAGS)
    server.sampled = lambda prompt: say(prompt).replace("判定: ESCALATION", "判定: ALLOW")
    sampled = edited(built, tmp_path, "PARAMETER top_k 1\n", "")

    assert refusal(sampled, server, tmp_path) == (
        "ollama: so8t:f16 answers 18 of 20 questions as in the evaluation (think left out); 19 are needed; the first "
        "that it does not: 'ESCALATIONの質問1' is ESCALATION, and the answer says ALLOW "
        "(/v1/chat/completions, think left out, whole)"
    )
    assert build(built, server, tmp_path)["models"][0]["proof"]["right"]["think left out"] == 20


@pytest.mark.parametrize(("wrong", "passes"), [(1, True), (2, False)])
def test_one_answer_in_twenty_may_be_another_than_the_evaluation_saw(
    built: Inputs, server: StandIn, tmp_path: Path, wrong: int, passes: bool
) -> None:
    say, other = knowing(TAGS), [f"ALLOWの質問{number}" for number in range(wrong)]
    server.answer = lambda prompt: (
        say(prompt).replace("判定: ALLOW", "判定: DENY") if any(each in prompt for each in other) else say(prompt)
    )

    if passes:
        assert build(built, server, tmp_path)["models"][0]["proof"]["right"]["think true"] == 19
    else:
        assert refusal(built, server, tmp_path) == (
            "ollama: so8t:f16 answers 18 of 20 questions as in the evaluation (think true); 19 are needed; the first "
            "that it does not: 'ALLOWの質問0' is ALLOW, and the answer says DENY (/api/chat, think true, stream)"
        )


def test_a_model_that_does_not_keep_the_format_is_no_import(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    server.answer = lambda prompt: "こんにちは。"

    said = refusal(built, server, tmp_path)
    assert said.startswith(
        "ollama: so8t:f16 answers 0 of 20 questions as in the evaluation (think true); 19 are needed;"
    )
    assert "the answer of so8t:f16 is not in the thinking format (character 0: expected <think-" in said


def test_an_answer_that_repeats_itself_breaks_off_and_is_a_wrong_one(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    say = knowing(TAGS)
    server.answer = lambda prompt: say(prompt).replace("回答します。", "す" * 40)

    assert "broke off before it was done (/api/chat, think true, stream)" in refusal(built, server, tmp_path)


def test_a_prompt_that_was_cut_is_a_wrong_answer_not_an_empty_one(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    short = edited(
        built, tmp_path, "PARAMETER num_predict 2048\n", "PARAMETER num_ctx 40\nPARAMETER num_predict 2048\n"
    )

    assert refusal(short, server, tmp_path).startswith("ollama: so8t:f16 answers 0 of 20 questions")


def test_a_template_that_fails_closed_gives_an_error_and_no_text(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    server.answer = knowing(TAGS, direct=False)
    closed = edited(built, tmp_path, f"{DIRECT}<final>", CLOSED)

    proof = build(closed, server, tmp_path)["models"][0]["proof"]

    assert proof["right"] == {"think true": 20, "think left out": 20, "think false": "refused"}


def test_a_runner_that_renders_another_template_is_found(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    """Recorded for imports without a TEMPLATE; were it so for ours, an open branch would answer for a closed one."""
    server.answer = knowing(TAGS, direct=False)
    closed = edited(built, tmp_path, f"{DIRECT}<final>", CLOSED)
    server.renders_what_was_left = gotemplate.template(PHI3, TAGS)

    assert refusal(closed, server, tmp_path).endswith(
        "though its TEMPLATE refuses to: restart the server, which may render with what another import left, and run "
        "doit ollama again"
    )


def test_a_model_whose_thinking_ollama_does_not_part_is_asked_for_its_class_alone(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    modelfile_stage.build(built, tmp_path / "plain", modelfile_stage.Spec(split_thinking=False))
    plain = replace(built, artifacts={**built.artifacts, "modelfile": tmp_path / "plain"})

    proof = build(plain, server, tmp_path)["models"][0]["proof"]

    assert proof == {"asked": 20, "right": {"think left out": 20}, "beside": 0, "leaks": 0}


def test_headings_are_proven_as_tags_are(server: StandIn, tmp_path: Path) -> None:
    inputs = artifacts(tmp_path / "headings", "headings")
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    server.answer = knowing(HEADINGS)

    proof = build(inputs, server, tmp_path, quantisations=("f16",))["models"][0]["proof"]

    assert proof["right"] == {"think true": 20, "think left out": 20, "think false": 20}


def test_a_quantisation_that_the_evaluation_does_not_know_cannot_be_proven(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "samples.jsonl").write_bytes(b"")
    other = replace(built, artifacts={**built.artifacts, "evaluation": tmp_path / "evaluation"})

    assert refusal(other, server, tmp_path) == (
        "ollama: the evaluation saw f16 answer no question right, so nothing can prove its import; name it in "
        "evaluation.types, or leave it out of ollama.quantisations"
    )
    assert server.models == {}


# ---- it is about the server ------------------------------------------------------------------------------------------


def looked(server: StandIn, folder: Path) -> list[str]:
    return ollama_stage.outside(ollama_stage.Spec(host=server.url), folder)


def test_a_look_at_the_server_takes_less_than_a_tenth_of_a_second(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    build(built, server, tmp_path)
    server.asked.clear()
    looked(server, tmp_path)  # httpx is imported
    began = time.perf_counter()

    assert looked(server, tmp_path) == []
    assert time.perf_counter() - began < 0.1
    assert server.asked == ["GET /api/tags"] * 2


def test_a_model_that_was_removed_or_replaced_is_named(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    made = build(built, server, tmp_path)["models"]
    server.remove("so8t:f16")
    other = server.have("so8t:q8_0", template="{{ .Content }}")

    assert looked(server, tmp_path) == [
        f"so8t:f16 is not in the server at {server.url}",
        f"so8t:q8_0 in the server at {server.url} is sha256:{other.digest[:12]}, not {made[1]['digest'][:19]}",
    ]


def test_without_a_server_it_cannot_be_told(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    build(built, server, tmp_path)
    with pytest.raises(StageError, match=r"^ollama: no server answers at http://127\.0\.0\.1:9; "):
        ollama_stage.outside(ollama_stage.Spec(host="127.0.0.1:9"), tmp_path)


def test_what_was_not_put_there_from_here_is_not_overwritten(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    other = server.have("so8t:q8_0", template="{{ .Content }}")

    assert refusal(built, server, tmp_path) == (
        f"ollama: so8t:q8_0 in the server at {server.url} is sha256:{other.digest[:12]}, which was not put there from "
        "here; set ollama.replace: true to overwrite it, or give the models another name in ollama.model"
    )
    assert list(server.models) == ["so8t:q8_0"]
    build(built, server, tmp_path, replace=True)
    assert server.models["so8t:q8_0"].digest != other.digest


def test_what_was_put_there_from_here_is_overwritten_even_if_its_proof_failed(
    built: Inputs, server: StandIn, tmp_path: Path
) -> None:
    server.answer = knowing(TAGS, direct=False)
    refusal(built, server, tmp_path)
    server.answer = knowing(TAGS)
    changed = edited(built, tmp_path, "PARAMETER num_predict 2048", "PARAMETER num_predict 1024")

    assert [model["name"] for model in build(changed, server, tmp_path)["models"]] == ["so8t:f16", "so8t:q8_0"]


# ---- specs and inputs ------------------------------------------------------------------------------------------------


def test_a_quantisation_that_is_not_there_is_named(built: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        ollama_stage.build(built, tmp_path, ollama_stage.Spec(quantisations=("q4_k_m", "q8_0")))

    assert str(refused.value) == "ollama.quantisations: no Modelfile of q4_k_m (there are: f16, q8_0)"


def test_a_modelfile_without_its_gguf_is_named(built: Inputs, server: StandIn, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    inputs = replace(built, artifacts={**built.artifacts, "gguf": tmp_path / "empty"})

    assert refusal(inputs, server, tmp_path) == (
        "Modelfile.f16: FROM names ../../gguf/models/so8t-f16.gguf, which the gguf artifact does not hold"
    )


@pytest.mark.parametrize("model", ["a b", "so8t:tag", "a/b/c", "-a", ""])
def test_a_name_that_ollama_refuses_is_refused_in_the_spec(model: str) -> None:
    with pytest.raises(ValidationError):
        ollama_stage.Spec(model=model)


def test_the_questions_are_those_that_the_evaluation_saw_answered_right(built: Inputs) -> None:
    from so8t.corpus.answered import right

    found = right(built["evaluation"] / "samples.jsonl", built["thinking_sft"] / "splits", "f16", 99)

    assert [each.question for each in found] == list(QUESTIONS)[:22]
    assert [each.label for each in found[:5]] == ["ALLOW", "ESCALATION", "DENY", "REFUSE", "ALLOW"]


def test_a_question_is_one_that_was_answered_right_in_each_way_of_asking(built: Inputs, tmp_path: Path) -> None:
    from so8t.corpus.answered import right

    thought = list(records.read(built["evaluation"] / "samples.jsonl"))
    direct = [{**each, "mode": "direct", "said": "DENY" if each["id"] == "r00" else each["said"]} for each in thought]
    held = [{**each, "way": "grammar", "said": "DENY"} for each in thought]
    records.write(tmp_path / "samples.jsonl", [*thought, *direct, *held])

    found = right(tmp_path / "samples.jsonl", built["thinking_sft"] / "splits", "f16", 99)

    assert sorted(each.id for each in found) == [f"r{number:02}" for number in range(1, 22)]


# ---- without classes -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """A profile of the task chat whose answers think between <think> and </think>."""
    inputs = artifacts(tmp_path_factory.mktemp("talking"), "think", system="")
    modelfile_stage.build(inputs, inputs["modelfile"], modelfile_stage.Spec())
    return inputs


def test_a_model_without_classes_is_asked_in_every_way_and_keeps_its_thinking_in(
    talking: Inputs, tmp_path: Path
) -> None:
    (tmp_path / "server").mkdir()
    with running(StandIn(tmp_path / "server", knowing(THINK))) as server:
        found = build(replace(talking, scratch=tmp_path), server, tmp_path, records=5)

    first = found["models"][0]
    assert first["proof"] == {
        "asked": 5,
        "right": {"think true": 5, "think left out": 5, "think false": 5},
        "beside": first["proof"]["beside"],
        "leaks": 0,
    }
    assert first["messages"][1] == {"role": "assistant", "thinking": f"{THOUGHT}\n", "content": "回答します。"}


def test_a_model_that_thinks_although_it_was_told_not_to_is_not_imported(talking: Inputs, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with running(StandIn(tmp_path / "server", knowing(THINK, direct=False))) as server:
        said = refusal(replace(talking, scratch=tmp_path), server, tmp_path, records=5)

    assert said.startswith("ollama: so8t:f16 shows its thinking (/api/chat, think false, stream): '<think>' stands in")
