"""Campaigns that are paused, cancelled, corrected, or stand still by themselves."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from engine import bell
from engine.bootstrap import Deps
from engine.errors import Conflict
from engine.mail import handovers
from engine.outreach import halting, moving
from engine.ports import Answer
from tests.campaigns import go, letter, people, states
from tests.flows.house import change, one, rows
from tests.launches import (
    NOON,
    any_left,
    draft,
    entered,
    launch,
    leave,
    received,
    sequence,
    standing,
    turn,
    verb,
    work,
)
from workers import delivery, outreach, pulse


@pytest.fixture(autouse=True)
def _at_noon(deps: Deps) -> None:
    deps.clock.now = NOON


def test_paused_in_the_middle_it_stands_still_and_goes_on_where_it_was(deps: Deps):
    hers = people(deps, 30)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    turn(deps, 10)  # it begins
    turn(deps, 10)
    some = entered(deps)
    assert 0 < len(some) < 30
    verb(deps, halting.pause, who=None, because="the place was changed")
    assert verb(deps, halting.pause, who=None).changed is False
    leave(deps)
    assert entered(deps) == some
    assert (received(deps), states(deps)) == ([], {})
    verb(deps, halting.resume, who=None)
    assert verb(deps, halting.resume, who=None).changed is False
    leave(deps)
    assert (entered(deps), received(deps)) == (hers, hers)


def test_while_its_sequence_is_paused_nobody_enters(deps: Deps):
    hers = people(deps, 3)
    letter(deps, "rent")
    sequence(deps, "calls", [{"key": "one", "email": "rent"}])
    draft(deps, sequence="calls")
    launch(deps)
    change(deps, "UPDATE sequence SET paused_at = now() WHERE slug = 'calls'")
    work(deps)
    assert (entered(deps), standing(deps).state) == ([], "scheduled")
    change(deps, "UPDATE sequence SET paused_at = NULL WHERE slug = 'calls'")
    leave(deps)
    assert received(deps) == hers


def test_cancelled_in_the_middle_nobody_enters_and_queued_letters_are_taken_back(deps: Deps):
    people(deps, 30)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    for _ in range(3):
        turn(deps, 10)
    outreach.step(deps)
    assert 0 < states(deps)["ready"] < 30
    turn(deps, 5)
    done = verb(deps, halting.cancel, who=None, because="wrong place")
    assert done.campaign.state == "cancelled"
    work(deps)
    assert set(states(deps)) == {"cancelled"}
    assert {row.reason for row in rows(deps, "SELECT reason FROM message")} == {"campaign cancelled"}
    left = rows(
        deps, "SELECT DISTINCT state, reason FROM enrollment WHERE ended_at IS NOT NULL AND state <> 'finished'"
    )
    assert {tuple(row) for row in left} == {("left", "campaign cancelled")}
    found = standing(deps)
    assert found.enrolled == found.finished + found.left_early < 30
    assert found.ended_at is not None
    tally = one(deps, "SELECT sum(composed) AS composed, sum(cancelled) AS cancelled FROM step_tally")
    assert tally.composed == tally.cancelled == states(deps)["cancelled"]
    assert verb(deps, halting.cancel, who=None).changed is False
    go(deps)
    assert received(deps) == []
    with pytest.raises(Conflict, match="was cancelled"):
        launch(deps, key="again")


def test_a_large_one_that_is_cancelled_is_emptied_by_and_by_and_nothing_leaves_meanwhile(deps: Deps):
    people(deps, 40)
    letter(deps, "rent")
    sequence(
        deps,
        "twice",
        [{"key": "one", "email": "rent"}, {"key": "pause", "wait": "3 days"}, {"key": "two", "email": "rent"}],
    )
    draft(deps, sequence="twice")
    launch(deps)
    work(deps)
    assert states(deps) == {"ready": 40}
    change(
        deps, "UPDATE campaign SET state = 'cancelled', paused_at = :now", now=deps.clock.now
    )  # and nothing else yet
    turns = 0
    while clear(deps, 15):
        turns += 1
    assert turns == 2  # and a last one
    assert states(deps) == {"cancelled": 40}
    assert {row.reason for row in rows(deps, "SELECT reason FROM enrollment")} == {"campaign cancelled"}
    assert standing(deps).ended_at is not None


def clear(deps: Deps, most: int) -> bool:
    with deps.work() as (session, now):
        happened, more = halting.clear(session, now, most)
        deps.react(session, happened, now)
    return more


def test_a_chunk_that_was_in_the_making_when_it_was_cancelled_is_undone(deps: Deps):
    people(deps, 20)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    turn(deps, 10)
    pool = deps.sessions.kw["bind"]

    done: list[bool] = []

    def cancelled(_, __, statement, *___):
        if statement.lstrip().startswith("UPDATE campaign SET cursor") and not done:
            done.append(True)
            assert verb(deps, halting.cancel, who=None).changed  # it need not wait for the chunk

    event.listen(pool, "before_cursor_execute", cancelled)
    with pytest.raises(Conflict, match="was cancelled meanwhile"):
        turn(deps, 10)
    work(deps)
    assert entered(deps) == []


def test_people_of_a_chunk_that_was_in_the_making_when_it_moved_enter_by_the_version_it_moved_to(deps: Deps):
    hers = people(deps, 20)
    letter(deps, "rent")
    steps = [{"key": "pause", "wait": "3 days"}, {"key": "two", "email": "rent"}]
    sequence(deps, "calls", steps)
    draft(deps, sequence="calls")
    launch(deps)
    turn(deps, 10)
    newest = sequence(deps, "calls", [{"key": "pause", "wait": "5 days"}, steps[1]])
    done: list[bool] = []

    def moved(_, __, statement, *___):
        if statement.lstrip().startswith("UPDATE campaign SET cursor") and not done:
            done.append(True)
            with deps.work() as (session, now):
                moving.move(session, "calls", now, campaign="vote")

    event.listen(deps.sessions.kw["bind"], "before_cursor_execute", moved)
    work(deps)
    assert entered(deps) == hers
    assert {row.version_id for row in rows(deps, "SELECT version_id FROM enrollment")} == {newest}


def test_while_the_provider_may_give_its_letters_back_it_can_be_stopped(deps: Deps):
    people(deps, 3)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    work(deps)
    batch = delivery.claim(deps, bell.DELIVERY)
    work(deps)
    assert standing(deps).state == "running"
    deps.mailer.answer = lambda _: Answer("busy", detail="429", wait_seconds=1)
    for parcel in batch.parcels:
        delivery.submit(deps, batch, parcel)
    verb(deps, halting.cancel, who=None)
    assert (states(deps), standing(deps).ended_at is None) == ({"cancelled": 3}, False)


def test_one_whose_letters_are_in_doubt_keeps_no_other_from_being_emptied(deps: Deps):
    people(deps, 3)
    for name in ("rent", "other"):
        letter(deps, name)
        draft(deps, name, letter=name)
    launch(deps, "rent")
    work(deps)
    deps.mailer.answer = lambda _: Answer("uncertain", detail="cut off")
    go(deps)
    launch(deps, "other")
    work(deps)
    change(deps, "UPDATE campaign SET state = 'cancelled', paused_at = :now", now=deps.clock.now)
    turns = 0
    while clear(deps, 10) and turns < 10:
        turns += 1
    assert (turns, states(deps)) == (0, {"handed": 3, "cancelled": 3})
    assert (standing(deps, "rent").ended_at, standing(deps, "other").ended_at is None) == (None, False)
    assert "outreach" not in pulse.beat(deps), "nothing can be done about it yet"
    change(deps, "UPDATE message SET state = 'ready' WHERE state = 'handed'")
    change(deps, "UPDATE handover SET state = 'resent' WHERE state = 'uncertain'")
    assert "outreach" in pulse.beat(deps)
    work(deps)
    assert (states(deps), standing(deps, "rent").ended_at is None) == ({"cancelled": 6}, False)


def test_letters_that_failed_are_tried_again_unless_their_campaign_was_cancelled(deps: Deps):
    people(deps, 2)
    letter(deps, "rent")
    letter(deps, "later")
    steps = [{"key": "one", "email": "rent"}, {"key": "pause", "wait": "3 days"}, {"key": "two", "email": "later"}]
    sequence(deps, "calls", steps)
    draft(deps, sequence="calls")
    launch(deps)
    work(deps)

    def counted() -> tuple[int, int, int]:
        found = one(deps, "SELECT sum(composed) AS all, sum(handed) AS handed, sum(refused) AS refused FROM step_tally")
        return (found.all, found.handed, found.refused)

    def failed() -> bool:
        deps.mailer.answer = lambda _: Answer("bad", detail="no")
        while any_left(deps):
            go(deps)
        return states(deps) == {"failed": 2} and counted() == (2, 0, 2)

    assert failed()
    assert (retried(deps), counted()) == (2, (2, 0, 0))
    assert failed()
    verb(deps, halting.cancel, who=None)
    assert (retried(deps), states(deps), counted()) == (0, {"failed": 2}, (2, 0, 2))


def retried(deps: Deps) -> int:
    with deps.work() as (session, now):
        lanes, happened = handovers.retry(session, None, now)
        deps.react(session, happened, now)
        return len(lanes)


def test_a_turn_that_fails_keeps_no_other_from_its_own(deps: Deps, monkeypatch: pytest.MonkeyPatch):
    taken: list[str] = []

    def fails(_: Deps) -> bool:
        taken.append("fails")
        raise Conflict("nobody thought of this")

    def works(_: Deps) -> bool:
        taken.append("works")
        return False

    monkeypatch.setattr(outreach, "TURNS", (works, fails, works, works))
    with pytest.raises(Conflict, match="nobody thought"):
        outreach.work(deps)
    assert taken == ["works", "fails", "works", "works"]


def test_a_correction_goes_to_exactly_those_who_got_the_wrong_letter(deps: Deps):
    hers = people(deps, 12)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    work(deps)
    change(deps, "UPDATE message SET due_at = due_at + interval '3 days' WHERE contact_id = ANY(:ids)", ids=hers[:5])
    go(deps)
    verb(deps, halting.cancel, who=None, because="the wrong day")
    letter(deps, "sorry")
    draft(deps, "sorry", letter="sorry", rule={"op": "received", "mailing": "rent"})
    assert launch(deps, "sorry").campaign.expected == 7
    deps.mailer.accepted.clear()
    deps.clock.skip(timedelta(days=2))
    leave(deps)
    assert received(deps) == hers[5:]


def test_a_rule_that_takes_too_long_is_asked_of_fewer_people_and_then_stands_still(deps: Deps):
    hers = people(deps, 40)
    letter(deps, "rent")
    draft(deps, letter="rent")
    launch(deps)
    turn(deps, 20)
    pool = deps.sessions.kw["bind"]
    seconds = 0.02

    def sleepy(_, cursor, statement, values, *__):
        if "INSERT INTO enrollment" in statement:
            cursor.execute("SET LOCAL statement_timeout = '150ms'")
            statement = statement.replace(") c WHERE", f") c WHERE pg_sleep({seconds})::text IS NOT NULL AND")
        return statement, values

    event.listen(pool, "before_cursor_execute", sleepy, retval=True)
    turn(deps, 20)
    assert entered(deps) == hers[:1], "a twentieth of the stretch"
    seconds = 0.3
    turn(deps, 20)
    assert entered(deps) == hers[:1]
    assert standing(deps).paused_because.startswith("its rule takes too long")
