"""Bringing a database up to date: migrations, then the reference data that comes with the code: ZIPs, letters, sequences."""

from functools import cache

import zipcodes
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from engine.db import rows
from engine.giving import own_form
from engine.letters import shipped, writing
from engine.outreach import shipped_sequences
from engine.settings import ROOT

LOCK = 0x67726D67  # one migration at a time, however many processes start

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


def current(connection: Connection) -> str | None:
    """The revision of this database."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(pool: Engine) -> bool:
    """Migrate to head and load what is missing of the reference data. Returns whether anything was migrated."""
    with pool.connect() as connection, connection.begin():
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        behind = current(connection) != head()
        if behind:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            command.upgrade(config(connection), "head")
        with Session(connection, join_transaction_mode="create_savepoint") as session, session.begin():
            _reference_data(session)
    return behind


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
