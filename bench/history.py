"""`python -m bench history`: ten years of an organisation, put away by the chores that keep it, and the hot paths afterwards
beside a database with the same people and no past.

Campaigns to everybody and a gift of everybody each year: letters, what was told of each, places, handovers, raw events. Then
the chores run until they are quiet: how long that takes, what it writes (WAL), and the tables before and after. What a year
dropped whole costs beside the same rows deleted. Then all hot paths, in turns, each in a process of its own, ten years beside
none. It takes long: with `--home` what was made stays there, and `--only` does one part at a time.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from time import monotonic, sleep

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import make_url

from bench import audience, past, report, running
from bench.handing import NoBells
from bench.report import Failed, progress
from engine import demo_organisation
from engine.bootstrap import Deps, build
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.settings import ROOT, Settings
from workers import long_over, pulse, upkeep

PEOPLE, YEARS, A_YEAR = 100_000, 10, 4
HOLDS = 0.8  # of the rate without a past: what was asked
PARTS = ("make", "keep", "hot")
OLD, FRESH = "groundswell", "fresh"  # the databases
KEPT = (*past.TABLES, "past_letter", "past_place", "past_occasion")
CHORES = {name: timedelta(days=1) for name in (upkeep.BODIES, long_over.EVENTS, long_over.ARCHIVE)}

_SIZE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint, coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
FROM pg_class c
WHERE c.relkind = 'r' AND (c.oid = CAST(%(table)s AS regclass)
    OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = CAST(%(table)s AS regclass)))
"""
_DUE = (
    "SELECT count(*) FROM chore WHERE name = ANY(%s) AND due_at <= now() + interval '10 seconds'"  # a turn that goes on
)


