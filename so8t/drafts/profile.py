"""A profile for a file of data and a base, as the text of its files: every line says why it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from so8t.drafts import datafiles, trainfiles
from so8t.drafts.draft import Draft, Line, text


def files(draft: Draft) -> dict[str, str]:
    """File -> its text."""
    made = {
        "profile": datafiles.profile(draft),
        "raw": datafiles.raw(draft),
        "cleaned": datafiles.cleaned(draft),
        "thinking_sft": datafiles.thinking_sft(draft),
        "base_model": trainfiles.base_model(draft),
        **({"so8t_model": trainfiles.so8t_model(draft)} if draft.own else {}),
        "adapter": trainfiles.adapter(draft),
        "adapter_scores": trainfiles.scores(draft),
        "merged_model": trainfiles.parity("with the base and the adapter beside each other"),
        "baked_model": trainfiles.parity("with the merged model and its gates"),
        "gguf": trainfiles.gguf(draft),
        "evaluation": trainfiles.evaluation(draft),
        "serve": [("name: " + text(draft.name), "how the server calls the model")],
        "ollama": [("model: " + text(draft.name), "how Ollama calls the model")],
    }
    return {f"{name}.yaml": _written(name, lines) for name, lines in made.items()}


def _written(name: str, lines: Iterable[Line]) -> str:
    found = list(lines)
    width = min(60, max(len(line) for line, _ in found))
    body = "".join(f"{line:<{width}}  # {why}\n" for line, why in found)
    return f"# yaml-language-server: $schema=../schema/{name}.json\n{body}"


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
        f"task: {draft.task}: {datafiles.WHY_TASK[draft.task].format(data.labelled)}",
        f"written: {folder}/, {len(made)} files: {', '.join(made)}",
        f"next: write the data's terms into {folder}/raw.yaml, then doit profile={draft.name} raw",
    ]
