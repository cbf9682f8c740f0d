"""Everything that can go wrong because of the world outside the code.

UserError               printed as it is, without a traceback; anything else is a bug
├── SpecError           a spec file: every problem of every file, each with file:line:column
├── DataError           a record: file, line and reason
├── StageError          a stage cannot be built: what is missing, what to do
│   └── Missed          it was built whole, and is not as good as the spec asks: nobody reads it, but people may
└── MissingExtra        an optional package: the line that installs it
"""

from __future__ import annotations


class UserError(Exception):
    """Something that the user can mend; the message says where, what, and what to do."""


class SpecError(UserError):
    """One or more problems in spec files."""


class DataError(UserError):
    """A record or a data file that cannot be used."""


class StageError(UserError):
    """A stage cannot be built; a message that begins with a key (`lora.targets: ...`) is shown at the key's line."""


class Missed(StageError):
    """A result missed a bound of quality; raised when all of it is written, so that its figures can be looked at."""


class MissingExtra(UserError):
    """A package of an optional extra is not installed."""

    def __init__(self, package: str, extra: str, why: str) -> None:
        super().__init__(f"{why} needs {package}: pip install 'so8t[{extra}]'")
