"""What a sentence pattern is: a template whose braces hold alternatives, and the domain that it belongs to.

`{有給休暇|育児休業}の締め切り{tell}`: alternatives stand in the braces themselves; a name means a list of `slots`.
"""

from __future__ import annotations

from typing import NamedTuple


class Pattern(NamedTuple):
    intent: str
    template: str
    answer: str = ""
    """Only ALLOW patterns bring their own: one answer cannot help with every question."""


class Domain(NamedTuple):
    name: str
    key: str
    desk: str
    """Who takes over, or whom to ask."""
    trained: tuple[Pattern, ...]
    """Four of each class, for training and `test_known`."""
    novel: tuple[Pattern, ...]
    """One of each class, for `test_novel` alone."""
