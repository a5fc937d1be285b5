"""Handovers in doubt: letters were handed over, and nobody knows whether they were taken. What becomes of them, and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.mail import handovers, settling
from engine.mail.handovers import MOST_DOUBTS
from engine.mail.settling import DOUBT, HEARD, LAST_WORD, OTHERS, PRESUMED, Doubt
from engine.ports import Answer
from tests.campaigns import enqueue, go, letter, people, states
from tests.flows.house import change, one, rows
from tests.letters import Sent, element, hand_over, tell
from workers import delivery

AWHILE = timedelta(minutes=1)


def doubted(deps: Deps, age: timedelta = DOUBT + AWHILE, lane: str = bell.RECEIPTS, many: int = 1) -> list[Sent]:
    """Letters of that age that nobody knows of, due to be looked at."""
    with transaction(deps.sessions) as session:
        found = hand_over(session, many, handover="uncertain", lane=lane, at=datetime.now(UTC) - age)
    change(deps, "UPDATE handover SET due_at = now() WHERE state = 'uncertain'")
    return found


def others(deps: Deps, heard: int, silent: int, age: timedelta = DOUBT + AWHILE, **terms: Any) -> None:
    """Handovers of that age that were taken, of which the provider told something, or nothing."""
    with transaction(deps.sessions) as session:
        found = hand_over(session, heard + silent, at=datetime.now(UTC) - age, **terms)
    ids = [each.handover_id for each in found[:heard]]
    change(deps, "UPDATE handover SET heard_at = now() WHERE id = ANY(:ids)", ids=ids)


def settled(deps: Deps, of: Sent) -> tuple[str, str]:
    """What a look settles: the state of the handover, and of its letter."""
    deps.mailer.can_look_up = False
    change(deps, "UPDATE handover SET due_at = now() WHERE state = 'uncertain'")
    delivery.settle(deps)
    query = "SELECT h.state, m.state AS letter FROM handover h, message m WHERE h.id = {} AND m.id = {}"
    return tuple(one(deps, query.format(of.handover_id, of.message_id)))


# Receipts, by what is told of others.


def test_a_receipt_of_which_nothing_is_told_is_sent_again_once_others_were_heard_of(deps: Deps):
    (told,) = doubted(deps)
    others(deps, 1, 0)
    change(deps, "UPDATE message SET due_at = :now", now=deps.clock.now)
    assert settled(deps, told) == ("resent", "ready")
    letter = one(deps, f"SELECT doubts, handover_id, reason FROM message WHERE id = {told.message_id}")
    assert tuple(letter) == (1, None, "the provider told nothing of it, and of others it did")
    assert bell.RECEIPTS in deps.bells.rung


def test_silence_means_nothing_before_its_time(deps: Deps):
    (told,) = doubted(deps, DOUBT - AWHILE)
    others(deps, OTHERS, 0, DOUBT - AWHILE + timedelta(seconds=1))
    assert settled(deps, told) == ("uncertain", "handed")
    assert one(deps, f"SELECT due_at > now() AS later FROM handover WHERE id = {told.handover_id}").later


def test_silence_about_all_says_nothing_about_one(deps: Deps):
    (told,) = doubted(deps)
    assert settled(deps, told) == ("uncertain", "handed")
    others(deps, 0, OTHERS)
    assert settled(deps, told) == ("uncertain", "handed")


@pytest.mark.parametrize(
    ("heard", "silent", "ends"), [(19, 1, "resent"), (18, 2, "uncertain"), (1, 1, "uncertain"), (3, 0, "resent")]
)
def test_nearly_all_of_the_others_must_have_been_heard_of(deps: Deps, heard: int, silent: int, ends: str):
    assert (OTHERS, HEARD) == (20, 0.95)
    (told,) = doubted(deps)
    others(deps, heard, silent)
    assert settled(deps, told)[0] == ends


def test_no_more_than_twenty_others_are_looked_at_those_nearest_to_it(deps: Deps):
    (told,) = doubted(deps, 3 * DOUBT)
    others(deps, OTHERS, 0, 3 * DOUBT - AWHILE)
    others(deps, 0, 30, 2 * DOUBT)
    assert settled(deps, told)[0] == "resent"


def test_others_of_long_before_or_of_just_now_say_nothing(deps: Deps):
    (told,) = doubted(deps, 2 * DOUBT)
    others(deps, OTHERS, 0, 2 * DOUBT + timedelta(minutes=6))
    others(deps, OTHERS, 0, DOUBT - AWHILE)
    assert settled(deps, told)[0] == "uncertain"
    others(deps, 1, 0, 2 * DOUBT + timedelta(minutes=4))
    assert settled(deps, told)[0] == "resent"


def test_others_in_doubt_or_refused_are_no_evidence(deps: Deps):
    (told,) = doubted(deps)
    others(deps, OTHERS, 0, handover="refused")
    others(deps, OTHERS, 0, handover="resent")
    assert settled(deps, told)[0] == "uncertain"


def test_a_receipt_that_nobody_knows_of_after_a_day_fails_and_a_person_is_told(deps: Deps):
    (early,) = doubted(deps, LAST_WORD - AWHILE)
    (told,) = doubted(deps, LAST_WORD + AWHILE)
    assert settled(deps, told) == ("resent", "failed")
    assert settled(deps, early) == ("uncertain", "handed")
    notice = one(deps, "SELECT kind, subject, detail FROM notice")
    assert tuple(notice) == (
        "letter failed", f"message {told.message_id}",
        "nobody knows whether it arrived: the provider told nothing of any letter",
    )  # fmt: skip


def test_a_letter_is_sent_so_often_in_doubt_and_then_a_person_is_told(deps: Deps):
    (told,) = doubted(deps)
    change(deps, "UPDATE message SET facts = '{}', due_at = :now, expires_at = NULL", now=deps.clock.now)
    others(deps, 1, 0)
    for doubt in range(1, MOST_DOUBTS):
        assert settled(deps, told) == ("resent", "ready")
        assert one(deps, f"SELECT doubts FROM message WHERE id = {told.message_id}").doubts == doubt
        (again,) = doubted(deps)
        change(deps, "UPDATE message SET state = 'handed', handover_id = :handover WHERE id = :id", id=told.message_id,
               handover=again.handover_id)  # fmt: skip
        change(deps, "UPDATE message SET handover_id = NULL, state = 'cancelled' WHERE id = :id", id=again.message_id)
        told = Sent(told.message_id, again.handover_id, told.contact_id, told.email, again.provider_id)
    assert settled(deps, told) == ("resent", "failed")
    assert one(deps, "SELECT subject FROM notice").subject == f"message {told.message_id}"
    with deps.work() as (session, now):
        assert handovers.retry(session, [told.message_id], now)[0] == {told.message_id: bell.RECEIPTS}
    assert one(deps, f"SELECT doubts FROM message WHERE id = {told.message_id}").doubts == 0


def test_what_is_sent_again_names_a_handover_of_its_own(deps: Deps):
    (who,) = people(deps, 1)
    change(deps, """INSERT INTO message (contact_id, mailing_id, occasion, lane, due_at, facts)
        SELECT :who, id, 'test', 'receipts', :now, '{}' FROM mailing WHERE slug = 'still_there'""",
        who=who, now=deps.clock.now)  # fmt: skip
    deps.mailer.answer = lambda _: Answer("uncertain", detail="HTTP 500")
    delivery.hand_over(deps, bell.RECEIPTS)
    assert tuple(one(deps, "SELECT state, reason FROM handover")) == ("uncertain", "HTTP 500")
    change(deps, "UPDATE handover SET created_at = created_at - interval '20 minutes'")
    others(deps, 1, 0)
    deps.mailer.can_look_up = False
    delivery.settle(deps)
    deps.mailer.answer = lambda _: None
    delivery.hand_over(deps, bell.RECEIPTS)
    (accepted,) = deps.mailer.accepted
    assert accepted[0] == one(deps, "SELECT handover_id FROM message WHERE occasion = 'test'").handover_id
    assert len({handover for handover, _ in deps.mailer.accepted}) == 1
    assert tuple(one(deps, "SELECT state, attempts, doubts FROM message WHERE occasion = 'test'")) == ("handed", 2, 1)


# Campaign letters are never sent again.


def test_a_campaign_letter_in_doubt_is_presumed_to_have_arrived_after_a_day_and_two_hours(deps: Deps):
    assert timedelta(hours=26) == PRESUMED
    others(deps, OTHERS, 0)
    (young,) = doubted(deps, PRESUMED - AWHILE, bell.DELIVERY)
    (old,) = doubted(deps, PRESUMED + AWHILE, bell.DELIVERY)
    assert settled(deps, young) == ("uncertain", "handed")
    assert settled(deps, old) == ("presumed", "handed")
    assert rows(deps, "SELECT 1 FROM notice") == []
    go(deps)
    assert deps.mailer.accepted == []


def test_a_whole_request_without_an_answer_is_kept_as_gone(deps: Deps):
    deps.mailer.answer = lambda _: Answer("uncertain", detail="SendGrid does not answer")
    deps.mailer.can_look_up = False
    enqueue(deps, letter(deps), people(deps, 50))
    for _ in range(3):
        go(deps)
        delivery.settle(deps)
    assert len(deps.mailer.requests) == 1
    assert states(deps) == {"handed": 50}
    change(deps, "UPDATE handover SET created_at = created_at - interval '27 hours', due_at = now()")
    delivery.settle(deps)
    assert tuple(one(deps, "SELECT state, letters FROM handover")) == ("presumed", 50)
    assert one(deps, "SELECT max(handed) AS handed FROM mailing").handed == 50


# Whatever is told settles it.


@pytest.mark.parametrize("lane", [bell.RECEIPTS, bell.DELIVERY])
def test_a_word_about_one_of_its_letters_settles_a_handover_and_a_later_look_changes_nothing(deps: Deps, lane: str):
    (told,) = doubted(deps, lane=lane)
    others(deps, OTHERS, 0)
    tell(deps, [element("processed", told)])
    assert settled(deps, told) == ("accepted", "handed")


def test_an_answer_and_a_look_that_come_together_settle_it_once(deps: Deps):
    (told,) = doubted(deps)
    with deps.work() as (session, now):
        looked = settling.uncertain(session)
        answer = handovers.Outcome(told.handover_id, "accepted", provider_id="late")
        assert handovers.record(session, [answer], now) == []
        late = [Doubt(each.id, each.lane, LAST_WORD, others_heard=True) for each in looked]
        assert handovers.record(session, settling.settled(late, None), now) == []
    assert settled(deps, told) == ("accepted", "handed")


# A provider that can be asked.


def test_a_provider_that_can_be_asked_decides_at_once(deps: Deps):
    taken, lost = doubted(deps, AWHILE, many=2)
    with deps.work() as (session, now):
        outcomes = settling.settled(settling.uncertain(session), {taken.handover_id: "theirs"})
        handovers.record(session, outcomes, now)
    found = rows(deps, "SELECT h.state, h.provider_id FROM handover h ORDER BY id")
    assert [tuple(row) for row in found] == [("accepted", "theirs"), ("resent", "")]
    assert [row.state for row in rows(deps, "SELECT state FROM message ORDER BY id")] == ["handed", "ready"]
    assert lost.message_id > taken.message_id


def test_a_handover_whose_process_died_is_in_doubt_after_its_lease(deps: Deps):
    with transaction(deps.sessions) as session:
        (dead,) = hand_over(session, handover="submitting")
        assert handovers.expire(session) == 0
    change(deps, "UPDATE handover SET due_at = now() - interval '1 second'")
    with transaction(deps.sessions) as session:
        assert handovers.expire(session) == 1
        assert handovers.expire(session) == 0
        assert [doubt.id for doubt in settling.uncertain(session)] == [dead.handover_id]
