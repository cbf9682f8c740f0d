"""A profile for a file of data and a base, as the text of its files: every line says why it is there."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from so8t.drafts.base import Base
from so8t.drafts.data import Data

_BARE = re.compile(r"[A-Za-z0-9_./-]*[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
_LARGE = 1_000_000_000  # parameters from which a base is held in 8 bits
_HELD_OUT = 30  # conversations that a split should have
_THINKING = 120  # tokens of a thinking and of an answer's frame, about
_Line = tuple[str, str]


@dataclass(frozen=True)
class Draft:
    """What every file is made from."""

    name: str
    data: Data
    base: Base

    @property
    def task(self) -> str:
        return "four_class" if self.data.labelled >= 0.5 else "chat"

    @property
    def own(self) -> bool:
        """Whether the base is the user's."""
        return self.base.kind != "tiny"

    @property
    def share(self) -> float:
        """Of each held-out split."""
        return round(min(0.2, max(0.05, _HELD_OUT / self.data.count)), 2)

    @property
    def held_out(self) -> int:
        return max(1, int(self.data.count * self.share))

    @property
    def sequence(self) -> int:
        """Tokens of a row, at a token a character, in steps of 64."""
        return min(2048, max(256, 64 * math.ceil((self.data.record + 2 * _THINKING) / 64)))

    @property
    def answer(self) -> int:
        return min(1024, max(160, 32 * math.ceil((self.data.answer + _THINKING) / 32)))


def files(draft: Draft) -> dict[str, str]:
    """File -> its text."""
    made = {
        "profile": _profile(draft),
        "raw": _raw(draft),
        "cleaned": _cleaned(draft),
        "thinking_sft": _thinking_sft(draft),
        "base_model": _base_model(draft),
        **({"so8t_model": _so8t_model(draft)} if draft.own else {}),
        "adapter": _adapter(draft),
        "adapter_scores": _scores(draft),
        "merged_model": _parity("with the base and the adapter beside each other"),
        "baked_model": _parity("with the merged model and its gates"),
        "gguf": _gguf(draft),
        "evaluation": _evaluation(draft),
        "serve": [("name: " + _text(draft.name), "how the server calls the model")],
        "ollama": [("model: " + _text(draft.name), "how Ollama calls the model")],
    }
    return {f"{name}.yaml": _written(name, lines) for name, lines in made.items()}


def _written(name: str, lines: Iterable[_Line]) -> str:
    found = list(lines)
    width = min(60, max(len(text) for text, _ in found))
    body = "".join(f"{text:<{width}}  # {why}\n" for text, why in found)
    return f"# yaml-language-server: $schema=../schema/{name}.json\n{body}"


def _text(value: str) -> str:
    """A string as YAML has it."""
    plain = _BARE.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)


# ---- the data ------------------------------------------------------------------------------------------------


def _profile(draft: Draft) -> list[_Line]:
    what = f"{draft.data.path} on {draft.base.name if draft.own else 'a tiny base that is trained here'}"
    return [
        ("extends: tiny", "every value that no file here gives comes from specs/tiny"),
        (f"task: {draft.task}", _WHY_TASK[draft.task].format(draft.data.labelled)),
        ("description: " + _text(what), "what the profile is for, in your words"),
    ]


_WHY_TASK = {
    "four_class": "{:.0%} of the records name a class; chat would learn the conversations as they are",
    "chat": "{:.0%} of the records name a class, so conversations are learned as they are; four_class would judge them",
}


def _raw(draft: Draft) -> list[_Line]:
    data = draft.data
    lines = [
        ("sources:", "where the records come from; add more of them below"),
        ("  - name: " + _text(draft.name), "how provenance and reports call this one"),
        (
            f"    paths: [{_text(data.path)}]",
            data.read_as.get(data.path, "its name and its first bytes agree on what it is"),
        ),
    ]
    if data.format:
        lines.append((f"    format: {data.format}", data.read_as["records"]))
    else:
        lines.append(("    format: ours", "its records have our own names: text, label, answer and so on"))
    if "tool turn" in data.aside:
        lines.append(
            ("    tools: flatten", f"{data.aside['tool turn']} conversations call tools; these turns are left out")
        )
    aside = ", ".join(f"{count} x {reason}" for reason, count in data.aside.items())
    return [
        *lines,
        ("    terms: not stated", "write the data's licence or terms of use here; a release shows them"),
        ("    trust: medium", "high, medium or low: how far you believe what it says"),
        ("bad_input: quarantine", f"put aside and counted: {aside}" if aside else "what cannot be used is put aside"),
    ]


