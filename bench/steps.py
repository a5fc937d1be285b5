"""`python -m bench steps`: people in a campaign take their step, beside the bare loop that claims, inserts and moves on.

A million people, three gifts each, in twenty chapters, all of them in one campaign: an ask in two variants with a rule, one
in ten held out, a goal (that she gave), a rule to leave by, quiet hours and an expiry; then a wait until a clock time. First
a tenth of them is due, then all; each contestant begins with the same empty tables. Postgres is as durable as in production.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import orjson
import psycopg

from bench import audience, report, running
from bench.report import Failed, progress
from bench.stepper import STATEMENTS, Taken
from engine import demo_organisation
from engine.db import make_pool, make_sessions, transaction
from engine.outreach import definitions
from engine.settings import ROOT

PEOPLE, STRETCH = 1_000_000, 100_000
OF_BARE, OF_A_TENTH = 0.5, 0.75  # what was asked
DEFINITION = {
    "slug": "bench", "name": "The rent vote", "goal": "gave", "exit_when": {"op": "recurring"}, "expires": "30 days",
    "steps": [
        {"key": "write", "ask": True, "if": {"op": "not", "of": {"op": "gave", "within": "7 days"}}, "holdout": 10,
         "variants": [{"key": "short", "letter": "short"}, {"key": "long", "letter": "long"}]},
        {"key": "pause", "wait": "3 days at 10:00"},
        {"key": "again", "ask": "short", "if": {"op": "not", "of": {"op": "gave", "within": "10 days"}}},
    ],
}  # fmt: skip

_VERSION = """
INSERT INTO sequence_version (definition, mailings, fund_ids, quiet_from, quiet_until, published_at)
SELECT %(definition)s, jsonb_build_object('write', jsonb_build_object('short', jsonb_build_object('en', a.id),
    'long', jsonb_build_object('en', b.id)), 'again', jsonb_build_object('', jsonb_build_object('en', a.id))),
    ARRAY[l.fund_id], 21, 8, now()
FROM mailing a JOIN letter l ON l.id = a.letter_id, mailing b WHERE a.slug = %(short)s AND b.slug = %(long)s RETURNING id
"""
_CAMPAIGN = """
INSERT INTO campaign (slug, name, version_id, rule, kind, state, changed_at)
VALUES ('bench', 'The rent vote', %(version_id)s, '{}', 'asks', 'running', now()) RETURNING id
"""
_ENROL = """
INSERT INTO enrollment (contact_id, version_id, campaign_id, rotation, step, due_at, entered_at)
SELECT id, %(version_id)s, %(campaign_id)s, 1, 'write', now() + CASE WHEN id %% %(share)s = 0 THEN '0 s' ELSE '30 days' END
    ::interval, now() - interval '1 day'
FROM contact WHERE routed_by = 'zip' ORDER BY id
"""
_EMPTY = "TRUNCATE enrollment, message, step_tally CASCADE"


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench steps")
    parser.add_argument("--people", type=int, default=PEOPLE, help=f"people in the campaign ({PEOPLE:,})")
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    options = parser.parse_args(arguments)
    busy = report.busy()
    with running.folder() as home, running.servers(home, running.AS_COMPOSE) as servers:
        contest = _Contest(servers, options.people)
        taken: dict[str, list[Passage]] = {name: [] for name in CONTESTANTS}
        for number in range(options.rounds):
            for name in report.turns(list(CONTESTANTS), number):
                progress(f"round {number + 1}: {name}")
                taken[name].append(contest.turn(*CONTESTANTS[name]))
    _show(taken, options.people, busy)


@dataclass(frozen=True, slots=True)
class Passage:
    """One contestant's turn. `postgres`: CPU seconds of all of Postgres meanwhile."""

    taken: Taken
    postgres: float

    @property
    def rate(self) -> float:
        """People a second."""
        return self.taken.people / self.taken.seconds

    @property
    def cpu(self) -> float:
        """Microseconds of CPU a person, of Postgres and of Python."""
        return self.micros(self.taken.cpu + self.postgres)

    def micros(self, seconds: float) -> float:
        """Microseconds a person."""
        return seconds / self.taken.people * 1e6


# Whose turn, and one in how many is due.
CONTESTANTS = {
    "ours, a tenth": ("ours", 10),
    "bare, a tenth": ("bare", 10),
    "ours, all": ("ours", 1),
    "bare, all": ("bare", 1),
}


