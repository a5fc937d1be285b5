"""`python -m bench growth`: what work costs when a house has ten thousand people, a hundred thousand, a million.

For each size a house of its own, on a Postgres as durable as in production: everybody has three gifts, three older letters
and a yes to letters. The same work is done in each, one part after the other, by the product's own functions, each in
processes of its own: webhooks are taken in; gifts are booked; an audience is counted and previewed; a campaign to all of
them is expanded, everybody takes her step, her letter is handed over to a provider that takes everything.

CPU is of Python and of Postgres together, for each event, person or letter. Bytes are what the tables with their indexes
grew by on disk. Rates understate several machines: whoever sends, works and stores shares the same cores.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from types import MappingProxyType
from typing import Any

import psutil
import psycopg
from sqlalchemy import text

from bench import apply, audience, bodies, report, running
from bench.campaign import launch
from bench.intake import CONNECTIONS, WARM_SECONDS, seconds_of, send
from bench.report import progress
from bench.segments import sum_up, tidy
from engine import bell, demo_organisation
from engine.db import Sessions, make_pool, make_sessions, transaction
from engine.segments import audience as chosen
from engine.segments import rules
from engine.settings import ROOT

SIZES = (10_000, 100_000, 1_000_000)
GIFTS = 10_000  # booked; half of them of people who are known
INTAKE_SECONDS = 4.0
PREVIEWS = 9
KIND = "asks"
LATELY = [
    {"op": "gave", "at_least": 25, "within": "12 months"},
    {"op": "not", "of": {"op": "gave", "within": "7 days"}},
]
LEAF = {"op": "all", "of": [{"op": "chapter", "chapter": "bench-3"}, *LATELY]}
EVERYBODY = {"op": "all", "of": [{"op": "chapter", "chapter": "massachusetts"}, *LATELY]}
_ROOT = "SELECT slug FROM chapter WHERE parent_id IS NULL"
_SIZES = """
SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)
"""
_ALL = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
OF_A_CONTACT = ["contact", "consent"]


@dataclass(slots=True)
class Grown:
    """One size: what each part gave, by its name; "" where a part has nothing of the kind."""

    people: int
    rate: dict[str, float] = field(default_factory=dict)  # a second
    cpu: dict[str, float] = field(default_factory=dict)  # microseconds each, Python's and Postgres'
    resident: dict[str, float] = field(default_factory=dict)  # MB of the process that worked
    bytes: dict[str, float] = field(default_factory=dict)  # of a contact, a gift, a letter
    milliseconds: dict[str, float] = field(default_factory=dict)


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench growth")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="people, several separated by commas")
    options = parser.parse_args(arguments)
    busy = report.busy()
    grown = []
    for people in map(int, options.sizes.split(",")):
        with running.folder() as home, running.servers(home, running.AS_COMPOSE) as servers:
            progress(f"a house of {people:,}")
            grown.append(_House(home, servers, people).grown())
    _show(grown, busy)


class _House:
    """One size, from an empty house to its campaign's last letter."""

    def __init__(self, home: Path, servers: running.Servers, people: int) -> None:
        self._home, self._servers = home, servers
        self._url = servers.places.database_url
        self._found = Grown(people)

    def grown(self) -> Grown:
        """Everything, one after the other."""
        pool = make_pool(self._url, size=2)
        sessions = make_sessions(pool)
        with transaction(sessions) as session:
            demo_organisation.load(session)
        audience.make(self._url, self._found.people)
        sum_up(sessions)
        tidy(self._url)
        self._found.bytes["contact"] = self._size(_SIZES, OF_A_CONTACT) / self._found.people
        self._take_in()
        self._choose(sessions)
        self._write(sessions)
        self._book()  # the last: who has just given is asked for nothing
        pool.dispose()
        return self._found

    def _take_in(self) -> None:
        progress("  webhooks")
        with running.web(self._servers, "webhooks.app:main", self._home / "web.log") as (process, port):
            send(port, CONNECTIONS, seconds=WARM_SECONDS)
            before = seconds_of(process) + self._servers.cpu()
            told = send(port, CONNECTIONS, seconds=INTAKE_SECONDS)
            cpu = seconds_of(process) + self._servers.cpu() - before
            self._found.resident["webhooks"] = process.memory_info().rss / 1e6
        self._found.rate["webhooks"] = told.acknowledged / told.seconds
        self._found.cpu["webhooks"] = cpu / told.acknowledged * 1e6
        self._found.milliseconds["webhook, p99"] = told.p99
        self._clean("DELETE FROM inbound_event")

    def _book(self) -> None:
        """Gifts, half of them of people who gave before; from when the workers are started until all are booked."""
        progress("  gifts")
        house = apply.House(self._url, self._servers.places.redis_url, self._servers.places.data_dir)
        with house.connect() as connection:
            before, postgres = self._size(_ALL), self._servers.cpu()
            gifts = (bodies.actblue(n, f"{'person' if n % 2 else 'new'}.{1 + n}@example.org") for n in range(GIFTS))
            apply.store(connection, "actblue", bell.INTAKE, gifts)
            stored = self._servers.cpu() - postgres
            with apply.workers(house, "intake") as started:
                apply.drained(house, connection)
                workers = [psutil.Process(process.pid) for process in started]
                cpu = sum(map(seconds_of, workers)) + self._servers.cpu() - postgres - stored
                members = [each for worker in workers for each in worker.children(recursive=True)]
                self._found.resident["gifts"] = max(each.memory_info().rss for each in members) / 1e6
            self._found.rate["gifts"] = GIFTS * 0.9 / apply.span(connection, 0)
            self._found.cpu["gifts"] = cpu / GIFTS * 1e6
            self._found.bytes["gift, with its event and its thank-you"] = (self._size(_ALL) - before) / GIFTS

    def _choose(self, sessions: Sessions) -> None:
        progress("  audiences")
        for name, rule in (("leaf", LEAF), ("everybody", EVERYBODY)):
            read = rules.read(rule)
            taken = []
            for _ in range(PREVIEWS):
                with transaction(sessions) as session:
                    now = session.execute(text("SELECT now()")).scalar_one()
                    began = perf_counter()
                    chosen.preview(session, read, now, kind=KIND)
                    taken.append((perf_counter() - began) * 1000)
            self._found.milliseconds[f"preview, {name}"] = median(taken[1:])

    def _write(self, sessions: Sessions) -> None:
        """A campaign to everybody: expanded, stepped, handed over."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            (root,) = connection.execute(_ROOT).fetchone() or ("",)
            launch(sessions, root)
            connection.execute("UPDATE campaign SET held_until = NULL, starts_at = now()")
        before = self._size(_ALL)
        self._part("expansion", ("bench.expander", "ours"))
        self._part("steps", ("bench.stepper", "ours"))
        with running.neighbour("bench.sink") as (sink, _):
            ready = audience.left(self._url)
            provider = {"SENDGRID_HOST": f"http://127.0.0.1:{sink['port']}"}
            self._part("delivery", ("bench.handing", "ours", str(ready)), provider)
        self._found.bytes["letter, with its place and its handover"] = (self._size(_ALL) - before) / ready

    def _part(self, name: str, command: Sequence[str], more: Mapping[str, str] = MappingProxyType({})) -> None:
        progress(f"  {name}")
        before = self._servers.cpu()
        done = subprocess.run(
            [sys.executable, "-m", *command], env=self._servers.environment | dict(more), cwd=ROOT,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise report.Failed(f"{name}: {done.stderr[-3000:]}")
        taken = json.loads(done.stdout.splitlines()[-1])
        number = taken.get("people") or taken.get("letters")
        self._found.rate[name] = number / taken["seconds"]
        self._found.cpu[name] = (taken["cpu"] + self._servers.cpu() - before) / number * 1e6
        self._found.resident[name] = taken["most_mb"]

    def _clean(self, statement: str) -> None:
        """Take out what a part left that the next is not about."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def _size(self, statement: str, *values: Any) -> float:
        with psycopg.connect(self._url) as connection:
            (found,) = connection.execute(statement, values or None).fetchone() or (0,)
            return float(found)


_SHOWN: tuple[tuple[str, Callable[[Grown], Mapping[str, float]]], ...] = (
    ("{} a second", lambda grown: grown.rate),
    ("{}: µs of CPU each", lambda grown: grown.cpu),
    ("{}: MB of its process", lambda grown: grown.resident),
    ("{}: ms", lambda grown: grown.milliseconds),
    ("bytes of a {}", lambda grown: grown.bytes),
)


def _show(grown: Sequence[Grown], busy: float) -> None:
    rows = [
        [words.format(name), *(f"{part(each)[name]:,.0f}" for each in grown)]
        for words, part in _SHOWN
        for name in part(grown[0])
    ]
    columns = ["", *(f"{each.people:,} people" for each in grown)]
    report.table(f"how cost grows; load {busy} for each core before", columns, rows)
    first, last = grown[0], grown[-1]
    ratios = {f"{name}_rate_of_the_smallest": round(last.rate[name] / first.rate[name], 2) for name in first.rate}
    figures = {
        str(each.people): {
            words.format(name): round(value) for words, part in _SHOWN for name, value in part(each).items()
        }
        for each in grown
    }
    report.close("growth", ratios, figures)
