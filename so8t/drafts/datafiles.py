"""The lines of a drafted profile about its data."""

from __future__ import annotations

import math

from so8t.corpus.pii import KINDS
from so8t.drafts.draft import LARGE, Draft, Line, text


def profile(draft: Draft) -> list[Line]:
    what = f"{draft.data.path} on {draft.base.name if draft.own else 'a tiny base that is trained here'}"
    return [
        ("extends: tiny", "every value that no file here gives comes from specs/tiny"),
        (f"task: {draft.task}", WHY_TASK[draft.task].format(draft.data.labelled)),
        ("description: " + text(what), "what the profile is for, in your words"),
    ]


WHY_TASK = {
    "four_class": "{:.0%} of the records name a class; chat would learn the conversations as they are",
    "chat": "{:.0%} of the records name a class, so conversations are learned as they are; four_class would judge them",
}


def raw(draft: Draft) -> list[Line]:
    data = draft.data
    lines = [
        ("sources:", "where the records come from; add more of them below"),
        ("  - name: " + text(draft.name), "how provenance and reports call this one"),
        (
            f"    paths: [{text(data.path)}]",
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


def cleaned(draft: Draft) -> list[Line]:
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
        ("pii:", "personal data that give way to placeholders"),
        (f"  kinds: [{', '.join(KINDS)}]", "every kind that there is; specs/tiny looks for fewer"),
        ("max_dropped: 0.5", "more than this share dropped fails the build and says what took them"),
    ]


def thinking_sft(draft: Draft) -> list[Line]:
    lines = _talks(draft) if draft.task == "chat" else []
    if draft.own:
        chat = "auto" if draft.base.template else "phi3"
        why = (
            "the base's own template, found and proven"
            if draft.base.template
            else "the base has no template of its own"
        )
        lines += [(f"chat: {chat}", why), _direct(draft)]
    return [
        *lines,
        ("fractions:", "shares of the held-out splits"),
        (f"  validation: {draft.share:g}", f"watches training: about {draft.held_out} of {draft.data.count:,} records"),
        (f"  test: {draft.share:g}", "is asked at the end, and never learned"),
    ]


def _direct(draft: Draft) -> Line:
    if draft.base.parameters >= LARGE:
        return "direct: 0.2", "the share that is learned without thinking, too"
    return "direct: 0", "a small base cannot learn both; think: false gives an error, then"


def _talks(draft: Draft) -> list[Line]:
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