class _Contest:
    """One house, one campaign, and whoever's turn it is."""

    def __init__(self, servers: running.Servers, people: int) -> None:
        self._servers = servers
        url = servers.places.database_url
        pool = make_pool(url, size=1)
        with transaction(make_sessions(pool)) as session:
            demo_organisation.load(session)
        pool.dispose()
        progress(f"making {people:,} people and {3 * people:,} gifts")
        audience.make(url, people, older=False)
        definition = orjson.dumps(definitions.said(definitions.read(DEFINITION))).decode()
        with psycopg.connect(url) as connection:
            words = {"short": audience.CAMPAIGN, "long": audience.SECOND, "definition": definition}
            (version_id,) = connection.execute(_VERSION, words).fetchone() or (0,)
            (campaign_id,) = connection.execute(_CAMPAIGN, {"version_id": version_id}).fetchone() or (0,)
        self._line = {"version_id": version_id, "campaign_id": campaign_id}

    def turn(self, design: str, share: int) -> Passage:
        """All are in the campaign anew; a design lets those who are due take their step, in a process of its own."""
        with psycopg.connect(self._servers.places.database_url, autocommit=True) as connection:
            connection.execute(_EMPTY)
            connection.execute("SET synchronous_commit = off")
            connection.execute(_ENROL, self._line | {"share": share})
            connection.execute("VACUUM ANALYZE enrollment")
            connection.execute("CHECKPOINT")
        before = self._servers.cpu()
        command = (sys.executable, "-m", "bench.stepper", design)
        done = subprocess.run(
            command, env=self._servers.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Failed(f"{design}: {done.stderr[-3000:]}")
        return Passage(Taken(**json.loads(done.stdout.splitlines()[-1])), self._servers.cpu() - before)


def _show(passages: Mapping[str, Sequence[Passage]], people: int, busy: float) -> None:
    rows = [
        [name, f"{median(p.rate for p in each):,.0f}", f"{median(p.micros(p.taken.cpu) for p in each):.1f}",
         f"{median(p.micros(p.postgres) for p in each):.1f}", "  ".join(f"{p.rate:,.0f}" for p in each)]
        for name, each in passages.items()
    ]  # fmt: skip
    columns = ["due", "people/s", "Python µs", "Postgres µs", "each round"]
    report.table(f"{people:,} people in it; load {busy} for each core", columns, rows)
    ours = passages["ours, all"]
    kinds = [*STATEMENTS, "other statements"]
    where = {kind: median(p.micros(p.taken.where.get(kind, 0.0)) for p in ours) for kind in kinds}
    rest = median(p.micros(p.taken.seconds - sum(p.taken.where.values())) for p in ours)
    spent = [[kind, f"{micros:.1f}"] for kind, micros in [*where.items(), ("commit, and Python", rest)]]
    report.table("where ours spends it, all due: µs a person", ["", "µs"], spent)
    ratios = {
        "ours_to_bare_a_tenth": _ratio(passages["ours, a tenth"], passages["bare, a tenth"]),
        "ours_to_bare_all": _ratio(ours, passages["bare, all"]),
        "all_to_a_tenth": _ratio(ours, passages["ours, a tenth"]),
        "ours_to_bare_by_cpu": round(median(p.cpu for p in passages["bare, all"]) / median(p.cpu for p in ours), 2),
    }
    asked = [
        ("of the bare loop, a tenth of them due, at least", ratios["ours_to_bare_a_tenth"], OF_BARE),
        ("of the bare loop, all due, at least", ratios["ours_to_bare_all"], OF_BARE),
        ("of the rate with a tenth due when all are, at least", ratios["all_to_a_tenth"], OF_A_TENTH),
    ]
    verdicts = [[what, f"{found:.2f}", f"{bound}", "yes" if found >= bound else "NO"] for what, found, bound in asked]
    report.table("what was asked", ["", "is", "asked", ""], verdicts)
    figures = {
        "{}_a_second".format(name.replace(", ", "_").replace(" ", "_")): round(median(p.rate for p in each))
        for name, each in passages.items()
    }
    report.close("steps", ratios, {"people": people, **figures})


def _ratio(of: Sequence[Passage], to: Sequence[Passage]) -> float:
    """The middle of the rounds' ratios, each of two neighbours in time."""
    return round(median(a.rate / b.rate for a, b in zip(of, to, strict=True)), 2)
