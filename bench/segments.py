"""`python -m bench segments`: six rules that choose people, beside the best SQL that we could write for each by hand, and the
plain one that asks all gifts.

A million people in 211 chapters, three million gifts, with interests, letters, clicks, and what people allowed. Each rule is
counted with the clause that says who may be written to; the contestants must find the very same people. The CPU of the
backend is shown beside the time: it tells more on a machine that others use. Then previews (how many, what each condition
leaves, twenty people) by eight connections at once.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import crowd, report, running
from bench.by_hand import RULES, Contest
from bench.report import Failed, Spread, progress
from engine import demo_organisation
from engine.db import Sessions, driver_url, make_pool, make_sessions, transaction
from engine.people import leave
from engine.segments import audience, rules

PEOPLE, CONNECTIONS, ROUNDS = 1_000_000, 8, 5
MOST_TO_BY_HAND, LEAF_TO_PLAIN = 1.3, 50.0  # what was asked
LEAF_AND_REGION_MS, STATE_MS = 200.0, 3000.0
KIND = "asks"
SUMMED = 20_000  # people at once
CONTESTANTS = ("compiled", "by_hand", "plain")


# The same for all: what `audience.bounded` has, without its limit.
_TERMS = text("""
SELECT set_config('statement_timeout', '0', true), set_config('plan_cache_mode', 'force_custom_plan', true),
    set_config('jit', 'off', true)
""")


@dataclass(slots=True)
class Measured:
    """Of one rule and contestant: seconds and CPU milliseconds, each turn's."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench segments")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"people, with three gifts each ({PEOPLE:,})")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--previews", type=int, default=10, help="by each connection, of each rule (10)")
    options = parser.parse_args(arguments)
    busy = report.busy()
    with running.folder() as home, running.servers(home, running.AS_COMPOSE) as servers:
        url = servers.places.database_url
        pool = make_pool(url, size=CONNECTIONS)
        sessions = make_sessions(pool)
        with transaction(sessions) as session:
            demo_organisation.load(session)
        progress(f"making {options.people:,} people")
        gifts = crowd.make(url, options.people)
        sum_up(sessions)
        tidy(url)
        found = _contest(sessions, options.rounds)
        previews = {
            name: _previews(sessions, contest, options.previews) for name, contest in RULES.items() if contest.size
        }
        pool.dispose()
    _show(found, previews, f"{options.people:,} people, {gifts:,} gifts; load {busy} for each core")
    _close(found, previews, options.people, gifts)


def sum_up(sessions: Sessions) -> None:
    """What people allow, as the house's own chore does it."""
    progress("summing up what people allow")
    more = True
    while more:
        with transaction(sessions) as session:
            _, more = leave.sum_up(session, SUMMED)


def tidy(url: str) -> None:
    """What autovacuum does within a minute after so many rows were changed."""
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE contact")


def _contest(sessions: Sessions, rounds: int) -> dict[str, dict[str, Measured]]:
    """All rules by all contestants, in turns, after one that is warm for nobody and proves that they agree."""
    found = {name: {who: Measured() for who in CONTESTANTS} for name in RULES}
    with transaction(sessions) as session:
        session.execute(_TERMS)
        now = session.execute(text("SELECT now()")).scalar_one()
        for name, contest in RULES.items():
            progress(f"  {name}")
            questions = _questions(session, contest, now)
            _agree(name, questions)
            for number in range(rounds):
                for who in report.turns(CONTESTANTS, number):
                    began, cpu = perf_counter(), _cpu(session)
                    questions[who]("count(*)")
                    found[name][who].seconds.append(perf_counter() - began)
                    found[name][who].cpu.append(_cpu(session) - cpu)
    return found


def _questions(session: Session, contest: Contest, now: datetime) -> Mapping[str, Callable[[str], Any]]:
    """What each contestant asks, as a function of what is to be selected."""
    rule = rules.read(contest.rule)
    found = audience.people(rule, audience.known(session, rule), KIND)

    def asks(statement: str, values: Mapping[str, Any]) -> Callable[[str], Any]:
        return lambda select: session.execute(
            text(statement.replace("{select}", select)), dict(values) | {"now": now}
        ).scalar_one()

    return {
        "compiled": asks(f"SELECT {{select}} {found.sql}", found.values),
        "by_hand": asks(contest.by_hand, {}),
        "plain": asks(contest.plain, {}),
    }


