"""Hostile outputs of any thinking format: what a model does that loses its place, made from the declaration alone."""

from __future__ import annotations

from so8t.formats.layouts import ALL, THINK, ThinkingFormat
from so8t.formats.thinking import Final, Plain, Said, Thinking, compose
from tests.attacks.leaks.cases import ANSWER, QUESTION, SECRET, Case


def said(fmt: ThinkingFormat, answer: str = ANSWER) -> Said:
    if fmt.classed:
        return Thinking(f"{SECRET}一", f"二{SECRET}", SECRET * 3, Final("ALLOW", 0.9, "理由", answer))
    return Plain((f"一{SECRET}\n二{SECRET}",) * (len(fmt.parts) - 1), answer)


def cases(fmt: ThinkingFormat) -> list[Case]:
    """`none` has no thinking of its own: there the thinking is what its base may have learned, `think`'s."""
    whole, marked = compose(said(fmt), fmt), fmt if fmt.thinks else THINK
    start = len(compose(said(marked, ""), marked)) - len(_last(marked))
    thought = compose(said(marked, ""), marked)[:start]  # all before the final part
    opener = marked.parts[0].open
    inside = thought if not fmt.whole_lines else f"\n{thought}\n"
    shown = whole.removeprefix(thought)
    found = [
        Case("as it should be", "", whole, ANSWER),
        Case("thinking inside the answer", "", whole.replace("月末", f"月末{inside}")),
        Case("thinking behind the answer", "", f"{whole}{inside}"),
        Case("thinking that nothing ends", "", f"{whole}{inside[: inside.rindex(SECRET) + 1]}"),
        Case("markers that the answer mentions", "", compose(said(fmt, f"a\n{opener}{SECRET}"), fmt)),
        Case("thinking twice", "", f"{thought}{thought}{shown}"),
        *(
            Case(f"thinking as {other.name}", "", whole.replace("月末", f"月末{_of(other)}"))
            for other in ALL
            if other.thinks
        ),
        *(Case(f"in disguise: {dress}", "", whole.replace("月末", f"月末{dress}")) for dress in _disguised(marked)),
    ]
    if not fmt.thinks:
        return [*found, Case("thinking first", "", f"{thought}{whole}")]
    return [
        *found,
        Case("the opener was prefilled", "llama.cpp 23320", whole.removeprefix(opener)),
        Case("the opener was prefilled in part", "llama.cpp 23320", whole[3:]),
        Case("the end of the thinking alone", "Ollama 18044", f"{SECRET}{marked.parts[-2].close}{shown}"),
        Case("the answer alone, where thinking was asked for", "llama.cpp 27134", f"{shown}{SECRET}"),
        Case("a marker in the thinking", "vLLM PR 53924", whole.replace("一", f"\n{marked.markers[0]}\n", 1)),
        Case("no end of the thinking", "exo PR 2001", thought[:-4]),
        Case("the most tokens in the thinking", "exo PR 2001", thought[:-4], "", ended="length"),
        Case("the most tokens in the answer", "exo PR 2001", whole.partition("月末")[0], "締め切りは", ended="length"),
        Case(
            "an earlier answer left it open",
            "vLLM 39885",
            whole,
            ANSWER,
            (QUESTION, {"role": "assistant", "content": f"{opener}{SECRET}"}, QUESTION),
        ),
    ]


def _last(fmt: ThinkingFormat) -> str:
    """The final part of an empty answer."""
    fields = "\n".join(field.key + text for field, text in zip(fmt.fields, said(fmt, "").fields, strict=True))
    return fmt.parts[-1].open + fields + fmt.parts[-1].close


def _of(fmt: ThinkingFormat) -> str:
    """Thinking as this format has it, on lines of its own."""
    whole = compose(said(fmt), fmt)
    return f"\n{whole[: whole.rindex(SECRET) + 1]}"


def _disguised(fmt: ThinkingFormat) -> list[str]:
    if fmt.whole_lines:
        return [f"\n{line}\n{SECRET}" for line in ("＃ 思考ステップ", "#\u3000思考ステップ ", "# 思\u200b考ステップ")]
    name = fmt.markers[0].strip("<>")
    return [
        f"{tag}{SECRET}"
        for tag in (
            f"<{name.upper()}>",
            f"＜{name}＞",
            f"< {name} >",
            f"<\\{name}>",
            "\u200b".join(f"<{name}>"),
            f"<{name.replace('i', 'і')}>",
        )
    ]
