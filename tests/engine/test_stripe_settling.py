"""What Stripe tells of money after it was given, and of plans: refunds, disputes, warnings, subscriptions."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.errors import Invalid
from engine.events import (
    DisputeReported,
    FraudWarningReported,
    PlanEndReported,
    PlanReported,
    RefundReported,
    RefundTotalReported,
)
from engine.sources.words import Ignored
from tests import make_stripe as make
from tests.make_stripe import PAID, TOLD, only, told

# Refunds.


def test_a_charge_that_lists_its_refunds_tells_each():
    first = make.refund(id="re_1", amount=500, charge="ch_1", payment_intent="pi_1", status="succeeded")
    second = make.refund(id="re_2", amount=700, charge=None, payment_intent=None, currency=None, status="failed")
    said = make.charge_refunded(first, second, id="ch_1", payment_intent="pi_1")
    at = datetime.fromtimestamp(first["created"], UTC)
    assert told("charge.refunded", said) == [
        RefundReported(17, "stripe", "re_1", 500, at, "succeeded", "usd", "pi_1", "ch_1"),
        RefundReported(17, "stripe", "re_2", 700, at, "failed", "usd", "pi_1", "ch_1"),
    ]


def test_a_charge_that_lists_none_tells_the_sum():
    said = make.charge_refunded(id="ch_1", payment_intent="pi_1", amount_refunded=1200)
    assert only("charge.refunded", said) == RefundTotalReported(
        17, "stripe", "ch_1", 1200, TOLD, payment_key="pi_1", charge_key="ch_1"
    )


@pytest.mark.parametrize("type", ["refund.created", "refund.updated", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "state"),
    [("succeeded", "succeeded"), ("pending", "succeeded"), ("requires_action", "succeeded"), (None, "succeeded"),
     ("failed", "failed"), ("canceled", "failed")],
)  # fmt: skip
def test_a_refund_is_gone_unless_it_failed(type: str, status: str | None, state: str):
    said = make.refund(id="re_1", charge="ch_1", payment_intent="pi_1", status=status)
    at = datetime.fromtimestamp(said["created"], UTC)
    assert only(type, said) == RefundReported(17, "stripe", "re_1", 500, at, state, "usd", "pi_1", "ch_1")


def test_a_refund_that_failed_is_failed_whatever_its_status():
    assert only("refund.failed", make.refund(status="succeeded")).state == "failed"


def test_a_refund_of_no_payment_is_of_no_matter():
    said = make.refund(charge=None, payment_intent=None)
    assert told("refund.created", said) == Ignored("a refund of a customer's balance, not of a payment")


# Disputes and warnings.

SETTLED = {"won": TOLD, "lost": TOLD, "warning_closed": TOLD, "prevented": TOLD}
TYPES = [f"charge.dispute.{word}" for word in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")]


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(
    ("status", "state"),
    [("warning_needs_response", "inquiry"), ("warning_under_review", "inquiry"), ("warning_closed", "closed"),
     ("prevented", "closed"), ("needs_response", "open"), ("under_review", "open"), ("won", "won"), ("lost", "lost")],
)  # fmt: skip
def test_a_dispute_stands_as_its_status_says(type: str, status: str, state: str):
    said = make.dispute(id="du_1", charge="ch_1", payment_intent="pi_1", status=status)
    at = datetime.fromtimestamp(said["created"], UTC)
    assert only(type, said) == DisputeReported(
        17, "stripe", "du_1", 2700, at, state, SETTLED.get(status), "fraudulent", "usd", "pi_1", "ch_1"
    )


def test_a_dispute_that_was_won_is_settled_when_the_money_came_back():
    moved = [{"amount": -2700, "created": make.AT + 9}, {"amount": 2700, "created": make.AT + 500}, {"amount": True}, 7]
    won = only("charge.dispute.closed", make.dispute(status="won", balance_transactions=moved))
    assert won.settled_at == PAID + timedelta(seconds=500)


def test_a_dispute_of_an_unheard_of_status_is_refused():
    with pytest.raises(Invalid, match="not understood: status"):
        told("charge.dispute.updated", make.dispute(status="elsewhere"))


@pytest.mark.parametrize("type", ["radar.early_fraud_warning.created", "radar.early_fraud_warning.updated"])
def test_a_fraud_warning_names_its_payment(type: str):
    said = make.warning(id="issfr_1", charge="ch_1", payment_intent="pi_1")
    at = PAID + timedelta(hours=1)
    assert only(type, said) == FraudWarningReported(17, "stripe", "issfr_1", at, "pi_1", "ch_1")


# Plans.


@pytest.mark.parametrize(
    "type", [f"customer.subscription.{word}" for word in ("created", "updated", "paused", "resumed")]
)
@pytest.mark.parametrize("old", [True, False])
def test_a_plan_stands_as_it_is_told(type: str, old: bool):
    started = PAID - timedelta(seconds=10)
    assert only(type, make.subscription(old=old, id="sub_1")) == PlanReported(
        17, "stripe", "sub_1", 1000, "monthly", started, TOLD, 0, "usd", paused=False
    )


def test_a_plan_that_only_knows_its_plan_of_old_is_read():
    said = make.subscription(old=True, items=None, currency=None, quantity=3)
    found = only("customer.subscription.updated", said)
    assert (found.amount_cents, found.currency, found.period) == (3000, "usd", "monthly")


def test_a_plan_of_several_items_is_their_sum():
    items = [{"price": make.price(unit_amount=500), "quantity": 3}, {"plan": {"amount": 250, "interval": "month"}}]
    assert only("customer.subscription.updated", make.subscription(items={"data": items})).amount_cents == 1750


@pytest.mark.parametrize(
    "said",
    [{"status": "paused"}, {"pause_collection": {"behavior": "void"}}, {"status": "paused", "pause_collection": {}}],
)
def test_a_plan_may_be_paused(said: dict[str, Any]):
    assert only("customer.subscription.updated", make.subscription(**said)).paused


@pytest.mark.parametrize("status", ["active", "trialing", "past_due", "unpaid", "unheard-of"])
def test_a_plan_goes_on_until_it_is_said_to_be_over(status: str):
    assert not only("customer.subscription.updated", make.subscription(status=status)).paused


@pytest.mark.parametrize(
    ("why", "ended_by", "reason"),
    [({"reason": "cancellation_requested", "feedback": "too_expensive", "comment": "private"}, "donor",
      "cancellation_requested, too_expensive"),
     ({"reason": "payment_failed"}, "lapsed", "payment_failed"), ({"reason": "payment_disputed"}, "other",
      "payment_disputed"), ({}, "other", ""), (None, "other", "")],
)  # fmt: skip
@pytest.mark.parametrize(
    ("type", "status"),
    [("customer.subscription.deleted", "canceled"), ("customer.subscription.deleted", "active"),
     ("customer.subscription.updated", "canceled"), ("customer.subscription.updated", "incomplete_expired")],
)  # fmt: skip
def test_a_plan_that_is_over_says_by_whom(type: str, status: str, why: object, ended_by: Any, reason: str):
    said = make.subscription(id="sub_1", status=status, ended_at=make.AT + 1, cancellation_details=why)
    plan, end = told(type, said)
    assert plan.source_key == "sub_1"
    assert end == PlanEndReported(17, "stripe", "sub_1", PAID + timedelta(seconds=1), ended_by, reason)


def test_a_plan_of_no_amount_still_ends():
    assert told("customer.subscription.updated", make.subscription(items=None)) == Ignored("a plan without an amount")
    assert only("customer.subscription.deleted", make.subscription(items=None, ended_at=None)).ended_at == TOLD


def test_a_plan_that_has_not_begun_is_of_no_matter():
    found = told("customer.subscription.created", make.subscription(status="incomplete"))
    assert found == Ignored("a plan that has not begun: its first payment is not made")
