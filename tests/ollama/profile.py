"""Artifacts as they lie in a profile's folder: GGUFs of an untrained model, the declaration of its formats, held-out
records and what the evaluation saw; and a model that knows the answers, for the stand-in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from so8t.engine.stage import Inputs
from so8t.formats import records
from so8t.formats import thinking as think
from so8t.formats.records import LABELS, Label
from so8t.formats.thinking import FORMATS, PLAIN, Final, Plain, Thinking, ThinkingFormat
from tests.bases import formats
from tests.formats import untrained

SYSTEM = "あなたは安全なアシスタントです。"
QUESTIONS: dict[str, Label] = {f"{label}の質問{number}": label for number in range(6) for label in LABELS}
THOUGHT = "これは秘密の思考です。"


def answer(question: str, fmt: ThinkingFormat) -> str:
    if not fmt.classed:
        return think.compose(Plain((THOUGHT,) * (len(fmt.parts) - 1), "回答します。"), fmt)
    label = QUESTIONS.get(question, "DENY")
    return think.compose(Thinking(THOUGHT, "危険なし", "答える", Final(label, 0.98, "理由", "回答します。")), fmt)


def knowing(fmt: ThinkingFormat, direct: bool = True) -> Callable[[str], str]:
    """A model that answers each question by its class; `direct`: one that learned to answer without thinking, too."""

    def say(prompt: str) -> str:
        question = prompt.rsplit("<|user|>\n", 1)[1].partition("<|end|>")[0]
        whole = answer(question, fmt)
        begun, final = fmt.skipped, think.final_part(whole, fmt).removeprefix(fmt.parts[-1].open)
        return (final if direct and begun and prompt.endswith(begun) else whole) + "<|end|>"

    return say


def artifacts(folder: Path, name: str = "quadruple", system: str = SYSTEM) -> Inputs:
    fmt = {**PLAIN, **FORMATS}[name]
    for each in ("gguf", "thinking_sft", "modelfile", "evaluation", "scratch"):
        (folder / each).mkdir(parents=True)
    models = folder / "gguf" / "models"
    models.mkdir()
    untrained.write(models / "so8t-f16.gguf", untrained.train(folder / "tokenizer", fmt, 700), fmt)
    (models / "so8t-q8_0.gguf").write_bytes((models / "so8t-f16.gguf").read_bytes())
    formats.declare(folder, thinking=fmt, system=system)
    _held_out(folder, fmt)
    return Inputs(
        {each: folder / each for each in ("gguf", "chat_format", "thinking_sft", "modelfile", "evaluation")},
        scratch=folder / "scratch",
    )


def _held_out(folder: Path, fmt: ThinkingFormat) -> None:
    """24 records, of which f16 and q8_0 answered all but the last two right."""
    (folder / "thinking_sft" / "splits").mkdir()
    rows, seen = [], []
    for number, (question, label) in enumerate(QUESTIONS.items()):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer(question, fmt)}]
        classed = {"label": label} if fmt.classed else {}
        rows.append({"id": f"r{number:02}", **classed, "messages": turns})
        head = {"split": "test", "mode": "thinking", "way": "free", "id": f"r{number:02}"}
        if fmt.classed:
            head |= {"label": label, "said": "ALLOW" if number >= 22 else label}
        else:
            head |= {"label": None, "said": None, "problem": "broken" if number >= 22 else None, "leaks": []}
        seen += [{"model": kind, **head} for kind in ("f16", "q8_0")]
    records.write(folder / "thinking_sft" / "splits" / "test.jsonl", rows)
    records.write(folder / "evaluation" / "samples.jsonl", seen)
