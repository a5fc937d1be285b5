"""Donors who gave no address: people all the same, recorded and never mailed; and what becomes of them once one is known."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import (
    ChapterChanged,
    CheckoutReported,
    ContributionRecorded,
    ContributionReported,
    DonorLearned,
    Event,
    PaymentLinked,
    Person,
    PlanReported,
)
from engine.giving import donors
from engine.reactions import react
from engine.settings import Settings
from engine.tables.columns import metadata
from tests.books import assert_books_balance
from tests.engine.test_any_order import BARE, CHECKOUT, INSTALMENT, ROSA, apply, plan, refund
from tests.engine.test_any_order import gift as payment
from tests.make import NOON, gift

HIDDEN = Person(
    first_name="Rosa", last_name="Delgado", street="14 Lincoln Street", city="Worcester", state="MA", zip="01605"
)
NAME_ONLY = Person(first_name="Rosa", last_name="Delgado")


def told(session: Session, *events: Event) -> list[Event]:
    everything = react(session, list(events), NOON, Settings())
    assert_books_balance(session)
    return everything


def contacts(session: Session) -> list[Any]:
    return list(session.execute(text("SELECT * FROM contact ORDER BY id")))


def givers(session: Session) -> list[int | None]:
    return list(session.scalars(text("SELECT contact_id FROM contribution ORDER BY id")))


def count(session: Session, table: str) -> int:
    found: int = session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
    return found


def test_a_donor_without_an_address_is_a_person_with_a_chapter_and_is_never_written_to(session: Session):
    told(session, gift(donor=HIDDEN))
    (donor,) = contacts(session)
    assert (donor.email, donor.first_name, donor.street, donor.gave_cents) == (None, "Rosa", "14 Lincoln Street", 2700)
    assert (donor.routed_by, donor.routed_on, donor.time_zone) == ("zip", "01605", "America/New_York")
    given = session.execute(text("SELECT contact_id, chapter_id, donor FROM contribution")).one()
    assert (given.contact_id, given.chapter_id) == (donor.id, donor.chapter_id)
    assert given.donor["email"] is None
    assert count(session, "message") == 0
    assert count(session, "chapter_move") == 1


@pytest.mark.parametrize(
    "again",
    [HIDDEN, replace(HIDDEN, first_name="ROSA", last_name="delgado"), replace(HIDDEN, street=" 14  LINCOLN street. "),
     replace(HIDDEN, city="", state="", phone="5085550123")],
)  # fmt: skip
def test_the_same_name_street_and_zip_are_the_same_donor(session: Session, again: Person):
    told(session, gift(donor=HIDDEN))
    told(session, gift(donor=again), gift(donor=HIDDEN))
    (donor,) = contacts(session)
    assert givers(session) == [donor.id] * 3
    assert (donor.gave_count, donor.gave_cents) == (3, 8100)


@pytest.mark.parametrize(
    "other",
    [replace(HIDDEN, first_name="Ana"), replace(HIDDEN, street="15 Lincoln Street"), replace(HIDDEN, zip="01604"),
     replace(HIDDEN, street=""), replace(HIDDEN, zip=None), replace(HIDDEN, last_name="")],
)  # fmt: skip
def test_whoever_may_be_another_is_another(session: Session, other: Person):
    told(session, gift(donor=HIDDEN), gift(donor=other))
    assert len(set(givers(session))) == len(contacts(session)) == 2


def test_with_a_name_alone_each_gift_stands_for_itself(session: Session):
    told(session, gift(donor=NAME_ONLY), gift(donor=NAME_ONLY))
    assert len(contacts(session)) == len(set(givers(session))) == 2


def test_without_a_name_there_is_nobody_to_record(session: Session):
    told(session, gift(donor=Person(street="14 Lincoln Street", zip="01605")), gift(donor=Person(first_name=" ")))
    assert contacts(session) == []
    assert givers(session) == [None, None]


@pytest.mark.parametrize("donor", [HIDDEN, NAME_ONLY])
def test_a_second_delivery_makes_no_second_person(session: Session, donor: Person):
    one = gift(donor=donor)
    told(session, one)
    before = contacts(session)
    told(session, one, one)
    assert contacts(session) == before
    assert len(givers(session)) == 1


def test_the_key_says_nothing_of_the_person(session: Session):
    told(session, gift(donor=HIDDEN))
    (donor,) = contacts(session)
    assert len(donor.donor_key) == 64
    assert donors.key(NAME_ONLY, 7) == "gift:7"
    assert donors.key(replace(HIDDEN, first_name="\N{FULLWIDTH LATIN CAPITAL LETTER R}osa"), 7) == donor.donor_key


def test_two_with_the_same_name_in_one_body_of_words_do_not_run_together():
    assert donors.key(replace(HIDDEN, first_name="Rosa Ana", last_name="Delgado"), 1) != donors.key(
        replace(HIDDEN, first_name="Rosa", last_name="Ana Delgado"), 1
    )


def of_stripe(number: int, donor: Person) -> ContributionReported:
    return payment(number, donor=donor)


def checkout(number: int, donor: Person = ROSA) -> CheckoutReported:
    return CheckoutReported(None, "stripe", f"cs_{number}", NOON, donor, payment_key=f"pi_{number}")


def test_once_the_address_is_learned_the_gift_is_hers_and_nothing_stays_behind(session: Session):
    told(session, of_stripe(1, NAME_ONLY))
    (hidden,) = contacts(session)
    learned = [one for one in told(session, checkout(1)) if isinstance(one, DonorLearned)]
    (rosa,) = contacts(session)
    assert (rosa.email, rosa.gave_cents) == ("rosa@example.org", 5000)
    assert learned == [DonorLearned(None, learned[0].contribution_id, rosa.id)]
    assert givers(session) == [rosa.id]
    assert count(session, "message") == 1
    assert count(session, f"chapter_move WHERE contact_id = {hidden.id}") == 0


def test_of_a_donor_with_several_gifts_only_the_one_that_is_learned_goes(session: Session):
    told(session, of_stripe(1, HIDDEN), of_stripe(2, HIDDEN))
    told(session, checkout(1))
    hidden, rosa = contacts(session)
    assert (hidden.email, hidden.gave_cents, rosa.gave_cents) == (None, 10000, 5000)
    told(session, checkout(2))
    assert [one.gave_cents for one in contacts(session)] == [15000]


def test_a_donor_without_an_address_of_whom_anything_else_is_known_stays(session: Session):
    told(session, of_stripe(1, HIDDEN))
    (hidden,) = contacts(session)
    session.execute(
        text("INSERT INTO followed_chapter (contact_id, chapter_id) SELECT :id, min(id) FROM chapter"),
        {"id": hidden.id},
    )
    told(session, checkout(1))
    assert [(one.email, one.gave_cents) for one in contacts(session)] == [(None, 0), ("rosa@example.org", 5000)]


def test_every_table_that_points_at_contacts_is_looked_at_before_one_goes():
    pointing = sorted(
        (table.name, key.parent.name)
        for table in metadata.sorted_tables
        for key in table.foreign_keys
        if key.target_fullname == "contact.id"
    )
    assert pointing == list(donors.POINTING)


def test_the_same_gift_told_again_with_its_address_learns_its_donor(session: Session):
    told(session, gift(7, donor=HIDDEN, payment_key="AB7/7"))
    inbound = text(
        "INSERT INTO inbound_event (source, key, lane, body) VALUES ('actblue', 'x', 'intake', '') RETURNING id"
    )
    (cause,) = session.scalars(inbound)
    session.execute(text("UPDATE inbound_event SET state = 'ignored'"))
    known = replace(HIDDEN, email="rosa@example.org")
    everything = react(session, [gift(7, donor=known, payment_key="AB7/7", cause=cause)], NOON, Settings())
    (rosa,) = contacts(session)
    assert DonorLearned(cause, *session.execute(text("SELECT id, contact_id FROM contribution")).one()) in everything
    assert (rosa.email, givers(session)) == ("rosa@example.org", [rosa.id])
    assert_books_balance(session)


def test_whoever_merged_a_donor_without_an_address_into_another_gives_her_the_next_gift_too(session: Session):
    told(session, gift(donor=HIDDEN), gift(donor=ROSA))
    (hidden,) = [one for one in contacts(session) if one.email is None]
    (rosa,) = [one for one in contacts(session) if one.email]
    session.execute(
        text("UPDATE contact SET merged_into_id = :rosa WHERE id = :id"), {"rosa": rosa.id, "id": hidden.id}
    )
    told(session, gift(donor=HIDDEN))
    assert givers(session)[-1] == rosa.id


def test_a_plan_is_its_donors_with_an_address_whoever_paid_first(session: Session):
    first = payment(1, source_key="in_1", plan_key="sub_1", donor=NAME_ONLY)
    told(session, plan(1), first)
    assert count(session, "recurring_plan p JOIN contact c ON c.id = p.contact_id AND c.email IS NULL") == 1
    told(session, payment(2, source_key="in_2", plan_key="sub_1", sequence=1))
    assert count(session, "recurring_plan p JOIN contact c ON c.id = p.contact_id AND c.email IS NOT NULL") == 1
    assert sorted(one.gives_monthly_cents for one in contacts(session)) == [0, 2700]


NAMED = replace(BARE, donor=NAME_ONLY)
STORIES = {
    "a name, then the address": [NAMED, CHECKOUT],
    "a name that only the checkout tells": [BARE, replace(CHECKOUT, donor=HIDDEN)],
    "a name, then name, street and ZIP": [NAMED, replace(CHECKOUT, donor=HIDDEN)],
    "a payment with a name, its instalment with an address": [NAMED, INSTALMENT, CHECKOUT, plan(1)],
    "a plan of somebody without an address": [replace(INSTALMENT, donor=HIDDEN), NAMED, plan(1), refund(1, 700)],
}


@pytest.mark.parametrize("story", STORIES)
def test_every_order_of_words_ends_in_the_same_people(session: Session, story: str):
    events = STORIES[story]
    expected = apply(session, *([event] for event in events))
    for order in permutations(events):
        assert apply(session, *([event] for event in order)) == expected, order
    assert apply(session, events, events[::-1]) == expected


def test_a_gift_to_a_chapters_own_entity_places_a_donor_without_an_address(session: Session):
    session.execute(
        text("INSERT INTO actblue_entity SELECT 777, (SELECT min(id) FROM fund), id FROM chapter WHERE slug = 'lowell'")
    )
    (recorded,) = [
        one for one in told(session, gift(donor=HIDDEN, entity_id=777)) if isinstance(one, ContributionRecorded)
    ]
    (donor,) = contacts(session)
    assert recorded.contact_id == donor.id
    assert (donor.routed_by, donor.chapter_id) == ("entity", donor.entity_chapter_id)
    assert session.execute(text("SELECT chapter_id FROM contribution")).scalar_one() == donor.chapter_id


def test_a_payment_that_turns_out_to_be_an_instalment_leaves_the_books_whole(session: Session):
    unlinked = payment(source_key="in_1", payment_key="", charge_key="", plan_key="sub_1", donor=HIDDEN)
    link = PaymentLinked(None, "stripe", "in_1", "pi_1")
    for order in permutations([payment(donor=HIDDEN), unlinked, link]):
        with session.begin_nested() as savepoint:
            for event in order:
                told(session, event)
            assert [one.gave_cents for one in contacts(session)] == [5000]
            savepoint.rollback()


def test_nobody_who_is_new_counts_as_moved(session: Session):
    everything = told(session, gift(donor=HIDDEN), gift(), PlanReported(None, "stripe", "s", 5, "monthly", NOON, NOON))
    assert [one for one in everything if isinstance(one, ChapterChanged)] == []
