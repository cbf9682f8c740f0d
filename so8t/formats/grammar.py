"""A GBNF grammar of the thinking format, from its declaration: what it admits, split() reads.

Free text must not hold structure, which no grammar can say in one line: an automaton over the forbidden strings
(Aho and Corasick) says it in one rule for each beginning of one.  Every output of compose() is admitted, but for
texts with a NUL, which llama.cpp lets no grammar have.
With `longest`, each text has about so many units at most (a character, or the beginning of a marker and the
character that makes it none), so that generation ends whatever the model prefers; else a text may go on for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from so8t.formats.records import LABELS
from so8t.formats.thinking import ThinkingFormat

CHAIN = 4  # different beginnings of markers one behind another in a unit, such as <t</
RUN = 16  # the same one again, such as <<<<<<< or empty lines
SPACES = 2  # before all: one that SentencePiece reads before a text, and one of the chat format's
CHUNK = 64  # llama.cpp writes every repetition out: long ones in two steps
_NOTHING = '""'


def grammar(fmt: ThinkingFormat, longest: int | None = None) -> str:
    """`root` is a whole answer, which its end-of-turn token must follow."""
    inner, final = _texts(fmt)
    rules = [f"root ::= {' '.join(_root(fmt, inner.name, final.name))}"]
    if fmt.classed:
        rules.append("label ::= " + " | ".join(_literal(label) for label in LABELS))
        rules.append('confidence ::= "0." [0-9] [0-9] | "1.00"')
    for automaton in dict.fromkeys((inner, final) if fmt.thinks else (final,)):
        rules += _unbounded(automaton) if longest is None else _bounded(automaton, longest)
    return "\n".join(rules) + "\n"


def _texts(fmt: ThinkingFormat) -> tuple[Automaton, Automaton]:
    """The inner parts' texts, and those of reason and answer, which do not begin a line."""
    answer = (f"\n{fmt.fields[-1].key}",) if fmt.classed else ()
    if not fmt.whole_lines:
        text = Automaton("text", (*fmt.markers, *fmt.reserved, *answer), "")
        return text, text
    lines = (*(f"\n{marker}\n" for marker in fmt.markers), *fmt.reserved)
    return Automaton("inner", lines, "\n"), Automaton("final", (*lines, *answer), "" if answer else "\n")


def _root(fmt: ThinkingFormat, inner: str, final: str) -> Iterator[str]:
    if fmt.spaced:
        yield f'" "{{0,{SPACES}}}'
    for part in fmt.parts[:-1]:
        yield from (_literal(part.open), inner, _literal(part.close))
    last = fmt.parts[-1]
    yield from filter(None, [last.open and _literal(last.open)])
    if fmt.spaced and fmt.classed and not fmt.whole_lines:
        yield '" "?'  # behind a marker's token
    for number, (field, rule) in enumerate(zip(fmt.fields, _rules(fmt, final), strict=True)):
        yield from filter(None, [field.key and _literal("\n" * bool(number) + field.key)])
        yield rule
    if last.close:
        yield _literal(last.close)


def _rules(fmt: ThinkingFormat, text: str) -> tuple[str, ...]:
    """What each field of the final part is."""
    return ("label", "confidence", text, text) if fmt.classed else (text,)


@dataclass(frozen=True)
class Automaton:
    """Its states are the beginnings of forbidden strings; a text is in the longest one that it ends with."""

    name: str
    forbidden: tuple[str, ...]
    start: str

    def states(self) -> list[str]:
        return sorted({word[:length] for word in self.forbidden for length in range(len(word))})

    def follow(self, state: str, letter: str) -> str | None:
        """The next state; None if a forbidden string would be complete."""
        text = state + letter
        if text.endswith(self.forbidden):
            return None
        ends = (text[at:] for at in range(len(text) + 1))
        return next(end for end in ends if end == "" or any(word.startswith(end) for word in self.forbidden))

    def steps(self, state: str) -> tuple[list[tuple[str, str]], str]:
        """Letters that lead into a state, and all letters after which the text is not in the first state."""
        letters = sorted({word[len(end)] for end in self._ends(state) for word in self._words(end)})
        found = [(letter, self.follow(state, letter)) for letter in letters]
        return [(letter, to) for letter, to in found if to], "".join(letter for letter, to in found if to != "")

    def may_end(self, state: str) -> bool:
        """A marker of a whole line ends with its line, which may be the end of the text."""
        return self.follow(state, "\n") is not None

    def _ends(self, state: str) -> list[str]:
        return [state[at:] for at in range(len(state) + 1)]

    def _words(self, beginning: str) -> list[str]:
        return [word for word in self.forbidden if word.startswith(beginning) and word != beginning]


