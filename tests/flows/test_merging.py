"""Two contacts are one person: nothing is lost, nothing comes twice, the old address leads to whom she is now."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.giving import keeping
from engine.mail import past, readers
from engine.outreach import enrolled, past_places
from engine.people import contacts, merging
from engine.staff import sign_ins
from tests import letters
from tests.books import by_hand
from tests.campaigns import go, people
from tests.flows.house import change, one, put, rows, run_everything
from tests.make import actblue_body, raw
from tests.of_a_person import FILL, NAMING, contact, erase, fill, id_of, merge, named
from tests.sequences import enrol, publish, step
from workers import pulse

NEWS = {"key": "write", "email": "news"}
OLD, NEW = "rosa.old@example.org", "rosa.new@example.org"


def give(deps: Deps, email: str, **changed) -> None:
    put(deps, raw(actblue_body(donor={"email": email} | changed)))


def two_donors(deps: Deps) -> tuple[int, int]:
    give(deps, OLD)
    give(deps, NEW)
    run_everything(deps)
    return id_of(deps, OLD), id_of(deps, NEW)


def test_every_table_that_names_a_contact_is_moved_or_said_to_stay():
    assert sorted(FILL) == NAMING, "a table that tests/of_a_person.py does not fill"
    moved = [*merging.MOVED, *keeping.MOVED, *readers.MOVED, *past.MOVED, *enrolled.MOVED, *past_places.MOVED]
    assert sorted([*moved, *merging.STAYS]) == NAMING


def test_everything_of_the_one_is_the_others_afterwards(deps: Deps):
    with transaction(deps.sessions) as session:
        old, new = contact(session, OLD), contact(session, NEW)
        fill(session, old, "Rosa")
    merge(deps, old, new)
    with transaction(deps.sessions) as session:
        assert named(session, old) <= merging.STAYS
        assert named(session, new) - merging.STAYS == set(NAMING) - merging.STAYS


def test_what_both_have_is_there_once_and_on_no_list_twice(deps: Deps):
    with transaction(deps.sessions) as session:
        old, new = contact(session, OLD), contact(session, NEW)
        fill(session, old, "Rosa")
        fill(session, new, "Rose")
        session.execute(text("UPDATE volunteer_offer SET state = 'contacted' WHERE contact_id = :id"), {"id": old})
    merge(deps, old, new)
    merged = f"contact_id = {new}"
    assert one(deps, f"SELECT count(*) AS n FROM consent WHERE {merged}").n == 1
    assert one(deps, f"SELECT state, note FROM volunteer_offer WHERE {merged}") == ("contacted", "Rose\nRosa")
    assert one(deps, f"SELECT state FROM volunteer_offer WHERE contact_id = {old}").state == "withdrawn"
    assert one(deps, f"SELECT state FROM message WHERE {merged}").state == "ready"
    assert one(deps, f"SELECT state, occasion FROM message WHERE contact_id = {old}") == ("cancelled", "news:1")
    for table in ("introduction", "chapter_lead", "followed_chapter", "contact_interest"):
        assert rows(deps, f"SELECT contact_id FROM {table}") == [(new,)], table


def test_nobody_is_in_a_sequence_twice_though_the_other_was_in_it_once_before(deps: Deps):
    old, new = people(deps, 2)
    two = publish(deps, NEWS, {"key": "pause", "wait": "3 days"},
                  {"key": "more", "email": "more"}, on="gave", quiet_hours=None)  # fmt: skip
    (before,) = enrol(deps, two, [old])
    change(deps, "UPDATE enrollment SET state = 'finished' WHERE id = :id", id=before)
    enrol(deps, two, [old], rotation=1)
    enrol(deps, two, [new])
    step(deps)
    merge(deps, old, new)
    go(deps)
    step(deps, timedelta(days=3))
    go(deps)
    found = rows(deps, "SELECT contact_id, step, state FROM message ORDER BY id")
    assert sorted(found) == [(new, "more", "handed"), (new, "write", "cancelled"), (new, "write", "handed")]
    assert [tuple(row) for row in rows(deps, "SELECT contact_id, reason FROM enrollment WHERE state = 'left'")] == [
        (old, "merged into another contact")
    ]
    assert one(deps, "SELECT sum(cancelled) AS n FROM step_tally").n == 1


def test_a_place_that_came_to_a_merged_contact_is_whose_she_is_now_if_that_has_none(deps: Deps):
    """She was let in while she was being merged: the merge did not see the place yet."""
    old, new, other, she = people(deps, 4)
    merge(deps, old, new)
    merge(deps, other, she)
    found = publish(deps, NEWS, campaign=True, quiet_hours=None)
    enrol(deps, found, [old, other, she])
    step(deps)
    assert [row.contact_id for row in rows(deps, "SELECT contact_id FROM message ORDER BY contact_id")] == [new, she]
    found = rows(deps, "SELECT contact_id, state, reason FROM enrollment ORDER BY contact_id")
    assert [tuple(row) for row in found] == [
        (new, "finished", ""), (other, "left", "merged into another contact"), (she, "finished", ""),
    ]  # fmt: skip
    assert one(deps, "SELECT enrolled, left_early FROM campaign") == (3, 1)


def test_a_place_of_nobody_comes_to_its_end_and_rings_no_more(deps: Deps):
    enrol(deps, publish(deps, NEWS), [max(people(deps, 1)) + 1])
    assert bell.OUTREACH in pulse.beat(deps)
    step(deps)
    assert one(deps, "SELECT state, reason FROM enrollment") == ("left", "forgotten")
    assert bell.OUTREACH not in pulse.beat(deps)


def test_gifts_and_totals_are_the_survivors_and_the_books_balance(deps: Deps):
    old, new = two_donors(deps)
    merge(deps, old, new)
    run_everything(deps)
    assert one(deps, f"SELECT gave_count, gave_cents FROM contact WHERE id = {new}") == (2, 5400)
    assert one(deps, f"SELECT gave_count, gave_cents FROM contact WHERE id = {old}") == (0, 0)
    assert len(deps.mailer.accepted) == 2


def test_a_gift_and_a_checkout_under_the_old_address_are_the_survivors(deps: Deps):
    old, new = two_donors(deps)
    merge(deps, old, new)
    give(deps, OLD.upper(), firstname="Rosalind", lastname="Delgado", zip="01610", addr1="9 New Street")
    run_everything(deps)
    assert one(deps, f"SELECT gave_count, street FROM contact WHERE id = {new}").gave_count == 3
    assert rows(deps, f"SELECT 1 FROM contribution WHERE contact_id = {old}") == []
    assert {letter.to_email for _, letter in deps.mailer.accepted[2:]} == {NEW}
    assert one(deps, f"SELECT street FROM contact WHERE id = {new}").street == "9 New Street"


def test_merged_once_or_twice_is_the_same(deps: Deps):
    old, new = two_donors(deps)
    assert len(merge(deps, old, new)) == 1
    before = rows(deps, "SELECT to_jsonb(c) FROM contact c ORDER BY id")
    assert merge(deps, old, new) == []
    assert rows(deps, "SELECT to_jsonb(c) FROM contact c ORDER BY id") == before


def test_chains_are_flat_and_old_links_lead_to_the_last(deps: Deps):
    with transaction(deps.sessions) as session:
        first, second, third = (contact(session, f"rosa.{n}@example.org") for n in range(3))
        fill(session, first, "Rosa")
    merge(deps, first, second)
    merge(deps, second, third)
    with transaction(deps.sessions) as session:
        assert [contacts.standing(session, each) for each in (first, second, third)] == [third] * 3
        assert set(contacts.known(session, {f"rosa.{n}@example.org" for n in range(3)}).values()) == {third}
        assert named(session, third) - merging.STAYS == set(NAMING) - merging.STAYS


def test_into_itself_in_a_circle_twice_elsewhere_or_with_nobody_is_refused(deps: Deps):
    with transaction(deps.sessions) as session:
        first, second, third = (contact(session, f"rosa.{n}@example.org") for n in range(3))
        nameless = contact(session, None)
    with pytest.raises(Invalid):
        merge(deps, first, first)
    merge(deps, first, second)
    for wrong in ((second, first), (first, third), (third, first)):
        with pytest.raises(Conflict):
            merge(deps, *wrong)
    with pytest.raises(NotFound):
        merge(deps, second, 10**9)
    with pytest.raises(Invalid):
        merge(deps, second, nameless)
    erase(deps, third)
    for wrong in ((second, third), (third, second)):
        with pytest.raises(Conflict):
            merge(deps, *wrong)


def test_a_donor_without_an_address_is_merged_into_one_who_has_one(deps: Deps):
    with transaction(deps.sessions) as session:
        nameless, rosa = contact(session, None, zip="01605", street="14 Lincoln Street"), contact(session, NEW)
        fill(session, nameless, "Rosa")
    merge(deps, nameless, rosa)
    assert one(deps, f"SELECT email, street FROM contact WHERE id = {rosa}") == (NEW, "14 Lincoln Street")
    assert one(deps, f"SELECT count(*) AS n FROM contribution WHERE contact_id = {rosa}").n == 1


def test_the_best_word_stays_custom_fields_are_joined_and_staffs_choice_holds(deps: Deps):
    with transaction(deps.sessions) as session:
        root = session.scalar(text("SELECT id FROM chapter WHERE parent_id IS NULL"))
        old = contact(
            session, OLD, "Rosa", zip="01605", street="14 Lincoln Street", custom='{"a": 1, "b": 1}', phone="5085550123",
            placed_chapter_id=root, engaged_last_at="2026-10-09T00:00Z", language="es",
        )  # fmt: skip
        new = contact(session, NEW, "R", custom='{"b": 2}')
    merge(deps, old, new)
    told = "first_name, zip, street, phone, language, custom, placed_chapter_id, engaged_last_at IS NOT NULL"
    assert tuple(one(deps, f"SELECT {told} FROM contact WHERE id = {new}")) == (
        "Rosa", "01605", "14 Lincoln Street", "5085550123", "es", {"a": 1, "b": 2}, root, True,
    )  # fmt: skip
    assert one(deps, f"SELECT email, custom FROM contact WHERE id = {old}") == (OLD, {"a": 1, "b": 1})


@pytest.mark.parametrize(("older", "newer", "kept"), [
    ("ready", "ready", "older"), ("ready", "handed", "newer"), ("delivered", "handed", "older"),
    ("skipped", "handed", "newer"),
])  # fmt: skip
@pytest.mark.parametrize("old_has_the_older", [True, False])
def test_of_two_letters_for_one_occasion_the_gone_or_the_earlier_is_hers(
    deps: Deps, older: str, newer: str, kept: str, old_has_the_older: bool
):
    with transaction(deps.sessions) as session:
        old, new = contact(session, OLD), contact(session, NEW)
        write = text(FILL["message"].replace("'delivery'", "'receipts'"))
        values = {"word": "Rosa", "now": "2026-12-01T00:00Z"}
        for who in (old, new) if old_has_the_older else (new, old):
            session.execute(write, values | {"id": who})
        first, second = session.scalars(text("SELECT id FROM message ORDER BY id")).all()
        session.execute(text("UPDATE message SET state = :state WHERE id = :id"), {"state": older, "id": first})
        session.execute(text("UPDATE message SET state = :state WHERE id = :id"), {"state": newer, "id": second})
    merge(deps, old, new)
    hers = one(deps, f"SELECT id, occasion FROM message WHERE contact_id = {new}")
    assert hers == (first if kept == "older" else second, "news:1")
    other = one(deps, f"SELECT state, occasion FROM message WHERE contact_id = {old}")
    before = newer if kept == "older" else older
    assert other == ("cancelled" if before == "ready" else before, "news:1")


def test_a_letter_that_stays_with_the_old_row_never_leaves(deps: Deps):
    with transaction(deps.sessions) as session:
        old, new = contact(session, OLD), contact(session, NEW)
        for who in (new, old):
            fill(session, who, "Rosa")
        session.execute(
            text("UPDATE message SET state = 'failed', lane = 'receipts' WHERE contact_id = :id"), {"id": old}
        )
    merge(deps, old, new)
    with transaction(deps.sessions) as session:
        session.execute(text("UPDATE message SET state = 'ready', due_at = '2026-11-01Z' WHERE contact_id = :id"),
                        {"id": old})  # fmt: skip
    run_everything_but_books(deps)
    assert one(deps, f"SELECT state FROM message WHERE contact_id = {old}").state == "skipped"


def run_everything_but_books(deps: Deps) -> None:
    with transaction(deps.sessions) as session:
        by_hand(session, "DELETE FROM contribution")
        session.execute(text("DELETE FROM recurring_plan"))
        session.execute(text("UPDATE contact SET gives_monthly_cents = 0"))
    run_everything(deps)


def test_what_is_told_of_the_old_address_holds_for_the_new_one(deps: Deps):
    (sent,) = letters.sent(deps, email=OLD)
    with transaction(deps.sessions) as session:
        new = contact(session, NEW)
    merge(deps, sent.contact_id, new)
    letters.tell(deps, [letters.element("spamreport", sent), letters.element("unsubscribe", sent)])
    assert {(row.email, row.reason) for row in rows(deps, "SELECT email, reason FROM suppression")} == {
        (email, reason) for email in (OLD, NEW) for reason in ("complaint", "unsubscribe")
    }
    assert rows(deps, "SELECT contact_id, given FROM consent") == [(new, False)]


def test_that_letters_to_the_old_address_come_back_does_not_silence_the_new_one(deps: Deps):
    (sent,) = letters.sent(deps, email=OLD)
    letters.tell(deps, [letters.element("bounce", sent)])
    with transaction(deps.sessions) as session:
        new = contact(session, NEW)
    merge(deps, sent.contact_id, new)
    letters.tell(deps, [letters.element("dropped", sent, reason="Invalid")])
    assert {(row.email, row.reason) for row in rows(deps, "SELECT email, reason FROM suppression")} == {
        (OLD, "bounce"), (OLD, "invalid"),
    }  # fmt: skip
    give(deps, NEW)
    run_everything(deps)
    assert [letter.to_email for _, letter in deps.mailer.accepted] == [NEW]


def test_a_merge_and_gifts_at_once_lose_no_cent(deps: Deps):
    old, new = two_donors(deps)
    for number in range(40):
        give(deps, OLD if number % 2 else NEW)
    ready = threading.Barrier(3)

    def work() -> None:
        ready.wait(10)
        run_everything(deps)

    def joined() -> None:
        ready.wait(10)
        merge(deps, old, new)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(work), pool.submit(joined), pool.submit(work)]:
            done.result(60)
    run_everything(deps)
    assert one(deps, f"SELECT gave_count, gave_cents FROM contact WHERE id = {new}") == (42, 42 * 2700)
    assert rows(deps, f"SELECT 1 FROM contribution WHERE contact_id = {old}") == []
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1


@pytest.mark.parametrize("first", ["merged", "asked"])
def test_a_link_to_sign_in_goes_to_the_very_address_that_it_is_for(deps: Deps, first: str):
    with transaction(deps.sessions) as session:
        staff, other = contact(session, "staff@example.org"), contact(session, "other@example.org")
        session.execute(text("INSERT INTO staff (email, role) VALUES ('staff@example.org', 'admin')"))
    if first == "merged":
        merge(deps, staff, other)
    with deps.work() as (session, now):
        sign_ins.ask(session, "staff@example.org", "a browser", now)
    if first == "asked":
        merge(deps, staff, other)
    run_everything(deps)
    assert [letter.to_email for _, letter in deps.mailer.accepted] == ["staff@example.org"]
