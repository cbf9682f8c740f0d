"""doit recheck: the sites of raw's records are asked again; a new no takes its records out at the next build."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from doit.exceptions import InvalidCommand

from so8t.commands.release import check_order
from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.errors import UserError

if TYPE_CHECKING:
    from so8t.engine.plan import Plan
    from so8t.release.recall import Recall
    from so8t.web.asking import Finding

_TOKEN = re.compile(r"[A-Za-z_-]+")


class Recheck(TaskCommand):
    name = "recheck"
    doc_purpose = "ask the sites of raw's records again what they permit, and keep every new no"
    doc_usage = "[RELEASE ...]"
    doc_description = (
        "Reads robots.txt and the opt-out signals of every URL in use, in the name of the profile's crawl and with "
        "its pause, unless options say otherwise. A new no goes to the file that raw.refusals "
        "names, so that the next doit leaves its records out. Files that were handed over with such records are "
        "listed, from the store, from release/ and from the folders that are named. "
        "Exit code 0 if no site says no, 1 if one does, 2 if none does and one could not be asked."
    )
    cmd_options = (
        {"name": "agent", "long": "agent", "type": str, "default": None, "help": "your crawler's name in robots.txt"},
        {"name": "contact", "long": "contact", "type": str, "default": None, "help": "an address for its operators"},
        {"name": "noindex", "long": "noindex", "type": bool, "default": False, "help": "noindex is a no, too"},
        {"name": "pause", "long": "pause", "type": float, "default": None, "help": "least seconds between requests"},
    )

    def _execute(
        self,
        pos_args: list[str],
        agent: str | None = None,
        contact: str | None = None,
        noindex: bool = False,
        pause: float | None = None,
    ) -> int:
        from so8t.release import recall
        from so8t.web import refusals

        check_order("recheck", pos_args)
        plan = current_graph().plan
        manner = manner_of(plan, agent, contact, noindex, pause)
        try:
            urls = recall.in_use(plan.layout, plan.store)
            path, named = refusals_file(plan)
            known = refusals.read(path) if path.exists() else {}
            found = []
            for finding in asked([url for url in sorted(urls) if url not in known], manner):
                self.outstream.write(line(finding))
                found.append(finding)
                if finding.outcome == "no":  # kept at once: asking many sites takes hours
                    known = refusals.add(path, known, [refusals.Refusal(finding.url, _today(), finding.said)])
            held = recall.recall(plan.store, known, recall.releases(plan.layout.project, pos_args))
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        self.outstream.writelines(f"{each}\n" for each in report(plan, urls, found, path, named, held))
        outcomes = {one.outcome for one in found}
        return 1 if "no" in outcomes else 2 if "not asked" in outcomes else 0


@dataclass(frozen=True)
class Manner:
    """In whose name sites are asked, how slowly, and what counts as a no."""

    agent: str
    contact: str
    pause: float
    refusals: frozenset[str]
    vocabularies: frozenset[str]


def manner_of(plan: Plan, agent: str | None, contact: str | None, noindex: bool, pause: float | None) -> Manner:
    """What the command says, else the profile's crawl: a site's rules answer to the agent that crawls."""
    crawl = plan.rows["crawl"].values
    for name, given in (("agent", agent), ("contact", contact)):
        if given is None and not crawl[name]:
            where = f"specs/{plan.layout.profile}/crawl.yaml"
            raise InvalidCommand(f"recheck: {where} has no {name}: write it there, or give --{name}")
    agent, contact = (
        agent if agent is not None else crawl["agent"],
        contact if contact is not None else crawl["contact"],
    )
    pause = crawl["pause"] if pause is None else pause
    _check(agent, contact, pause)
    counted = frozenset(crawl["refusals"]) | ({"noindex"} if noindex else set())
    return Manner(agent, contact, pause, counted, frozenset(crawl["signals"]))


def _check(agent: str, contact: str, pause: float) -> None:
    if not _TOKEN.fullmatch(agent):
        raise InvalidCommand("recheck: --agent is your crawler's name in robots.txt: letters, - and _ alone (RFC 9309)")
    if not re.fullmatch(r"\S*[@:]\S+", contact):
        raise InvalidCommand("recheck: --contact is a mail address or a URL at which you can be asked to stop")
    if not 0 <= pause < 3600:
        raise InvalidCommand(f"recheck: --pause {pause:g}: is not a number of seconds below an hour")


def _today() -> str:
    return f"{datetime.now(timezone.utc):%Y-%m-%d}"


def refusals_file(plan: Plan) -> tuple[Path, bool]:
    """The file that raw.refusals names, or the one that it should."""
    named = plan.rows["raw"].values.get("refusals")
    return plan.layout.project / (named or f"specs/{plan.layout.profile}/refusals.jsonl"), bool(named)


def asked(urls: Sequence[str], manner: Manner) -> Iterator[Finding]:
    from so8t.web.asking import Asker, Pace
    from so8t.web.client import client

    with client(f"{manner.agent}/1.0 (doit recheck; +{manner.contact})") as get:
        yield from Asker(get, manner.agent, manner.refusals, Pace(manner.pause), manner.vocabularies).every(urls)


def line(finding: Finding) -> str:
    if finding.outcome == "as before":
        return ""
    return f"{finding.outcome}: {finding.url} ({'; '.join(finding.said)})\n"


def _records(count: int) -> str:
    return "1 record" if count == 1 else f"{count:,} records"


def report(
    plan: Plan, urls: Mapping[str, int], found: Sequence[Finding], path: Path, named: bool, held: Recall
) -> Iterator[str]:
    """What came of it, what to do, and what has been handed over."""
    from so8t.store import journal

    if not urls:
        yield "recheck: no record of raw says that it came from the web: `url` of a source does"
    outcomes = Counter(one.outcome for one in found)
    told = ", ".join(f"{outcomes[each]:,} {each}" for each in ("as before", "no", "gone", "not asked"))
    yield f"recheck: URLs asked for: {len(found):,}; {told}"
    shown = plan.layout.shown(path)
    if new := [one.url for one in found if one.outcome == "no"]:
        count = sum(urls[url] for url in new)
        yield f"recheck: {shown} says so of {len(new):,} more; the next doit leaves out {_records(count)} of raw"
    if not named and path.exists():
        where = f"specs/{plan.layout.profile}/raw.yaml"
        yield f"recheck: add to {where}, or nothing is left out: refusals: {shown}"
    if held.files:
        yield f"recheck: {_records(held.records)} of such URLs went into these files (SHA-256):"
    built = journal.by_key(plan.layout)
    for file in held.files:
        last = next((entry for entry in reversed(built.get(file.key, [])) if entry["outcome"] == "built"), None)
        when = f", built {last['when'][:10]} by {last['profile']}" if last else ""
        yield f"{file.sha256}  {file.path}{when}"
    if held.unread:
        yield (
            f"recheck: {held.unread:,} older results of raw are no longer in the store; what was made from them "
            "is not in this list"
        )
