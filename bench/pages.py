"""`python -m bench pages`: the pages that people open, beside a Starlette page that says one word.

One uvicorn process each, three rounds in turns, 64 kept-alive connections: `/join` and `/give/{form}`, which touch no data
by themselves, in requests a second. Then every other page of people, one after the other, at 16 connections: the time of its
answers, and how many statements one of them costs the database. The sender shares this machine's cores.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from statistics import median

import psycopg
from sqlalchemy import text

from bench import report, running
from bench.intake import send
from bench.report import Failed, Spread
from engine import demo_organisation
from engine.db import make_pool, make_sessions, transaction
from engine.events import Person
from engine.people import contacts
from engine.settings import Settings
from engine.tokens import Signer

BARE = "bare"
OPEN = {"join": "/join", "chapter": "/join/worcester", "actblue": "/give/common-ground", "stripe": "/give/neighbours"}
SECONDS, CONNECTIONS, QUIETLY = 3.0, 64, 16
AT_LEAST = 0.25  # of the bare page's requests a second
COUNTED = 50  # requests over which statements are counted
ROSA = "rosa.delgado@example.org"

_STATEMENTS = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements WHERE query !~ '^(BEGIN|COMMIT|ROLLBACK)'"


def run(arguments: Sequence[str]) -> None:
    """Measure, print, close with a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench pages", description="The pages that people open")
    parser.add_argument("--seconds", type=float, default=SECONDS, metavar="S", help="of each turn")
    asked = parser.parse_args(arguments)
    busy = report.busy()
    counting = {"shared_preload_libraries": "pg_stat_statements"}
    with running.folder() as home, running.servers(home, counting) as servers, ExitStack() as ending:
        others = _fill(servers)
        _, bare = ending.enter_context(running.web(servers, "bench.bare:pages", home / "bare.log"))
        _, ours = ending.enter_context(running.web(servers, "webhooks.app:main", home / "web.log"))
        rounds = [dict(_round(bare, ours, number, asked.seconds)) for number in range(report.ROUNDS)]
        quiet = {name: _quietly(servers, ours, path, asked.seconds) for name, path in others.items()}
    _tell(rounds, quiet, busy)


def _fill(servers: running.Servers) -> dict[str, str]:
    """The invented organisation and one person; the other pages by name, with their addresses."""
    pool = make_pool(servers.places.database_url, size=1)
    now, signer = datetime.now(UTC), Signer(Settings().signing_keys)
    with transaction(make_sessions(pool)) as session:
        demo_organisation.load(session, now)
        contacts.admit(session, [(Person(email=ROSA, first_name="Rosa", zip="01605"), now)], now)
        rosa: int = session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": ROSA}).scalar_one()
        session.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
    pool.dispose()
    return {
        "thanks for a gift": "/give/neighbours/thanks",
        "what I get": f"/me/{signer.sign('preferences', rosa, int(now.timestamp()))}",
        "stop letters": f"/u/{signer.sign('unsubscribe', rosa, 0)}",
        "my monthly gifts": f"/give/me/{signer.sign('giving', rosa, int(now.timestamp()))}",
        "ask for that link": "/give/me",
        "home": "/",
    }


def _round(bare: int, ours: int, number: int, seconds: float) -> Iterator[tuple[str, float]]:
    report.progress(f"round {number + 1} of {report.ROUNDS}")
    for name in report.turns([BARE, *OPEN], number):
        port, path = (bare, "/") if name == BARE else (ours, OPEN[name])
        send(port, CONNECTIONS, seconds=seconds / 6, page=path)
        told = send(port, CONNECTIONS, seconds=seconds, page=path)
        if told.failed or not told.acknowledged:
            raise Failed(f"{name}: {told.failed} requests failed, {told.acknowledged} were answered")
        report.progress(f"  {name}: {told.acknowledged / told.seconds:.0f} req/s")
        yield name, told.acknowledged / told.seconds


def _quietly(servers: running.Servers, port: int, path: str, seconds: float) -> tuple[float, float, float]:
    """Milliseconds (p50, p99) of this page at few connections, and the statements that one costs."""
    send(port, 1, requests=COUNTED, page=path)
    with psycopg.connect(servers.places.database_url, autocommit=True) as connection:
        before = connection.execute(_STATEMENTS).fetchone() or (0,)
        send(port, 1, requests=COUNTED, page=path)
        after = connection.execute(_STATEMENTS).fetchone() or (0,)
    told = send(port, QUIETLY, seconds=seconds, page=path)
    if told.failed or not told.acknowledged:
        raise Failed(f"{path}: {told.failed} requests failed, {told.acknowledged} were answered")
    return told.p50, told.p99, (int(after[0]) - int(before[0]) - 1) / COUNTED


def _tell(rounds: Sequence[Mapping[str, float]], quiet: Mapping[str, tuple[float, float, float]], busy: float) -> None:
    rates = {name: Spread([[one[name]] for one in rounds]) for name in (BARE, *OPEN)}
    ratios = {name: report.ratio(rates[name], rates[BARE]) for name in OPEN}
    rows = [
        (f"{name} {OPEN.get(name, '')}".strip(), f"{median(rates[name].p50s):.0f}", f"{ratios.get(name, 1):.2f}")
        for name in rates
    ]
    title = f"{CONNECTIONS} connections, at least {AT_LEAST:g} of the bare page; load for each core before: {busy}"
    report.table(title, ("page", "req/s", "of bare"), rows)
    other = [(name, f"{p50:.1f}", f"{p99:.1f}", f"{statements:.1f}") for name, (p50, p99, statements) in quiet.items()]
    report.table(f"other pages, {QUIETLY} connections", ("page", "p50 ms", "p99 ms", "statements each"), other)
    figures = dict(chain.from_iterable(
        ((f"{name}_p50_ms", round(p50, 2)), (f"{name}_p99_ms", round(p99, 2)), (f"{name}_statements", round(count, 2)))
        for name, (p50, p99, count) in quiet.items()
    ))  # fmt: skip
    figures |= {f"{name}_per_second": round(median(spread.p50s)) for name, spread in rates.items()}
    report.close("pages", ratios, figures | {"load_per_core_before": busy})
