"""`python -m bench apply`: how fast pending events become contributions, contacts, ledger entries and thank-yous.

For each source in turn, in each round: a database of its own in an embedded Postgres (on a real disk, fsync on), filled with
pending events, half of them of donors who gave before; then the real worker group `intake` is started, with a process for
each of two cores, and its bell rung.

- **ours**: events a second, by the moments at which Postgres wrote them finished, first and last twentieth left out.
- **bare**: the very rows that came of it (contacts, contributions, ledger entries, letters), inserted again into copies of
  the tables, indexes included, 500 a statement, one commit each, by one process that does nothing else.

`--waiting N` then stores N of the provider's events in the other lane and says how long one gift takes meanwhile.
"""

import argparse
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from bench import bodies, report, running
from bench.report import Failed, progress
from engine import bell, command_lines, demo_organisation, migrate
from engine.adapters import embedded
from engine.adapters.bells import RedisBells
from engine.db import driver_url, make_pool, make_sessions, transaction
from workers.main import GROUPS

EVENTS, BATCH = 30_000, 500
ENOUGH = 3_000  # events a second, of each source
WITHIN_SECONDS = 1.0  # a gift, with everything waiting in the other lane
PATIENCE_SECONDS = 600.0
PROCESSES = 2  # of the group: one a core, as a machine of two would run it
SOURCES: dict[str, Callable[[int, str], bytes]] = {"actblue": bodies.actblue, "stripe": bodies.stripe_payment}
COPIED = ("contact", "contribution", "ledger_entry", "message")

_STORE = """
INSERT INTO inbound_event (source, kind, key, lane, body)
SELECT %s, %s, k, %s, b FROM unnest(%s::text[], %s::bytea[]) AS v(k, b)
"""
_SPAN = """
SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY at) - percentile_cont(0.05) WITHIN GROUP (ORDER BY at)
FROM (SELECT extract(epoch FROM finished_at)::float8 AS at FROM inbound_event WHERE state = 'applied' AND id > %s) f
"""


@dataclass(frozen=True, slots=True)
class House:
    """A database and a Redis to apply events in, and the environment that points processes at them."""

    url: str
    redis_url: str
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a worker's process needs."""
        ours = {
            "DATABASE_URL": self.url,
            "REDIS_URL": self.redis_url,
            "GROUNDSWELL_DATA_DIR": str(self.home),
            "LOG_FORMAT": "json",
        }
        return running.environment() | ours

    def connect(self) -> psycopg.Connection:
        """A connection that commits each statement."""
        return psycopg.connect(driver_url(self.url), autocommit=True)


def run(arguments: Sequence[str]) -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench apply")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--only", default=",".join(SOURCES), help="sources, separated by commas")
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    parser.add_argument("--waiting", type=int, default=0, help="events of the provider to wait in the other lane")
    options = parser.parse_args(arguments)
    busy = report.busy()
    chosen = [source for source in SOURCES if source in options.only.split(",")]  # none: the other lane alone
    measured: dict[str, list[tuple[float, float]]] = {source: [] for source in chosen}
    gift_seconds = 0.0
    with running.folder() as home, running.servers(home) as servers:
        for number in range(options.rounds if chosen else 0):
            for source in report.turns(chosen, number):
                progress(f"round {number + 1}: {source}")
                house = _house(servers.places, f"bench_{source}_{number}")
                measured[source].append(_round(house, source, options.events))
        if options.waiting:
            progress(f"one gift while {options.waiting} of the provider's events wait")
            gift_seconds = _beside(_house(servers.places, "bench_waiting"), options.waiting)
    _show(measured, options.events, busy, gift_seconds)


def _show(measured: dict[str, list[tuple[float, float]]], events: int, busy: float, gift_seconds: float) -> None:
    ratios, figures, rows = {}, {"events": events, "load_per_core_before": busy}, []
    for source, rounds in measured.items():
        ours, bare = (round(median(values)) for values in zip(*rounds, strict=True))
        ratios[f"{source}_to_bare_insert"] = round(median(o / b for o, b in rounds), 3)
        figures |= {f"{source}_events_a_second": ours, f"{source}_bare_events_a_second": bare}
        verdict = "yes" if ours >= ENOUGH else "NO"
        rows.append((source, f"{ours:,}", f"{bare:,}", f"{ratios[f'{source}_to_bare_insert']:.0%}", verdict))
    if rows:
        columns = ("source", "applied/s", "bare insert/s", "share", f"{ENOUGH:,}/s")
        report.table(f"{events:,} pending events of each source, medians of rounds", columns, rows)
    if gift_seconds:
        figures["gift_beside_feedback_seconds"] = round(gift_seconds, 3)
        print(f"a gift with the other lane full: applied after {gift_seconds:.3f} s ({WITHIN_SECONDS:.0f} allowed)")
    report.close("apply", ratios, figures)


