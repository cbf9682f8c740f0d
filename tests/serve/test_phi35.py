"""Phi-3.5's tokenizer, from its published shape to an answer of `doit serve`: one conversation, learned by heart."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from so8t.corpus.sft import Policies
from so8t.evals.asking import Way, ask
from so8t.formats import chat, published, suite, thinking
from so8t.formats.chat import PHI3
from so8t.formats.encoding import Encoder
from so8t.serve import start
from so8t.serve.settings import LlamaCpp, Serve
from so8t.serve.start import Serving
from so8t.store.answers import Answers
from so8t.store.layout import Layout
from tests.bases import artifacts, phi35
from tests.serve.served import output, served
from tests.stages.test_families import AUTO, settle

SYSTEM, QUESTION = "方針です。", "経費の締め切りは？"
TALK = [
    {"role": "system", "content": SYSTEM},
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": output()},
]


def learn(folder: Path) -> None:
    """The checkpoint in place: it says this one answer."""
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    encoded = Encoder(published.tokenizer(folder))(chat.segments(TALK, PHI3))
    ids, learned = torch.tensor([encoded.ids]), torch.tensor(encoded.learned[1:])
    optimizer, worst = torch.optim.AdamW(model.parameters(), lr=3e-3), float("inf")
    for _ in range(400):
        each = torch.nn.functional.cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
        worst = each[learned].max().item()
        if worst < 0.05:
            break
        optimizer.zero_grad()
        each[learned].mean().backward()
        optimizer.step()
    assert worst < 0.05  # every token of the answer is certain
    model.save_pretrained(str(folder))


@pytest.mark.soak
def test_an_answer_of_phi35_is_whole_in_the_evaluation_and_from_the_server(tmp_path: Path) -> None:
    root = tmp_path / "artifacts" / "tiny"
    texts = [each["content"] for talk in suite.conversations(thinking.TAGS) for each in talk.messages]
    base = phi35.build(root / "base_model" / "model", phi35.train([*texts, output()] * 3, 900), "float32")
    shutil.copytree(base, root / "baked_model" / "model")
    learn(root / "baked_model" / "model")
    artifacts.declare(root, PHI3)
    settle(root, AUTO, strings=200)
    artifacts.convert(root, name="so8t")
    settings = Serve(backend=LlamaCpp(quantisation="f16", threads=1, context=1024))
    serving = Serving(settings, Policies(), "so8t", Layout(tmp_path, tmp_path / "artifacts", "tiny"))
    writer = start.declared(serving)

    with Answers(tmp_path / "answers.jsonl") as kept:
        (answer,) = ask(root / "gguf" / "models" / "so8t-f16.gguf", [TALK[:2]], writer.chat, Way(400), kept)
    backend = start.open_backend(serving, replace(writer, system=SYSTEM))
    with served(tmp_path / "audit", backend) as here:
        reply = here.chat(QUESTION)

    assert answer.text == f" {output()}"  # the space that the vocabulary reads before a text
    assert thinking.split(answer.text, writer.thinking).final.answer == "締め切りは月末です。"
    assert (reply.status_code, here.records()[-1]["outcome"]) == (200, "answered")
    assert reply.json()["choices"][0]["message"]["content"] == "締め切りは月末です。"
