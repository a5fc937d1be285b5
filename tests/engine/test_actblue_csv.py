"""ActBlue's CSV reports, row by row, without a database: a header and cells in, the webhooks' events out."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.events import ContributionReported, PlanEndReported, PlanReported, RefundReported
from engine.sources import actblue_csv, parse
from engine.sources.actblue_csv import eastern, facts_of, layout_of, other_reading
from tests.csv_reports import (
    CANCELLED,
    CANCELLED_22,
    CANCELLED_49,
    MONTHLY,
    PAID_91,
    PAID_101,
    REFUNDED,
    as_body,
    cells,
    paid,
)
from tests.make import actblue_body, arrived

SUMMER, WINTER = timezone(timedelta(hours=-4)), timezone(timedelta(hours=-5))


def told(row: dict[str, str], columns: Any = PAID_101) -> list[Any]:
    return [event for fact in facts_of(layout_of(columns), cells(columns, row)) for event in fact]


def refused(row: dict[str, str], columns: Any = PAID_101) -> str:
    with pytest.raises(Invalid) as raised:
        told(row, columns)
    return str(raised.value)


@pytest.mark.parametrize("columns", [PAID_91, PAID_101, tuple(reversed(PAID_101)), tuple(sorted(PAID_101))])
def test_a_row_tells_the_same_gift_as_the_webhook_whatever_the_order_of_the_columns(columns: Any):
    body = actblue_body()
    (by_webhook,) = parse(arrived(body))
    (by_report,) = told(as_body(body), columns)
    assert isinstance(by_report, ContributionReported)
    differ = {name for name in by_report.__slots__ if getattr(by_report, name) != getattr(by_webhook, name)}
    assert differ == set()
    assert by_report.cause is None
    assert by_report.paid_at.utcoffset() == by_webhook.paid_at.utcoffset()


def test_the_columns_are_as_many_as_in_the_reports():
    assert [len(columns) for columns in (PAID_91, PAID_101, CANCELLED_22, CANCELLED_49)] == [91, 101, 22, 49]
    assert PAID_101.count("Reserved") == 7


def test_an_instalment_counts_from_nought_and_tells_its_plan():
    gift, plan = told(paid(7, Recurrence_Number="3", **MONTHLY))
    assert (gift.sequence, gift.recurring_period, gift.plan_key) == (2, "monthly", "AB7")
    assert plan == PlanReported(
        None, "actblue", "AB7", 2700, "monthly", started_at=gift.paid_at, told_at=gift.paid_at, entity_id=12345
    )


@pytest.mark.parametrize(
    ("said", "period"),
    [({}, "once"), (MONTHLY, "monthly"), ({"Recurring Total Months": "36"}, "monthly"),
     ({"Recurring Total Months": "1"}, "once"), ({"Recurring Pledged": "12"}, "monthly"),
     ({"Recurring Type": "monthly_adjustable"}, "monthly"), (MONTHLY | {"Recur Weekly": "t"}, "weekly"),
     ({"Recur Weekly": "t"}, "weekly"), ({"Recur Weekly": "f"}, "once"), ({"Recurrence Number": "4"}, "once")],
)  # fmt: skip
def test_a_gift_recurs_by_what_was_pledged(said: dict[str, str], period: str):
    gift, *plans = told(paid(7) | said)
    assert (gift.recurring_period, [plan.period for plan in plans]) == (period, [] if period == "once" else [period])


def test_a_row_with_a_refund_date_tells_the_gift_and_its_refund():
    assert told(paid(7, **REFUNDED)) == [
        *told(paid(7)),
        RefundReported(
            None, "actblue", "AB7/7", 2700, datetime(2026, 11, 5, 8, 9, 10, tzinfo=WINTER), payment_key="AB7/7"
        ),
    ]
    assert told(paid(7, Amount="-27.00", **REFUNDED)) == told(paid(7, **REFUNDED))


def test_a_refund_without_a_date_is_refused():
    assert refused(paid(7, Refund_ID="5501")) == "not understood: Refund Date"


@pytest.mark.parametrize("columns", [CANCELLED_22, CANCELLED_49])
def test_a_cancelled_report_tells_the_ends_of_plans(columns: Any):
    known = columns is CANCELLED_49
    assert told(CANCELLED, columns) == [
        PlanEndReported(
            None, "actblue", "AB700", datetime(2026, 11, 9, 10, tzinfo=WINTER), "donor" if known else "other",
            "donor_request" if known else "",
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "by"),
    [("Lapsed", "lapsed"), ("active", "donor"), ("Donor Request", "donor"), ("", "other"), ("x", "other")],
)
def test_who_ended_a_plan_is_read_from_the_reason(reason: str, by: str):
    (end,) = told(CANCELLED | {"Cancelation Reason": reason}, CANCELLED_49)
    assert (end.ended_by, end.reason) == (by, reason)


@pytest.mark.parametrize(
    ("page", "slug"),
    [("common-ground", "common-ground"), ("https://example.org/donate/common-ground", "common-ground"), ("", ""),
     ("https://example.org/page/common-ground?refcode=x/y", "common-ground"), ("https://example.org/donate/a/", "a")],
)  # fmt: skip
def test_a_form_is_known_by_its_slug_also_when_the_report_has_its_address(page: str, slug: str):
    (gift,) = told(paid(7, Fundraising_Page=page))
    assert gift.form_slug == slug


@pytest.mark.parametrize("page", ["", "not an address", "rosa@example", "a@b.example, c@d.example"])
def test_a_donor_without_a_usable_address_is_hidden(page: str):
    (gift,) = told(paid(7, Donor_Email=page))
    assert (gift.donor.email, gift.donor.zip) == (None, "01605")


@pytest.mark.parametrize(
    ("column", "value"),
    [("Amount", ""), ("Amount", "0.00"), ("Amount", "-27.00"), ("Amount", "27.001"), ("Amount", "1e3"), ("Amount", "NaN"),
     ("Amount", "1,000.00"), ("Date", ""), ("Date", "yesterday"), ("Date", "2026-02-30 10:00:00"), ("Date", "1999-01-01"),
     ("Date", "9999-12-31 23:59:59"), ("Date", "2026-11-02 19:03:15+23:00"), ("Receipt ID", ""), ("Lineitem ID", " "),
     ("Lineitem ID", "7" * 65), ("Receipt ID", "A" * 65)],
)  # fmt: skip
def test_a_row_whose_money_cannot_be_read_is_refused_by_the_name_of_the_column(column: str, value: str):
    assert refused(paid(7) | {column: value}) == f"not understood: {column}"


def test_all_faults_of_a_row_are_told_at_once_and_none_of_its_values():
    assert (
        refused(paid(7, Amount="rosa", Date="delgado", Lineitem_ID="")) == "not understood: Lineitem ID, Amount, Date"
    )


def test_a_row_of_another_length_is_refused_and_empty_cells_too_many_are_not():
    layout, row = layout_of(PAID_101), cells(PAID_101, paid(7))
    for wrong in (row[:-1], row[:1], [], [*row, "x"]):
        with pytest.raises(Invalid, match="columns where the header has 101"):
            facts_of(layout, wrong)
    assert len(facts_of(layout, [*row, "", ""])) == 1


@pytest.mark.parametrize(
    ("header", "sentence"),
    [((), "this is no report"), (("Name", "Email"), "this is no report"),
     (("Receipt ID", "Date", "Amount"), "this is no report"),
     (("Lineitem ID", "Amount"), "columns are missing: Receipt ID, Date"),
     (("Cancelled On",), "columns are missing: Receipt ID"), ((*PAID_101, "Amount"), "columns stand twice: Amount")],
)  # fmt: skip
def test_a_header_that_is_none_is_refused_in_one_sentence(header: Any, sentence: str):
    with pytest.raises(Invalid, match=sentence):
        layout_of(header)


def test_columns_are_found_whatever_their_case_and_the_spaces_around_them():
    columns = tuple(f" {name.upper()} " for name in PAID_101)
    layout = layout_of(columns)
    ((gift,),) = facts_of(layout, cells(PAID_101, paid(7)))
    assert gift.amount_cents == 2700


@pytest.mark.parametrize(
    ("wall", "moment"),
    [("2020-01-31 23:30:05", datetime(2020, 1, 31, 23, 30, 5, tzinfo=WINTER)),
     ("2026-06-30 23:30:05", datetime(2026, 6, 30, 23, 30, 5, tzinfo=SUMMER)),
     ("2026-06-30T23:30:05", datetime(2026, 6, 30, 23, 30, 5, tzinfo=SUMMER)),
     ("2026-06-30 23:30", datetime(2026, 6, 30, 23, 30, tzinfo=SUMMER)),
     ("2026-06-30", datetime(2026, 6, 30, tzinfo=SUMMER)),
     ("6/30/2026 23:30:05", datetime(2026, 6, 30, 23, 30, 5, tzinfo=SUMMER)),
     ("6/30/26 23:30", datetime(2026, 6, 30, 23, 30, tzinfo=SUMMER)),
     ("06/30/2026 11:30 PM", datetime(2026, 6, 30, 23, 30, tzinfo=SUMMER)),
     ("2026-06-30 23:30:05 -0400", datetime(2026, 6, 30, 23, 30, 5, tzinfo=SUMMER)),
     ("2026-06-30T23:30:05Z", datetime(2026, 6, 30, 23, 30, 5, tzinfo=UTC)),
     ("2026-06-30 23:30:05 UTC", datetime(2026, 6, 30, 23, 30, 5, tzinfo=UTC)),
     ("2026-11-01 01:30:00", datetime(2026, 11, 1, 1, 30, tzinfo=SUMMER)),
     ("2026-11-01 02:30:00", datetime(2026, 11, 1, 2, 30, tzinfo=WINTER))],
)  # fmt: skip
def test_a_wall_clock_is_easterns_and_keeps_its_offset(wall: str, moment: datetime):
    assert eastern(wall) == moment
    assert eastern(wall).utcoffset() == moment.utcoffset()


def test_only_the_hour_that_comes_twice_has_another_reading():
    twice = eastern("2026-11-01 01:30:00")
    assert other_reading(twice) == datetime(2026, 11, 1, 1, 30, tzinfo=WINTER)
    for once in ("2026-11-01 00:59:59", "2026-11-01 02:00:00", "2026-06-30 12:00:00", "2026-03-08 02:30:00"):
        assert other_reading(eastern(once)) is None
    assert other_reading(datetime(2026, 11, 1, 1, 30, tzinfo=WINTER)) is None


@given(st.integers(1_100_000_000, 4_000_000_000) | st.integers(1_793_500_000, 1_793_530_000))
def test_every_moment_survives_the_way_through_the_report(second: int):
    true = datetime.fromtimestamp(second, UTC)
    written = true.astimezone(actblue_csv.EASTERN).strftime("%Y-%m-%d %H:%M:%S")
    read = eastern(written)
    assert true in (read, other_reading(read))


@given(st.dictionaries(st.sampled_from(PAID_101), st.text(max_size=12), max_size=6))
def test_no_cells_make_the_reader_raise_anything_but_invalid(changed: dict[str, str]):
    try:
        events = told(paid(7) | changed)
    except Invalid:
        return
    assert events
    assert all(getattr(event, "amount_cents", 1) > 0 for event in events)
