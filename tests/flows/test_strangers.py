"""Anybody can fill in our form with anybody's address: of somebody we know it adds what is missing, and replaces nothing
before she has said by letter that it was she."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from engine import bell
from engine.bootstrap import Deps
from engine.db import transaction
from engine.people import catalogues, confirmations
from engine.people.catalogue_files import understood
from tests.flows.house import one, put, rows, run_everything
from tests.make import actblue_body, join_body, raw
from workers import intake

INES = "ines@example.org"
CATALOGUE = {
    "agendas": [{"code": "homes", "name": "Homes", "interests": [{"code": "rent", "name": "Rent"}]}],
    "ways_to_help": [{"code": "doors", "name": "Doors"}, {"code": "food", "name": "Food"}],
}
KNOWN = """
SELECT first_name, last_name, street, city, zip, phone, language, h.slug AS chapter, routed_by, o.slug AS chosen
FROM contact c LEFT JOIN chapter h ON h.id = c.chapter_id LEFT JOIN chapter o ON o.id = c.chosen_chapter_id
"""
STRANGE = {"first_name": "Visit", "last_name": "Evil", "street": "1 Bad Street", "city": "Boston", "zip": "02139",
           "language": "es", "form": "join/lowell"}  # fmt: skip
ASKED = ("Was it you who signed up?", "\u00bfFuiste t\u00fa quien se inscribi\u00f3?")


@pytest.fixture
def house(deps: Deps) -> Deps:
    with transaction(deps.sessions) as session:
        catalogues.bring_in(session, understood(CATALOGUE))
        session.execute(
            text("""INSERT INTO gathering (code, name, chapter_id, starts_at, ends_at, most)
            SELECT 'May1', 'May Day', id, :at, :at + interval '99 days', 99 FROM chapter WHERE slug = 'brockton'"""),
            {"at": deps.clock.now},
        )
    return deps


def come(deps: Deps, **said: Any) -> None:
    put(deps, raw(join_body(**{"at": deps.clock.now.isoformat()} | said)), source="join")
    run_everything(deps)


def give(deps: Deps, **donor: str) -> None:
    told = {"firstname": "Ines", "lastname": "Okafor", "email": INES} | donor
    put(deps, raw(actblue_body(donor=told)))
    run_everything(deps)


def answer(deps: Deps) -> None:
    with deps.work() as (session, now):
        asked = session.scalar(text("SELECT max(id) FROM confirmation"))
        assert asked is not None
        deps.react(session, confirmations.confirm(session, asked, now), now)
    run_everything(deps)


def questions(deps: Deps) -> int:
    return sum(letter.subject in ASKED for _, letter in deps.mailer.accepted)


def later(deps: Deps, **span: float) -> None:
    deps.clock.skip(timedelta(**span or {"minutes": 5}))


def test_what_a_stranger_types_replaces_nothing_of_a_donor_until_she_answers(house: Deps):
    give(house)
    before = one(house, KNOWN)
    later(house)
    come(house, **STRANGE, interests=["rent"], ways_to_help=["doors"])
    assert one(house, KNOWN) == before
    assert questions(house) == 1
    for typed in ("Evil", "Visit", "Bad Street"):
        assert typed not in house.mailer.accepted[-1][1].text
    for added in ("contact_interest", "volunteer_offer"):
        assert one(house, f"SELECT count(*) AS n FROM {added}").n == 1
    later(house)
    answer(house)
    assert tuple(one(house, KNOWN)) == (
        "Visit", "Evil", "1 Bad Street", "Boston", "02139", "5085550123", "es", "lowell", "choice", "lowell",
    )  # fmt: skip


@pytest.mark.parametrize("said", [{"first_name": "Eva", "last_name": "Okafor"}, {"zip": "02139"}, {"street": "9 New Street"},
                                  {"language": "es"}, {"form": "join/lowell"}, {"gathering": "May1"}],
                         ids=lambda said: next(iter(said)))  # fmt: skip
def test_each_thing_that_would_be_replaced_waits_by_itself(house: Deps, said: dict[str, Any]):
    come(house, street="14 Lincoln Street")
    before = one(house, KNOWN)
    later(house)
    come(house, **said)
    assert one(house, KNOWN) == before
    assert questions(house) == 1
    later(house)
    answer(house)
    assert one(house, KNOWN) != before


@pytest.mark.parametrize(
    "said", [{}, {"first_name": "INES"}, {"last_name": ""}, {"first_name": "", "last_name": "", "zip": ""},
             {"form": "join/worcester"}, {"introduce": True}, {"interests": ["rent"]}],
    ids=str,
)  # fmt: skip
def test_whoever_says_what_is_known_or_adds_to_it_is_asked_nothing(house: Deps, said: dict[str, Any]):
    come(house)
    before = one(house, KNOWN)
    later(house)
    come(house, **said)
    assert one(house, KNOWN) == before
    assert questions(house) == 0


def test_what_is_missing_is_filled_in_at_once(house: Deps):
    put(house, raw({"id": "1", "email": INES, "status": "subscribed"}), source="signup")
    run_everything(house)
    later(house)
    come(house, form="join/worcester")
    assert tuple(one(house, KNOWN))[:5] == ("Ines", "Okafor", "", "", "01605")
    assert (one(house, KNOWN).chapter, one(house, KNOWN).routed_by) == ("worcester", "zip")
    assert questions(house) == 0


def test_a_gift_is_her_own_word(house: Deps):
    come(house)
    later(house)
    body = actblue_body(
        donor={"email": INES, "firstname": "In\u00e9s", "lastname": "Okafor", "zip": "01108"},
        lineitems=[{"lineitemId": 1, "entityId": 12345, "amount": "27.00", "paidAt": house.clock.now.isoformat()}],
    )
    put(house, raw(body))
    run_everything(house)
    assert (one(house, KNOWN).first_name, one(house, KNOWN).chapter) == ("In\u00e9s", "springfield")


def test_a_paper_sheet_is_typed_in_by_staff_and_goes_on_as_it_is(house: Deps):
    come(house)
    later(house)
    come(house, form="sheet/brockton", gathering="May1", first_name="Eva", zip="02139", phone="5085550188")
    found = one(house, KNOWN)
    assert (found.first_name, found.zip, found.phone, found.chapter) == ("Eva", "02139", "5085550188", "brockton")
    assert questions(house) == 0


def test_at_a_rally_who_is_new_belongs_to_the_host_and_who_is_known_once_she_answers(house: Deps):
    come(house)
    come(house, email="new@example.org", gathering="May1")
    later(house)
    come(house, gathering="May1")
    homes = "SELECT email, h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id ORDER BY email"
    assert [tuple(row) for row in rows(house, homes)] == [(INES, "worcester"), ("new@example.org", "brockton")]
    later(house)
    answer(house)
    assert (one(house, KNOWN + f"WHERE email = '{INES}'").chapter, questions(house)) == ("brockton", 1)


def test_however_often_strangers_come_she_is_asked_once_a_day_and_three_times_a_month(house: Deps):
    come(house)
    for number in range(40):
        later(house, hours=6)
        come(house, first_name=f"Stranger{'abcdefghij'[number % 10]}")
    assert questions(house) == 3
    assert one(house, KNOWN).first_name == "Ines"


def test_whom_no_letter_may_reach_is_asked_nothing_and_loses_nothing(house: Deps):
    come(house)
    with transaction(house.sessions) as session:
        session.execute(
            text("INSERT INTO suppression (email, reason, at) VALUES (:email, 'bounce', now())"), {"email": INES}
        )
    before = one(house, KNOWN)
    later(house)
    come(house, **STRANGE)
    assert one(house, KNOWN) == before
    assert rows(house, "SELECT 1 FROM confirmation") == []


def test_an_offer_that_she_took_back_is_not_made_again_by_a_stranger(house: Deps):
    come(house, ways_to_help=["doors"])
    with transaction(house.sessions) as session:
        session.execute(
            text("UPDATE volunteer_offer SET state = 'withdrawn', changed_at = :at"), {"at": house.clock.now}
        )
    later(house)
    come(house, ways_to_help=["doors", "food"])
    states = (
        "SELECT w.code, o.state FROM volunteer_offer o JOIN way_to_help w ON w.id = o.way_to_help_id ORDER BY w.code"
    )
    assert [tuple(row) for row in rows(house, states)] == [("doors", "withdrawn"), ("food", "new")]
    assert questions(house) == 1
    later(house)
    answer(house)
    assert [tuple(row) for row in rows(house, states)] == [("doors", "new"), ("food", "new")]


@pytest.mark.parametrize("together", [True, False])
def test_two_of_one_address_in_one_batch_are_followed_as_if_one_came_after_the_other(house: Deps, together: bool):
    for said in ({}, STRANGE | {"interests": ["rent"]}, {"last_name": "", "zip": ""}):
        later(house)
        put(house, raw(join_body(**{"at": house.clock.now.isoformat()} | said)), source="join")
        if not together:
            intake.drain(house, bell.INTAKE)
    run_everything(house)
    assert tuple(one(house, KNOWN)) == (
        "Ines", "Okafor", "", "", "01605", "", "en", "worcester", "zip", None
    )  # fmt: skip
    assert (questions(house), one(house, "SELECT count(*) AS n FROM contact_interest").n) == (1, 1)
    later(house)
    answer(house)
    assert one(house, KNOWN).first_name == "Visit"