def _cleaned(draft: Draft) -> list[_Line]:
    data = draft.data
    if data.japanese >= 0.5:
        language = ("  min_japanese: 0.3", f"{data.japanese:.0%} of the records are Japanese; the others are dropped")
        kana = ("  min_kana: 0.02", "and Japanese has kana, which Chinese has not")
    else:
        language = ("  min_japanese: 0", f"{data.japanese:.0%} of the records are Japanese; every language is taken")
        kana = ("  min_kana: 0", "so texts need no kana")
    longest = max(2000, 500 * math.ceil(data.longest / 500))
    return [
        ("length:", "bounds in characters"),
        ("  min_chars: 1", "the shortest text that is taken"),
        (f"  max_chars: {longest}", f"the longest one; {data.longest:,} is the longest of the records looked at"),
        ("language:", "shares of letters"),
        language,
        kana,
        ("max_dropped: 0.5", "more than this share dropped fails the build and says what took them"),
    ]


def _thinking_sft(draft: Draft) -> list[_Line]:
    lines = _talks(draft) if draft.task == "chat" else []
    if draft.own:
        chat = "auto" if draft.base.template else "phi3"
        why = (
            "the base's own template, found and proven"
            if draft.base.template
            else "the base has no template of its own"
        )
        lines += [(f"chat: {chat}", why), ("direct: 0.2", "the share that is learned without thinking, too")]
    return [
        *lines,
        ("fractions:", "shares of the held-out splits"),
        (f"  validation: {draft.share:g}", f"watches training: about {draft.held_out} of {draft.data.count:,} records"),
        (f"  test: {draft.share:g}", "is asked at the end, and never learned"),
    ]


def _talks(draft: Draft) -> list[_Line]:
    data = draft.data
    if data.thinks:
        form = ("format: think", f"{data.thinks:.0%} of the answers begin with <think>; none would leave thinking out")
    else:
        form = ("format: none", "no answer brings thinking; think is for those that begin with <think>")
    if data.turns:
        learn = (
            "learn: every",
            f"{data.turns:.0%} of the records have earlier turns, and their answers are learned, too",
        )
    else:
        learn = ("learn: last", "every record is one question; every would learn earlier answers, too")
    return [form, learn]


# ---- the model -----------------------------------------------------------------------------------------------


def _base_model(draft: Draft) -> list[_Line]:
    return [
        ("source:", draft.base.said),
        (f"  kind: {draft.base.kind}", "tiny, local (a folder), hub (a repository) or gguf (a file)"),
        *((f"  {key}: {_text(value)}", _WHY_SOURCE[key]) for key, value in draft.base.source.items()),
    ]


def _so8t_model(draft: Draft) -> list[_Line]:
    few = 0 < draft.base.layers <= 2
    many = f"of the base's {draft.base.layers}" if draft.base.layers else "all but the first and the last one"
    why = f"the base has {draft.base.layers}, so none lies between the first and the last" if few else many
    return [(f"layers: {'all' if few else 'intermediate'}", f"which layers get gates: {why}")]


_WHY_SOURCE = {
    "path": "relative to the project, or absolute; ~ and environment variables are read",
    "repo": "the repository of the hub",
    "revision": "its commit, for a branch may move",
}


def _adapter(draft: Draft) -> list[_Line]:
    rows = max(1, int(draft.data.count * (1 - 2 * draft.share)))
    batch = 16 if draft.base.parameters >= _LARGE else 4 if draft.own else 8
    steps = max(1, math.ceil(3 * rows / batch))
    train = [
        ("train:", "the run"),
        ("  steps: null", "by epochs, not by a number of steps"),
        ("  epochs: 3.0", f"how often each conversation is seen: about {steps:,} steps"),
        (
            f"  sequence: {draft.sequence}",
            f"tokens of a row; 19 of 20 records have at most {draft.data.record:,} characters",
        ),
        (f"  batch: {batch}", "rows of a step"),
    ]
    validation = [
        ("validation:", "the loss on held-out records while it runs"),
        (f"  every: {max(1, steps // 4)}", "steps between two looks"),
    ]
    if not draft.own:
        return [*train, ("  micro_batch: 8", "rows at a time"), *validation]
    return [*_own_base(draft), *train, *_own_train(draft), *validation]