def _house(places: embedded.Places, name: str) -> House:
    admin = make_url(places.database_url).set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(driver_url(admin), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = make_url(places.database_url).set(database=name).render_as_string(hide_password=False)
    pool = make_pool(url, size=1)
    migrate.upgrade(pool)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    return House(url, places.redis_url, places.data_dir)


@contextmanager
def workers(house: House, *groups: str) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """Worker groups, with a process for each of two cores, ended afterwards."""
    started = []
    for name in groups:
        command, tuning = command_lines.worker(name, GROUPS[name], processes=PROCESSES)
        with (house.home / f"{name}.log").open("ab") as log:
            environment = house.environment | tuning | {"GROUNDSWELL_SUPERVISED": ""}
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
    try:
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(running.END_SECONDS + 10)


def _round(house: House, source: str, events: int) -> tuple[float, float]:
    """Events a second, ours and bare."""
    with house.connect() as connection:
        make = SOURCES[source]
        store(connection, source, bell.INTAKE, (make(n, _donor(n)) for n in range(events // 2)))
        with workers(house, "intake"):
            drained(house, connection)
            (last,) = connection.execute("SELECT max(id) FROM inbound_event").fetchone() or (0,)
        again = (make(events + n, _donor(n // 2 if n % 2 else events + n)) for n in range(events))
        store(connection, source, bell.INTAKE, again)
        connection.execute("VACUUM ANALYZE")
        with workers(house, "intake"):
            drained(house, connection)
        seconds = span(connection, last)
        _check(connection, last, events)
        return events * 0.9 / seconds, _bare(connection, last, events)


def _donor(number: int) -> str:
    return f"rosa.{number}@example.org"


def store(connection: psycopg.Connection, source: str, lane: str, told: Iterator[bytes]) -> None:
    """Store these bodies as the receiver does, many at a time."""
    batch: list[bytes] = []
    for number, body in enumerate(told):
        batch.append(body)
        if len(batch) == 1000:
            _insert(connection, source, lane, number, batch)
            batch = []
    _insert(connection, source, lane, -1, batch)


def _insert(connection: psycopg.Connection, source: str, lane: str, number: int, batch: Sequence[bytes]) -> None:
    keys = [f"{os.urandom(8).hex()}{number}-{place}" for place in range(len(batch))]
    kind = "part" if lane == bell.FEEDBACK else ""
    connection.execute(_STORE, (source, kind, lane, keys, list(batch)))


def span(connection: psycopg.Connection, last: int) -> float:
    """Seconds in which nine tenths of the events after this one were finished, those in the middle."""
    (seconds,) = connection.execute(_SPAN, (last,)).fetchone() or (0.0,)
    return float(seconds)


def drained(house: House, connection: psycopg.Connection) -> None:
    """Ring until nothing of the intake lane is pending."""
    bells = RedisBells(house.redis_url)
    deadline = monotonic() + PATIENCE_SECONDS
    pending = "SELECT EXISTS (SELECT FROM inbound_event WHERE state = 'pending' AND lane = 'intake')"
    while (connection.execute(pending).fetchone() or (False,))[0]:
        if monotonic() > deadline:
            raise Failed("the events were not applied in time")
        bells.ring(bell.INTAKE)
        sleep(0.2)
    bells.close()


def _check(connection: psycopg.Connection, last: int, events: int) -> None:
    """Every event became a contribution, a ledger entry and a letter."""
    counted = connection.execute(
        "SELECT (SELECT count(*) FROM inbound_event WHERE id > %(last)s AND state = 'applied'),"
        " (SELECT count(*) FROM contribution WHERE inbound_event_id > %(last)s),"
        " (SELECT count(*) FROM ledger_entry l JOIN contribution g ON g.id = l.contribution_id"
        "  WHERE g.inbound_event_id > %(last)s),"
        " (SELECT count(*) FROM message WHERE inbound_event_id > %(last)s AND state = 'ready')",
        {"last": last},
    ).fetchone()
    if counted != (events,) * 4:
        raise Failed(f"{events} events became {counted} (applied, contributions, ledger entries, letters)")


def _bare(connection: psycopg.Connection, last: int, events: int) -> float:
    """The same rows inserted into copies of their tables: how many events' worth of them a second."""
    batches: dict[str, list[str]] = {}
    for table in COPIED:
        connection.execute(
            sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
                sql.Identifier(f"bare_{table}"), sql.Identifier(table)
            )
        )
        chosen = {
            "contact": "id IN (SELECT contact_id FROM contribution WHERE inbound_event_id > %s)",
            "ledger_entry": "contribution_id IN (SELECT id FROM contribution WHERE inbound_event_id > %s)",
        }.get(table, "inbound_event_id > %s")
        query = sql.SQL("SELECT row_to_json(t)::text FROM {} t WHERE ").format(sql.Identifier(table)) + sql.SQL(chosen)
        found = [row[0] for row in connection.execute(query, (last,))]
        batches[table] = ["[" + ",".join(found[at : at + BATCH]) + "]" for at in range(0, len(found), BATCH)]
    began = monotonic()
    for table, each in batches.items():
        insert = sql.SQL("INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_recordset(NULL::{0}, %s)")
        for batch in each:
            connection.execute(insert.format(sql.Identifier(f"bare_{table}")), (batch,))
    return events / (monotonic() - began)


def _beside(house: House, waiting: int) -> float:
    """Seconds from a gift's commit until it is applied, with so many of the provider's events pending."""
    now = int(datetime.now(UTC).timestamp())
    with house.connect() as connection:
        events = (
            json.dumps(
                {"event": "processed", "email": _donor(n), "timestamp": now, "sg_message_id": f"x{n}.y"}
            ).encode()
            for n in range(waiting)
        )
        store(connection, "sendgrid", bell.FEEDBACK, events)
        connection.execute("ANALYZE inbound_event")
        bells = RedisBells(house.redis_url)
        worst = 0.0
        with workers(house, "intake", "feedback"):
            sleep(5)
            for number in range(5):
                bells.ring(bell.FEEDBACK)
                sleep(1)
                began = monotonic()
                _insert(connection, "actblue", bell.INTAKE, number, [bodies.actblue(number, _donor(number))])
                bells.ring(bell.INTAKE)
                drained(house, connection)
                worst = max(worst, monotonic() - began)
            left = connection.execute("SELECT count(*) FROM inbound_event WHERE state = 'pending'").fetchone()
        bells.close()
        progress(f"{(left or (0,))[0]} of the provider's events were still waiting")
        return worst
