"""Whom the law has us ask where she works: those whom a gift makes one, once for a fund and a year, agreed with the
treasurer's list."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Person
from engine.giving import employers
from tests.engine.test_treasurer import listed
from tests.gifts import MEI, ROSA, ZONE, fund, give, take_back, who
from tests.make import NOON

UNSAID = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605")
NEW_YEAR = datetime(2027, 1, 1, 0, 30, tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


def met(session: Session, *gifts: int, now: datetime = NOON) -> list[tuple[int, int, int, date]]:
    found = employers.met(session, gifts, now, ZONE)
    return [(row.contact_id, row.year, row.cents, row.answer_by) for row in found]


def test_the_gift_that_reaches_the_sum_makes_her_one_and_the_next_does_not_again(session: Session):
    fund(session, employer_cents=20_000, employer_days=30)
    first, second, third, fourth = (give(session, cents, UNSAID) for cents in (12_000, 8_000, 1_000, 500))
    hers = (who(session), 2026, 21_500, date(2026, 12, 3))
    assert met(session, first) == met(session, second) == met(session, fourth) == []
    assert met(session, third) == met(session, first, second, third, fourth) == [hers]
    assert [row["contact"] for row in listed(session, "owed")] == [str(who(session))]


def test_of_a_fund_that_asks_from_the_sum_on_reaching_it_is_enough(session: Session):
    fund(session, employer_cents=20_000, employer_from=True)
    assert len(met(session, give(session, 20_000, UNSAID))) == 1


def test_what_went_back_does_not_count(session: Session):
    fund(session, employer_cents=20_000)
    back = give(session, 15_000, UNSAID)
    take_back(session, back, 15_000)
    assert met(session, back, give(session, 10_000, UNSAID)) == []


def test_who_said_it_with_any_gift_of_the_year_is_none_and_who_said_half_is(session: Session):
    fund(session, employer_cents=20_000)
    give(session, 100, ROSA)
    assert met(session, give(session, 30_000, UNSAID)) == []
    half = Person(email=MEI.email, first_name="Mei", zip="01605", employer="Bakery", occupation=" ")
    assert len(met(session, give(session, 30_000, half))) == 1


def test_a_year_is_that_of_the_organisations_clock_and_each_has_its_own_question(session: Session):
    fund(session, employer_cents=20_000)
    old = give(session, 15_000, UNSAID, at=datetime(2026, 12, 31, 23, 0, tzinfo=ZoneInfo(ZONE)))
    new = give(session, 15_000, UNSAID, at=NEW_YEAR)
    assert met(session, old, new, now=NEW_YEAR) == []
    assert [row[1:3] for row in met(session, give(session, 10_000, UNSAID, at=NEW_YEAR), now=NEW_YEAR)] == [
        (2027, 25_000)
    ]


def test_nobody_is_asked_whose_days_are_over_or_who_has_no_address(session: Session):
    fund(session, employer_cents=20_000, employer_days=10)
    gift = give(session, 30_000, UNSAID)
    assert len(met(session, gift, now=datetime(2026, 11, 12, 12, tzinfo=UTC))) == 1
    assert met(session, gift, now=datetime(2026, 11, 13, 12, tzinfo=UTC)) == []
    session.execute(text("UPDATE contact SET email = NULL"))
    assert met(session, gift) == []
