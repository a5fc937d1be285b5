"""The door to Postgres: the connection pool (never called `engine`), one way to open a transaction, rows as JSON."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import orjson
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

Sessions = sessionmaker[Session]

_SERVER_OPTIONS = {
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10s",  # for an answer that nobody takes, during which keepalives wait: its locks would stay for long
    "random_page_cost": "1.1",  # what is looked up is in memory or on flash: five hundred of a batch by their indexes, too
}
# A host that is gone is noticed within seconds (TCP only): the pulse may not hang with its leader's lock.
KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def driver_url(url: str) -> str:
    """The same database, said to psycopg itself: postgres:// and postgresql+psycopg:// become postgresql://."""
    scheme, _, rest = url.partition("://")
    return "postgresql://" + rest if scheme.startswith("postgres") else url


def server_options() -> str:
    """Time zone, time-outs and what the planner may expect of every connection, as libpq's `options`."""
    return " ".join(f"-c {name}={value}" for name, value in _SERVER_OPTIONS.items())


def make_pool(url: str, *, size: int = 5) -> Engine:
    """A pool of connections. Touches nothing until first used; one per process, made after any fork."""
    return create_engine(
        driver_url(url).replace("postgresql://", "postgresql+psycopg://", 1),
        pool_size=size,
        max_overflow=size,
        pool_pre_ping=True,
        pool_timeout=5,
        hide_parameters=True,
        connect_args=KEEPALIVE | {"options": server_options(), "connect_timeout": 5, "application_name": "groundswell"},
    )


def make_sessions(pool: Engine) -> Sessions:
    """The maker of sessions; objects stay readable after commit."""
    return sessionmaker(pool, expire_on_commit=False)


@contextmanager
def transaction(sessions: Sessions) -> Iterator[Session]:
    """One transaction: committed when the block ends, rolled back when it raises."""
    with sessions() as session, session.begin():
        yield session


def rows(records: Iterable[Mapping[str, object]]) -> str:
    """Records as one JSON parameter for `json_to_recordset`: many rows, one statement, one bound value.

    Times become ISO text, dataclasses objects. Whole numbers must fit 64 bits, as columns do.
    """
    return orjson.dumps(list(records)).decode()
