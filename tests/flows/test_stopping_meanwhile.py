"""Somebody stops her letters while others hold her rows: all lock in the order of the house, and nobody is in a knot."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.events import Event
from engine.mail import unsubscribing
from engine.people import locks
from engine.people.consent import PAUSED
from tests.campaigns import enqueue, letter, people
from tests.flows.house import change, one, rows

WAITING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
LETTER = text("SELECT id FROM message WHERE contact_id = :id FOR NO KEY UPDATE")
HERSELF = text("SELECT id FROM contact WHERE id = :id FOR UPDATE NOWAIT")


def stop(deps: Deps, contact_id: int) -> list[Event]:
    with deps.work() as (session, now):
        return unsubscribing.unsubscribe(session, contact_id, None, unsubscribing.EVERYTHING, now, source="preferences")


def resume(deps: Deps, contact_id: int) -> list[Event]:
    with deps.work() as (session, now):
        return unsubscribing.resume(session, contact_id, now, source="preferences")


@pytest.mark.parametrize(("act", "state"), [(stop, "cancelled"), (resume, "ready")])
def test_whoever_stops_or_resumes_asks_for_her_letters_before_herself(
    deps: Deps, act: Callable[[Deps, int], list[Event]], state: str
):
    (hers,) = people(deps, 1)
    enqueue(deps, letter(deps), [hers])
    change(deps, "UPDATE message SET reason = :paused", paused=PAUSED)
    with ThreadPoolExecutor(1) as pool:
        with transaction(deps.sessions) as session:  # as merging and erasing do
            session.execute(LETTER, {"id": hers}).all()
            other = pool.submit(act, deps, hers)
            while not other.done() and not rows(deps, WAITING):
                sleep(0.01)
            assert not other.done()
            session.execute(HERSELF, {"id": hers}).all()
            locks.hold(session, [hers])
        assert len(other.result(30)) == 1
    assert one(deps, "SELECT state FROM message").state == state
