"""`python -m bench campaign`: everybody enters a campaign, beside one raw INSERT … SELECT of the same audience.

A million people with three gifts each, in twenty chapters; a letter to all of them who may be written to. Ours is the
product's own turns: it looks at the audience once more, then a transaction for each stretch of contacts, each of which can be
cut short. Both begin with an empty table. Postgres is as durable as in production.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from statistics import median

import psycopg

from bench import audience, report, running
from bench.expander import SLUG, Taken
from bench.report import Failed, progress
from engine import demo_organisation
from engine.db import Sessions, make_pool, make_sessions, transaction
from engine.outreach import campaigns, launching
from engine.settings import ROOT, Settings

PEOPLE = 1_000_000
CONTESTANTS = ("ours", "raw")
MOST_TO_RAW, MOST_GROWTH_MB = 1.5, 30.0  # what was asked

_AGAIN = """
UPDATE campaign SET state = 'scheduled', run = 1, cursor = 0, upto = 0, enrolled = 0, held_until = NULL, starts_at = now()
"""
_ROOT = "SELECT slug FROM chapter WHERE parent_id IS NULL"


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench campaign")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"people in the campaign ({PEOPLE:,})")
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    options = parser.parse_args(arguments)
    busy = report.busy()
    taken: dict[str, list[Taken]] = {name: [] for name in CONTESTANTS}
    with running.folder() as home, running.servers(home, running.AS_COMPOSE) as servers:
        _house(servers.places.database_url, options.people)
        for number in range(options.rounds):
            for name in report.turns(CONTESTANTS, number):
                progress(f"round {number + 1}: {name}")
                taken[name].append(_turn(servers, name))
                if taken[name][-1].people != taken[CONTESTANTS[0]][0].people and number:
                    raise Failed(f"{name}: {taken[name][-1].people:,} people entered, who were others before")
    _show(taken, busy)


def _house(url: str, people: int) -> None:
    pool = make_pool(url, size=1)
    sessions = make_sessions(pool)
    with transaction(sessions) as session:
        demo_organisation.load(session)
    progress(f"making {people:,} people and {3 * people:,} gifts")
    audience.make(url, people, older=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE contact, consent")
        (root,) = connection.execute(_ROOT).fetchone() or ("",)
    launch(sessions, root)
    pool.dispose()


def launch(sessions: Sessions, root: str) -> None:
    """A campaign of one letter to everybody of this chapter and those below it, launched."""
    told = {
        "slug": SLUG,
        "name": "The rent vote",
        "letter": audience.CAMPAIGN,
        "rule": {"op": "chapter", "chapter": root},
    }
    settings = Settings()
    with transaction(sessions) as session:
        now = session.connection().exec_driver_sql("SELECT now()").scalar_one()
        campaigns.create(session, campaigns.read(told), now, settings, who=None)
        launching.launch(session, SLUG, now, settings, key="bench", who=None)


def _turn(servers: running.Servers, design: str) -> Taken:
    """Everybody enters anew, in a process of its own."""
    with psycopg.connect(servers.places.database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE enrollment")
        connection.execute(_AGAIN)
        connection.execute("CHECKPOINT")
    command = (sys.executable, "-m", "bench.expander", design)
    done = subprocess.run(command, env=servers.environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{design}: {done.stderr[-3000:]}")
    return Taken(**json.loads(done.stdout.splitlines()[-1]))


def _show(taken: Mapping[str, Sequence[Taken]], busy: float) -> None:
    people = taken["ours"][0].people
    rows = [
        [name, f"{median(t.seconds for t in each):.2f}", f"{median(t.people / t.seconds for t in each):,.0f}",
         f"{max(t.grew_mb for t in each):.1f}", "  ".join(f"{t.seconds:.2f}" for t in each)]
        for name, each in taken.items()
    ]  # fmt: skip
    columns = ["", "seconds", "people/s", "MB grown", "each round"]
    report.table(f"{people:,} people enter; load {busy} for each core", columns, rows)
    pairs = zip(taken["ours"], taken["raw"], strict=True)
    ratios = {
        "ours_to_raw": round(median(ours.seconds / raw.seconds for ours, raw in pairs), 2),
        "grown_mb": round(max(t.grew_mb for t in taken["ours"]), 1),
    }
    asked = [
        ("times one raw INSERT … SELECT, at most", ratios["ours_to_raw"], MOST_TO_RAW),
        ("MB that it grows by, at most", ratios["grown_mb"], MOST_GROWTH_MB),
    ]
    verdicts = [[what, f"{is_:g}", f"{bound:g}", "yes" if is_ <= bound else "NO"] for what, is_, bound in asked]
    report.table("what was asked", ["", "is", "asked", ""], verdicts)
    figures = {f"{name}_seconds": round(median(t.seconds for t in each), 2) for name, each in taken.items()}
    report.close("campaign", ratios, {"people": people, **figures})
