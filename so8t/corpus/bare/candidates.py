"""Where in a text a name of a person might stand, by words alone, and what speaks for and against each word.

A candidate is a run of one script, or a part of one, that a list has as a family name, a given name or both together.
Its marks say what the word is, never what stands around it; they are the same wherever the word stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from so8t.corpus.bare import inkana, inkanji
from so8t.corpus.bare.candidate import Candidate
from so8t.corpus.namelists import KANJI

_RUN = re.compile(
    f"(?P<mixed>(?:(?<![ァ-ヴー])[ァ-ヴ]{{1,3}}|(?<![ぁ-ん])[ぁ-ん]{{2}})[子江代枝美吉恵世](?![{KANJI}](?<!様)))"
    f"|(?P<kanji>[{KANJI}]+(?:[ノツ][{KANJI}]+)?)|(?P<hiragana>[ぁ-んー]{{2,}})"
    "|(?P<katakana>[ァ-ヴー]{2,}(?:[・=][ァ-ヴー]{2,})*)|(?P<half>[ｦ-ﾟ]{2,})"
    r"|(?P<latin>(?<![A-Za-z0-9._/#-])[A-Za-z][a-zà-ÿA-Z]{1,11}(?:[ ][A-Z][a-zà-ÿA-Z-]{1,11}){0,2}"
    r"(?![A-Za-z0-9@_/-]|\.[A-Za-z]))"
)
_SPACES = frozenset(" ・･")


def candidates(text: str) -> Iterator[tuple[int, Candidate]]:
    """With where its run begins; of a folded text whose characters have their common forms (`namelists.plain`)."""
    for run in _RUN.finditer(text):
        start, written, script = run.start(), run[0], str(run.lastgroup)
        for one in of_run(script, written):
            yield start, one
        if script == "kanji":
            for one in inkanji.with_behind(written, text[run.end() : run.end() + 9]):
                yield start, one
        elif text[run.end() : run.end() + 1] in _SPACES and script in inkana.SAME_BEHIND:
            for one in inkana.with_same(script, written, text[run.end() : run.end() + 9]):
                yield start, one


@lru_cache(maxsize=1 << 15)
def of_run(script: str, run: str) -> tuple[Candidate, ...]:
    return tuple(_OF[script](run))


_OF = {
    "mixed": inkana.of_mixed,
    "kanji": inkanji.of_run,
    "hiragana": inkana.of_hiragana,
    "katakana": inkana.of_katakana,
    "half": inkana.of_half,
    "latin": inkana.of_latin,
}
