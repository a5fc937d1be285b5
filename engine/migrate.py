"""Bringing a database up to date: migrations, then the reference data that comes with the code: ZIPs, letters, sequences."""

from functools import cache
from time import sleep

import psycopg
import zipcodes
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from engine.db import rows
from engine.giving import own_form
from engine.letters import shipped, writing
from engine.outreach import shipped_sequences
from engine.settings import ROOT

LOCK = 0x67726D67  # one migration at a time, however many processes start
# A lock that is in use is waited for, then asked for again, so often.
LOCK_SECONDS, PAUSE_SECONDS, MOST_REFUSED = 1, 0.5, 60
_REFUSED = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)

_LOAD_ZIPS = text("""
INSERT INTO zip (zip, city, county, state, time_zone, latitude, longitude)
SELECT zip, city, county, state, time_zone, latitude, longitude
FROM json_to_recordset(CAST(:rows AS json)) AS v(zip text, city text, county text, state text, time_zone text,
    latitude float, longitude float)
ON CONFLICT (zip) DO NOTHING
""")


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration: pyproject.toml, and the connection to work on."""
    made = Config(toml_file=str(ROOT / "pyproject.toml"))
    made.attributes["connection"] = connection
    return made


@cache
def head() -> str:
    """The newest revision that this code knows."""
    return str(ScriptDirectory.from_config(config()).get_current_head())


@cache
def knows(revision: str) -> bool:
    """Whether this code has that revision; a newer release's it has not."""
    return any(each.revision == revision for each in ScriptDirectory.from_config(config()).walk_revisions())


def current(connection: Connection) -> str | None:
    """The revision of this database."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(pool: Engine) -> bool:
    """Migrate to head and load what is missing of the reference data. Returns whether anything was migrated.

    Each revision is a transaction of its own. For a lock it waits a second at most, since whoever comes after it waits as
    long, and then it tries again: older code may be working. Raises OperationalError when a lock is not to be had.
    """
    with pool.connect() as connection:
        with connection.begin():
            connection.execute(text("SET lock_timeout = '60s'"))
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        try:
            behind = _migrated(connection)
            with connection.begin():
                connection.execute(text("SET LOCAL lock_timeout = '5s'"))
                with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
                    _reference_data(session)
        finally:
            connection.invalidate()  # with its lock and its settings
    return behind


def _migrated(connection: Connection) -> bool:
    with connection.begin():
        connection.execute(text(f"SET lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text("SET statement_timeout = 0"))
        behind = current(connection) != head()
    refused = 0
    while behind and not _at_head(connection):
        try:
            command.upgrade(config(connection), "+1")
        except OperationalError as error:
            connection.rollback()
            refused += 1
            if not isinstance(error.orig, _REFUSED) or refused == MOST_REFUSED:
                raise
            sleep(PAUSE_SECONDS)
    return behind


def _at_head(connection: Connection) -> bool:
    with connection.begin():
        return current(connection) == head()


def _reference_data(session: Session) -> None:
    if not session.scalar(text("SELECT EXISTS (SELECT FROM zip)")):
        session.execute(_LOAD_ZIPS, {"rows": rows(_zip(place) for place in zipcodes.list_all())})
    writing.ship(session, shipped.shipped())
    own_form.lend(session)
    shipped_sequences.ship(session, session.scalar(text("SELECT now()")))


def _zip(place: dict[str, str]) -> dict[str, object]:
    return {
        "zip": place["zip_code"],
        "city": place["city"],
        "county": place["county"],
        "state": place["state"],
        "time_zone": place["timezone"],
        "latitude": float(place["lat"] or 0),
        "longitude": float(place["long"] or 0),
    }