def _agree(name: str, questions: Mapping[str, Callable[[str], Any]]) -> None:
    people = {who: questions[who]("array_agg(c.id ORDER BY c.id)") for who in CONTESTANTS}
    if not people["plain"] or any(people[who] != people["plain"] for who in CONTESTANTS):
        raise Failed(f"{name}: {', '.join(f'{who} {len(ids or ()):,}' for who, ids in people.items())} people")


def _previews(sessions: Sessions, contest: Contest, each: int) -> Spread:
    """Milliseconds of previews by all connections at once."""
    rule = rules.read(contest.rule)

    def one(_: int) -> list[float]:
        taken = []
        for number in range(each + 1):
            with transaction(sessions) as session:
                now = session.execute(text("SELECT now()")).scalar_one()
                began = perf_counter()
                audience.preview(session, rule, now, kind=KIND)
                taken += [(perf_counter() - began) * 1000] if number else []
        return taken

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return Spread(list(threads.map(one, range(CONNECTIONS))))


def _cpu(session: Session) -> float:
    """Milliseconds of CPU that this session's backend has had; without those of parallel workers."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e6


def _ratio(of: Measured, to: Measured) -> float:
    return round(median(a / b for a, b in zip(of.seconds, to.seconds, strict=True)), 2)


def _show(found: Mapping[str, Mapping[str, Measured]], previews: Mapping[str, Spread], title: str) -> None:
    rows = [
        [name, *(f"{median(by[who].seconds) * 1000:,.1f}" for who in CONTESTANTS),
         *(f"{median(by[who].cpu):,.1f}" for who in CONTESTANTS),
         f"{_ratio(by['compiled'], by['by_hand'])}", f"{_ratio(by['plain'], by['compiled'])}"]
        for name, by in found.items()
    ]  # fmt: skip
    columns = [
        "",
        *(f"{who} ms" for who in CONTESTANTS),
        *(f"{who} CPU" for who in CONTESTANTS),
        "to by hand",
        "plain to it",
    ]
    report.table(title, columns, rows)
    told = [[name, f"{p.percentile(50):,.0f}", f"{p.percentile(99):,.0f}"] for name, p in previews.items()]
    report.table(f"previews, {CONNECTIONS} connections at once", ["", "p50 ms", "p99 ms"], told)
    asked = [(f"{name}: times the best by hand, at most", _ratio(by["compiled"], by["by_hand"]), MOST_TO_BY_HAND, 1)
             for name, by in found.items()]  # fmt: skip
    asked += [(f"{name}: plain to compiled, at least", _ratio(by["plain"], by["compiled"]), LEAF_TO_PLAIN, -1)
              for name, by in found.items() if RULES[name].size == "leaf"]  # fmt: skip
    for name, spread in previews.items():
        bound = STATE_MS if RULES[name].size == "state" else LEAF_AND_REGION_MS
        asked.append((f"{name}: preview's p50 in ms, at most", round(spread.percentile(50), 1), bound, 1))
    verdicts = [[what, f"{is_:,g}", f"{bound:,g}", "yes" if is_ * way <= bound * way else "NO"]
                for what, is_, bound, way in asked]  # fmt: skip
    report.table("what was asked", ["", "is", "asked", ""], verdicts)


def _close(
    found: Mapping[str, Mapping[str, Measured]], previews: Mapping[str, Spread], people: int, gifts: int
) -> None:
    ratios = {f"{name}_to_by_hand": _ratio(by["compiled"], by["by_hand"]) for name, by in found.items()}
    ratios |= {f"{name}_plain_to_compiled": _ratio(by["plain"], by["compiled"]) for name, by in found.items()}
    figures = {f"{name}_{who}_ms": round(median(by[who].seconds) * 1000, 2) for name, by in found.items() for who in by}
    figures |= {f"{name}_preview_p50_ms": round(p.percentile(50), 1) for name, p in previews.items()}
    report.close("segments", ratios, {"people": people, "gifts": gifts, **figures})
