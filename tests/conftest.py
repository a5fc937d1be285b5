"""A real Postgres and a real Redis for every test, and the few fixtures that stand on them.

`session`: one session in a savepoint, rolled back. `deps`: a whole house on a database of its own (a clone of a migrated
template with the invented organisation), with fakes for clock, provider and bells. `system`: real processes.
"""

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from engine import demo_organisation, migrate
from engine.adapters import bells, embedded
from engine.adapters.signatures import Signatures
from engine.bootstrap import Deps
from engine.db import driver_url, make_pool, make_sessions, transaction
from engine.settings import Settings
from engine.tokens import Signer
from tests import signing
from tests.browser.chromium import CHROMIUM
from tests.edge.nginx import NGINX
from tests.fakes import FakeBells, FakeClock, FakeLimiter, FakeMailer
from tests.system import System

STRICT = "GROUNDSWELL_NO_TEST_MAY_BE_MISSING"
# In memory, where there is room, the servers are many times as fast; nothing of theirs is kept.
MEMORY, ROOM = Path("/dev/shm"), 4 * 1024**3

# A marker for tests that need a program of this machine; who it is, and where, if it is there.
PROGRAMS = {"browser": ("Chromium", CHROMIUM), "nginx": ("nginx", NGINX)}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without its program a test is left out, and the summary says how many."""
    left_out = config.stash.setdefault(LEFT_OUT, Counter())
    for marker, (_, place) in PROGRAMS.items():
        if place is None:
            wanting = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if item not in wanting]
            left_out[marker] += len(wanting)


LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line for what did not run."""
    for marker, count in config.stash.get(LEFT_OUT, Counter()).items():
        if count:
            program = PROGRAMS[marker][0]
            terminalreporter.write_line(f"{count} {marker} tests did not run: there is no {program} on this machine")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where no test may be missing, one that is missing fails the run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    stats = reporter.stats if reporter else {}
    left_out = session.config.stash.get(LEFT_OUT, Counter()).total()
    missing = left_out + len(stats.get("skipped", ())) + len(stats.get("deselected", ()))
    if os.environ.get(STRICT) and missing:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@dataclass(frozen=True)
class Servers:
    """Where the servers of this test run are."""

    database_url: str
    redis_url: str

    def database(self, name: str) -> str:
        """The URL of one database."""
        return make_url(self.database_url).set(database=name).render_as_string(hide_password=False)

    @contextmanager
    def clone(self, template: str) -> Iterator[str]:
        """The URL of a database of its own, as the template is; gone when the block ends."""
        name = f"groundswell_test_{os.getpid()}_{os.urandom(4).hex()}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with psycopg.connect(self.database_url, dbname="postgres", autocommit=True) as admin:
            admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
            try:
                yield self.database(name)
            finally:
                _left(admin, name)
                admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _left(admin: psycopg.Connection, name: str) -> None:
    """Wait until nobody is connected to this database, a moment at most: Postgres itself looks ten times a second only."""
    for _ in range(50):
        if admin.execute("SELECT FROM pg_stat_activity WHERE datname = %s LIMIT 1", [name]).fetchone() is None:
            return
        sleep(0.002)


def _embedded(folder: Path) -> Iterator[Servers]:
    places = embedded.Places(folder)
    places.prepare()
    commands = [embedded.postgres(places, settings=embedded.THROWAWAY), embedded.redis_server(places)]
    running = [
        subprocess.Popen(
            command.argv, cwd=command.cwd, user=command.user, group=command.user, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]  # fmt: skip
    try:
        yield Servers(places.database_url, places.redis_url)
    finally:
        for process in running:
            process.terminate() if process is running[1] else process.send_signal(2)
        for process in running:
            process.wait(10)


def _answering(servers: Servers) -> None:
    deadline = monotonic() + 30
    while monotonic() < deadline:
        try:
            with psycopg.connect(servers.database_url, dbname="postgres", connect_timeout=2):
                if bells.answers(servers.redis_url):
                    return
        except psycopg.OperationalError:
            pass
        sleep(0.05)
    raise TimeoutError("the servers of the tests do not answer")


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """The environment's servers when it names both, else embedded ones that forget everything."""
    named = Settings()
    if named.database_url and named.redis_url:
        yield Servers(driver_url(named.database_url.get_secret_value()), named.redis_url.get_secret_value())
        return
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="groundswell-test-", dir=MEMORY if in_memory else None))
    try:
        for found in _embedded(folder):
            _answering(found)
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(embedded.Places(folder).elsewhere, ignore_errors=True)


@pytest.fixture(scope="session")
def template(servers: Servers) -> Iterator[str]:
    """A migrated database with the invented organisation, to be cloned. Nobody may be connected to it."""
    with servers.clone("template0") as url:
        pool = make_pool(url, size=1)
        migrate.upgrade(pool)
        with transaction(make_sessions(pool)) as session:
            demo_organisation.load(session)
        pool.dispose()
        yield str(make_url(url).database)


@pytest.fixture(scope="session")
def shared_database(servers: Servers, template: str) -> Iterator[str]:
    """One clone that all savepoint tests share; nothing is ever committed to it."""
    with servers.clone(template) as url:
        yield url


@pytest.fixture
def session(shared_database: str) -> Iterator[Session]:
    """One session whose every change is rolled back."""
    pool = make_pool(shared_database, size=1)
    with pool.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            yield session
        outer.rollback()
    pool.dispose()


@pytest.fixture
def database_url(servers: Servers, template: str) -> Iterator[str]:
    """A database of this test's own."""
    with servers.clone(template) as url:
        yield url


@pytest.fixture(scope="module")
def module_database(servers: Servers, template: str) -> Iterator[str]:
    """A database of this module's own."""
    with servers.clone(template) as url:
        yield url


@pytest.fixture
def settings(servers: Servers, database_url: str, tmp_path: Path) -> Settings:
    """Development's settings on this test's database."""
    return Settings(database_url=database_url, redis_url=servers.redis_url, data_dir=tmp_path)


@pytest.fixture
def deps(settings: Settings) -> Iterator[Deps]:
    """A house of this test's own: real database, fakes for the rest."""
    assert settings.database_url is not None
    pool = make_pool(settings.database_url.get_secret_value())
    yield Deps(
        settings=settings, sessions=make_sessions(pool), clock=FakeClock(), mailer=FakeMailer(), bells=FakeBells(),
        verifier=Signatures(settings.stripe_secrets, [signing.public()]), signer=Signer(settings.signing_keys),
        limiter=FakeLimiter(),
    )  # fmt: skip
    pool.dispose()


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """The whole system as `groundswell up --demo` starts it, on servers of its own."""
    with System.started() as running:
        yield running


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder for `groundswell up`, with a blank in its name; removed with whatever it put elsewhere."""
    made = Path(tempfile.mkdtemp(prefix="groundswell up "))
    yield made
    shutil.rmtree(made, ignore_errors=True)
    shutil.rmtree(embedded.Places(made / "data").elsewhere, ignore_errors=True)
