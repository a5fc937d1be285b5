"""Whatever order a donor's events come in, and however they are cut into batches, the same rows stand at the end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import (
    CheckoutReported,
    ContributionReported,
    DisputeReported,
    Event,
    PaymentLinked,
    Person,
    PlanEndReported,
    PlanPaymentFailed,
    PlanReported,
    RefundReported,
    RefundTotalReported,
)
from engine.giving import books
from engine.reactions import react
from engine.settings import Settings
from engine.staff import notices
from tests.books import assert_books_balance

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
ROSA = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605", country="US")
ONE_GIFT = {"source": "stripe", "payment_key": "pi_1", "charge_key": "ch_1"}

# What must be the same. Ids and times of writing may differ, and a letter says what was known when it was written.
ROWS = {
    "contribution": """
        SELECT source, source_key, payment_key, charge_key, plan_key, c.email, amount_cents, status, sequence, form_slug,
            refcode, g.fund_id, g.recurring_period, g.account, g.language, g.donor
        FROM contribution g LEFT JOIN contact c ON c.id = g.contact_id""",
    "ledger": "SELECT source, source_key, kind, amount_cents, occurred_at FROM ledger_entry",
    "refund": """SELECT r.source, r.source_key, r.amount_cents, r.state, r.refunded_at, g.source_key AS gift
        FROM refund r LEFT JOIN contribution g ON g.id = r.contribution_id""",
    "dispute": """SELECT d.source_key, d.state, d.amount_cents, d.opened_at, d.settled_at, g.source_key AS gift
        FROM dispute d LEFT JOIN contribution g ON g.id = d.contribution_id""",
    "recurring_plan": """SELECT p.source_key, p.state, p.amount_cents, p.period, p.paused, p.started_at, p.told_at,
        p.paid_at, p.failed_at, p.ended_at, p.account, c.email
        FROM recurring_plan p LEFT JOIN contact c ON c.id = p.contact_id""",
    "cancellation": "SELECT source_key, ended_by, reason, ended_at FROM cancellation",
    "contact": """SELECT email, first_name, last_name, name_at, street, city, address_at, state, zip, country, time_zone,
        place_at, moved_at, phone, phone_at, details_at, chapter_id, routed_by, routed_on, gave_count, gave_cents,
        gave_highest_cents, gave_last_cents, gave_first_at, gave_last_at, gave_peaks_at, gave_peaks_cents,
        gives_monthly_cents, language FROM contact""",
    "message": """SELECT c.email, m.state, m.facts ->> 'amount' FROM message m JOIN contact c ON c.id = m.contact_id
        WHERE occasion LIKE 'gift:%'""",
}


def at(minutes: int) -> datetime:
    return NOON - timedelta(hours=10) + timedelta(minutes=minutes)


def gift(number: int = 1, **changed: Any) -> ContributionReported:
    told: dict[str, Any] = {
        "cause": None, "source": "stripe", "source_key": f"pi_{number}", "payment_key": f"pi_{number}",
        "charge_key": f"ch_{number}", "amount_cents": 5000 * number, "paid_at": at(number), "donor": ROSA,
    }  # fmt: skip
    return ContributionReported(**told | changed)


def refund(number: int, cents: int, state: Any = "succeeded") -> RefundReported:
    return RefundReported(None, "stripe", f"re_{number}", cents, at(100 + number), state, "usd", "pi_1", "ch_1")


def refunded_in_all(cents: int) -> RefundTotalReported:
    return RefundTotalReported(None, "stripe", "ch_1", cents, at(101), "usd", "pi_1", "ch_1")


def dispute(state: Any, settled: datetime | None = None) -> DisputeReported:
    return DisputeReported(None, "stripe", "dp_1", 5000, at(200), state, settled, "fraudulent", "usd", "pi_1", "ch_1")


def plan(minutes: int, cents: int = 2700, *, paused: bool = False) -> PlanReported:
    return PlanReported(None, "stripe", "sub_1", cents, "monthly", at(0), at(minutes), paused=paused)


ENDED = PlanEndReported(None, "stripe", "sub_1", at(300), "donor", "cancellation_requested")
FAILED = PlanPaymentFailed(None, "stripe", "in_2:1", "sub_1", at(150))
INSTALMENT = gift(
    source_key="in_1", payment_key="pi_1", plan_key="sub_1", amount_cents=2700, recurring_period="monthly"
)
BARE = gift(amount_cents=2700, donor=Person())
CHECKOUT = CheckoutReported(
    None, "stripe", "cs_1", at(1), ROSA, payment_key="pi_1", form_slug="common-ground", refcode="n"
)


def apply(session: Session, *batches: Sequence[Event]) -> dict[str, Any]:
    """Apply these batches, prove the books, return what must not depend on the order, and undo it all."""
    savepoint = session.begin_nested()
    for batch in batches:
        react(session, list(batch), NOON, Settings())
    assert_books_balance(session)
    told = {name: sorted(tuple(map(repr, row)) for row in session.execute(text(query))) for name, query in ROWS.items()}
    savepoint.rollback()
    return told


STORIES: dict[str, list[Event]] = {
    "a gift, its refund, a dispute won": [gift(), refund(1, 5000), dispute("open"), dispute("won", at(250))],
    "a refund that failed": [gift(), refund(1, 2000), refund(1, 2000, "failed"), refund(2, 1000)],
    "an inquiry that became a dispute and was lost": [
        gift(),
        dispute("inquiry"),
        dispute("open"),
        dispute("lost", at(9)),
    ],
    "two gifts of one donor, one given back": [gift(1), gift(2), refund(1, 5000), refund(1, 5000)],
    "a plan from its first word to its end": [plan(1), plan(5, 5000), INSTALMENT, FAILED, ENDED],
    "a plan that was paused and went on": [plan(1), plan(5, paused=True), plan(9), INSTALMENT],
    "the four events of a first checkout": [CHECKOUT, BARE, INSTALMENT, plan(1)],
    "a plan in an account of its own, once told without it": [
        replace(INSTALMENT, account="acct_1"),
        replace(BARE, account="acct_1"),
        replace(plan(1), account="acct_1"),
        plan(5, 5000),
    ],
    "a first checkout on a page in Spanish": [
        replace(CHECKOUT, language="es"),
        BARE,
        replace(INSTALMENT, language="es"),
    ],
    "a payment whose donor only the checkout tells": [BARE, CHECKOUT, refund(1, 2700)],
    "one who moved away and back, and was silent of something each time": [
        gift(1, donor=replace(ROSA, street="14 Lincoln Street", city="Worcester", phone="5085550123")),
        gift(2, donor=Person(email=ROSA.email, zip="01108")),
        gift(3, donor=Person(email=ROSA.email, zip="01605")),
        gift(4, donor=replace(ROSA, zip=None, first_name="R", last_name="")),
    ],
    "one refund told twice, singly and in all": [gift(), refund(1, 5000), dispute("open")],
}


@pytest.mark.parametrize("story", STORIES)
def test_every_order_of_events_ends_in_the_same_rows(session: Session, story: str):
    events = STORIES[story]
    expected = apply(session, *([event] for event in events))
    for order in permutations(events):
        assert apply(session, *([event] for event in order)) == expected, order
    assert apply(session, events) == expected
    assert apply(session, events, events[::-1]) == expected


ALL = [
    gift(1), gift(2), refund(1, 2000), refund(1, 2000, "failed"), refund(2, 1000), dispute("open"), dispute("won", at(250)),
    plan(1), plan(5, 5000), ENDED, FAILED, gift(3, source_key="in_3", payment_key="pi_3", plan_key="sub_1", sequence=1),
]  # fmt: skip


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(ALL), st.lists(st.integers(1, 5), max_size=8), st.lists(st.sampled_from(ALL), max_size=6))
def test_any_permutation_in_any_batches_with_any_repeats_ends_in_the_same_rows(session, order, cuts, repeats):
    batches, rest = [], [*order, *repeats]
    for cut in cuts:
        batches.append(rest[:cut])
        rest = rest[cut:]
    assert apply(session, *batches, rest) == apply(session, ALL)


@pytest.mark.parametrize(
    ("told", "net"),
    [
        ([refunded_in_all(2000)], 3000),
        ([refunded_in_all(2000), refunded_in_all(5000)], 0),
        ([refund(1, 2000), refunded_in_all(2000)], 3000),
        ([refund(1, 2000), refund(2, 3000), refunded_in_all(5000)], 0),
        ([refund(1, 2000), refunded_in_all(5000)], 0),
        ([refund(1, 2000, "failed"), refunded_in_all(2000)], 5000),
    ],
)
def test_refunds_told_singly_and_in_all_take_back_the_larger_of_the_two_in_any_order(session, told, net):
    for order in permutations([gift(), *told]):
        savepoint = session.begin_nested()
        for event in order:
            react(session, [event], NOON, Settings())
        assert_books_balance(session)
        assert session.scalar(text("SELECT sum(amount_cents) FROM ledger_entry")) == net
        savepoint.rollback()


def test_a_payment_and_its_instalment_booked_apart_are_one_once_the_link_is_told(session: Session):
    unlinked = gift(source_key="in_1", payment_key="", charge_key="", plan_key="sub_1", amount_cents=2700)
    told = [BARE, unlinked, PaymentLinked(None, "stripe", "in_1", "pi_1"), refund(1, 700), BARE]
    for order in permutations(told):
        savepoint = session.begin_nested()
        for event in order:
            react(session, [event], NOON, Settings())
        assert_books_balance(session)
        assert session.scalar(text("SELECT sum(amount_cents) FROM ledger_entry")) == 2000
        assert session.scalar(text("SELECT gave_cents FROM contact")) == 2000
        kept = session.execute(text("SELECT source_key, status FROM contribution WHERE status <> 'duplicate'")).all()
        assert kept == [("in_1", "partly_refunded")]
        savepoint.rollback()


@pytest.mark.parametrize(
    ("period", "monthly"),
    [("daily", 3041), ("weekly", 433), ("monthly", 100), ("quarterly", 33), ("yearly", 8), ("every 2 weeks", 216),
     ("every 6 months", 16), ("every 10 days", 304), ("every 2 years", 4), ("now and then", 0), ("", 0)],
)  # fmt: skip
def test_what_a_plan_comes_to_in_a_month(session: Session, period: str, monthly: int):
    react(session, [replace(plan(1, 100), period=period), INSTALMENT], NOON, Settings())
    assert session.scalar(text("SELECT gives_monthly_cents FROM contact")) == monthly
    assert_books_balance(session)


def test_yen_are_no_dollars(session: Session):
    react(session, [gift(), gift(2, currency="jpy", amount_cents=500_000)], NOON, Settings())
    assert session.scalar(text("SELECT gave_cents FROM contact")) == 5000
    assert books.check(session).cents == 5000


def test_a_dispute_that_is_won_needs_nobody_any_more(session: Session):
    react(session, [gift(), dispute("open")], NOON, Settings())
    assert [row.kind for row in notices.open_notices(session)] == ["gift disputed"]
    react(session, [dispute("won", at(250))], NOON, Settings())
    assert notices.open_notices(session) == []
