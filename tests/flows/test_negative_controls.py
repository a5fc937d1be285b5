"""Safeguards taken away on purpose. Each scenario holds for the product and fails for a build without its safeguard.

What is removed is removed here, in the test's own database or by a subclass: nothing in the product can be switched off.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.db import transaction
from tests.asgi import Client
from tests.flows.house import one, put, rows
from tests.make import actblue_body, basic, raw, stripe_signature
from webhooks.app import build
from webhooks.writer import Arrival, Writer
from workers import intake

JSON = ("content-type", "application/json")

MakeWriter = Callable[[Deps], Writer]


@contextmanager
def postgres_away(deps: Deps, servers):
    """Nobody can connect to this test's database while the block runs."""
    assert deps.settings.database_url is not None
    name = sql.Identifier(deps.settings.database_url.get_secret_value().rpartition("/")[2].partition("?")[0])
    with psycopg.connect(servers.database_url, dbname="postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        yield
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


# The scenarios. Each raises AssertionError when what we promise does not hold.


def what_comes_again_is_kept_once(deps: Deps, make: MakeWriter = Writer) -> None:
    body = raw({"id": "evt_again", "object": "event", "livemode": False})
    posts = [
        ("POST", "/webhooks/stripe", (JSON, stripe_signature(body)), body),
        ("POST", "/webhooks/actblue", (JSON, basic()), raw(actblue_body(donor={"email": "rosa@example.org"}))),
    ]
    with Client(build(deps, writer=make(deps))) as door:
        answers = door.together(*(posts * 10))
        answers += [door.send(*each) for each in posts]  # and once more when the others are long committed
    assert {answer.status for answer in answers} == {200}
    kept = one(deps, "SELECT count(*) AS n FROM inbound_event").n
    assert kept == len(posts), f"{kept} rows of {len(posts)} events"


def a_200_means_committed(deps: Deps, servers, make: MakeWriter = Writer) -> None:
    body = raw({"id": "evt_lost", "object": "event", "livemode": False})
    with Client(build(deps, writer=make(deps))) as door, postgres_away(deps, servers):
        answers = [door.send("POST", "/webhooks/stripe", (JSON, stripe_signature(body)), body) for _ in range(2)]
    said = [answer.status for answer in answers]
    kept = one(deps, "SELECT count(*) AS n FROM inbound_event").n
    assert kept >= said.count(200), f"answered {said}, kept {kept}"
    assert set(said) <= {200, 503}


def an_event_that_kills_its_worker_ends_in_quarantine(deps: Deps) -> None:
    poison = put(deps, raw(actblue_body()))
    for _ in range(inbox.MOST_ATTEMPTS + 1):
        intake.give_up(deps, bell.INTAKE)
        if inbox.claim(deps.sessions, bell.INTAKE) is None:
            break
        # The worker is gone, like all that it did not commit; its lease runs out.
        with transaction(deps.sessions) as session:
            session.execute(
                text("UPDATE inbound_event SET due_at = now() - interval '1 second' WHERE lease IS NOT NULL")
            )
    found = one(deps, f"SELECT state, attempts FROM inbound_event WHERE id = {poison}")
    assert (found.state, found.attempts) == ("quarantined", inbox.MOST_ATTEMPTS), found
    assert len(rows(deps, "SELECT 1 FROM notice")) == 1


# The safeguards, each taken away.


@dataclass(frozen=True)
class Without:
    """A build without one safeguard: what is done to the database, and the writer it has."""

    statement: str = "SELECT 1"
    make: MakeWriter = Writer

    def apply(self, deps: Deps) -> None:
        with transaction(deps.sessions) as session:
            session.execute(text(self.statement))


class Hasty(Writer):
    """Answers when an event is in the queue, before its commit."""

    async def store(self, arrival: Arrival) -> int | None:
        self.accept(arrival)
        return 1


ON_CONFLICT = "ON CONFLICT (source, key) DO NOTHING"
UNIQUE_KEY = Without(
    "DROP INDEX inbound_event_source_key_key",
    partial(
        Writer,
        receive=inbox.RECEIVE.replace(ON_CONFLICT, ""),
        again=inbox.RECEIVE_AGAIN.replace(ON_CONFLICT, ""),
    ),
)
COMMIT_BEFORE_THE_ANSWER = Without(make=Hasty)
COUNTED_BEFORE_THE_WORK = Without("""
DO $$ BEGIN
    CREATE FUNCTION uncounted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.attempts := OLD.attempts; RETURN NEW; END';
    CREATE TRIGGER uncounted BEFORE UPDATE ON inbound_event FOR EACH ROW EXECUTE FUNCTION uncounted();
END $$
""")


def test_what_comes_again_is_kept_once(deps: Deps):
    what_comes_again_is_kept_once(deps)


def test_without_the_unique_key_it_is_not(deps: Deps):
    UNIQUE_KEY.apply(deps)
    with pytest.raises(AssertionError, match="rows of 2 events"):
        what_comes_again_is_kept_once(deps, UNIQUE_KEY.make)


def test_a_200_means_committed(deps: Deps, servers):
    a_200_means_committed(deps, servers)


def test_answered_before_the_commit_it_does_not(deps: Deps, servers):
    with pytest.raises(AssertionError, match="kept 0"):
        a_200_means_committed(deps, servers, COMMIT_BEFORE_THE_ANSWER.make)


def test_an_event_that_kills_its_worker_ends_in_quarantine(deps: Deps):
    an_event_that_kills_its_worker_ends_in_quarantine(deps)


def test_without_attempts_counted_before_the_work_it_kills_for_ever(deps: Deps):
    COUNTED_BEFORE_THE_WORK.apply(deps)
    with pytest.raises(AssertionError, match="pending"):
        an_event_that_kills_its_worker_ends_in_quarantine(deps)
