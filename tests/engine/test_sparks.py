"""Sparks: a chapter begins where enough people have agreed to meet, once the root says so; never twice the same question."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, Invalid, NotFound
from engine.events import Event, HumanNeeded, MatterSettled, Person
from engine.people import consent, contacts, sparks, territories
from engine.settings import Settings
from tests.flows.house import one, rows
from workers import upkeep

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
FRANKLIN = "MA:Franklin County"
FEW = Settings(spark_people=3)


def agree(
    session: Session, number: int, prefix: str = "p", code: str = "01301", place: str = FRANKLIN
) -> Sequence[int]:
    """So many people of a place who said yes to mail and to being introduced."""
    emails = [f"{prefix}{n}@example.org" for n in range(number)]
    contacts.admit(session, [(Person(email=email, zip=code), NOON) for email in emails], NOON)
    ids = list(contacts.known(session, emails).values())
    consent.hear(session, [word(contact_id) for contact_id in ids])
    introduced = text(
        "INSERT INTO introduction (contact_id, place, at) SELECT unnest(CAST(:ids AS bigint[])), :place, :at"
    )
    session.execute(introduced, {"ids": ids, "place": place, "at": NOON})
    return ids


def word(contact_id: int, *, given: bool = True, minutes: int = 0) -> dict[str, Any]:
    at = NOON + timedelta(minutes=minutes)
    return {"contact_id": contact_id, "channel": "mail", "given": given, "at": at, "source": "signup", "place": "",
            "wording": "", "cause": None}  # fmt: skip


def looked(session: Session, settings: Settings = FEW) -> list[Event]:
    return sparks.look(session, NOON, settings)


def test_the_root_is_told_once_when_enough_people_of_a_place_have_agreed(session: Session):
    agree(session, 2)
    assert (looked(session), sparks.waiting(session)) == ([], [])
    agree(session, 1, "q")
    assert looked(session) == [HumanNeeded(None, sparks.COULD_BEGIN, FRANKLIN, "3 people want to meet each other")]
    assert looked(session) == []
    (spark,) = sparks.waiting(session)
    assert (spark.place, spark.county, spark.people) == (FRANKLIN, "Franklin County", 3)


def test_fifteen_is_enough_unless_the_house_says_otherwise(session: Session):
    agree(session, 14)
    assert looked(session, Settings()) == []
    agree(session, 1, "q")
    assert len(looked(session, Settings())) == 1


def test_places_are_counted_apart(session: Session):
    agree(session, 2)
    agree(session, 3, "n", "02554", "MA:Nantucket County")
    assert [told.subject for told in looked(session)] == ["MA:Nantucket County"]


def test_a_spark_that_waits_shows_how_many_there_are_by_now(session: Session):
    agree(session, 3)
    looked(session)
    agree(session, 4, "q")
    assert looked(session) == []
    assert [spark.people for spark in sparks.waiting(session)] == [7]


GONE = {
    "erased": "UPDATE contact SET erased_at = now() WHERE id = :id",
    "merged into another": "UPDATE contact SET merged_into_id = (SELECT max(id) FROM contact) WHERE id = :id",
    "with a chapter": "UPDATE contact SET chapter_id = (SELECT id FROM chapter WHERE slug = 'lowell') WHERE id = :id",
    "with a forming one": "UPDATE contact SET chapter_id = (SELECT id FROM chapter WHERE slug = 'cape-cod') WHERE id = :id",
    "without an address": "UPDATE contact SET email = NULL WHERE id = :id",
    "suppressed": "INSERT INTO suppression (email, reason, at) SELECT email, 'bounce', now() FROM contact WHERE id = :id",
    "unconfirmed": "DELETE FROM consent WHERE contact_id = :id",
    "silent about mail": "UPDATE consent SET channel = 'text' WHERE contact_id = :id",
}


@pytest.mark.parametrize("why", GONE)
def test_who_cannot_be_introduced_or_has_a_chapter_does_not_count(session: Session, why: str):
    ids = agree(session, 3)
    session.execute(text(GONE[why]), {"id": ids[0]})
    assert looked(session) == []


def test_who_unsubscribed_since_does_not_count(session: Session):
    ids = agree(session, 3)
    consent.hear(session, [word(ids[0], given=False, minutes=1)])
    assert looked(session) == []


def test_people_of_a_region_without_a_chapter_count(session: Session):
    agree(session, 3, code="01420", place="MA:Worcester County")
    assert len(looked(session)) == 1


def test_what_was_declined_is_told_again_only_once_twice_as_many_have_agreed(session: Session):
    agree(session, 3)
    looked(session)
    (spark,) = sparks.waiting(session)
    assert sparks.decline(session, spark.id, None, NOON) == [MatterSettled(None, sparks.COULD_BEGIN, FRANKLIN)]
    assert (looked(session), sparks.waiting(session)) == ([], [])
    agree(session, 2, "q")
    assert looked(session) == []
    agree(session, 1, "r")
    assert [told.detail for told in looked(session)] == ["6 people want to meet each other"]
    sparks.decline(session, sparks.waiting(session)[0].id, None, NOON)
    agree(session, 5, "s")
    assert looked(session) == []
    agree(session, 1, "t")
    assert len(looked(session)) == 1


def approved(session: Session, **said: str) -> list[Event]:
    looked(session)
    return sparks.approve(session, sparks.waiting(session)[0].id, None, NOON, **said)


def test_on_the_roots_approval_a_forming_chapter_exists_and_its_people_move_there(session: Session):
    agree(session, 3)
    agree(session, 1, "n", "02554", "MA:Nantucket County")
    assert approved(session) == [MatterSettled(None, sparks.COULD_BEGIN, FRANKLIN)]
    while territories.step(session, NOON).more:
        pass
    made = session.execute(
        text(
            "SELECT c.kind, c.name, p.slug AS parent, s.state, t.place FROM chapter c JOIN chapter p ON p.id = c.parent_id"
            " JOIN spark s ON s.chapter_id = c.id JOIN territory t ON t.chapter_id = c.id WHERE c.slug = 'franklin'"
        )
    ).one()
    assert tuple(made) == ("forming", "Franklin", "massachusetts", "approved", FRANKLIN)
    homes = text(
        "SELECT h.slug, count(*) FROM contact c JOIN chapter h ON h.id = c.chapter_id GROUP BY h.slug ORDER BY 1"
    )
    assert [tuple(row) for row in session.execute(homes)] == [("franklin", 3), ("massachusetts", 1)]
    moved = session.scalar(text("SELECT count(*) FROM chapter_move WHERE territory_change_id IS NOT NULL"))
    assert moved == 3
    assert (looked(session), sparks.waiting(session)) == ([], [])


def test_it_begins_below_the_region_that_its_people_are_in_and_is_called_as_the_root_says(session: Session):
    agree(session, 3, code="01420", place="MA:Worcester County")
    approved(session, name=" North County ", slug="north-county")
    found = text(
        "SELECT c.name, p.slug FROM chapter c JOIN chapter p ON p.id = c.parent_id WHERE c.slug = 'north-county'"
    )
    assert tuple(session.execute(found).one()) == ("North County", "central")


def test_a_spark_is_decided_once_and_its_chapter_has_a_name_of_its_own(session: Session):
    agree(session, 3)
    with pytest.raises(Conflict, match="chapter worcester already"):
        approved(session, slug="worcester")
    with pytest.raises(Invalid, match="short name"):
        approved(session, slug="Frank Lin")
    (spark,) = sparks.waiting(session)
    approved(session)
    for decide in (sparks.approve, sparks.decline):
        with pytest.raises(Conflict, match="approved already"):
            decide(session, spark.id, None, NOON)
        with pytest.raises(NotFound):
            decide(session, spark.id + 1, None, NOON)


def test_the_chores_tell_the_root_and_move_the_people_with_no_command(deps: Deps):
    with transaction(deps.sessions) as session:
        agree(session, deps.settings.spark_people)
    upkeep.CHORES[upkeep.SPARKS](deps)
    assert (
        one(deps, "SELECT subject FROM notice WHERE kind = 'a chapter could begin' AND resolved_at IS NULL").subject
        == FRANKLIN
    )
    with deps.work() as (session, now):
        deps.react(session, sparks.approve(session, sparks.waiting(session)[0].id, None, now), now)
    assert rows(deps, "SELECT FROM notice WHERE resolved_at IS NULL") == []
    upkeep.CHORES[upkeep.TERRITORIES](deps)
    home = "SELECT DISTINCT h.slug FROM contact c JOIN chapter h ON h.id = c.chapter_id"
    assert one(deps, home).slug == "franklin"
    upkeep.CHORES[upkeep.TERRITORIES](deps)
    upkeep.CHORES[upkeep.SPARKS](deps)
    assert rows(deps, "SELECT FROM notice WHERE resolved_at IS NULL") == []