def _unbounded(automaton: Automaton) -> list[str]:
    """One rule for each state: what may come next, and whether the text may end here."""
    names = _names(automaton, automaton.name)
    rules = [f"{automaton.name} ::= {names[automaton.start]}"]
    for state, name in names.items():
        steps, others = automaton.steps(state)
        choices = [f"{_literal(letter)} {names[to]}" for letter, to in steps]
        choices.append(f"[^{_class(others)}] {names['']}")
        rules.append(_rule(name, choices, automaton.may_end(state)))
    return rules


def _bounded(automaton: Automaton, longest: int) -> list[str]:
    """A text is units and a tail: a unit leaves the first state and comes back to it, a tail does not come back."""
    name, start = automaton.name, automaton.start
    unit, tail = f"{name}-unit", f"{name}-tail"
    chunks = longest // CHUNK  # any number of whole ones, then less than one more
    units = f"({unit}{{{CHUNK}}}){{0,{chunks}}} {unit}{{0,{CHUNK - 1}}}" if chunks else f"{unit}{{0,{longest}}}"
    text = f"{units} {tail}"
    if start:
        text = f"{_names(automaton, unit, 1)[start]} {text} | {_names(automaton, tail, 1)[start]}"
    return [f"{name} ::= {text}", *_paths(automaton, unit, returns=True), *_paths(automaton, tail, returns=False)]


def _paths(automaton: Automaton, prefix: str, returns: bool) -> Iterator[str]:
    """The rules of units or tails.  A text that begins another marker within one goes on in the next copy."""
    first, others = automaton.steps("")
    into = _names(automaton, prefix, 1)
    choices = [f"{_literal(letter)} {into[to]}" for letter, to in first]
    yield _rule(prefix, choices + [f"[^{_class(others)}]"] * returns, not returns)
    for chain in range(1, CHAIN + 1):
        here, after = _names(automaton, prefix, chain), _names(automaton, prefix, chain + 1)
        if chain == CHAIN:
            after.clear()
            if not returns:  # a whole line's marker must not end a text, and here nothing could follow it
                here = {state: name for state, name in here.items() if automaton.may_end(state)}
        for state in [state for state in here if state]:
            steps, others = automaton.steps(state)
            onward = [(letter, here[to]) for letter, to in steps if to == state + letter and to in here]
            onward += [(letter, after[to]) for letter, to in steps if to in after and to not in (state, state + letter)]
            choices = [f"{_literal(letter)} {name}" for letter, name in onward] + [f"[^{_class(others)}]"] * returns
            again = next((letter for letter, to in steps if to == state), None)  # such as << or an empty line
            if again is None:
                yield _rule(here[state], choices, not returns and automaton.may_end(state))
            else:
                run = f"{_literal(again)}{{0,{RUN}}}"
                yield f"{here[state]} ::= {run} ({' | '.join(choices + [_NOTHING] * (not returns))})"


def _names(automaton: Automaton, prefix: str, chain: int = 0) -> dict[str, str]:
    """The name of each state's rule."""
    copy = f"-{chain}" if chain else ""
    return {state: f"{prefix}{copy}-{number}" for number, state in enumerate(automaton.states())}


def _rule(name: str, choices: Sequence[str], empty: bool) -> str:
    return f"{name} ::= " + " | ".join([*choices, _NOTHING] if empty else choices)


def _literal(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _class(letters: str) -> str:
    """Letters for a class of characters, where some of them have a meaning."""
    return "".join(f"\\x{ord(letter):02X}" if letter in "\\]-^[\n" else letter for letter in letters)
