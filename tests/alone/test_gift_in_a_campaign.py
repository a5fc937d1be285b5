"""A gift in the middle of a campaign of 100,000 letters, through the door and real processes: within a second of its 200 the
ask that waits for that person is taken back, while nothing is handed over; also of whom was chosen before the gift and enters
after it; and nobody else is touched.
"""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from engine.bootstrap import Deps
from engine.settings import Settings
from tests import dying
from tests.campaigns import people
from tests.make import actblue_body, line_item, raw
from tests.sequences import Published, publish
from tests.system import System
from workers.main import GROUPS

pytestmark = pytest.mark.slow

MANY, STRETCH = 100_000, 20_000  # people; how many of them enter while the gifts come
ENTER = """
INSERT INTO enrollment (contact_id, version_id, sequence_id, campaign_id, rotation, step, due_at, entered_at)
SELECT id, %(version)s, %(sequence)s, %(campaign)s, 1, 'ask', now(), now() FROM contact
WHERE id BETWEEN %(first)s AND %(last)s
"""
LETTERS = "SELECT contact_id, state, reason FROM message WHERE campaign_id = %s"


@contextmanager
def house(system: System) -> Iterator[Deps]:
    """The same database, for whoever prepares it."""
    settings = Settings(database_url=system.places.database_url, data_dir=system.data)
    deps = dying.house(settings, "http://127.0.0.1:9", datetime.now(UTC))
    yield deps
    deps.sessions.kw["bind"].dispose()


@contextmanager
def nothing_is_handed_over(system: System) -> Iterator[None]:
    """The workers that hand campaigns over stand still."""
    stopped = system.ending_with(f"--queues {' '.join(GROUPS['delivery'].queues)}")
    assert stopped
    for each in stopped:
        each.send_signal(signal.SIGSTOP)
    yield
    for each in stopped:
        each.send_signal(signal.SIGCONT)


def enter(connection: psycopg.Connection[Any], of: Published, first: int, last: int) -> None:
    """A stretch of people enters, once it is committed."""
    named = {"version": of.version_id, "sequence": of.sequence_id, "campaign": of.campaign_id}
    connection.execute(ENTER, named | {"first": first, "last": last})


def give(system: System, contact_id: int) -> float:
    """Post a gift of hers; seconds from its 200 until her ask is taken back, if one waits for her."""
    ((email,),) = system.query("SELECT email FROM contact WHERE id = %s", contact_id)
    paid = line_item(paidAt=datetime.now(UTC).isoformat())
    assert system.post(raw(actblue_body(donor={"email": email}, lineitems=[paid]))) == 200
    began = monotonic()
    while not system.query("SELECT FROM contact WHERE id = %s AND gave_count = 1", contact_id):
        sleep(0.005)
    return monotonic() - began


def waiting(system: System, of: Published) -> int:
    """How many of its letters are ready."""
    ((found,),) = system.query(
        "SELECT count(*) FROM message WHERE campaign_id = %s AND state = 'ready'", of.campaign_id
    )
    return int(found)


def test_a_gift_in_the_middle_of_a_campaign_takes_back_that_persons_ask_at_once_and_nobody_elses():
    with System.started() as system:
        with house(system) as deps:
            of = publish(deps, {"key": "ask", "ask": "please"}, goal="gave", campaign=True, quiet_hours=None)
            ids = people(deps, MANY)
        early, late, chosen = ids[0], ids[-STRETCH - 1], ids[-1]
        with nothing_is_handed_over(system):
            with psycopg.connect(system.places.database_url) as stretch:
                with psycopg.connect(system.places.database_url) as connection:
                    enter(connection, of, ids[0], late)
                enter(stretch, of, late + 1, chosen)  # cut before the gifts, committed after them
                system.wait_for(lambda: waiting(system, of) > STRETCH, 60, "letters are written")
                seconds = give(system, early)
                ((_, state, reason),) = system.query(f"{LETTERS} AND contact_id = %s", of.campaign_id, early)
                assert (state, reason, seconds < 1) == ("cancelled", "gave", True), seconds
                give(system, late)
                give(system, chosen)
            system.wait_for(lambda: waiting(system, of) == MANY - 3, 120, "all letters are written")
            found = system.query(LETTERS, of.campaign_id)
            asked = Counter(contact_id for contact_id, state, _ in found if state == "ready")
            assert set(asked.values()) == {1}
            assert {early, late, chosen}.isdisjoint(asked)
            assert {each[1:] for each in found} == {("ready", ""), ("cancelled", "gave")}
            left = system.query(
                "SELECT contact_id FROM enrollment WHERE campaign_id = %s AND reason = 'gave'", of.campaign_id
            )
            assert {late, chosen} <= {row[0] for row in left} <= {early, late, chosen}
            ((composed, cancelled),) = system.query(
                "SELECT sum(composed), sum(cancelled) FROM step_tally WHERE campaign_id = %s", of.campaign_id
            )
            assert composed - cancelled == MANY - 3
