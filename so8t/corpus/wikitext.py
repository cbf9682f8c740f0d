"""Wikitext -> the text that a reader reads: no tables, files, footnotes, templates or categories.

Templates are other pages, which a dump does not fill in: those of languages and readings keep their words here.
"""

from __future__ import annotations

import re
from typing import Any

from so8t.errors import MissingExtra

_AWAY = ("ref", "references", "gallery", "table", "timeline", "imagemap", "score", "style", "script", "templatestyles")
_NOT_READ = ("file", "image", "category", "media", "ファイル", "画像", "カテゴリ", "メディア")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*")  # [[en:Mathematics]] is a link to another wiki
_SWITCH = re.compile(r"__[A-Z]+__|__[^\W_]+__")  # __NOTOC__, __目次非表示__
_BLANK = re.compile(r"[ \t]*\n(?:[ \t\u3000]*\n)+")
_HEADING = "\0"  # no text of XML holds one
_SHOWN = {"lang": 2, "仮リンク": 1, "ruby": 1, "ルビ": 1, "nowrap": 1}  # template -> the parameter that is read
_READING = ("読み仮名", "読み仮名 ruby不使用", "ふりがな")


def plain(text: str) -> str:
    try:
        import mwparserfromhell
    except ImportError:
        raise MissingExtra("mwparserfromhell", "collect", "reading a dump of MediaWiki") from None
    written = _SWITCH.sub("", _all(mwparserfromhell.parse(text)))
    lines = [line.strip() for line in _BLANK.sub("\n\n", written).split("\n")]
    return _BLANK.sub("\n\n", "\n".join(_with_content(lines))).strip()


def _with_content(lines: list[str]) -> list[str]:
    """Without headings behind which nothing is left, up to the next one that is as high."""
    kept: list[str] = []
    behind: int | None = 0  # the level of the heading that follows, 0 at the end; none where there is text between
    for line in reversed(lines):
        if line.startswith(_HEADING):
            level, _, title = line.removeprefix(_HEADING).partition(_HEADING)
            if behind is not None and behind <= int(level):
                continue
            behind = int(level)
            kept.append(title.strip())
        else:
            behind = None if line else behind
            kept.append(line)
    return kept[::-1]


def _all(code: Any) -> str:
    return "".join(_one(node) for node in code.nodes) if code is not None else ""


def _one(node: Any) -> str:
    return _READ[type(node).__name__](node)


def _link(node: Any) -> str:
    title = str(node.title).strip()
    space = title.partition(":")[0].strip().lower() if ":" in title else ""
    if space in _NOT_READ or _LANGUAGE.fullmatch(space):
        return ""
    return _all(node.text) if node.text is not None else title.removeprefix(":")


def _address(node: Any) -> str:
    if node.title is not None:
        return _all(node.title)
    return "" if node.brackets else str(node.url)


def _tag(node: Any) -> str:
    name = str(node.tag).strip().lower()
    if name in _AWAY:
        return ""
    return "\n" if name in ("br", "hr") else _all(node.contents)


def _template(node: Any) -> str:
    name = str(node.name).strip().lower()
    values = [_all(each.value).strip() for each in node.params if not each.showkey]
    if name in _READING and len(values) > 1:
        return f"{values[0]}（{values[1]}）"
    shown = 1 if name.startswith("lang-") else _SHOWN.get(name, 0)
    return values[shown - 1] if 0 < shown <= len(values) else ""


def _character(node: Any) -> str:
    try:
        return str(node.normalize())
    except ValueError:  # &#99999999;
        return str(node)


_READ = {
    "Text": lambda node: str(node.value),
    "Heading": lambda node: f"\n{_HEADING}{node.level}{_HEADING}{_all(node.title).strip()}\n",
    "Wikilink": _link,
    "ExternalLink": _address,
    "Tag": _tag,
    "Template": _template,
    "HTMLEntity": _character,
    "Comment": lambda node: "",
    "Argument": lambda node: "",
}
