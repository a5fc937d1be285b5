"""One truth for a donor, however her events come: by webhook or report, in any order, again and again, to many workers."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count, permutations
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from engine import bell
from engine.bootstrap import Deps
from engine.sources import parse
from tests import make_stripe as stripe
from tests.csv_reports import CANCELLED, MONTHLY, REFUNDED, as_body, write
from tests.flows.house import one, put, rows, run_everything
from tests.flows.reports import imported
from tests.make import actblue_body, arrived, line_item, raw
from workers import intake

WORKERS = 4
_numbers = count(810_000_001)


def actblue_story() -> tuple[str, list[tuple[str, bytes]]]:
    """A monthly gift, its second instalment, the refund of the first, the end of the plan: of a donor of their own."""
    number = next(_numbers)
    email = f"rosa.{number}@example.org"
    series = {"orderNumber": f"AB{number}", "recurringPeriod": "monthly", "recurringDuration": "infinite",
              "isRecurring": True, "createdAt": "2026-10-02T19:03:11-04:00"}  # fmt: skip
    first = line_item(number * 10, paidAt="2026-10-02T19:03:15-04:00", recurringAmount="27.0")
    second = line_item(number * 10 + 1, sequence=1, recurringAmount="27.0")
    gift = actblue_body(donor={"email": email}, contribution=series, lineitems=[first])
    bodies = [
        gift,
        gift | {"lineitems": [second]},
        gift | {"lineitems": [first | {"refundedAt": "2026-10-05T10:00:00-04:00"}]},
        gift | {"contribution": gift["contribution"] | {
            "cancelledAt": "2026-11-09T10:00:00-05:00", "cancellationType": "Active", "cancellationReason": "moved"}},
    ]  # fmt: skip
    return email, [("actblue", raw(body)) for body in bodies]


def stripe_story() -> tuple[str, list[tuple[str, bytes]]]:
    """The first instalment of a plan, its refund in part, a dispute that was won, the end of the plan."""
    email = f"rosa.{next(_numbers)}@example.org"
    plan, payment, charge = stripe.key("sub"), stripe.key("pi"), stripe.key("ch")
    whose = {"charge": charge, "payment_intent": payment}
    invoice = stripe.invoice(
        old=True, subscription=plan, payment_intent=payment, charge=charge, customer_email=email, amount_paid=2700
    )
    won = stripe.dispute(**whose, status="won", balance_transactions=[
        {"amount": -2700, "created": stripe.AT + 86400, "reporting_category": "dispute"},
        {"amount": 2700, "created": stripe.AT + 9 * 86400, "reporting_category": "dispute_reversal"},
    ])  # fmt: skip
    events = [
        stripe.event("invoice.paid", invoice),
        stripe.event("refund.created", stripe.refund(**whose)),
        stripe.event("charge.dispute.closed", won),
        stripe.event("customer.subscription.deleted", stripe.subscription(
            id=plan, status="canceled", canceled_at=stripe.AT + 20 * 86400, ended_at=stripe.AT + 20 * 86400,
            cancellation_details={"comment": None, "feedback": None, "reason": "cancellation_requested"})),
    ]  # fmt: skip
    return email, [("stripe", stripe.raw(event)) for event in events]


def truth(deps: Deps, email: str) -> Any:
    """What the house knows of a donor's money, without ids that differ from donor to donor."""
    contact = one(
        deps,
        "SELECT gave_count, gave_cents, gave_highest_cents, gave_last_cents, gave_first_at, gave_last_at,"
        " gave_peaks_at, gave_peaks_cents,"
        f" gives_monthly_cents FROM contact WHERE email = '{email}'",
    )
    whose = f"contact_id = (SELECT id FROM contact WHERE email = '{email}')"
    return (
        tuple(contact),
        [tuple(row) for row in rows(deps, f"SELECT amount_cents, status, sequence, recurring_period, plan_key <> ''"
                                          f" FROM contribution WHERE {whose} ORDER BY sequence")],
        [tuple(row) for row in rows(deps, "SELECT l.kind, l.amount_cents, l.occurred_at FROM ledger_entry l JOIN"
                                          f" contribution g ON g.id = l.contribution_id WHERE {whose} ORDER BY 1, 2, 3")],
        [tuple(row) for row in rows(deps, "SELECT state, amount_cents, period, started_at, paid_at, ended_at"
                                          f" FROM recurring_plan WHERE {whose}")],
        len(rows(deps, f"SELECT id FROM message WHERE {whose}")),
    )  # fmt: skip


@pytest.mark.parametrize("story", [actblue_story, stripe_story])
def test_every_permutation_of_gift_refund_dispute_and_cancellation_ends_in_one_truth(deps: Deps, story: Any):
    told = []
    for order in permutations(range(4)):
        email, bodies = story()
        for place in (*order, *order):
            source, body = bodies[place]
            if not rows(deps, f"SELECT 1 FROM inbound_event WHERE body = decode('{body.hex()}', 'hex')"):
                put(deps, body, source=source)
            intake.drain(deps, bell.INTAKE)
        told.append(truth(deps, email))
    run_everything(deps)
    assert told == [told[0]] * 24
    assert rows(deps, "SELECT 1 FROM inbound_event WHERE state NOT IN ('applied', 'ignored')") == []
    assert rows(deps, "SELECT 1 FROM refund WHERE contribution_id IS NULL") == []


