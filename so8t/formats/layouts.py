"""The thinking formats, as data: parts in order with their markers, and the fields of what is shown.

A format that is `classed` names one of the four classes in its final part; a plain one shows an answer alone.
A streaming server, a grammar and templates derive from the same declaration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Part:
    """`open` + text + `close`; the last part is called final."""

    name: str
    open: str
    close: str


@dataclass(frozen=True)
class FinalField:
    """One entry of the final part: its key, then its text; each starts a line."""

    name: str
    key: str


@dataclass(frozen=True)
class ThinkingFormat:
    """`markers` are structure (with `whole_lines`, only as a whole line); `reserved` belongs to chat formats.

    `history`: thinking stands in earlier answers of a conversation; else a template drops it from them.
    `spaced`: the base's vocabulary reads spaces before texts, so that an answer may begin with one.
    """

    name: str
    parts: tuple[Part, ...]
    fields: tuple[FinalField, ...]
    markers: tuple[str, ...]
    whole_lines: bool
    reserved: tuple[str, ...]
    history: bool = True
    spaced: bool = False

    @property
    def classed(self) -> bool:
        """Whether the final part says a class, a confidence and a reason before the answer."""
        return len(self.fields) > 1

    @property
    def thinks(self) -> bool:
        """Whether an answer has anything before its final part."""
        return len(self.parts) > 1

    @property
    def tokens(self) -> tuple[str, ...]:
        """Markers that have tokens of their own: none where whole lines are the marks, or where nothing is thought."""
        return self.markers if self.thinks and not self.whole_lines else ()

    @property
    def closing(self) -> str:
        """The last marker before what is shown, and all that stands behind it."""
        return self.parts[-1].open or (self.parts[-2].close.lstrip("\n") if self.thinks else "")

    @property
    def skipped(self) -> str:
        """What an answer begins with that is given without thinking: its final part's opening, or empty thinking."""
        return self.parts[-1].open or "".join(part.open + part.close for part in self.parts[:-1])


FIELDS = (
    FinalField("label", "判定: "),
    FinalField("confidence", "確信度: "),
    FinalField("reason", "理由: "),
    FinalField("answer", "回答: "),
)
ANSWER = (FinalField("answer", ""),)
RESERVED = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<s>", "</s>", "<unk>")
TAGS = ThinkingFormat(
    name="tags",  # as artifacts have called `quadruple` from the first release on
    parts=(
        Part("task", "<think-task>", "</think-task>"),
        Part("safety", "<think-safety>", "</think-safety>"),
        Part("policy", "<think-policy>", "</think-policy>"),
        Part("final", "<final>", "</final>"),
    ),
    fields=FIELDS,
    markers=tuple(
        f"<{slash}{tag}>" for tag in ("think-task", "think-safety", "think-policy", "final") for slash in ("", "/")
    ),
    whole_lines=False,
    reserved=RESERVED,
)
HEADINGS = ThinkingFormat(
    name="headings",
    parts=(
        Part("task", "# 思考ステップ\n## 課題\n", "\n"),
        Part("safety", "## 安全性\n", "\n"),
        Part("policy", "## 方針\n", "\n"),
        Part("final", "# 最終回答\n", ""),
    ),
    fields=FIELDS,
    markers=("# 思考ステップ", "## 課題", "## 安全性", "## 方針", "# 最終回答"),
    whole_lines=True,
    reserved=RESERVED,
)
TWO_HEADINGS = replace(
    HEADINGS,
    name="two_headings",
    parts=(Part("thinking", "# 思考ステップ\n", "\n"), Part("final", "# 最終回答\n", "")),
    fields=ANSWER,
    markers=("# 思考ステップ", "# 最終回答"),
)
THINK = ThinkingFormat(
    name="think",
    parts=(Part("thinking", "<think>\n", "\n</think>\n\n"), Part("final", "", "")),
    fields=ANSWER,
    markers=("<think>", "</think>"),
    whole_lines=False,
    reserved=RESERVED,
)
NONE = replace(
    THINK, name="none", parts=THINK.parts[-1:]
)  # a base's own thinking breaks it, as any other text does not

FORMATS = {"quadruple": TAGS, "headings": HEADINGS}  # of the four classes, by the names that a spec gives them
PLAIN = {"think": THINK, "headings": TWO_HEADINGS, "none": NONE}  # of conversations as they are
ALL = (TAGS, HEADINGS, TWO_HEADINGS, THINK, NONE)


def reserving(fmt: ThinkingFormat, tokens: Iterable[str]) -> ThinkingFormat:
    """The same format, to which these tokens of a chat format are structure, too."""
    return replace(fmt, reserved=tuple(dict.fromkeys((*fmt.reserved, *filter(None, tokens)))))


def dropping(fmt: ThinkingFormat) -> tuple[str, str]:
    """Where a template drops thinking from earlier answers: at which text it parts them, and what of that stays."""
    return ("", "") if fmt.history else (fmt.closing, fmt.parts[-1].open)


def to_json(fmt: ThinkingFormat) -> dict[str, Any]:
    """What is as usual about history and spaces is left out."""
    usual = {"history": True, "spaced": False}
    return {key: value for key, value in asdict(fmt).items() if key not in usual or value != usual[key]}


def from_json(value: dict[str, Any]) -> ThinkingFormat:
    return ThinkingFormat(
        name=value["name"],
        parts=tuple(Part(**part) for part in value["parts"]),
        fields=tuple(FinalField(**field) for field in value["fields"]),
        markers=tuple(value["markers"]),
        whole_lines=value["whole_lines"],
        reserved=tuple(value["reserved"]),
        history=value.get("history", True),
        spaced=value.get("spaced", False),
    )
