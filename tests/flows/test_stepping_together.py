"""Stepping in batches is stepping one by one; workers beside each other, and dying ones, write each letter once."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event, Semaphore
from time import sleep
from typing import Any

import pytest
from sqlalchemy import event, text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.outreach import stepping
from tests import dying
from tests.campaigns import NOW, people
from tests.flows.house import change, one, rows
from tests.flows.test_stepping import CALL, DAY, gives, letters, places
from tests.sequences import Published, alone, enrol, publish
from workers import outreach

LOCK = "FOR NO KEY UPDATE OF c SKIP LOCKED FOR UPDATE OF e SKIP LOCKED"

# All that a step can do, in one sequence.
EVERYTHING: tuple[dict[str, Any], ...] = (
    {"key": "town", "tag": "called", "if": {"op": "random", "percent": 50, "salt": "a"}},
    {"key": "ask", "ask": True, "holdout": 20,
     "variants": [{"key": "a", "letter": "short"}, {"key": "b", "letter": "long"}]},
    {"key": "pause", "wait": "1 day", "if": {"op": "language", "language": "en"}},
    {"key": "tell", "notify": "somebody_came"},
    {"key": "listen", "wait_for": {"event": "clicked", "within": "2 days"}},
    {"key": "again", "email": "call", "if": {"op": "random", "percent": 30, "salt": "b"}},
    {"key": "end", "stop": {"rest": True}},
)  # fmt: skip
RULES: dict[str, Any] = {"goal": "gave", "exit_when": {"op": "random", "percent": 5, "salt": "c"}}


@pytest.fixture(name="deps")
def _deps(deps: Deps) -> Deps:
    return alone(deps)


def crowd(deps: Deps, many: int) -> list[int]:
    """People of three chapters and two languages, some of whom gave."""
    ids = [*people(deps, many // 2), *people(deps, many // 4, "lowell"), *people(deps, many // 4, "springfield")]
    change(deps, "UPDATE contact SET language = 'es', time_zone = '' WHERE id % 5 = 0")
    gives(deps, *ids[::20])
    return ids


def drain(deps: Deps, most: int) -> None:
    """Everybody takes all steps that are due now, so many at a time."""
    more = True
    while more:
        with deps.work() as (session, now):
            _, more = stepping.step(session, now, deps.settings, most)


def outcome(deps: Deps) -> list[Any]:
    """All that came of it, but for the order in which it was written."""
    said = "contact_id, step, mailing_id, occasion, due_at, language, chapter_id, kind, at_cap, facts::text"
    return [
        sorted(letters(deps, said, "step <> ''"), key=str),
        sorted(letters(deps, said, "occasion LIKE 'notify:%'"), key=str),
        places(deps, "contact_id, state, reason, step, due_at, waits_for, heard, history::text"),
        [tuple(row) for row in rows(deps, "SELECT id, custom::text, rested_at FROM contact ORDER BY id")],
        [tuple(row) for row in rows(deps, "SELECT * FROM step_tally ORDER BY 1, 2, 3, 4")],
        [tuple(row) for row in rows(deps, "SELECT finished, left_early FROM campaign")],
    ]


def test_three_hundred_at_once_come_to_the_same_as_one_by_one(deps: Deps):
    published = publish(deps, *EVERYTHING, **RULES, campaign=True)
    enrol(deps, published, crowd(deps, 300))
    found = []
    for most in (300, 1):
        deps.clock.now = NOW + DAY
        for _ in range(4):
            drain(deps, most)
            deps.clock.skip(DAY)
        found.append(outcome(deps))
        for table in ("message", "step_tally"):
            change(deps, f"DELETE FROM {table}")
        change(deps, "UPDATE contact SET custom = '{}', rested_at = NULL")
        change(deps, "UPDATE campaign SET finished = 0, left_early = 0")
        change(deps, """UPDATE enrollment SET state = 'active', reason = '', step = :first, due_at = :now, waits_for = '',
            history = '[]', ended_at = NULL""", first=published.first, now=NOW)  # fmt: skip
    assert found[0] == found[1]
    assert len(found[0][0]) > 200
    assert {row[1] for row in found[0][2]} == {"finished", "left"}


def statements(deps: Deps, work: Callable[[], object]) -> int:
    counted = Counter[str]()

    def count(*_: Any) -> None:
        counted["statements"] += 1

    pool = deps.sessions.kw["bind"]
    event.listen(pool, "before_cursor_execute", count)
    work()
    event.remove(pool, "before_cursor_execute", count)
    return counted["statements"]


def test_the_number_of_statements_does_not_grow_with_the_people(deps: Deps):
    deps.clock.skip(DAY)
    found = []
    for many in (12, 300):
        enrol(deps, publish(deps, *EVERYTHING, goal="gave", campaign=True), crowd(deps, many))
        found.append(statements(deps, lambda: outreach.step(deps)))
    assert found[0] == found[1] <= 13


def test_a_second_bell_writes_nothing(deps: Deps):
    enrol(deps, publish(deps, *CALL), people(deps, 20))
    outreach.work(deps)
    outreach.work(deps)
    change(deps, "UPDATE enrollment SET step = 'write', due_at = :now", now=NOW)  # as if it had been forgotten
    outreach.work(deps)
    assert letters(deps) == ["write"] * 20
    assert one(deps, "SELECT sum(composed) AS some FROM step_tally").some == 20


# Workers beside each other.


def test_whom_somebody_else_holds_is_passed_over_and_steps_later(deps: Deps):
    ids = people(deps, 10)
    enrol(deps, publish(deps, *CALL), ids)
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM contact WHERE id = :id FOR NO KEY UPDATE"), {"id": ids[3]})
        outreach.work(deps)
        assert letters(deps, "contact_id") == ids[:3] + ids[4:]
    outreach.work(deps)
    assert letters(deps, "contact_id") == ids


def test_a_gift_that_is_just_being_booked_is_seen_once_it_is(deps: Deps):
    (who,) = people(deps, 1)
    enrol(deps, publish(deps, *EVERYTHING[1:2], goal="gave"), [who])
    deps.clock.skip(DAY)
    held, booked = Barrier(2), Barrier(2)

    def give() -> None:
        with transaction(deps.sessions) as session:
            session.execute(text("SELECT FROM contact WHERE id = :id FOR NO KEY UPDATE"), {"id": who})
            held.wait(10)
            booked.wait(10)
            session.execute(text("""INSERT INTO contribution (source, source_key, contact_id, fund_id, amount_cents, paid_at,
                donor, order_number, payment_key) SELECT 'actblue', 'x', :id, fund_id, 2700, :now, '{}', 'x', 'x'
                FROM letter WHERE slug = 'short'"""), {"id": who, "now": deps.clock.now})  # fmt: skip
            session.execute(
                text("UPDATE contact SET engaged_last_at = :now WHERE id = :id"), {"id": who, "now": deps.clock.now}
            )

    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(give)
        held.wait(10)
        outreach.work(deps)
        assert letters(deps) == []
        booked.wait(10)
        giving.result(10)
    outreach.work(deps)
    assert letters(deps) == []
    assert places(deps, "state, reason") == [("left", "gave")]


def work(deps: Deps, chosen: random.Random) -> None:
    for _ in range(25):
        with deps.work() as (session, now):
            happened, _ = stepping.step(session, now, deps.settings, chosen.randint(1, 30))
            sleep(chosen.random() * 0.01)
            deps.react(session, happened, now)


def meddle(deps: Deps, chosen: random.Random, line: Published, ids: Sequence[int]) -> None:
    """Gifts come, time goes by, the campaign is paused and goes on."""
    what = (
        lambda: gives(deps, chosen.choice(ids)), lambda: pause(deps, line), lambda: deps.clock.skip(DAY / 4),
        lambda: change(deps, "UPDATE campaign SET paused_at = NULL"),
    )  # fmt: skip
    for _ in range(25):
        chosen.choice(what)()


@pytest.mark.parametrize("seed", range(3))
def test_workers_gifts_and_pauses_in_any_order_leave_each_letter_once(deps: Deps, seed: int):
    lines = [
        publish(deps, *EVERYTHING, **RULES, campaign=True),
        publish(deps, *CALL),
        publish(deps, *EVERYTHING, **RULES),
    ]
    ids = crowd(deps, 80)
    for line in lines:
        enrol(deps, line, ids)
    with ThreadPoolExecutor(3) as pool:
        working = [pool.submit(work, deps, random.Random(10 * seed + number)) for number in range(2)]
        working.append(pool.submit(meddle, deps, random.Random(seed), lines[0], ids))
        for each in working:
            each.result(60)
    change(deps, "UPDATE campaign SET paused_at = NULL")
    for _ in range(5):
        drain(deps, 100)
        deps.clock.skip(DAY)
    assert_each_once(deps, lines)


@pytest.mark.parametrize("locked", [True, False])
def test_without_its_lock_two_workers_take_one_step_twice(deps: Deps, locked: bool):
    """What the lock is for: taken away, it is missed."""
    looks, pool = Semaphore(0), deps.sessions.kw["bind"]

    @event.listens_for(pool, "before_cursor_execute", retval=True)
    def _(_: Any, __: Any, statement: str, values: Any, ___: Any, ____: Any) -> tuple[str, Any]:
        return statement if locked else statement.replace(LOCK, ""), values

    @event.listens_for(pool, "after_cursor_execute")
    def _(_: Any, __: Any, statement: str, *___: Any) -> None:
        if (") claimed" if locked else "GROUP BY 1, 2") in statement:
            looks.release()

    enrol(deps, publish(deps, *CALL), people(deps, 5))
    begun = Event()

    def first() -> None:
        with deps.work() as (session, now):
            stepping.step(session, now, deps.settings)
            begun.set()
            assert all(looks.acquire(timeout=10) for _ in range(2))  # so that the other has looked as well

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(first)
        assert begun.wait(10)
        outreach.step(deps)
        working.result(10)
    assert {len(row.history) for row in rows(deps, "SELECT history FROM enrollment")} == ({2} if locked else {4})
    assert letters(deps) == ["write"] * 5


def pause(deps: Deps, line: Published) -> None:
    with transaction(deps.sessions) as session:
        session.execute(text("SELECT FROM campaign WHERE id = :id FOR UPDATE"), {"id": line.campaign_id})
        session.execute(text("UPDATE campaign SET paused_at = now() WHERE id = :id"), {"id": line.campaign_id})


def assert_each_once(deps: Deps, lines: list[Published]) -> None:
    """All came to their end, and what is written of each agrees with her letters and with what was counted."""
    assert rows(deps, "SELECT DISTINCT state FROM enrollment WHERE state = 'active'") == []
    written = Counter[tuple[int, int, str]]()
    for row in rows(deps, "SELECT contact_id, version_id, history FROM enrollment"):
        keys = [each[0] for each in row.history]
        assert len([key for key in keys if key == "pause"]) <= 1
        written.update((row.contact_id, row.version_id, each[0]) for each in row.history if each[1] == "written")
    assert set(written.values()) == {1}
    assert written == Counter(letters(deps, "contact_id, version_id, step"))
    assert one(deps, "SELECT sum(composed) AS some FROM step_tally").some == written.total()
    told = one(deps, f"SELECT finished + left_early AS some FROM campaign WHERE id = {lines[0].campaign_id}").some
    assert told == one(deps, f"SELECT count(*) AS n FROM enrollment WHERE campaign_id = {lines[0].campaign_id}").n


# Workers that die.


def turn(deps: Deps, _: str) -> None:
    """Small batches, so that there is much to be cut short."""
    more = True
    while more:
        with deps.work() as (session, now):
            happened, more = stepping.step(session, now, deps.settings, 20)
            deps.react(session, happened, now)
    deps.bells.ring()


@pytest.mark.slow
def test_workers_that_are_killed_while_they_step_lose_nobody_and_write_nothing_twice(deps: Deps):
    lines = [publish(deps, *EVERYTHING, **RULES, campaign=True)]
    deps.clock.skip(DAY)
    enrol(deps, lines[0], crowd(deps, 1200), due=NOW)
    orders = dying.Orders(deps.settings, "http://127.0.0.1:1", "", deps.clock.now, work=turn)
    assert dying.run(replace(orders, step="before the claim is committed")) == -signal.SIGKILL
    assert letters(deps) == []
    chosen = random.Random(7)
    for _ in range(4):
        wanted = begun(deps) + chosen.randrange(1, 200)
        workers = [dying.start(orders) for _ in range(2)]
        for each in workers:
            each.begin()
        while begun(deps) < wanted:
            sleep(0.005)
        for each in workers:
            os.kill(each.pid, signal.SIGKILL)
        assert [each.end() for each in workers] == [-signal.SIGKILL] * 2
    assert begun(deps) < 1200
    for _ in range(5):
        drain(deps, 1000)
        deps.clock.skip(DAY)
    assert_each_once(deps, lines)


def begun(deps: Deps) -> int:
    """How many have taken a step."""
    return int(one(deps, "SELECT count(*) AS n FROM enrollment WHERE history <> '[]'").n)


# On a world of its own.


SHADOWED = ("contact", "enrollment", "message", "campaign", "step_tally", "sequence")


@pytest.mark.parametrize("before", [0, 12])
def test_over_tables_of_a_transaction_of_its_own_it_steps_like_anywhere_and_leaves_no_trace(deps: Deps, before: int):
    """As simulating does; `before`: so often this connection has stepped already."""
    ids = people(deps, 30)
    published = publish(deps, *EVERYTHING[1:3], *CALL[2:], campaign=True)
    enrol(deps, published, ids)
    deps.clock.skip(DAY)
    there = outcome(deps)
    with deps.sessions() as session:
        for _ in range(before):
            stepping.step(session, NOW - DAY, deps.settings)
            session.rollback()
        for _ in range(before):
            stepping.step(session, deps.clock.now, deps.settings)
            session.rollback()
        for table in SHADOWED:
            session.execute(text(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP"))
            session.execute(text(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM public.{table}"))
        stepping.step(session, deps.clock.now, deps.settings)
        assert session.scalar(text("SELECT count(*) FROM message")) > 10
        with transaction(deps.sessions) as other:  # nobody is locked by it
            other.execute(text("SELECT FROM contact FOR UPDATE NOWAIT"))
            other.execute(text("SELECT FROM enrollment FOR UPDATE NOWAIT"))
        session.rollback()
    assert outcome(deps) == there
