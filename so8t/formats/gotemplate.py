"""Ollama's TEMPLATE, derived from the two declarations: the chat format's turns, the thinking format's parts.

Ollama separates thinking from content at one opening and one closing text, which it finds around `.Thinking`.
Our thinking has three parts with tags of their own, so it opens with what those tags share and closes with the
marker of the final part: `message.thinking` is `task>...</think-task>...</think-policy>`, and `message.content` is
the final part.  A history with both renders exactly as the model wrote it.

A request with `think: false` gets the final part's opening at the end of its prompt.  A model that never learned to
go on from there would write its thinking into the answer, so its TEMPLATE names a field there that Ollama does not
have: Ollama answers with status 500, and no text leaves.
"""

from __future__ import annotations

import json
from itertools import takewhile

from so8t.errors import StageError
from so8t.formats.chat import ChatFormat
from so8t.formats.goeval import JOINER
from so8t.formats.thinking import ThinkingFormat

CLOSED = "{{ .ThisModelAlwaysThinks }}"


def template(chat: ChatFormat, thinking: ThinkingFormat | None, direct: bool = True) -> str:
    """Without a format that thinks Ollama shows all that the model writes; `direct`: it learned to answer directly."""
    if chat.joiner != JOINER:
        raise StageError(f"chat format {chat.name}: Ollama joins messages with {JOINER!r}, not with {chat.joiner!r}")
    user, assistant = chat.user, chat.assistant
    answer, begun = _answer(thinking, direct, _text(chat.lead))
    before, inside = _system(chat)
    return "".join(
        (
            before,
            "{{- range $i, $_ := .Messages }}{{- $last := eq (len (slice $.Messages $i)) 1 }}",
            '{{- if eq .Role "user" }}' + _text(user.prefix) + inside + "{{ .Content }}" + _text(user.suffix),
            '{{ else if eq .Role "assistant" }}' + _text(assistant.prefix) + answer + _text(assistant.suffix),
            '{{ end }}{{- if and $last (eq .Role "user") }}' + _text(chat.generation) + begun + "{{ end }}{{- end }}",
        )
    )


def _system(chat: ChatFormat) -> tuple[str, str]:
    """What stands before all messages, and what stands in the first user's."""
    first, last, default = _text(chat.system.prefix), _text(chat.system.suffix), _text(chat.default_system)
    if chat.system_in_user:
        instead = f"{{{{ if not $system }}}}{{{{ $system = {_go(default)} }}}}{{{{ end }}}}" if default else ""
        taken = "{{- $system := .System }}" + instead
        if chat.system_last:
            printed = f"{{{{ if and $system (eq $i $at) }}}}{first}{{{{ $system }}}}{last}{{{{ end }}}}"
            return taken + _LAST, printed
        return taken, f'{{{{ if $system }}}}{first}{{{{ $system }}}}{last}{{{{ $system = "" }}}}{{{{ end }}}}'
    otherwise = f"{{{{ else }}}}{first}{default}{last}" if default else ""
    return f"{{{{- if .System }}}}{first}{{{{ .System }}}}{last}{otherwise}{{{{ end }}}}", ""


_LAST = '{{- $at := 0 }}{{- range $i, $_ := .Messages }}{{- if eq .Role "user" }}{{- $at = $i }}{{- end }}{{- end }}'


def _go(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def opening(thinking: ThinkingFormat) -> str:
    """What every answer begins with: a shared beginning of tags, or the first heading's line."""
    if thinking.whole_lines:
        return thinking.parts[0].open.split("\n")[0] + "\n"
    columns = zip(*(part.open for part in thinking.parts[:-1]), strict=False)
    shared = takewhile(lambda letters: len(set(letters)) == 1, columns)
    return "".join(letters[0] for letters in shared)


def _answer(thinking: ThinkingFormat | None, direct: bool, lead: str) -> tuple[str, str]:
    """An assistant's message, and what the answer begins with when the request says `think: false`."""
    if thinking is None or not thinking.thinks:
        return "{{ .Content }}", ""
    first, last, final = _text(opening(thinking)), _text(thinking.closing), thinking.parts[-1]
    there = ".Thinking" if thinking.history else "and .Thinking $last"
    thought = f"{{{{ if {there} }}}}{first}{{{{ .Thinking }}}}{last}{{{{ else }}}}{_text(final.open)}{{{{ end }}}}"
    begun, end = lead + _text(thinking.skipped) if direct else CLOSED, _text(final.close)
    return thought + "{{ .Content }}" + end, "{{ if and $.IsThinkSet (not $.Think) }}" + begun + "{{ end }}"


def _text(text: str) -> str:
    if "{{" in text or "}}" in text:
        raise StageError(f"chat format: {text!r} cannot stand in a Go template; Ollama's braces would read it")
    return text