def test_what_the_stories_come_to(deps: Deps):
    for story, count_, cents, statuses in ((actblue_story, 1, 2700, ["refunded", "received"]),
                                           (stripe_story, 1, 2200, ["partly_refunded"])):  # fmt: skip
        email, bodies = story()
        for source, body in bodies:
            put(deps, body, source=source)
        run_everything(deps)
        contact, gifts, _, plans, _ = truth(deps, email)
        assert contact[:2] == (count_, cents)
        assert contact[-1] == 0
        assert [gift[1] for gift in gifts] == statuses
        assert [plan[0] for plan in plans] == ["cancelled"]


@pytest.mark.parametrize("order", list(permutations(["webhook", "paid", "refunded", "cancelled"])))
def test_webhooks_and_reports_meet_in_the_same_rows_whichever_comes_first(
    deps: Deps, tmp_path: Path, order: Sequence[str]
):
    email, bodies = actblue_story()
    number = int(email.partition("@")[0].partition(".")[2])
    gift = actblue_body(donor={"email": email}, contribution={"orderNumber": f"AB{number}"},
                        lineitems=[line_item(number * 10)])  # fmt: skip
    row = as_body(gift, Date="2026-10-02 19:03:15") | MONTHLY
    files = {
        "paid": write(tmp_path / "paid.csv", [row]),
        "refunded": write(tmp_path / "refunded.csv", [row | REFUNDED | {"Refund Date": "2026-10-05 10:00:00"}]),
        "cancelled": write(
            tmp_path / "cancelled.csv", [CANCELLED | {"Receipt ID": f"AB{number}"}], columns=tuple(CANCELLED)
        ),
    }
    for step in (*order, *order):
        if step == "webhook":
            for source, body in bodies if not rows(deps, "SELECT 1 FROM inbound_event LIMIT 1") else []:
                put(deps, body, source=source)
            run_everything(deps)
        else:
            imported(deps, files[step], again=True)
    assert [tuple(row) for row in rows(deps, "SELECT amount_cents, status FROM contribution ORDER BY sequence")] == [
        (2700, "refunded"), (2700, "received")
    ]  # fmt: skip
    assert one(deps, "SELECT count(*) AS n, sum(amount_cents) AS cents FROM refund") == (1, 2700)
    assert one(deps, "SELECT state, ended_at IS NOT NULL AS ended FROM recurring_plan") == ("cancelled", True)
    assert one(deps, "SELECT gave_count, gave_cents, gives_monthly_cents FROM contact") == (1, 2700, 0)


@pytest.mark.parametrize("story", [actblue_story, stripe_story])
def test_what_is_told_in_the_same_moment_finds_its_gift(deps: Deps, story: Any):
    """Neither of two transactions sees what the other has not committed: one of them must wait for the other."""
    told = [story() for _ in range(30)]
    together = Barrier(2)

    def work(places: Sequence[int]) -> None:
        for _, bodies in told:
            events = [event for place in places for event in read(*bodies[place])]
            together.wait(30)
            with deps.work() as (session, now):
                deps.react(session, events, now)

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(work, places) for places in ((0,), (1, 2, 3))]:
            done.result(120)
    assert rows(deps, "SELECT 1 FROM refund WHERE contribution_id IS NULL") == []
    assert rows(deps, "SELECT 1 FROM recurring_plan WHERE state <> 'cancelled' OR contact_id IS NULL") == []
    run_everything(deps)


def read(source: str, body: bytes) -> list[Any]:
    """What the parser makes of a body that tells something."""
    said = parse(replace(arrived(body, source=source), id=None))
    assert isinstance(said, list)
    return said


@pytest.mark.slow
def test_many_workers_on_the_same_donors_never_deadlock_and_lose_nothing(deps: Deps):
    chosen = random.Random(3)
    stories = [story() for story in (actblue_story, stripe_story) for _ in range(60)]
    donors = [f"donor{number}@example.org" for number in range(12)]
    bodies = []
    for email, told in stories:
        whose = chosen.choice(donors)
        bodies += [(source, body.replace(email.encode(), whose.encode())) for source, body in told]
    chosen.shuffle(bodies)
    before = one(deps, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").deadlocks

    def work(part: int) -> None:
        for place, (source, body) in enumerate(bodies[part::WORKERS]):
            put(deps, body, source=source)
            if place % 5 == 0:
                intake.drain(deps, bell.INTAKE)

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work, part) for part in range(WORKERS)]:
            done.result(120)
    run_everything(deps)
    assert one(deps, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").deadlocks == before
    assert one(deps, "SELECT max(attempts) AS most FROM inbound_event").most == 1
    assert one(deps, "SELECT sum(gave_cents) AS cents FROM contact").cents == 60 * 2700 + 60 * 2200
    assert one(deps, "SELECT count(*) AS n FROM refund WHERE contribution_id IS NULL").n == 0
