"""Gatherings: a code lifts limits between its times and up to its count, however many come at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import gatherings
from tests.flows.house import one, put, run_everything
from tests.make import NOON, join_body, raw


def host(deps: Deps, most: int = 3) -> None:
    with transaction(deps.sessions) as session:
        session.execute(
            text("""INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
            SELECT 'May1', 'May Day', id, :at, :at + interval '2 hours', :most FROM chapter WHERE slug = 'worcester'"""),
            {"at": NOON, "most": most},
        )


def take(deps: Deps, minutes: float = 1, code: str = "May1") -> bool:
    with transaction(deps.sessions) as session:
        now = NOON + timedelta(minutes=minutes)
        shown = gatherings.open_one(session, code, now) is not None
        taken = gatherings.take(session, code, now) is not None
        assert shown or not taken
        return taken


@pytest.mark.parametrize(
    ("minutes", "code", "found"),
    [(-0.1, "May1", False), (0, "May1", True), (119.9, "May1", True), (120, "May1", False), (1, "may1", False),
     (1, "", False), (1, "' OR true --", False)],
)  # fmt: skip
def test_a_code_counts_between_its_times_only(deps: Deps, minutes: float, code: str, found: bool):
    host(deps)
    assert take(deps, minutes, code) is found
    assert one(deps, "SELECT taken FROM gathering WHERE code = 'May1'").taken == int(found)


def test_a_code_takes_as_many_as_it_may_and_looking_takes_none(deps: Deps):
    host(deps, most=3)
    assert [take(deps) for _ in range(5)] == [True, True, True, False, False]
    assert one(deps, "SELECT taken FROM gathering WHERE code = 'May1'").taken == 3


def test_of_many_at_once_exactly_as_many_as_it_may(deps: Deps):
    host(deps, most=25)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: take(deps), range(60)))
    assert sum(taken) == 25
    assert one(deps, "SELECT taken FROM gathering WHERE code = 'May1'").taken == 25


def test_the_worker_counts_nobody_however_often_a_body_is_delivered(deps: Deps):
    host(deps)
    take(deps)
    body = raw(join_body(gathering="May1"))
    put(deps, body, source="join")
    run_everything(deps)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE inbound_event SET state = 'pending', attempts = 0, due_at = now()"))
    run_everything(deps)
    assert one(deps, "SELECT taken FROM gathering WHERE code = 'May1'").taken == 1
    assert one(deps, "SELECT count(*) AS n FROM sign_up").n == 1


def test_a_body_that_is_applied_after_the_gathering_still_chooses_its_host(deps: Deps):
    host(deps)
    deps.clock.skip(timedelta(days=1))
    put(deps, raw(join_body(gathering="May1", zip="02139")), source="join")
    run_everything(deps)
    found = one(deps, "SELECT h.slug, c.routed_by FROM contact c JOIN chapter h ON h.id = c.chapter_id")
    assert tuple(found) == ("worcester", "choice")
