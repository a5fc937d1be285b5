"""`python -m bench.expander DESIGN`: one process in which everybody enters the campaign that is launched; it says what that
took.

The designs: ours, the product's own turns, each with its commit; and raw, one INSERT … SELECT of the same audience into the
same table, in one transaction.
"""

import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from time import monotonic, process_time

import psutil
import structlog
from sqlalchemy import text

from bench.handing import NoBells, most_mb
from engine.bootstrap import Deps, build
from engine.outreach import campaigns, contents, expanding
from engine.segments import audience
from engine.settings import Settings
from workers import campaigns as turns

SLUG = "bench"


@dataclass(slots=True)
class Taken:
    """What it took: people, wall and CPU seconds of this process, by how many MB its memory grew, and the most it held."""

    people: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    grew_mb: float = 0.0
    most_mb: float = 0.0


def ours(deps: Deps) -> float:
    """Turn after turn. Returns by how many MB it grew since it had begun the campaign."""
    process = psutil.Process()
    turns.expand(deps)
    began = most = process.memory_info().rss
    while turns.expand(deps):
        most = max(most, process.memory_info().rss)
    return (most - began) / 1e6


def raw(deps: Deps) -> float:
    """One statement, which nothing can cut short and go on with."""
    with deps.work() as (session, now):
        campaign = campaigns.one(session, SLUG)
        definition = contents.definition(session, campaign)
        rule, scopes = contents.audience(session, campaign, definition)
        names = audience.known(session, rule, scopes)
        people = audience.people(rule, names, campaign.kind, scopes=scopes, sender=audience.HOME)
        statement, values = expanding.entering(campaign, definition, people, now)
        session.execute(expanding.TERMS)
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text(statement.partition("ON CONFLICT")[0]), values)
    return 0.0


DESIGNS: Mapping[str, Callable[[Deps], float]] = {"ours": ours, "raw": raw}


def main(design: str) -> None:
    """Let everybody enter, and say on the last line what it took."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    deps = replace(build(Settings()), bells=NoBells())
    with deps.work() as (session, _):
        campaigns.one(session, SLUG)  # the connection is made for both
    began, cpu = monotonic(), process_time()
    grew = DESIGNS[design](deps)
    seconds, used = monotonic() - began, process_time() - cpu
    with deps.work() as (session, _):
        people: int = session.execute(text("SELECT count(*) FROM enrollment")).scalar_one()
    print(json.dumps(asdict(Taken(people, seconds, used, grew, most_mb()))))


if __name__ == "__main__":
    main(sys.argv[1])
