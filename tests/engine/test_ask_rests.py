"""Whose asks rest, how long, and what staff are told: many gifts, one far above habit, disputes, clicks to ActBlue."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import LetterReported, PlanPaymentFailed, PlanReported, RefundReported
from engine.giving import ask_rests
from engine.reactions import react
from tests import readers
from tests.books import by_hand
from tests.gifts import MEI, ROSA, SETTINGS, ask_about, give, merge, notices, take_back, who
from tests.make import NOON, gift

DAY = timedelta(days=1)


def resting(session: Session, also: str = "") -> list[tuple[str, datetime]]:
    """All but what every gift (`gave`) and every one that went back (`refund`) rests, unless one of these is meant."""
    found = session.execute(text("SELECT reason, until FROM ask_rest ORDER BY reason, contact_id, until"))
    return [tuple(row) for row in found if row.reason not in {"gave", "refund"} - {also}]


def told(session: Session) -> list[tuple[str, str]]:
    kinds = (ask_rests.MANY, ask_rests.LARGE)
    return [(kind, subject) for kind in kinds for subject in notices(session, kind)]


# Just given: the asks of that fund alone.


def fund(session: Session) -> int:
    return int(session.execute(text("SELECT min(id) FROM fund")).scalar_one())


def of_fund(session: Session, reason: str) -> list[tuple[int, datetime]]:
    found = text("SELECT fund_id, until FROM ask_rest WHERE reason = :reason ORDER BY contact_id, until")
    return [tuple(row) for row in session.execute(found, {"reason": reason})]


def test_a_gift_rests_the_asks_of_its_fund_for_a_week_from_when_it_was_paid(session: Session):
    give(session, 2_700, at=NOON - 2 * DAY)
    assert of_fund(session, "gave") == [(fund(session), NOON + 5 * DAY)]
    give(session, 2_700)
    assert of_fund(session, "gave") == [(fund(session), NOON + 7 * DAY)]
    assert told(session) == []


def test_how_long_is_the_houses_to_say(session: Session):
    react(session, [gift(donor=ROSA, paid_at=NOON)], NOON, SETTINGS.model_copy(update={"ask_rest_days": 30}))
    assert of_fund(session, "gave") == [(fund(session), NOON + 30 * DAY)]


def test_the_first_of_a_plan_rests_asks_and_a_later_instalment_does_not(session: Session):
    monthly = {"plan_key": "plan", "recurring_period": "monthly"}
    give(session, 2_700, sequence=1, **monthly)
    assert of_fund(session, "gave") == []
    give(session, 2_700, MEI, sequence=0, plan_key="other", recurring_period="monthly")
    assert len(of_fund(session, "gave")) == 1


@pytest.mark.parametrize(
    "changed", [{"entity_id": 999}, {"at": NOON - 7 * DAY}], ids=["to somebody else's fund", "a week ago"]
)
def test_what_is_not_ours_or_no_news_rests_nothing(session: Session, changed: dict[str, Any]):
    give(session, 2_700, **changed)
    assert of_fund(session, "gave") == []


def test_of_an_order_with_parts_for_others_only_ours_rests_asks(session: Session):
    order = {"order_number": "AB1", "donor": ROSA, "paid_at": NOON}
    parts = [
        gift(source_key="1", payment_key="AB1/1", **order),
        gift(source_key="2", payment_key="AB1/2", entity_id=9, **order),
    ]
    react(session, parts, NOON, SETTINGS)
    assert of_fund(session, "gave") == [(fund(session), NOON + 7 * DAY)]


# Gone back, and failing.


def test_a_gift_that_goes_back_whole_rests_the_asks_of_its_fund_for_thirty_days(session: Session):
    first = give(session, 2_700)
    take_back(session, first, 700)
    assert of_fund(session, "refund") == []
    key = take_back(session, first, 2_000)
    assert of_fund(session, "refund") == [(fund(session), NOON + 30 * DAY)]
    take_back(session, first, 2_000, state="failed", key=key, now=NOON + DAY)
    assert of_fund(session, "refund") == [(fund(session), NOON + DAY)]


def test_a_refund_that_fails_ends_no_rest_of_another_gift_that_went_back(session: Session):
    first, second = give(session, 2_700), give(session, 5_000)
    key = take_back(session, first, 2_700)
    take_back(session, second, 5_000)
    take_back(session, first, 2_700, state="failed", key=key, now=NOON + DAY)
    assert of_fund(session, "refund") == [(fund(session), NOON + 30 * DAY)]


def test_a_refund_that_was_told_before_its_gift_rests_asks_once_the_gift_is_booked(session: Session):
    react(session, [RefundReported(None, "actblue", "r", 2_700, NOON, payment_key="late")], NOON, SETTINGS)
    give(session, 2_700, payment_key="late")
    assert of_fund(session, "refund") == [(fund(session), NOON + 30 * DAY)]
    assert of_fund(session, "gave") == []


def fail(session: Session, at: datetime, key: str = "failure") -> None:
    react(session, [PlanPaymentFailed(None, "actblue", key, "plan", at)], at, SETTINGS)


def test_a_failed_instalment_rests_the_asks_of_its_fund_until_it_is_paid_again(session: Session):
    monthly = {"plan_key": "plan", "recurring_period": "monthly"}
    react(
        session,
        [PlanReported(None, "actblue", "plan", 2_700, "monthly", NOON - 40 * DAY, NOON - 40 * DAY)],
        NOON,
        SETTINGS,
    )
    give(session, 2_700, at=NOON - 40 * DAY, **monthly)
    fail(session, NOON)
    assert of_fund(session, "failing") == [(fund(session), NOON + 14 * DAY)]
    assert words(session, NOON + 13 * DAY) == "asks rest until 17 November: an instalment failed"
    assert words(session, NOON + 14 * DAY) is None
    give(session, 2_700, at=NOON + DAY, now=NOON + DAY, sequence=1, **monthly)
    assert words(session, NOON + 2 * DAY) is None
    fail(session, NOON + 30 * DAY, "another")
    assert words(session, NOON + 31 * DAY) == "asks rest until 17 December: an instalment failed"


def words(session: Session, now: datetime) -> str | None:
    """Why nobody asks Rosa for her fund, as the last look says it."""
    asked = text(ask_rests.RESTING.format(contact=":id", fund=":fund"))
    row = session.execute(asked, {"id": who(session), "now": now, "zone": "UTC", "fund": fund(session)}).one()
    return None if row.words is None else str(row.words)


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
    by_hand(session, "DELETE FROM ledger_entry WHERE kind = 'dispute'")
    give(session, 2_700, payment_key="late")
    found = session.execute(text("SELECT contact_id, reason FROM ask_rest WHERE reason <> 'gave'")).all()
    assert found == [(who(session), "dispute")]


def test_a_dispute_of_long_ago_rests_nothing(session: Session):
    ask_about(session, give(session, 2_700, at=NOON - 200 * DAY), "lost", at=NOON - 100 * DAY)
    assert resting(session) == []


# Two who were one.


def test_of_two_rests_for_one_reason_the_longer_is_kept(session: Session):
    ask_about(session, give(session, 2_700, MEI), at=NOON - 10 * DAY)
    ask_about(session, give(session, 2_700), at=NOON - 20 * DAY)
    merge(session, MEI, ROSA)
    found = session.execute(text("SELECT contact_id, until FROM ask_rest WHERE reason = 'dispute'")).all()
    assert found == [(who(session), NOON + 80 * DAY)]


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
