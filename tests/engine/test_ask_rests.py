"""Whose asks rest, how long, and what staff are told: many gifts, one far above habit, disputes, clicks to ActBlue."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import LetterReported
from engine.giving import ask_rests
from engine.reactions import react
from tests import readers
from tests.gifts import MEI, ROSA, SETTINGS, ask_about, give, merge, notices, take_back, who
from tests.make import NOON, gift

DAY = timedelta(days=1)


def resting(session: Session) -> list[tuple[str, datetime]]:
    return [
        tuple(row) for row in session.execute(text("SELECT reason, until FROM ask_rest ORDER BY reason, contact_id"))
    ]


def told(session: Session) -> list[tuple[str, str]]:
    kinds = (ask_rests.MANY, ask_rests.LARGE)
    return [(kind, subject) for kind in kinds for subject in notices(session, kind)]


# Many, and far above habit.


def test_a_third_gift_within_a_week_rests_asks_for_a_month_and_tells_staff_once(session: Session):
    give(session, 2_700, at=NOON - 6 * DAY)
    give(session, 2_700, at=NOON - 2 * DAY)
    assert resting(session) == []
    third = give(session, 2_700)
    assert resting(session) == [("many", NOON + 30 * DAY)]
    assert told(session) == [(ask_rests.MANY, f"contribution {third}")]
    assert "3 gifts within 7 days" in notices(session, ask_rests.MANY)[f"contribution {third}"]
    give(session, 2_700, at=NOON + DAY, now=NOON + DAY)
    assert resting(session) == [("many", NOON + 31 * DAY)]
    assert told(session) == [(ask_rests.MANY, f"contribution {third}")]


@pytest.mark.parametrize(
    "gifts",
    [
        [{"at": NOON - 8 * DAY}, {}, {}],  # not within days
        [{"sequence": 3}, {"sequence": 4}, {}],  # instalments
        [{"order_number": "AB1"}, {"order_number": "AB1"}, {"order_number": "AB1"}],  # one gift, in three parts
        [{"entity_id": 999}, {}, {}],  # to somebody else
        [{"at": NOON - 90 * DAY}, {"at": NOON - 91 * DAY}, {"at": NOON - 92 * DAY}],  # a report, imported
    ],
    ids=["slow", "instalments", "one order", "not ours", "long ago"],
)
def test_what_is_no_haste_rests_nothing(session: Session, gifts: list[dict[str, Any]]):
    for changed in gifts:
        give(session, 2_700, **changed)
    assert (resting(session), told(session)) == ([], [])


def test_gifts_that_come_together_are_seen_together(session: Session):
    react(session, [gift(donor=ROSA, paid_at=NOON - n * DAY) for n in range(3)], NOON, SETTINGS)
    assert [reason for reason, _ in resting(session)] == ["many"]


@pytest.mark.parametrize(
    ("before", "cents", "rests"),
    [
        (5_000, 25_000, True),
        (5_001, 25_000, False),
        (500, 24_999, False),
        (500, 25_000, True),
        (None, 1_000_000, False),
    ],
)
def test_five_times_her_highest_and_at_least_250_is_far_above_habit(
    session: Session, before: int | None, cents: int, rests: bool
):
    if before is not None:
        give(session, before, at=NOON - 60 * DAY, sequence=7)  # what she gives each month is a habit as well
    last = give(session, cents)
    assert resting(session) == ([("large", NOON + 30 * DAY)] if rests else [])
    assert told(session) == ([(ask_rests.LARGE, f"contribution {last}")] if rests else [])


def test_a_large_gift_of_long_ago_rests_nothing_and_what_was_refunded_is_no_habit(session: Session):
    give(session, 500, at=NOON - 99 * DAY)
    give(session, 90_000, at=NOON - 98 * DAY)
    assert resting(session) == []
    take_back(session, give(session, 1_000, MEI, at=NOON - 60 * DAY), 1_000)
    give(session, 100_000, MEI)
    assert resting(session) == []


def test_the_same_gift_told_again_changes_nothing(session: Session):
    give(session, 500, at=NOON - 60 * DAY)
    large = gift(donor=ROSA, amount_cents=50_000, paid_at=NOON)
    react(session, [large], NOON, SETTINGS)
    react(session, [large], NOON + DAY, SETTINGS)
    assert resting(session) == [("large", NOON + 30 * DAY)]
    assert session.scalars(text("SELECT seen FROM notice")).all() == [1]


# Disputes.


@pytest.mark.parametrize(
    ("state", "rests"), [("inquiry", True), ("open", True), ("lost", True), ("won", False), ("closed", False)]
)
def test_a_dispute_rests_asks_for_ninety_days(session: Session, state: str, rests: bool):
    disputed = give(session, 2_700)
    for _ in range(2):
        ask_about(session, disputed, state)
    assert resting(session) == ([("dispute", NOON + 90 * DAY)] if rests else [])


def test_a_dispute_that_was_told_before_its_gift_rests_asks_once_the_gift_is_booked(session: Session):
    told_first = give(session, 2_700, MEI)
    ask_about(session, told_first)
    session.execute(text("DELETE FROM ask_rest"))
    session.execute(text("UPDATE dispute SET contribution_id = NULL, payment_key = 'late'"))
    session.execute(text("DELETE FROM ledger_entry WHERE kind = 'dispute'"))
    give(session, 2_700, payment_key="late")
    assert session.execute(text("SELECT contact_id, reason FROM ask_rest")).all() == [(who(session), "dispute")]


def test_a_dispute_of_long_ago_rests_nothing(session: Session):
    ask_about(session, give(session, 2_700, at=NOON - 200 * DAY), "lost", at=NOON - 100 * DAY)
    assert resting(session) == []


# Two who were one.


def test_of_two_rests_for_one_reason_the_longer_is_kept(session: Session):
    ask_about(session, give(session, 2_700, MEI), at=NOON - 10 * DAY)
    ask_about(session, give(session, 2_700), at=NOON - 20 * DAY)
    merge(session, MEI, ROSA)
    assert session.execute(text("SELECT contact_id, until FROM ask_rest")).all() == [(who(session), NOON + 80 * DAY)]


# Clicks.

LINK = "https://secure.actblue.com/donate/common-ground?amount=27&refcode=m1"


def click(session: Session, url: str = LINK, at: datetime = NOON, now: datetime = NOON, **more: Any) -> None:
    """A click in a letter of Rosa's, as the provider tells it."""
    letter = session.scalar(text("SELECT max(id) FROM message WHERE kind = 'asks'"))
    reported = LetterReported(None, "click", at, "rosa@example.org", letter, url=url, **more)
    react(session, [reported], now, SETTINGS)


