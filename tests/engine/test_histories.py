"""What people gave, as ladders want to know it, and why staff see whom asked for what."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import NotFound
from engine.events import Person
from engine.giving import ask_reasons, histories
from engine.giving.asks import History
from engine.reactions import react
from engine.settings import Settings
from tests.make import NOON, gift
from tests.readers import person

ZONE = "America/New_York"


def gave(session: Session, *cents: int, last: datetime = NOON) -> int:
    """Somebody who gave this, a day apart; her id."""
    contact_id, email = person(session)
    donor = Person(email=email, first_name="Rosa", zip="01604")
    days = [last - timedelta(days=len(cents) - 1 - place) for place in range(len(cents))]
    told = [gift(donor=donor, amount_cents=each, paid_at=day) for each, day in zip(cents, days, strict=True)]
    react(session, told, NOON, Settings())
    return contact_id


def load(session: Session, contact_id: int, now: datetime = NOON) -> History:
    return histories.load(session, [contact_id], now)[contact_id]


def test_a_history_is_her_highest_last_and_usual_gift_and_how_long_ago(session: Session):
    hers = gave(session, 2500, 2500, 25000, 5000, last=datetime(2026, 7, 4, 12, tzinfo=NOON.tzinfo))
    assert load(session, hers) == History(4, 25000, 5000, 2500, 3, 0)
    assert load(session, hers, datetime(2028, 7, 3, 12, tzinfo=NOON.tzinfo)).months == 23
    assert load(session, hers, datetime(2028, 7, 4, 12, tzinfo=NOON.tzinfo)).months == 24


def test_one_gift_is_also_the_usual_one_and_of_two_the_smaller(session: Session):
    assert load(session, gave(session, 4100)).typical_cents == 4100
    assert load(session, gave(session, 50000, 2500)).typical_cents == 2500


def test_what_is_usual_follows_her_newest_twelve_gifts_and_none_that_was_taken_back(session: Session):
    hers = gave(session, *[500] * 20, *[5000] * 8)
    assert load(session, hers).typical_cents == 5000
    session.execute(
        text("UPDATE contribution SET status = 'refunded' WHERE contact_id = :id AND amount_cents = 5000"), {"id": hers}
    )
    assert load(session, hers).typical_cents == 500


def test_who_never_gave_has_none_and_a_clock_that_is_behind_a_gift_makes_no_negative_age(session: Session):
    stranger, _ = person(session)
    hers = gave(session, 2700)
    assert list(histories.load(session, [stranger, hers], NOON)) == [hers]
    assert load(session, hers, NOON - timedelta(days=90)).months == 0


def test_each_open_form_is_explained_once_and_each_month_with_what_its_fund_leaves(session: Session):
    session.execute(text("UPDATE fund SET limit_cents = CASE slug WHEN 'action' THEN 50000 END"))
    session.execute(text("""INSERT INTO donation_form (slug, title, preset_cents, fund_id, chapter_id, monthly)
        SELECT 'elect', 'Elect neighbours', '{2700,5000}', f.id, c.id, false FROM fund f, chapter c
        WHERE f.slug = 'pac' AND c.parent_id IS NULL"""))  # fmt: skip
    hers = gave(session, 24000, 24000)
    told = ask_reasons.explain(session, hers, NOON, ZONE)
    first, other = (next(each for each in told.forms if each.form == slug) for slug in ("common-ground", "elect"))
    assert (first.left_cents, first.once.cents) == (2000, (500, 1000, 1500, 2000))
    assert first.monthly is not None
    assert first.monthly.cents == ()
    assert (other.left_cents, other.monthly) == (None, None)
    assert other.once.cents == (20000, 30000, 40000, 50000, 75000)
    (only,) = ask_reasons.explain(session, hers, NOON, ZONE, "elect").forms
    assert only == other


def test_a_form_that_is_closed_asks_nobody(session: Session):
    session.execute(text("UPDATE donation_form SET closed_at = now()"))
    hers = gave(session, 2700)
    assert ask_reasons.explain(session, hers, NOON, ZONE).forms == []
    with pytest.raises(NotFound, match="no form common-ground is open"):
        ask_reasons.explain(session, hers, NOON, ZONE, "common-ground")
