"""One gift from raw bytes to the letter, and the ways in which it may happen twice or stop in between."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError

from engine import bell, inbox
from engine.bootstrap import Deps
from engine.db import transaction
from engine.outreach import claims, deliver
from engine.ports import Answer
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, line_item, raw
from workers import delivery, intake, outreach, upkeep
from workers.pulse import SCHEDULE, beat, plan


def test_a_gift_becomes_one_contact_one_contribution_one_letter(deps: Deps):
    event = put(deps, raw(actblue_body(donor={"email": " Rosa.Delgado+gifts@Example.ORG "})))
    run_everything(deps)
    gift = one(deps, "SELECT * FROM contribution")
    contact = one(deps, "SELECT c.*, h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id")
    assert (gift.amount_cents, gift.status, gift.inbound_event_id) == (2700, "received", event)
    assert gift.paid_at.isoformat() == "2026-11-03T00:03:15+00:00"
    assert gift.paid_at_offset == -300
    assert (contact.email, contact.first_name, contact.slug) == ("rosa.delgado+gifts@example.org", "Rosa", "worcester")
    assert (contact.routed_by, contact.routed_on) == ("zip", "01605")
    assert (contact.gave_count, contact.gave_cents, contact.gave_last_cents) == (1, 2700, 2700)
    ((_, letter),) = deps.mailer.accepted
    assert letter.subject == "Thank you for your $27 gift, Rosa"
    assert letter.from_name == "Common Ground Massachusetts, Worcester"
    assert "November 2, 2026" in letter.text
    assert one(deps, "SELECT state FROM handover").state == "accepted"


def test_two_line_items_are_two_gifts_of_one_donor(deps: Deps):
    body = actblue_body(lineitems=[line_item(amount="1000.0"), line_item(amount="10.0", entityId=123456)])
    put(deps, raw(body))
    run_everything(deps)
    found = rows(deps, "SELECT g.amount_cents, f.slug FROM contribution g JOIN fund f ON f.id = g.fund_id ORDER BY 1")
    assert [tuple(row) for row in found] == [(1000, "pac"), (100_000, "action")]
    assert one(deps, "SELECT gave_cents, gave_count FROM contact")[:2] == (101_000, 2)


def test_a_gift_to_someone_elses_committee_is_booked_but_is_not_a_gift_to_us(deps: Deps):
    put(deps, raw(actblue_body(lineitems=[line_item(entityId=999, committeeName="A Friend's Committee")])))
    run_everything(deps)
    assert one(deps, "SELECT fund_id FROM contribution").fund_id is None
    assert one(deps, "SELECT gave_cents FROM contact").gave_cents == 0
    assert "A Friend's Committee" in deps.mailer.accepted[0][1].text


def test_the_same_gift_in_another_body_is_ignored(deps: Deps):
    body = actblue_body()
    put(deps, raw(body))
    put(deps, raw(body | {"form": {"name": "common-ground"}}))
    run_everything(deps)
    states = [row.state for row in rows(deps, "SELECT state FROM inbound_event ORDER BY id")]
    assert states == ["applied", "ignored"]
    assert len(rows(deps, "SELECT id FROM contribution")) == len(deps.mailer.accepted) == 1


def test_a_line_item_said_again_with_another_amount_is_not_booked_twice_and_a_person_is_told(deps: Deps):
    body = actblue_body()
    put(deps, raw(body))
    put(deps, raw(body | {"lineitems": [body["lineitems"][0] | {"amount": "72.0"}]}))
    run_everything(deps)
    assert one(deps, "SELECT amount_cents FROM contribution").amount_cents == 2700
    told = one(deps, "SELECT kind, detail FROM notice")
    assert told.kind == "a gift told in two ways"
    assert "on the books: 2700 cents" in told.detail
    assert "says 7200 cents" in told.detail


def test_a_placeholder_line_item_id_in_two_orders_swallows_no_gift(deps: Deps):
    put(deps, raw(actblue_body(lineitems=[line_item(123456789)])))
    run_everything(deps)
    put(deps, raw(actblue_body(lineitems=[line_item(123456789, amount="1000.0"), line_item(amount="10.0")])))
    run_everything(deps)
    amounts = [row.amount_cents for row in rows(deps, "SELECT amount_cents FROM contribution ORDER BY 1")]
    assert amounts == [1000, 2700, 100_000]
    assert "says 100000 cents" in one(deps, "SELECT detail FROM notice").detail


def test_a_gift_without_an_address_is_booked_and_nobody_is_written_to(deps: Deps):
    body = actblue_body()
    del body["donor"]["email"], body["donor"]["phone"]
    put(deps, raw(body))
    run_everything(deps)
    donor = one(deps, "SELECT c.* FROM contribution g JOIN contact c ON c.id = g.contact_id")
    assert (donor.email, donor.first_name, donor.last_name, donor.gave_cents) == (None, "Rosa", "Delgado", 2700)
    assert rows(deps, "SELECT id FROM message") == []
    assert deps.mailer.accepted == []


def test_answering_every_bell_twice_changes_nothing(deps: Deps):
    put(deps, raw(actblue_body()))
    run_everything(deps)
    before = [tuple(row) for row in rows(deps, "SELECT id, state, attempts, handover_id FROM message")]
    run_everything(deps)
    assert [tuple(row) for row in rows(deps, "SELECT id, state, attempts, handover_id FROM message")] == before
    assert len(deps.mailer.accepted) == 1


def test_a_worker_that_dies_after_claiming_leaves_the_event_to_the_next_one(deps: Deps):
    put(deps, raw(actblue_body()))
    assert inbox.claim(deps.sessions, bell.INTAKE) is not None
    intake.drain(deps, bell.INTAKE)
    assert rows(deps, "SELECT id FROM contribution") == []
    expire_leases(deps)
    run_everything(deps)
    assert one(deps, "SELECT attempts, state FROM inbound_event")[:2] == (2, "applied")
    assert len(deps.mailer.accepted) == 1


def test_a_worker_that_lost_its_lease_changes_nothing(deps: Deps):
    put(deps, raw(actblue_body()))
    sleeper = inbox.claim(deps.sessions, bell.INTAKE)
    expire_leases(deps)
    run_everything(deps)
    assert sleeper is not None
    intake.apply(deps, sleeper)
    assert len(rows(deps, "SELECT id FROM contribution")) == 1
    assert one(deps, "SELECT state, attempts FROM inbound_event")[:2] == ("applied", 2)


def test_one_poisonous_event_is_found_and_its_neighbours_are_applied(deps: Deps):
    good = [put(deps, raw(actblue_body())) for _ in range(3)]
    with transaction(deps.sessions) as session:
        session.execute(text("ALTER TABLE contribution ADD CONSTRAINT poison CHECK (refcode2 <> 'poison')"))
    bad = put(deps, raw(actblue_body(contribution={"refcode2": "poison"})))
    with pytest.raises(DBAPIError):
        intake.drain(deps, bell.INTAKE)
    assert [row.attempts for row in rows(deps, "SELECT attempts FROM inbound_event")] == [1, 1, 1, 1]
    for _ in range(inbox.MOST_ATTEMPTS * 2):
        try_alone(deps)
    states = {row.id: row.state for row in rows(deps, "SELECT id, state FROM inbound_event")}
    assert states == dict.fromkeys(good, "applied") | {bad: "quarantined"}
    poisonous = one(deps, "SELECT reason, attempts FROM inbound_event WHERE state = 'quarantined'")
    assert (poisonous.reason, poisonous.attempts) == ("gave up after 5 attempts: IntegrityError", 5)
    assert one(deps, "SELECT kind FROM notice").kind == "event quarantined"


def test_a_quarantined_event_can_be_replayed(deps: Deps):
    put(deps, b'{"donor": {}}')
    run_everything(deps)
    quarantined = one(deps, "SELECT id, state, reason FROM inbound_event")
    assert quarantined.state == "quarantined"
    assert "contribution" in quarantined.reason
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE inbound_event SET body = :body"), {"body": raw(actblue_body())})
        assert inbox.replay(session, [quarantined.id]) == {quarantined.id: bell.INTAKE}
        assert inbox.replay(session, [quarantined.id]) == {}
    run_everything(deps)
    assert one(deps, "SELECT state FROM inbound_event").state == "applied"
    assert len(deps.mailer.accepted) == 1


def test_what_needs_a_human_is_told_by_letter_once_a_day(deps: Deps):
    told = Deps(**{name: getattr(deps, name) for name in deps.__slots__} | {"settings": with_operator(deps)})
    put(told, b"not json")
    put(told, b"also not json")
    run_everything(told)
    assert [letter.to_email for _, letter in told.mailer.accepted] == ["ops@example.org"]
    assert told.mailer.accepted[0][1].subject == "Groundswell needs you: event quarantined"
    told.clock.skip(timedelta(days=1))
    put(told, b"still not json")
    run_everything(told)
    assert len(told.mailer.accepted) == 2
    assert len(rows(told, "SELECT id FROM notice WHERE resolved_at IS NULL")) == 3


def test_a_crash_between_the_claim_and_the_provider_sends_the_letter_once(deps: Deps):
    composed(deps)
    delivery.claim(deps, bell.RECEIPTS)  # and dies here
    end_of_lease(deps)
    assert len(deps.mailer.accepted) == 1
    assert [row.state for row in rows(deps, "SELECT state FROM handover ORDER BY id")] == ["resent", "accepted"]


def test_a_crash_between_the_provider_and_the_record_sends_the_letter_once(deps: Deps):
    composed(deps)
    batch = delivery.claim(deps, bell.RECEIPTS)
    made = deliver.request(batch.parcels[0], batch.links, 10_000)
    deps.mailer.hand_over(batch.parcels[0].handover_id, made.sheet, made.copies, before=lambda: True)  # and dies here
    end_of_lease(deps)
    assert len(deps.mailer.accepted) == 1
    assert [row.state for row in rows(deps, "SELECT state FROM handover")] == ["accepted"]
    assert one(deps, "SELECT state FROM message").state == "handed"


def test_an_uncertain_handover_stays_so_while_the_provider_cannot_be_asked(deps: Deps):
    composed(deps)
    deps.mailer.can_look_up = False
    deps.mailer.answer = lambda _: Answer("uncertain", detail="timed out")
    delivery.hand_over(deps, bell.RECEIPTS)
    end_of_lease(deps)
    assert [row.state for row in rows(deps, "SELECT state FROM handover")] == ["uncertain"]
    assert one(deps, "SELECT state FROM message").state == "handed"


def test_while_nothing_reaches_the_provider_a_person_is_told_and_then_the_letter_leaves(deps: Deps):
    composed(deps)
    deps.mailer.answer = lambda _: Answer("away", detail="refused the connection")
    for _ in range(12):
        delivery.hand_over(deps, bell.RECEIPTS)
        deps.clock.skip(timedelta(minutes=30))
    found = one(deps, "SELECT state, reason, attempts, handover_id FROM message")
    assert tuple(found) == ("ready", "refused the connection", 12, None)
    assert tuple(one(deps, "SELECT kind, subject FROM notice")) == ("mail stopped", "mail provider: away")
    deps.mailer.answer = lambda _: None
    delivery.hand_over(deps, bell.RECEIPTS)
    assert one(deps, "SELECT state FROM message WHERE occasion LIKE 'gift:%'").state == "handed"
    assert one(deps, "SELECT resolved_at IS NOT NULL AS done FROM notice").done
    assert len(deps.mailer.accepted) == 1


def test_a_provider_that_is_away_is_asked_again_later_each_time_and_not_for_every_letter(deps: Deps):
    composed(deps, times=30)
    deps.mailer.answer = lambda _: Answer("away", detail="refused the connection")
    asked = 0
    for _ in range(60):
        before = one(deps, "SELECT count(*) AS n FROM handover").n
        delivery.hand_over(deps, bell.RECEIPTS)
        asked += one(deps, "SELECT count(*) AS n FROM handover").n > before
        deps.clock.skip(timedelta(seconds=10))
    assert 3 <= asked <= 12, asked
    assert {row.state for row in rows(deps, "SELECT state FROM message")} == {"ready"}


def test_a_letter_that_the_provider_refuses_fails_a_person_is_told_and_it_can_be_retried(deps: Deps):
    composed(deps)
    deps.mailer.answer = lambda _: Answer("bad", detail="SendGrid: HTTP 400 (from.email)")
    delivery.hand_over(deps, bell.RECEIPTS)
    failed = one(deps, "SELECT id, state, attempts, reason FROM message")
    assert failed[1:] == ("failed", 1, "SendGrid: HTTP 400 (from.email)")
    assert one(deps, "SELECT kind FROM notice").kind == "letter failed"
    deps.mailer.answer = lambda _: None
    with deps.work() as (session, now):
        assert delivery.handovers.retry(session, [failed.id], now)[0] == {failed.id: bell.RECEIPTS}
    delivery.hand_over(deps, bell.RECEIPTS)
    assert len(deps.mailer.accepted) == 1


def test_a_letter_that_may_have_been_taken_is_sent_three_times_at_most(deps: Deps):
    composed(deps)
    deps.mailer.answer = lambda _: Answer("uncertain", detail="timed out")
    for _ in range(6):
        delivery.hand_over(deps, bell.RECEIPTS)
        end_of_lease(deps)
    assert one(deps, "SELECT state, attempts, doubts FROM message")[:3] == ("failed", 3, 3)
    assert one(deps, "SELECT kind FROM notice").kind == "letter failed"


def test_a_letter_without_a_sender_does_not_leave(deps: Deps):
    composed(deps)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE chapter SET sender_email = ''"))
    delivery.hand_over(deps, bell.RECEIPTS)
    assert deps.mailer.accepted == []
    assert "no sender" in one(deps, "SELECT reason FROM message WHERE state = 'failed'").reason


def test_an_event_that_a_frozen_worker_holds_keeps_no_other_waiting(deps: Deps):
    held = put(deps, raw(actblue_body()))
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE inbound_event SET attempts = 5, due_at = now()"))
    with transaction(deps.sessions) as frozen:
        frozen.execute(text("SELECT FROM inbound_event WHERE id = :id FOR UPDATE"), {"id": held})
        put(deps, raw(actblue_body()))
        intake.drain(deps, bell.INTAKE)
        states = [row.state for row in rows(deps, "SELECT state FROM inbound_event ORDER BY id")]
    assert states == ["pending", "applied"]


def test_an_outage_of_postgres_is_held_against_no_gift(deps: Deps):
    put(deps, raw(actblue_body()))
    for _ in range(inbox.MOST_ATTEMPTS + 2):
        claimed = inbox.claim(deps.sessions, bell.INTAKE)
        assert claimed is not None
        with pytest.raises(OperationalError), claimed:
            raise OperationalError("SELECT", {}, psycopg.errors.LockNotAvailable())
        expire_leases(deps)
    assert one(deps, "SELECT state, attempts FROM inbound_event")[:2] == ("pending", 0)
    run_everything(deps)
    assert one(deps, "SELECT state FROM inbound_event").state == "applied"


def test_a_letter_that_cannot_be_rendered_fails_alone_and_is_told(deps: Deps):
    composed(deps, times=2)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET facts = '{}' WHERE id = (SELECT min(id) FROM message)"))
    delivery.hand_over(deps, bell.RECEIPTS)
    assert [row.state for row in rows(deps, "SELECT state FROM message ORDER BY id")] == ["failed", "handed"]
    assert len(deps.mailer.accepted) == 1


def test_a_process_that_slept_through_its_claim_sends_nothing_and_gives_the_letter_back(deps: Deps):
    composed(deps)
    batch = delivery.claim(deps, bell.RECEIPTS)
    slept = replace(batch, claimed_at=batch.claimed_at - claims.ZOMBIE_SECONDS - 1)
    delivery.submit(deps, slept, slept.parcels[0])
    assert deps.mailer.accepted == []
    assert one(deps, "SELECT state FROM handover").state == "abandoned"
    assert one(deps, "SELECT state FROM message").state == "ready"


def test_a_letter_whose_time_has_passed_is_dropped_with_its_reason(deps: Deps):
    composed(deps)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET expires_at = :then"), {"then": deps.clock.now})
    delivery.hand_over(deps, bell.RECEIPTS)
    assert one(deps, "SELECT state, reason FROM message")[:2] == ("expired", "its time has passed")
    assert deps.mailer.accepted == []


def test_the_pulse_rings_for_every_kind_of_due_row_and_for_nothing_else(deps: Deps):
    with transaction(deps.sessions) as session:
        plan(session)
    assert beat(deps) == {"upkeep"}
    upkeep.run(deps, SCHEDULE)
    assert beat(deps) == set()
    put(deps, raw(actblue_body()))
    assert beat(deps) == {"intake"}
    intake.drain(deps, bell.INTAKE)
    assert beat(deps) == {"receipts", "outreach"}, "it was her first gift"
    outreach.work(deps)
    assert beat(deps) == {"receipts"}
    delivery.hand_over(deps, bell.RECEIPTS)
    assert beat(deps) == set()


def test_books_that_do_not_balance_are_told_by_the_daily_chore_and_resolved_when_they_do(deps: Deps):
    put(deps, raw(actblue_body()))
    run_everything(deps)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE contact SET gave_cents = gave_cents + 1"))
    upkeep.check_books(deps)
    assert one(deps, "SELECT kind FROM notice WHERE resolved_at IS NULL").kind == "books do not agree"
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE contact SET gave_cents = gave_cents - 1"))
    upkeep.check_books(deps)
    assert rows(deps, "SELECT kind FROM notice WHERE resolved_at IS NULL") == []


def composed(deps: Deps, times: int = 1) -> None:
    """Bring gifts as far as their letters being ready."""
    for _ in range(times):
        put(deps, raw(actblue_body()))
    intake.drain(deps, bell.INTAKE)


def expire_leases(deps: Deps) -> None:
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE inbound_event SET due_at = now() WHERE state = 'pending'"))


def try_alone(deps: Deps) -> None:
    """One more turn for what is due, whatever comes of it."""
    expire_leases(deps)
    with suppress(DBAPIError):
        intake.drain(deps, bell.INTAKE)


def end_of_lease(deps: Deps) -> None:
    """The handover's lease runs out; the pulse sweeps, upkeep settles, the letter's turn comes again."""
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE handover SET due_at = now() - interval '1 second'"))
    beat(deps)
    upkeep.run(deps, {})
    delivery.hand_over(deps, bell.RECEIPTS)


def with_operator(deps: Deps):
    return deps.settings.model_copy(update={"operator_email": "Ops@example.org"})


@pytest.mark.parametrize(("hours", "state"), [(0, "handed"), (47, "handed"), (48, "skipped"), (1000, "skipped")])
def test_a_gift_that_is_heard_of_late_is_booked_and_not_thanked_for(deps: Deps, hours: int, state: str):
    paid_at = (deps.clock.now - timedelta(hours=hours)).isoformat()
    put(deps, raw(actblue_body(lineitems=[line_item(paidAt=paid_at)])))
    run_everything(deps)
    assert one(deps, "SELECT gave_cents FROM contact").gave_cents == 2700
    letter = one(deps, "SELECT state, reason FROM message")
    assert letter.state == state
    assert letter.reason == (f"the gift was {hours} hours old, more than 48" if state == "skipped" else "")
    assert len(deps.mailer.accepted) == (state == "handed")


def test_how_late_is_too_late_is_a_setting(deps: Deps):
    patient = replace(deps, settings=deps.settings.model_copy(update={"letter_age_hours": 100}))
    put(patient, raw(actblue_body(lineitems=[line_item(paidAt="2026-10-31T12:00:00+00:00")])))
    run_everything(patient)
    assert one(patient, "SELECT state FROM message").state == "handed"
