"""Stripe's webhook bodies: which event says what. Snapshots of any API version; thin events not yet.

Several events tell of the same money, in any order: a gift is told by its PaymentIntent, an instalment by `invoice.paid`,
the donor's words by the checkout, what came to nothing on a page of ours by attempts. READERS and IGNORED are the whole
list; whatever else comes is of no matter to us.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import Invalid
from engine.events import RawEvent
from engine.sources import stripe_attempts as attempts
from engine.sources import stripe_invoices as invoices
from engine.sources import stripe_payments as payments
from engine.sources import stripe_plans as plans
from engine.sources.stripe_words import Link, Moment, Said, Told
from engine.sources.words import Ignored, Lenient, clean, model, read_json

AGAIN, OTHER_MODE = "again", "other mode"  # kinds that the receiver knows
LONGEST_TYPE = 60

READERS: Mapping[str, Callable[[Told], Said]] = {
    "payment_intent.succeeded": payments.payment,
    "charge.succeeded": payments.lone_charge,
    "checkout.session.completed": payments.checkout,
    "checkout.session.async_payment_succeeded": payments.checkout,
    "checkout.session.expired": attempts.left,
    "payment_intent.payment_failed": attempts.declined_payment,
    "charge.failed": attempts.declined_charge,
    "invoice.paid": invoices.paid,
    "invoice.payment_failed": invoices.failed,
    "invoice.payment_action_required": invoices.failed,
    "invoice_payment.paid": invoices.linked,
    "charge.refunded": payments.refunded_charge,
    "charge.refund.updated": payments.refund,
    "refund.created": payments.refund,
    "refund.updated": payments.refund,
    "refund.failed": payments.refund,
    "charge.dispute.created": payments.dispute,
    "charge.dispute.updated": payments.dispute,
    "charge.dispute.closed": payments.dispute,
    "charge.dispute.funds_withdrawn": payments.dispute,
    "charge.dispute.funds_reinstated": payments.dispute,
    "customer.subscription.created": plans.standing,
    "customer.subscription.updated": plans.standing,
    "customer.subscription.paused": plans.standing,
    "customer.subscription.resumed": plans.standing,
    "customer.subscription.deleted": plans.deleted,
    "radar.early_fraud_warning.created": payments.fraud_warning,
    "radar.early_fraud_warning.updated": payments.fraud_warning,
}

IGNORED: Mapping[str, Ignored] = {
    "invoice.payment_succeeded": Ignored("told by invoice.paid"),
    "payment_intent.created": Ignored("a payment that has not happened yet"),
    "payment_intent.processing": Ignored("a payment that has not happened yet"),
    "payment_intent.requires_action": Ignored("a payment that has not happened yet"),
    "payment_intent.canceled": Ignored("a payment that was given up: no money moved"),
    "charge.pending": Ignored("told by its payment"),
    "charge.updated": Ignored("told by its payment"),
    "charge.captured": Ignored("told by its payment"),
    "checkout.session.async_payment_failed": Ignored("a checkout whose payment failed: no money moved"),
    "review.opened": Ignored("Stripe holds a payment for review: look at it in the dashboard", tell=True),
    "review.closed": Ignored("a review of a payment is over"),
    "payout.created": Ignored("a payout: nothing that was given"),
    "payout.paid": Ignored("a payout: nothing that was given"),
    "payout.failed": Ignored("a payout: nothing that was given"),
    "payout.reconciliation_completed": Ignored("a payout: nothing that was given"),
}


class _Event(Lenient):
    created: Moment
    data: dict[str, Any]
    account: Link = ""


def parse(raw: RawEvent) -> Said:
    """What one event says to us. Raises Invalid."""
    if raw.kind == OTHER_MODE:
        return Ignored("a test event in production, or a live one in development", tell=True)
    if raw.kind == AGAIN:
        raise Invalid("the same event id came with another body")
    document = read_json(raw.body)
    kind = _kind(document)
    if kind in IGNORED:
        return IGNORED[kind]
    if kind not in READERS:
        return Ignored(f"not an event we act on: {kind[:LONGEST_TYPE]}")
    event = model(_Event, document)
    return READERS[kind](Told(raw.id, kind, event.created, _object(event), event.account))


def acted_on(kind: object) -> bool:
    """Whether an event of this type says anything to us, or to staff."""
    return kind in READERS or (kind in IGNORED and IGNORED[str(kind)].tell)


def _kind(document: Any) -> str:
    if not isinstance(document, dict):
        raise Invalid("not an object")
    if document.get("object") == "v2.core.event":
        raise Invalid("a thin event: this version reads snapshots (an endpoint's payload style)")
    kind = document.get("type")
    if not isinstance(kind, str) or not clean(kind):
        raise Invalid("no type")
    return clean(kind)


def _object(event: _Event) -> Mapping[str, Any]:
    found = event.data.get("object")
    if not isinstance(found, dict):
        raise Invalid("not understood: data.object")
    return found
