"""A monthly donor's plans, in pure arithmetic: when the next payment is due, which amounts are offered, when a pause ends."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import monthly
from engine.giving.monthly import following, offers, pause_ends
from engine.reactions import react
from engine.settings import Settings
from tests import make_stripe as make
from tests.givers import FIRST, LAST, plan
from tests.make_stripe import only

DAYS = st.dates(date(2020, 1, 1), date(2030, 12, 31))
RHYTHMS = [*monthly.MONTHS, *monthly.DAYS]


@pytest.mark.parametrize(
    ("started", "last", "period", "due"),
    [("2026-08-02", "2026-08-02", "monthly", "2026-09-02"), ("2026-08-02", "2026-11-02", "monthly", "2026-12-02"),
     ("2026-08-02", "2026-12-02", "monthly", "2027-01-02"), ("2026-08-31", "2026-08-31", "monthly", "2026-09-30"),
     ("2026-08-31", "2026-09-30", "monthly", "2026-10-31"), ("2028-01-31", "2028-01-31", "monthly", "2028-02-29"),
     ("2026-08-02", "2026-11-05", "monthly", "2026-12-02"),  # a card that failed at first
     ("2026-08-02", "2026-11-01", "monthly", "2026-12-02"),  # by our clock it was the evening before
     ("2026-08-02", "2026-08-02", "quarterly", "2026-11-02"), ("2024-02-29", "2025-02-28", "yearly", "2026-02-28"),
     ("2026-08-02", "2026-08-09", "weekly", "2026-08-16"), ("2026-08-02", "2026-08-02", "daily", "2026-08-03")],
)  # fmt: skip
def test_the_next_payment_is_due_on_the_day_on_which_the_plan_began(started: str, last: str, period: str, due: str):
    days = [date.fromisoformat(day) for day in (started, last, due)]
    assert following(days[0], days[1], period) == days[2]


def test_no_day_is_made_up_for_other_rhythms_or_before_the_first_payment():
    assert following(date(2026, 8, 2), date(2026, 8, 2), "every 2 weeks") is None
    assert following(date(2026, 8, 2), None, "monthly") is None


@given(DAYS, DAYS, st.sampled_from(RHYTHMS))
def test_the_next_payment_is_always_after_the_last_and_within_one_turn_of_it(one: date, other: date, period: str):
    started, last = sorted((one, other))
    due = following(started, last, period)
    assert due is not None
    longest = monthly.DAYS.get(period, 31 * monthly.MONTHS.get(period, 0)) + monthly.ZONES_APART.days
    assert 0 < (due - last).days <= longest


@given(st.integers(100, 2_000_000), st.integers(100, 5000), st.integers(5000, 99_999_900))
def test_amounts_rise_hold_her_own_and_lie_between_floor_and_cap(cents: int, floor: int, cap: int):
    offered = offers(cents, floor, cap)
    assert list(offered) == sorted(set(offered))
    assert cents in offered
    assert all(floor <= each <= cap for each in offered if each != cents)
    assert len(offered) <= 1 + monthly.BELOW + monthly.ABOVE


def test_amounts_are_those_that_people_like_near_her_own():
    assert offers(1000, 500, 10**7) == (500, 1000, 1500, 2000, 2700)
    assert offers(4200, 500, 5000) == (2700, 3500, 4200, 5000)
    assert offers(500, 500, 500) == (500,)


def test_a_pause_ends_on_the_same_day_or_on_a_months_last():
    assert pause_ends(datetime(2026, 11, 30, 9, 5, tzinfo=UTC), 3) == datetime(2027, 2, 28, 9, 5, tzinfo=UTC)


def test_a_plan_says_when_its_pause_ends_if_it_does():
    paused = make.subscription(pause_collection={"behavior": "void", "resumes_at": make.AT})
    assert only("customer.subscription.updated", paused).paused_until == make.PAID
    for said in ({"behavior": "void", "resumes_at": None}, {"behavior": "void"}, None, "void"):
        plan = only("customer.subscription.updated", make.subscription(pause_collection=said))
        assert (plan.paused, plan.paused_until) == (bool(said), None)


def test_an_older_word_that_comes_late_says_when_a_plan_began_and_nothing_else(session: Session):
    newer = plan("sub_1", 3500, LAST, started_at=LAST, paused=True, paused_until=LAST)
    for word in (newer, plan("sub_1", 1000, FIRST)):
        react(session, [word], LAST, Settings())
    row = session.execute(text("SELECT amount_cents, paused_until, started_at, told_at FROM recurring_plan")).one()
    assert tuple(row) == (3500, LAST, FIRST, LAST)
