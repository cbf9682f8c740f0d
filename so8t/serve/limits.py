"""Who may ask, and how many at once: bearer tokens in constant time, slots with a bounded queue."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path

from so8t.errors import UserError
from so8t.serve.problem import Problem


@dataclass(frozen=True)
class Token:
    name: str
    digest: str  # SHA-256 in hex: the file does not hold what it guards
    ends: date | None


def _today() -> date:
    return datetime.now(timezone.utc).date()


class Tokens:
    """Every request is compared with every token, so that time tells neither which one was near nor which exist."""

    def __init__(self, tokens: tuple[Token, ...], today: Callable[[], date] = _today) -> None:
        self._tokens, self._today = tokens, today

    def check(self, authorization: str | None) -> str:
        """The name of the token's owner, or a Problem."""
        scheme, _, given = (authorization or "").partition(" ")
        if scheme.casefold() != "bearer" or not given.strip():
            raise Problem("no-token")
        digest = hashlib.sha256(given.strip().encode("utf-8", "surrogateescape")).hexdigest()
        found = [token for token in self._tokens if hmac.compare_digest(token.digest, digest)]
        if not found:
            raise Problem("unknown-token")
        if all(token.ends is not None and token.ends <= self._today() for token in found):
            raise Problem("expired-token")
        return found[0].name


def read_tokens(path: Path) -> tuple[Token, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"serve.tokens: {path.name} cannot be read: {error.__class__.__name__}") from None
    tokens = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith("#"):
            tokens.append(_token(line.split(), f"{path.name}:{number}"))
    if not tokens:
        raise UserError(f"{path.name}: no token in it; a line is: name SHA-256-in-hex [2027-04-01]")
    return tuple(tokens)


def _token(words: list[str], where: str) -> Token:
    if len(words) not in (2, 3) or not re.fullmatch(r"[0-9a-f]{64}", words[1]):
        raise UserError(f"{where}: a token's line is: name SHA-256-in-hex [2027-04-01]")
    try:
        return Token(words[0], words[1], date.fromisoformat(words[2]) if len(words) == 3 else None)
    except ValueError:
        raise UserError(f"{where}: a token ends on a date such as 2027-04-01") from None


class Slots:
    """At most so many at work, so many waiting in turn, everyone else is told to come back."""

    def __init__(self, slots: int, queue: int, longest_wait: float) -> None:
        self._free, self._queue, self._longest_wait = slots, queue, longest_wait
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        return self._free

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def take(self) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        if len(self._waiting) >= self._queue:
            raise self._busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await asyncio.wait({turn}, timeout=self._longest_wait)
        except asyncio.CancelledError:
            self._leave(turn)
            raise
        if not turn.done():
            self._leave(turn)
            raise self._busy()

    def give(self) -> None:
        """A slot is free again: the longest waiting one takes it over."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if turn.done():
            self.give()  # it was this one's turn already
        else:
            self._waiting.remove(turn)

    def _busy(self) -> Problem:
        seconds = max(1, round(self._longest_wait / 10))
        return Problem("busy", headers={"Retry-After": str(seconds)})
