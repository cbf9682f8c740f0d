"""The chat format as a spec names it: a preset, a declaration of one's own, or whatever the base's template says."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from so8t.formats.chat import PRESETS, ChatFormat
from so8t.formats.chat import Turn as ChatTurn
from so8t.spec.fields import SpecModel

AUTO = "auto"  # the name of a format that the base's own template will settle
Named = Literal["auto", "phi3", "chatml", "llama3", "mistral", "gemma"]


class Turn(SpecModel):
    """What stands around a message."""

    prefix: str = ""
    """Before it."""
    suffix: str = ""
    """Behind it; an assistant's begins with a stop token."""


class Declaration(SpecModel):
    """A chat format of one's own."""

    system: Turn
    """Around the system's message."""
    user: Turn
    """Around a user's message."""
    assistant: Turn
    """Around an answer."""
    generation: str
    """What asks for an answer, behind a user's message."""
    stop: tuple[str, ...] = Field(min_length=1)
    """Tokens that end an answer."""
    role_tokens: tuple[str, ...] = ()
    """Single tokens of the base in these texts; everything else in them is text."""
    system_in_user: bool = False
    """Whether the system's message stands in the first user's turn."""
    system_last: bool = False
    """With system_in_user: in the last user's turn instead."""
    default_system: str = ""
    """The system's message where there is none."""


def _kind(value: Any) -> str:
    return "own" if isinstance(value, (dict, Declaration)) else "named"


Chat = Annotated[Annotated[Named, Tag("named")] | Annotated[Declaration, Tag("own")], Discriminator(_kind)]


def chat_format(named: Named | Declaration) -> ChatFormat:
    """Beginning and end of a text are the base's own, which is not known here: a tiny base takes these."""
    if isinstance(named, Declaration):
        system, user, assistant = (
            ChatTurn(turn.prefix, turn.suffix) for turn in (named.system, named.user, named.assistant)
        )
        return ChatFormat(
            name="own",
            system=system,
            user=user,
            assistant=assistant,
            generation=named.generation,
            joiner="\n\n",
            stop=named.stop,
            bos="<s>",
            eos=named.stop[-1],
            role_tokens=named.role_tokens,
            system_in_user=named.system_in_user,
            system_last=named.system_last,
            default_system=named.default_system,
        )
    return replace(PRESETS["phi3"], name=AUTO) if named == AUTO else PRESETS[named]