def _own_base(draft: Draft) -> list[_Line]:
    large = draft.base.parameters >= _LARGE
    rank = 64 if large else 16
    held = (
        "8 bits, so that a large base fits a GPU; none keeps it whole"
        if large
        else "the base as it is; int8 needs CUDA"
    )
    return [
        (f"quantise: {'int8' if large else 'none'}", held),
        ("precision: bfloat16", "of the base and of what is computed; float32 is slower and exact"),
        ("lora:", "the low-rank part that is trained"),
        (f"  r: {rank}", "its rank"),
        (f"  alpha: {2 * rank}", "its scale, usually twice the rank"),
    ]


def _own_train(draft: Draft) -> list[_Line]:
    large = draft.base.parameters >= _LARGE
    return [
        (f"  micro_batch: {1 if large else 4}", "rows at a time: fewer of them need less memory"),
        (f"  gradient_checkpointing: {'true' if large else 'false'}", "true saves memory and takes a third more time"),
        (f"  learning_rate: {0.0002 if large else 0.001}", "of the low-rank part, at its highest"),
        ("  attention: sdpa", "torch's own attention"),
    ]


def _scores(draft: Draft) -> list[_Line]:
    lines = [
        ("splits: [test]", "the held-out records that are asked"),
        ("conversations: 64", "of these the first so many; null asks all"),
        (f"longest: {draft.answer}", f"tokens of an answer; 19 of 20 have at most {draft.data.answer:,} characters"),
    ]
    if draft.own:
        lines += [("precision: bfloat16", "as in training"), ("batch: 8", "conversations at a time")]
    return lines


def _parity(beside: str) -> list[_Line]:
    return [
        ("parity:", f"how the model is compared {beside}"),
        ("  splits: [test]", "on these records"),
        ("  conversations: 8", "so many of them"),
    ]


def _gguf(draft: Draft) -> list[_Line]:
    lines = [
        ("name: " + _text(draft.name), "the name of the files"),
        ("description: not stated", "one sentence for readers"),
    ]
    if draft.own:
        lines += [
            ("base:", "what was tuned"),
            ("  name: " + _text(draft.base.name), "its name, for readers of the file"),
        ]
    return [
        *lines,
        *_parity("with its GGUF files"),
    ]


def _evaluation(draft: Draft) -> list[_Line]:
    return [
        ("splits: [test]", "the held-out records that are asked, as in adapter_scores"),
        ("conversations: 64", "of these the first so many; as in adapter_scores"),
        (f"longest: {draft.answer}", "tokens of an answer"),
        *(_bounds(draft) if draft.task == "four_class" else ()),
    ]


def _bounds(draft: Draft) -> Iterable[_Line]:
    asked = min(64, draft.held_out)
    allowed = {"f16": max(0.01, 1 / asked), "q8_0": max(0.02, 2 / asked), "q4_k_m": max(0.05, 3 / asked)}
    yield "bounds:", f"how far a file's accuracy may be from PyTorch's, where about {asked} are asked"
    yield from ((f"  {kind}: {_up(bound):g}", f"{kind}: {_ANSWERS[kind]}") for kind, bound in allowed.items())


_ANSWERS = {"f16": "one answer", "q8_0": "two answers", "q4_k_m": "three answers"}


def _up(value: float) -> float:
    return min(1.0, math.ceil(value * 1000) / 1000)


def summary(draft: Draft, made: Mapping[str, str]) -> list[str]:
    """What a person reads after it."""
    data, folder = draft.data, f"specs/{draft.name}"
    aside = sum(data.aside.values())
    return [
        f"data: {data.path}: {data.count:,} records, {data.format or 'our own names'}"
        + "".join(f"\n  {what}: {said}" for what, said in data.read_as.items()),
        f"  of the first {data.looked_at:,}: {data.labelled:.0%} name a class, {data.answered:.0%} have an answer, "
        f"{data.japanese:.0%} are Japanese" + (f"; {aside:,} cannot be used" if aside else ""),
        f"base: {draft.base.said}",
        f"task: {draft.task}: {_WHY_TASK[draft.task].format(data.labelled)}",
        f"written: {folder}/, {len(made)} files: {', '.join(made)}",
        f"next: write the data's terms into {folder}/raw.yaml, then doit profile={draft.name} raw",
    ]
