"""ActBlue's reports onto the books: the same gifts as by webhook, differences told and not applied."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.actblue_import import comparing, reading, running
from engine.bootstrap import Deps
from engine.db import transaction
from tests.books import by_hand
from tests.csv_reports import (
    CANCELLED,
    CANCELLED_49,
    MONTHLY,
    PAID_91,
    PAID_101,
    REFUNDED,
    as_body,
    paid,
    write,
)
from tests.flows.house import one, put, rows, run_everything
from tests.flows.reports import PERSONAL, everything, imported, keys, many, tally
from tests.make import actblue_body, line_item, raw

GIFT = (
    "SELECT source, source_key, order_number, amount_cents, currency, status, paid_at, paid_at_offset, sequence,"
    " recurring_period, form_slug, refcode, refcode2, entity_id, entity_name, fund_id, chapter_id, donation_form_id, donor"
    " FROM contribution"
)


@pytest.mark.parametrize("columns", [PAID_91, PAID_101])
def test_a_gift_of_the_report_is_the_row_that_the_webhook_would_have_made(deps: Deps, tmp_path: Path, columns: Any):
    body = actblue_body()
    code, said = imported(deps, write(tmp_path / "paid.csv", [as_body(body)], columns))
    assert code == 0, said
    by_report = one(deps, GIFT)
    with transaction(deps.sessions) as session:
        by_hand(session, "TRUNCATE contribution, message, contact CASCADE")
    put(deps, raw(body))
    run_everything(deps)
    assert tuple(by_report) == tuple(one(deps, GIFT))


@pytest.mark.parametrize("first", ["webhook", "report"])
def test_the_same_gift_from_webhook_and_report_is_one_in_either_order(deps: Deps, tmp_path: Path, first: str):
    body = actblue_body()
    path = write(tmp_path / "paid.csv", [as_body(body)])
    if first == "webhook":
        put(deps, raw(body))
        run_everything(deps)
    code, said = imported(deps, path)
    assert (code, "differ" in said) == (0, False)
    if first == "report":
        put(deps, raw(body))
        run_everything(deps)
    assert one(deps, "SELECT count(*), min(amount_cents) FROM contribution")[:] == (1, 2700)
    assert one(deps, "SELECT count(*) FROM ledger_entry").count == 1
    assert one(deps, "SELECT gave_count, gave_cents FROM contact")[:] == (1, 2700)
    assert rows(deps, "SELECT * FROM notice") == []
    assert tally(deps, path, again=True).counts == {("gift", "known"): 1}


def test_instalments_of_one_order_are_gifts_of_their_own(deps: Deps, tmp_path: Path):
    months = [
        paid(
            n, Receipt_ID="AB1", Donor_Email="rosa@example.org", Date=f"2026-0{n}-02 19:03:15", Recurrence_Number=str(n)
        )
        | MONTHLY
        for n in (1, 2, 3)
    ]
    assert imported(deps, write(tmp_path / "paid.csv", months))[0] == 0
    found = rows(deps, "SELECT source_key, sequence, order_number FROM contribution ORDER BY sequence")
    assert [tuple(row) for row in found] == [("1", 0, "AB1"), ("2", 1, "AB1"), ("3", 2, "AB1")]
    assert one(deps, "SELECT gave_count FROM contact").gave_count == 3


def test_a_gift_late_on_the_last_of_the_month_stays_in_its_month(deps: Deps, tmp_path: Path):
    imported(deps, write(tmp_path / "paid.csv", [paid(1, Date="2020-01-31 23:30:05")]))
    found = one(deps, "SELECT paid_at, paid_at_offset FROM contribution")
    assert (found.paid_at.isoformat(), found.paid_at_offset) == ("2020-02-01T04:30:05+00:00", -300)


DIFFERENT = {
    "Amount": ("25.00", "amount 2700 on the books, 2500 in the report"),
    "Date": ("2026-11-02 19:03:16", "date 2026-11-02T19:03:15-05:00 on the books, 2026-11-02T19:03:16-05:00 in the report"),
    "Donor Email": ("samuel@example.org", "email r***@example.org on the books, s***@example.org in the report"),
    "Reference Code": ("", "refcode nov-letter on the books, nothing in the report"),
    "Fundraising Page": ("oth\u202eer", "form common-ground on the books, oth\N{REPLACEMENT CHARACTER}er in the report"),
    "Receipt ID": ("AB0", "on the books, AB0 in the report"),
    "Recurrence Number": ("2", "sequence 0 on the books, 1 in the report"),
}  # fmt: skip


@pytest.mark.parametrize("column", DIFFERENT)
def test_a_row_that_differs_from_the_books_is_listed_and_changes_nothing(deps: Deps, tmp_path: Path, column: str):
    body = actblue_body()
    put(deps, raw(body))
    run_everything(deps)
    before = everything(deps)
    value, sentence = DIFFERENT[column]
    number = body["lineitems"][0]["lineitemId"]
    code, said = imported(deps, write(tmp_path / "paid.csv", [as_body(body) | {column: value}]))
    assert code == 0
    assert "Rows that differ from the books, for which nothing was changed: 1\n" in said
    (line,) = (line for line in said.splitlines() if line.startswith("  line 2: "))
    assert line.startswith(f"  line 2: line item {number}: ")
    assert sentence in line
    assert [word for word in PERSONAL if word in said.lower()] == []
    assert everything(deps) == before


def test_what_a_report_does_not_say_is_no_difference(deps: Deps, tmp_path: Path):
    body = actblue_body()
    put(deps, raw(body))
    run_everything(deps)
    few = ("Receipt ID", "Lineitem ID", "Date", "Amount")
    assert tally(deps, write(tmp_path / "few.csv", [as_body(body)], few)).counts == {("gift", "known"): 1}
    hidden = as_body(body) | {"Donor Email": ""}
    assert tally(deps, write(tmp_path / "hidden.csv", [hidden])).counts == {("gift", "known"): 1}


def test_of_very_many_differences_the_first_are_listed_and_all_are_counted(deps: Deps, tmp_path: Path):
    imported(deps, write(tmp_path / "paid.csv", many(60)))
    code, said = imported(deps, write(tmp_path / "other.csv", [row | {"Amount": "1.00"} for row in many(60)]))
    assert (code, said.count("  line "), "nothing was changed: 60\n" in said, "and 10 more" in said) == (
        0,
        50,
        True,
        True,
    )


def test_the_hour_that_comes_twice_is_its_first_unless_the_webhook_said_otherwise(deps: Deps, tmp_path: Path):
    early, late = (
        actblue_body(lineitems=[line_item(paidAt=f"2026-11-01T01:30:00{offset}")]) for offset in ("-04:00", "-05:00")
    )
    other = actblue_body(lineitems=[line_item(paidAt="2026-11-01T03:30:00-05:00")])
    for body in (early, late, other):
        put(deps, raw(body))
    run_everything(deps)
    before = rows(deps, "SELECT * FROM contribution ORDER BY id")
    alone = paid(5, Date="2026-11-01 01:30:00")
    told = [*(as_body(body, Date="2026-11-01 01:30:00") for body in (early, late, other)), alone]
    found = tally(deps, write(tmp_path / "paid.csv", told))
    assert found.counts == {("gift", "known"): 2, ("gift", "different"): 1, ("gift", "new"): 1}
    assert rows(deps, "SELECT * FROM contribution WHERE source_key <> '5' ORDER BY id") == before
    booked = one(deps, "SELECT paid_at, paid_at_offset FROM contribution WHERE source_key = '5'")
    assert (booked.paid_at.isoformat(), booked.paid_at_offset) == ("2026-11-01T05:30:00+00:00", -240)


def test_the_other_reading_is_told_of_the_plan_as_well(deps: Deps, tmp_path: Path):
    late = actblue_body(lineitems=[line_item(paidAt="2026-11-01T01:30:00-05:00")])
    put(deps, raw(late))
    run_everything(deps)
    path = write(tmp_path / "paid.csv", [as_body(late, Date="2026-11-01 01:30:00") | MONTHLY])
    with reading.opened(path) as report, transaction(deps.sessions) as session:
        read, _ = running.read(report, list(report.records()))
        (row,) = comparing.compare(session, report.layout, read)
    gift, plan = row.events
    assert gift.paid_at.utcoffset() == plan.told_at.utcoffset() == timedelta(hours=-5)


def test_a_line_item_that_stands_twice_is_one_gift_and_a_contradiction_is_told(deps: Deps, tmp_path: Path):
    found = tally(deps, write(tmp_path / "paid.csv", [paid(1), paid(1), paid(1, Amount="5.00")]))
    assert found.counts == {("gift", "new"): 1, ("gift", "known"): 1, ("gift", "different"): 1}
    assert found.differences == ["line 4: line item 1: amount 2700 on the books, 500 in the report"]
    assert keys(deps) == ["1"]


def test_a_dry_run_says_what_is_new_and_what_differs_and_writes_nothing(deps: Deps, tmp_path: Path):
    imported(deps, write(tmp_path / "before.csv", many(2)))
    before, marks = everything(deps), rows(deps, "SELECT * FROM bookmark")
    told = [paid(1), paid(2, Amount="1.00"), paid(3), paid(4, Amount="?"), paid(5, **REFUNDED)]
    path = write(tmp_path / "paid.csv", told)
    for _ in range(2):
        code, said = imported(deps, path, dry_run=True)
        assert (
            code,
            "Would be new" in said,
            "nothing was changed: 1\n" in said,
            "Rows that were refused: 1\n" in said,
        ) == (
            1,
            True,
            True,
            True,
        )
    assert (everything(deps), rows(deps, "SELECT * FROM bookmark")) == (before, marks)
    assert tally(deps, path, dry_run=True).counts == {
        ("gift", "known"): 1, ("gift", "different"): 1, ("gift", "new"): 2, ("refund", "new"): 1
    }  # fmt: skip


def test_a_refunded_report_alone_tells_the_gifts_and_that_they_went_back(deps: Deps, tmp_path: Path):
    path = write(tmp_path / "refunded.csv", [paid(1, **REFUNDED), paid(2, Amount="-5.00", **REFUNDED)])
    assert tally(deps, path).counts == {("gift", "new"): 2, ("refund", "new"): 2}
    assert tally(deps, path, again=True).counts == {("gift", "known"): 2, ("refund", "known"): 2}
    gifts = rows(deps, "SELECT amount_cents, status FROM contribution ORDER BY source_key")
    assert gifts == [(2700, "refunded"), (500, "refunded")]
    assert one(deps, "SELECT sum(amount_cents) AS cents FROM ledger_entry").cents == 0
    assert rows(deps, "SELECT 1 FROM contact WHERE gave_count <> 0") == []


def test_a_cancelled_report_ends_plans_whether_they_are_known_or_not(deps: Deps, tmp_path: Path):
    ends = write(tmp_path / "cancelled.csv", [CANCELLED, CANCELLED | {"Receipt ID": "AB2"}], CANCELLED_49)
    imported(deps, write(tmp_path / "paid.csv", [paid(2) | MONTHLY]))
    assert tally(deps, ends).counts == {("cancellation", "new"): 2}
    assert one(deps, "SELECT state FROM recurring_plan").state == "cancelled"
    imported(deps, write(tmp_path / "late.csv", [paid(700) | MONTHLY]))
    assert [row.state for row in rows(deps, "SELECT state FROM recurring_plan")] == ["cancelled", "cancelled"]


def test_gifts_that_a_webhook_told_and_no_report_has_are_listed(deps: Deps, tmp_path: Path):
    """Whoever has ActBlue's password for us can make up gifts; ActBlue's own report has none of them."""
    bodies = [actblue_body() for _ in range(3)]
    for body in bodies:
        put(deps, raw(body))
    run_everything(deps)
    told = [as_body(bodies[0]), as_body(bodies[1], Fundraising_Page="another")]
    path = write(tmp_path / "paid.csv", told)
    code, said = imported(deps, path, dry_run=True)
    assert code == 0
    assert "this report does not have (ActBlue never had them?): 1\n" in said
    assert f"line item {bodies[2]['lineitems'][0]['lineitemId']}, $27 on" in said
    assert bodies[2]["donor"]["email"] not in said
    assert "does not have" in imported(deps, path)[1]
    assert "does not have" not in imported(deps, path)[1]  # all its rows were done before: what it lacks is not known
    assert "does not have" in imported(deps, path, again=True)[1]
    other = as_body(bodies[0], Recipient_ID="999")  # of another entity
    assert "does not have" not in imported(deps, write(tmp_path / "other.csv", [other]), dry_run=True)[1]
    back = as_body(bodies[0], Refund_Date="2026-11-02 10:00:00", Refund_ID="r1")  # the report of what went back
    assert "does not have" not in imported(deps, write(tmp_path / "back.csv", [back]), dry_run=True)[1]
