"""The treasurer's lists: what stands in them, for which days, and that no cell of them does harm."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.errors import Invalid, NotFound
from engine.events import Person
from engine.giving import treasurer
from engine.giving.treasurer import Choice
from engine.staff import exports
from tests.gifts import MEI, ROSA, ZONE, ask_about, fund, give, merge, take_back, who
from tests.make import NOON

EVENING = datetime(2026, 12, 31, 23, 30, tzinfo=ZoneInfo(ZONE))
UNSAID = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605")
HOSTILE = Person(
    email="x@example.org", first_name='=HYPERLINK("https://evil.example.org","x")', last_name='Ö"Brien,\r\n2nd 🌻',
    street="@SUM(1)", city="\tWorcester", state="-MA", zip="01605", employer="+1", occupation="a;b|c",
)  # fmt: skip


def listed(session: Session, name: str, now: datetime = NOON, **choice: Any) -> list[dict[str, str]]:
    pieces = exports.stream_list(session, name, Choice(ZONE, **choice), now)
    return list(csv.DictReader(io.StringIO(b"".join(pieces).decode(), newline="")))


def test_a_contribution_is_told_with_who_gave_as_she_said_it_then(session: Session):
    one = give(session, 2_750, at=EVENING, order_number="AB1", recurring_period="monthly")
    session.execute(text("UPDATE contact SET first_name = 'Roza', street = 'Elsewhere'"))
    (row,) = listed(session, "contributions")
    assert row == {
        "contribution": str(one), "day": "2026-12-31", "time": "23:30", "fund": "action", "form": "common-ground",
        "amount": "27.50", "kept": "27.50", "currency": "USD", "status": "received", "rhythm": "monthly", "instalment": "0",
        "contact": str(who(session)), "first_name": "Rosa", "last_name": "Delgado", "street": "14 Lincoln Street",
        "city": "Worcester", "state": "MA", "zip": "01605", "country": "United States",
        "employer": "Worcester Public Library", "occupation": "Librarian", "source": "actblue", "order_number": "AB1",
        "number_at_source": row["number_at_source"], "payment": row["payment"],
    }  # fmt: skip


def test_no_cell_is_a_formula_and_every_word_comes_back_whole(session: Session):
    fund(session, limit_cents=1_000, employer_cents=0)
    give(session, 60_000, HOSTILE, order_number="=1+1")
    take_back(session, give(session, 1_000, HOSTILE), 1_000, key="-1")
    found = {name: listed(session, name) for name in treasurer.LISTS}
    cells = [cell for rows in found.values() for row in rows for name, cell in row.items() if name != "amount"]
    assert [cell for cell in cells if cell[:1] in {"=", "+", "-", "@", "\t", "\r", "\n"}] == []
    row = found["contributions"][0]
    assert (row["first_name"], row["last_name"]) == ("'" + HOSTILE.first_name, HOSTILE.last_name)
    assert (row["street"], row["state"], row["order_number"]) == ("'@SUM(1)", "'-MA", "'=1+1")
    assert found["refunds"][0]["number_at_source"] == "'-1"
    assert [row["last_name"] for row in found["over"]] == [HOSTILE.last_name]


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        (None, None, 3),
        (date(2026, 12, 31), date(2026, 12, 31), 1),
        (date(2027, 1, 1), None, 1),
        (None, date(2026, 12, 31), 2),
    ],
)
def test_days_are_the_organisations_and_both_ends_belong(session: Session, since: Any, until: Any, days: int):
    for at in (EVENING - timedelta(days=1), EVENING, EVENING + timedelta(minutes=30)):
        give(session, 1_000, at=at)
    assert len(listed(session, "contributions", since=since, until=until)) == days


def test_a_fund_is_chosen_by_its_slug_and_somebody_elses_gifts_are_in_no_list(session: Session):
    for entity in (12345, 123456, 999):
        give(session, 1_000, entity_id=entity)
    assert [row["fund"] for row in listed(session, "contributions")] == ["action", "pac"]
    assert [row["fund"] for row in listed(session, "aggregates", fund="pac")] == ["pac"]
    with pytest.raises(NotFound, match="no fund nobody"):
        listed(session, "contributions", fund="nobody")
    with pytest.raises(NotFound, match="contributions, refunds, aggregates, owed, over"):
        listed(session, "everything")
    with pytest.raises(Invalid, match="before the first"):
        listed(session, "refunds", since=date(2026, 2, 1), until=date(2026, 1, 1))


def test_amounts_have_the_decimals_of_their_currency(session: Session):
    for cents, currency in ((123_456, "usd"), (5_000, "jpy"), (12_345, "kwd"), (1, "eur")):
        give(session, cents, currency=currency)
    found = [(row["amount"], row["currency"]) for row in listed(session, "contributions")]
    assert found == [("1234.56", "USD"), ("5000", "JPY"), ("12.345", "KWD"), ("0.01", "EUR")]


def test_what_went_back_is_a_row_of_its_own_on_its_own_day_and_all_rows_add_up(session: Session):
    one, other = give(session, 10_000), give(session, 5_000)
    later = NOON + timedelta(days=40)
    key = take_back(session, one, 4_000, now=later)
    ask_about(session, other, "lost", at=later)
    found = listed(session, "refunds")
    assert [(row["contribution"], row["kind"], row["amount"], row["given_on"], row["day"]) for row in found] == [
        (str(one), "refund", "-40.00", "2026-11-03", "2026-12-13"),
        (str(other), "dispute", "-50.00", "2026-11-03", "2026-12-13"),
    ]
    take_back(session, one, 4_000, "failed", key, now=later)
    assert {row["kind"]: row["amount"] for row in listed(session, "refunds")}["refund_failed"] == "40.00"
    assert listed(session, "refunds", until=date(2026, 11, 30)) == []
    given = {
        row["contribution"]: (row["amount"], row["kept"], row["status"]) for row in listed(session, "contributions")
    }
    assert given == {str(one): ("100.00", "100.00", "received"), str(other): ("50.00", "0.00", "dispute_lost")}


def test_sums_are_of_one_person_to_one_fund_in_one_period(session: Session):
    fund(session, limit_cents=50_000)
    give(session, 48_000)
    give(session, 10_000, MEI, at=EVENING)
    give(session, 1_000, entity_id=123456)
    take_back(session, give(session, 1_500), 500)
    give(session, 2_000, at=EVENING + timedelta(minutes=30))
    merge(session, MEI, ROSA)
    found = listed(session, "aggregates")
    told = [
        (row["fund"], row["period"], row["gifts"], row["amount"], row["limit"], row["left"], row["over"])
        for row in found
    ]
    assert told == [
        ("action", "2026", "3", "590.00", "500.00", "0.00", "90.00"),
        ("action", "2027", "1", "20.00", "500.00", "480.00", "0.00"),
        ("pac", "2026", "1", "10.00", "500.00", "490.00", "0.00"),
    ]
    assert {row["contact"] for row in found} == {str(who(session))}
    assert [row["period"] for row in listed(session, "aggregates", since=date(2027, 1, 1))] == ["2027"]


def test_gifts_above_a_limit_are_listed_by_how_much(session: Session):
    fund(session, limit_cents=50_000, limit_clock="cycle")
    give(session, 48_000, at=datetime(2025, 3, 1, tzinfo=UTC))
    crossing = give(session, 10_000)
    (row,) = listed(session, "over")
    assert (row["contribution"], row["period"], row["kept"], row["over"], row["limit"]) == (
        str(crossing), "2025-2026", "100.00", "80.00", "500.00",
    )  # fmt: skip
    take_back(session, crossing, 10_000)
    assert listed(session, "over") == []


@pytest.mark.parametrize(
    ("inclusive", "cents", "owed"),
    [(False, 20_000, False), (False, 20_001, True), (True, 20_000, True), (True, 19_999, False)],
)
def test_over_200_and_200_or_more_are_told_apart(session: Session, inclusive: bool, cents: int, owed: bool):
    fund(session, employer_cents=20_000, employer_from=inclusive)
    give(session, cents, UNSAID)
    assert bool(listed(session, "owed")) is owed


def test_she_is_owed_a_question_from_the_gift_that_met_the_sum_until_the_days_are_over(session: Session):
    fund(session, employer_cents=20_000, employer_days=30)
    give(session, 15_000, UNSAID)
    met = give(session, 6_000, UNSAID, at=NOON + timedelta(hours=1))
    give(session, 500, UNSAID, at=NOON + timedelta(days=1))
    (row,) = listed(session, "owed")
    assert row | {
        "contact": str(who(session)), "email": "rosa@example.org", "year": "2026", "given": "215.00", "met_with": str(met),
        "met_on": "2026-11-03", "ask_until": "2026-12-03", "overdue": "no",
    } == row  # fmt: skip
    assert listed(session, "owed", NOON + timedelta(days=31))[0]["overdue"] == "yes"
    assert listed(session, "owed", NOON + timedelta(days=70)) == []  # another year, and its time is over
    assert len(listed(session, "owed", NOON + timedelta(days=70), since=date(2026, 1, 1))) == 1


def test_whose_time_to_answer_goes_on_after_new_year_is_still_listed(session: Session):
    fund(session, employer_cents=20_000)
    give(session, 25_000, UNSAID, at=EVENING)
    assert [row["year"] for row in listed(session, "owed", EVENING + timedelta(days=20))] == ["2026"]


@pytest.mark.parametrize(
    ("employer", "occupation", "when", "owed"),
    [("Library", "Librarian", NOON, False), ("Library", " ", NOON, True), ("", "Retired", NOON, True),
     ("None", "Retired", NOON - timedelta(days=400), True)],
)  # fmt: skip
def test_whoever_said_both_with_one_gift_of_the_year_is_owed_nothing(
    session: Session, employer: str, occupation: str, when: datetime, owed: bool
):
    fund(session, employer_cents=20_000)
    give(session, 25_000, UNSAID)
    said = Person(email="rosa@example.org", first_name="Rosa", employer=employer, occupation=occupation)
    give(session, 500, said, at=when)
    assert bool(listed(session, "owed")) is owed


def test_refunds_and_other_years_lower_the_sum_and_the_erased_cannot_be_asked(session: Session):
    fund(session, employer_cents=20_000)
    first = give(session, 15_000, UNSAID)
    give(session, 15_000, UNSAID, at=NOON - timedelta(days=400))
    assert listed(session, "owed") == []
    give(session, 6_000, UNSAID)
    assert len(listed(session, "owed")) == 1
    session.execute(text("UPDATE contact SET erased_at = now(), email = NULL"))
    assert listed(session, "owed") == []
    assert len(listed(session, "contributions")) == 3
    session.execute(text("UPDATE contact SET erased_at = NULL"))
    take_back(session, first, 15_000)
    assert listed(session, "owed") == []


def test_a_snapshot_that_the_law_let_go_is_an_empty_name(session: Session):
    give(session, 1_000)
    session.execute(text("UPDATE contribution SET donor = '{}'"))
    assert (listed(session, "contributions")[0]["last_name"], listed(session, "aggregates")[0]["last_name"]) == ("", "")


def test_a_list_that_leaves_is_on_record_with_what_was_chosen(session: Session):
    exports.note_list(session, None, "owed", Choice(ZONE, "pac", date(2026, 1, 1)), NOON)
    row = session.execute(text("SELECT action, subject, detail FROM audit")).one()
    assert tuple(row) == (
        "treasurer's list exported", "contribution", {"list": "owed", "fund": "pac", "since": "2026-01-01"},
    )  # fmt: skip
