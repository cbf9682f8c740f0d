"""Direct answers: the final part alone, from a prompt that ends in its opening; nothing is thought before it.

That is what a request with `think: false` asks for.  Where the final part has no opening of its own, the prompt ends
in thinking that is empty.  Either belongs to the prompt, so it is never learned:
whoever writes an answer from nothing thinks first.
"""

from __future__ import annotations

from collections.abc import Sequence

from so8t.formats import thinking as think
from so8t.formats.chat import Message
from so8t.formats.thinking import ThinkingFormat


def prefill(fmt: ThinkingFormat) -> str:
    """With what the prompt begins the answer."""
    return fmt.skipped


def answered(messages: Sequence[Message], fmt: ThinkingFormat, before: Sequence[Message] = ()) -> list[Message]:
    """The same conversation, whose last answer is the final part alone; `before` are turns in front of its own."""
    *said, last = messages
    system = next((at for at, message in enumerate(said) if message["role"] != "system"), len(said))
    final = think.final_part(last["content"], fmt).removeprefix(fmt.parts[-1].open)
    return [*said[:system], *before, *said[system:], {**last, "content": prefill(fmt) + final}]
