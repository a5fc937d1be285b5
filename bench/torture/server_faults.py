"""What can go wrong with Postgres, Redis and the ways to them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from time import monotonic, sleep
from typing import Any

import psycopg
import redis

from bench.torture.faults import SERVERS, Fault, Hurt
from bench.torture.proxy import MODES
from bench.torture.stage import Stage

MIB = 1024 * 1024
LOCK_SECONDS = 20
DELAY = 0.15  # seconds each way


def _signal(server: str, how: signal.Signals) -> Hurt:
    @contextmanager
    def sent(stage: Stage, _: Random) -> Iterator[str]:
        pid = stage.pid(server)
        if pid is not None:
            os.kill(pid, how)
        yield "" if pid is not None else "it was down already"

    return sent


@contextmanager
def frozen(stage: Stage, _: Random) -> Iterator[str]:
    """SIGSTOP of Redis: it takes connections and never answers."""
    pid = stage.pid("redis")
    if pid is not None:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield ""
    finally:
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGCONT)


def _redis(*command: str) -> Hurt:
    @contextmanager
    def done(stage: Stage, _: Random) -> Iterator[str]:
        said = ""
        try:
            stage.redis().execute_command(*command)
        except redis.RedisError as error:  # SHUTDOWN hangs up, too
            said = type(error).__name__
        yield said

    return done


@contextmanager
def squeezed(stage: Stage, _: Random) -> Iterator[str]:
    """No memory left in Redis: with noeviction every write is refused."""
    client = stage.redis()
    said = ""
    try:
        client.config_set("maxmemory", 1)
    except redis.RedisError as error:
        said = type(error).__name__
    try:
        yield said
    finally:
        _in_time(lambda: client.config_set("maxmemory", 0))


@contextmanager
def backend_killed(stage: Stage, chance: Random) -> Iterator[str]:
    """kill -9 of a process that serves one of our connections: Postgres cuts all of them and recovers."""
    pids = _ask(stage, "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'groundswell%' ORDER BY pid")
    if pids:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(pids)[0], signal.SIGKILL)
    yield f"one of {len(pids)}"


@contextmanager
def terminated(stage: Stage, _: Random) -> Iterator[str]:
    """pg_terminate_backend for every other connection."""
    hit = _ask(stage, """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE 'groundswell%' AND pid % 2 = 0""")  # fmt: skip
    yield f"{len(hit)} connections"


def _ask(stage: Stage, query: str) -> list[Any]:
    try:
        with stage.database() as connection:
            return connection.execute(query.encode()).fetchall()
    except psycopg.Error:
        return []


@contextmanager
def locked(stage: Stage, _: Random) -> Iterator[str]:
    """The table of letters under an exclusive lock."""
    said, connection = "", None
    try:
        connection = stage.database()
        connection.autocommit = False
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
    except psycopg.Error as error:
        said = type(error).__name__
    try:
        yield said
    finally:
        if connection is not None:
            connection.close()


@contextmanager
def exhausted(stage: Stage, _: Random) -> Iterator[str]:
    """Every connection that Postgres has is taken, also the ones that the product lets go of meanwhile."""
    taken: list[psycopg.Connection[Any]] = []
    until = monotonic() + 1
    while monotonic() < until:
        try:
            taken.append(stage.database())
        except psycopg.OperationalError:
            sleep(0.05)
    _ask_through(taken, """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE 'groundswell%' AND pid % 4 = 0""")  # fmt: skip
    until = monotonic() + 1
    while monotonic() < until:
        with suppress(psycopg.OperationalError):
            taken.append(stage.database())
    try:
        yield f"{len(taken)} connections"
    finally:
        for each in taken:
            each.close()


def _ask_through(taken: list[psycopg.Connection[Any]], query: str) -> None:
    for each in taken[:1]:
        with suppress(psycopg.Error):
            each.execute(query.encode())


@contextmanager
def disk_full(stage: Stage, _: Random) -> Iterator[str]:
    """Not a byte is left on Postgres' disk."""
    if not stage.disk:
        raise RuntimeError("Postgres has no disk of its own here")
    filler = stage.postgres_folder / "filler"
    written = 0
    with filler.open("wb", buffering=0) as file:
        piece = b"\0" * MIB
        while piece:
            try:
                written += file.write(piece)
            except OSError:
                piece = piece[: len(piece) // 2]
    try:
        yield f"{written // MIB} MiB written"
    finally:
        filler.unlink()


# What a release adds to tables while it is rolled out, as our own migrations do: short waits for locks, tried again.
_ADDED = (
    *(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS torture int NOT NULL DEFAULT 7"
      for table in ("inbound_event", "message", "handover", "contact", "contribution")),
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS torture_when ON message (created_at, torture)",
)  # fmt: skip
_REMOVED = (
    "DROP INDEX CONCURRENTLY IF EXISTS torture_when",
    *(f"ALTER TABLE {table} DROP COLUMN IF EXISTS torture"
      for table in ("inbound_event", "message", "handover", "contact", "contribution")),
)  # fmt: skip


@contextmanager
def migrated(stage: Stage, _: Random) -> Iterator[str]:
    """A migration runs: columns and an index are added, and taken away at the end."""
    tries = sum(_statement(stage, each) for each in _ADDED)
    try:
        yield f"{tries} tries for {len(_ADDED)} statements"
    finally:
        for each in _REMOVED:
            _statement(stage, each)


def _statement(stage: Stage, statement: str) -> int:
    """Until it is done; how many tries that took."""
    for tries in range(1, 60):
        try:
            with stage.database() as connection:
                connection.execute("SET lock_timeout = '2s'")
                connection.execute(statement.encode())
            return tries
        except psycopg.Error:
            sleep(0.5)
    raise RuntimeError(f"a migration could not be run for half a minute: {statement}")


def _in_time(done: Any, seconds: float = 30) -> None:
    """Until it can be done."""
    until = monotonic() + seconds
    while True:
        try:
            done()
            return
        except redis.RedisError:
            if monotonic() > until:
                raise
            sleep(0.2)


def _way(name: str, mode: str) -> Hurt:
    @contextmanager
    def misbehaving(stage: Stage, _: Random) -> Iterator[str]:
        stage.proxy.set(name, mode, DELAY if mode == "delay" else 0.0)
        try:
            yield ""
        finally:
            stage.proxy.set(name, "pass")

    return misbehaving


def ways(names: tuple[str, ...], lane: str, seconds: float) -> tuple[Fault, ...]:
    """Each way to misbehave of each of these."""
    return tuple(
        Fault(f"the way to {name}: {mode.replace('_', '-')}", lane, seconds, _way(name, mode))
        for name in names
        for mode in MODES
        if mode != "pass"
    )


SERVER_FAULTS = (
    Fault("Redis: SHUTDOWN NOSAVE", SERVERS, 0, _redis("SHUTDOWN", "NOSAVE")),
    Fault("Redis: kill -9", SERVERS, 0, _signal("redis", signal.SIGKILL)),
    Fault("Redis: FLUSHALL", SERVERS, 0, _redis("FLUSHALL")),
    Fault("Redis: SCRIPT FLUSH", SERVERS, 0, _redis("SCRIPT", "FLUSH")),
    Fault("Redis: CLIENT KILL of everybody", SERVERS, 0, _redis("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")),
    Fault("Redis: frozen, 9 s", SERVERS, 9, frozen),
    Fault("Redis: frozen, 75 s", SERVERS, 75, frozen, again=False),
    Fault("Redis: full", SERVERS, 6, squeezed),
    Fault("Postgres: fast restart", SERVERS, 0, _signal("postgres", signal.SIGINT)),
    Fault("Postgres: immediate restart", SERVERS, 0, _signal("postgres", signal.SIGQUIT)),
    Fault("Postgres: kill -9 of a backend", SERVERS, 0, backend_killed),
    Fault("Postgres: pg_terminate_backend", SERVERS, 0, terminated),
    Fault("Postgres: letters locked, 20 s", SERVERS, LOCK_SECONDS, locked, again=False),
    Fault("Postgres: no connection left", SERVERS, 8, exhausted, again=False),
    Fault("Postgres: disk full", SERVERS, 10, disk_full, again=False, needs="disk"),
    Fault("a migration under load", SERVERS, 4, migrated),
    *ways(("redis", "postgres"), SERVERS, 5),
)  # fmt: skip