def run(arguments: Sequence[str]) -> None:
    """Make, keep, compare; print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench history")
    parser.add_argument("--years", type=int, default=YEARS)
    parser.add_argument("--contacts", type=int, default=PEOPLE, help=f"people ({PEOPLE:,})")
    parser.add_argument("--campaigns", type=int, default=A_YEAR, help=f"to everybody, in each year ({A_YEAR})")
    parser.add_argument("--rounds", type=int, default=report.ROUNDS)
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="for making and for keeping, each; it goes on next time"
    )
    parser.add_argument("--home", type=Path, help="a folder that stays")
    parser.add_argument("--only", choices=PARTS, help="this part alone, with what is in the folder")
    options = parser.parse_args(arguments)
    parts = [options.only] if options.only else list(PARTS)
    ratios: dict[str, float] = {}
    figures: dict[str, object] = {
        "people": options.contacts,
        "years": options.years,
        "load_per_core_before": report.busy(),
    }
    if options.home:
        options.home.mkdir(parents=True, exist_ok=True)
    place = nullcontext(options.home) if options.home else running.folder()
    with place as home, running.servers(home, running.AS_COMPOSE) as servers:
        if "make" in parts:
            figures |= _make(servers, options)
        if "keep" in parts:
            figures |= _keep(servers, options.minutes * 60)
        if "hot" in parts:
            ratios = _hot(servers, options.contacts, options.rounds, figures)
    report.close("history", ratios, figures)


def _make(servers: running.Servers, options: argparse.Namespace) -> dict[str, object]:
    url = servers.places.database_url
    with psycopg.connect(driver_url(url), dbname="postgres", autocommit=True) as admin:
        begun = _one(admin, "SELECT count(*) FROM pg_database WHERE datname = %s", [FRESH])
        if not begun:
            _people(url, options.contacts)
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(FRESH), sql.Identifier(OLD)))
    progress(f"making {options.years} years with {options.campaigns} campaigns each")
    began = monotonic()
    made, whole = past.make(url, options.years, options.campaigns, options.minutes * 60)
    progress(f"{made} in {monotonic() - began:.0f} s" + ("" if whole else "; not all of it yet"))
    return {"made": asdict(made), "made_whole": whole}


def _people(url: str, people: int) -> None:
    pool = make_pool(url, size=1)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session)
    pool.dispose()
    progress(f"making {people:,} people")
    audience.make(url, people, older=False)


def _keep(servers: running.Servers, seconds: float) -> dict[str, object]:
    """The chores until they are quiet. Then what a year costs that is dropped whole, and deleted."""
    url = servers.places.database_url
    deps = _deps(servers)
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        before = _sizes(connection)
        with transaction(deps.sessions) as session:
            pulse.plan(session)
        connection.execute("UPDATE chore SET due_at = now() WHERE name = ANY(%s)", [list(CHORES)])
        began, wal, cpu, held = monotonic(), _wal(connection), servers.cpu(), _resident()
        turns = 0
        while _one(connection, _DUE, [list(CHORES)]) and monotonic() < began + seconds:
            upkeep.run(deps, CHORES)
            sleep(long_over.PAUSE.total_seconds())
            turns += 1
            progress(f"  {turns} turns, {monotonic() - began:.0f} s")
        took, wrote, cpu, held = monotonic() - began, _wal(connection) - wal, servers.cpu() - cpu, _resident() - held
        quiet = not _one(connection, _DUE, [list(CHORES)])
        for table in past.TABLES:  # as if they had never been larger: day by day they are not
            connection.execute(sql.SQL("VACUUM FULL {}").format(sql.Identifier(table)))
        connection.execute("VACUUM ANALYZE")
        after = _sizes(connection)
        dropped = _dropped(connection)
    rows = [[table, *_row(before[table], after[table])] for table in KEPT]
    rows.append(
        ["all", *_row(*(tuple(sum(each[table][i] for table in KEPT) for i in (0, 1)) for each in (before, after)))]
    )
    columns = ["", "MB before", "MB after", "rows before", "rows after", "bytes a row before"]
    report.table("before and after, with indexes", columns, rows)
    print(
        f"kept in {took:.0f} s, {turns} turns, {cpu:.0f} s of Postgres, {wrote:,.0f} MB of WAL,"
        f" our memory grew by {held:.0f} MB{'' if quiet else '; not quiet yet'}"
    )
    tables = {table: [round(value) for value in (*before[table], *after[table])] for table in KEPT}
    return {
        "keep_seconds": round(took), "keep_wal_mb": round(wrote), "keep_postgres_cpu": round(cpu),
        "keep_grew_mb": round(held), "quiet": quiet, "tables": tables, **dropped,
    }  # fmt: skip


def _dropped(connection: psycopg.Connection) -> dict[str, object]:
    """One year of the archive dropped, and a copy of the same rows deleted: seconds, and MB of WAL."""
    year = connection.execute(
        "SELECT min(relid::regclass::text) FROM pg_partition_tree('past_letter') WHERE isleaf"
    ).fetchone()
    if not year or not year[0]:
        return {}
    table = sql.Identifier(year[0])
    connection.execute(sql.SQL("CREATE TABLE copied (LIKE {} INCLUDING ALL)").format(table))
    connection.execute(sql.SQL("INSERT INTO copied SELECT * FROM {}").format(table))
    connection.execute("VACUUM ANALYZE copied")
    rows = _one(connection, "SELECT count(*) FROM copied")
    found: dict[str, object] = {"year_rows": rows}
    dropping = sql.SQL("DROP TABLE {}").format(table)
    for what, statements in {"delete": ("DELETE FROM copied", "VACUUM copied"), "drop": (dropping,)}.items():
        connection.execute("CHECKPOINT")
        began, wal = monotonic(), _wal(connection)
        for statement in statements:
            connection.execute(statement)
        found |= {f"{what}_seconds": round(monotonic() - began, 3), f"{what}_wal_mb": round(_wal(connection) - wal, 2)}
    connection.execute("DROP TABLE copied")
    print(f"a year of {rows:,} letters: {found}")
    return found


def _hot(servers: running.Servers, people: int, rounds: int, figures: dict[str, object]) -> dict[str, float]:
    rates: dict[str, list[dict[str, float]]] = {OLD: [], FRESH: []}
    with running.neighbour("bench.sink") as (sink, _):
        for database in (OLD, FRESH):
            _vacuum(servers, database)
        for number in range(rounds + 1):  # the first is warm for nobody
            for database in report.turns([OLD, FRESH], number):
                progress(f"round {number + 1}: {database}")
                environment = servers.environment | {
                    "DATABASE_URL": _url(servers, database), "SENDGRID_HOST": f"http://127.0.0.1:{sink['port']}",
                }  # fmt: skip
                command = (sys.executable, "-m", "bench.hot", str(number), str(people // 5))
                done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise Failed(f"{database}: {done.stderr[-3000:]}")
                if number:
                    rates[database].append(json.loads(done.stdout.splitlines()[-1]))
    return _compared(rates, figures)


def _compared(rates: Mapping[str, list[dict[str, float]]], figures: dict[str, object]) -> dict[str, float]:
    ratios, rows = {}, []
    for path in rates[OLD][0]:
        old, fresh = ([each[path] for each in rates[database]] for database in (OLD, FRESH))
        ratio = round(median(a / b for a, b in zip(old, fresh, strict=True)), 2)
        rows.append(
            [path, f"{median(old):,.0f}", f"{median(fresh):,.0f}", f"{ratio:.2f}", "yes" if ratio >= HOLDS else "NO"]
        )
        ratios[path.replace(" ", "_")] = ratio
        figures[f"{path.replace(' ', '_')}_a_second"] = [round(median(old)), round(median(fresh))]
    columns = ["a second", "with the past", "without", "ratio", f"at least {HOLDS}"]
    report.table("hot paths", columns, rows)
    return ratios


def _vacuum(servers: running.Servers, database: str) -> None:
    with psycopg.connect(driver_url(_url(servers, database)), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def _url(servers: running.Servers, database: str) -> str:
    return make_url(servers.places.database_url).set(database=database).render_as_string(hide_password=False)


def _deps(servers: running.Servers) -> Deps:
    settings = Settings(database_url=servers.places.database_url, redis_url=servers.places.redis_url)
    return replace(build(settings), bells=NoBells())


def _sizes(connection: psycopg.Connection) -> dict[str, tuple[float, float]]:
    found = {}
    for table in KEPT:
        size, rows = connection.execute(_SIZE, {"table": table}).fetchone() or (0, 0)
        found[table] = (size / 1e6, float(max(rows, 0)))
    return found


def _resident() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def _row(before: Sequence[float], after: Sequence[float]) -> list[str]:
    each = before[0] * 1e6 / before[1] if before[1] else 0.0
    return [*(f"{value:,.0f}" for value in (before[0], after[0], before[1], after[1])), f"{each:,.0f}"]


def _wal(connection: psycopg.Connection) -> float:
    return _one(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint") / 1e6


def _one(connection: psycopg.Connection, query: str, terms: Sequence[object] = ()) -> int:
    found = connection.execute(query, terms).fetchone()
    return int(found[0]) if found else 0