@pytest.fixture
def letter(session: Session) -> int:
    """A letter that Rosa got."""
    contact_id, _ = readers.person(session, "rosa@example.org")
    return readers.letter(session, contact_id, "asks")


@pytest.mark.usefixtures("letter")
def test_a_click_that_leads_to_actblue_rests_asks_for_a_day(session: Session):
    for _ in range(2):
        click(session)
    assert resting(session) == [("clicked", NOON + DAY)]
    click(session, at=NOON + timedelta(hours=2), now=NOON + timedelta(hours=2))
    assert resting(session) == [("clicked", NOON + timedelta(hours=26))]
    assert told(session) == []


@pytest.mark.usefixtures("letter")
@pytest.mark.parametrize(
    "words",
    [
        {"machine": True},
        {"url": "https://commonground.example.org/gatherings"},
        {"url": "https://example.org/?to=https://secure.actblue.com/donate/x"},
        {"at": NOON - 2 * DAY},
    ],
    ids=["a scanner's", "another page", "a page that names it", "told days later"],
)
def test_any_other_click_rests_nothing(session: Session, words: dict[str, Any]):
    click(session, **words)
    assert resting(session) == []


def grace(session: Session, now: datetime) -> datetime | None:
    """When Rosa's grace ends, as the last look sees it."""
    asked = text(ask_rests.RESTING.format(contact=":id", fund="CAST(NULL AS bigint)"))
    row = session.execute(asked, {"id": who(session), "now": now, "zone": "UTC"}).one()
    assert row.words is None
    return row.grace_until


def delivered(session: Session, at: datetime, source: str = "actblue", cause: bool = True) -> None:
    """Somebody's gift, told by a webhook (or by a report that was imported)."""
    event = None
    if cause:
        event = session.scalar(
            text(
                "INSERT INTO inbound_event (source, key, lane, body) VALUES (:source, :key, 'intake', '') RETURNING id"
            ),
            {"source": source, "key": f"{at}{source}"},
        )
    give(session, 2_700, MEI, at=at, now=at, source=source, cause=event)


@pytest.mark.usefixtures("letter")
def test_the_grace_ends_when_a_gift_paid_well_after_the_click_was_delivered(session: Session):
    click(session)
    later, end = NOON + timedelta(hours=2), NOON + DAY
    delivered(session, NOON + timedelta(minutes=29))
    delivered(session, NOON + timedelta(minutes=45), source="stripe")
    delivered(session, NOON + timedelta(minutes=45), cause=False)
    delivered(session, NOON + timedelta(hours=50))  # a clock that goes wrong
    assert grace(session, later) == end
    delivered(session, NOON + timedelta(minutes=30))
    assert grace(session, later) is None
    click(session, at=later, now=later)
    assert grace(session, later) == later + DAY


@pytest.mark.usefixtures("letter")
def test_the_grace_ends_by_itself_after_a_day(session: Session):
    click(session)
    assert grace(session, NOON + DAY - timedelta(seconds=1)) == NOON + DAY
    assert grace(session, NOON + DAY) is None
