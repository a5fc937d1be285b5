"""Stripe's bodies of invented people, as its API rendered them before 2025-03-31 (`old=True`) and since."""

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

from engine.events import Person
from engine.sources import parse
from tests.make import arrived

AT = 1_793_620_800  # 2026-11-02T12:00:00Z
PAID = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
TOLD = datetime(2026, 11, 2, 12, 0, 2, tzinfo=UTC)  # when the events say that they happened
_numbers = count(1)


def key(prefix: str) -> str:
    """An id as Stripe makes them, new each time: key("pi") -> "pi_0000000000000000000001Gs"."""
    return f"{prefix}_{next(_numbers):022}Gs"


def event(type: str, object: Any, **changed: Any) -> dict[str, Any]:
    """The envelope around an object."""
    return {
        "id": key("evt"), "object": "event", "api_version": "2026-10-28.endive", "created": AT + 2, "livemode": False,
        "data": {"object": object}, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}, "type": type,
    } | changed  # fmt: skip


def raw(body: Any) -> bytes:
    """The bytes of a body, indented as Stripe sends it."""
    return json.dumps(body, indent=2).encode()


BILLING = {
    "email": "rosa.delgado@example.org", "name": "Rosa Maria Delgado", "phone": "+15085550123", "tax_id": None,
    "address": {"city": "Worcester", "country": "US", "line1": "14 Lincoln Street", "line2": "Apt 2",
                "postal_code": "01605", "state": "MA"},
}  # fmt: skip
METADATA = {"form": "common-ground", "refcode": "nov-letter", "refcode2": "b", "employer": "City Library",
            "occupation": "Librarian"}  # fmt: skip

ROSA = Person(
    email="rosa.delgado@example.org", first_name="Rosa Maria", last_name="Delgado", street="14 Lincoln Street, Apt 2",
    city="Worcester", state="MA", zip="01605", country="US", phone="+15085550123", employer="City Library",
    occupation="Librarian",
)  # fmt: skip


def charge(**changed: Any) -> dict[str, Any]:
    """A charge that took $27."""
    return {
        "id": key("ch"), "object": "charge", "amount": 2700, "amount_captured": 2700, "amount_refunded": 0,
        "billing_details": BILLING, "captured": True, "created": AT, "currency": "usd", "disputed": False,
        "invoice": None, "metadata": {}, "paid": True, "payment_intent": key("pi"), "receipt_email": None,
        "refunded": False, "refunds": None, "shipping": None, "status": "succeeded",
    } | changed  # fmt: skip


def payment_intent(*, old: bool = False, **changed: Any) -> dict[str, Any]:
    """A PaymentIntent that took $27: of old with its charges and `invoice`, since then with the charge's name."""
    body = {
        "id": key("pi"), "object": "payment_intent", "amount": 2700, "amount_received": 2700, "created": AT - 60,
        "currency": "usd", "customer": None, "livemode": False, "metadata": METADATA, "payment_details": None,
        "receipt_email": "Rosa.Delgado@Example.org", "shipping": None, "status": "succeeded",
    }  # fmt: skip
    if old:
        taken = charge(payment_intent=body["id"])
        body |= {"invoice": None, "charges": {"object": "list", "data": [taken], "has_more": False}}
    else:
        body |= {"latest_charge": key("ch")}
    return body | changed


def line(*, old: bool = False, **changed: Any) -> dict[str, Any]:
    """A line that asks $10 for a month of a subscription."""
    subscription = key("sub")
    body: dict[str, Any] = {
        "id": key("il"), "object": "line_item", "amount": 1000, "currency": "usd", "metadata": {}, "quantity": 1,
        "period": {"start": AT, "end": AT + 30 * 86400},
    }  # fmt: skip
    if old:
        body |= {
            "subscription": subscription,
            "proration": False,
            "type": "subscription",
            "price": price(),
            "plan": {"id": "price_1", "object": "plan", "amount": 1000, "interval": "month", "interval_count": 1},
        }
    else:
        details = {"subscription": subscription, "subscription_item": key("si"), "proration": False}
        body |= {
            "parent": {"type": "subscription_item_details", "subscription_item_details": details},
            "pricing": {"type": "price_details", "price_details": {"price": "price_1"}, "unit_amount_decimal": "1000"},
        }
    return body | changed  # fmt: skip


def invoice(*, old: bool = False, **changed: Any) -> dict[str, Any]:
    """The first invoice of a plan of $10 a month, paid."""
    body: dict[str, Any] = {
        "id": key("in"), "object": "invoice", "amount_due": 1000, "amount_paid": 1000, "amount_remaining": 0,
        "attempt_count": 1, "billing_reason": "subscription_create", "created": AT - 5, "currency": "usd",
        "customer": key("cus"), "customer_address": BILLING["address"], "customer_email": BILLING["email"],
        "customer_name": BILLING["name"], "customer_phone": BILLING["phone"], "metadata": {}, "status": "paid",
        "status_transitions": {"finalized_at": AT - 5, "paid_at": AT}, "lines": {"object": "list", "data": [line(old=old)]},
    }  # fmt: skip
    if old:
        body |= {
            "subscription": key("sub"),
            "charge": key("ch"),
            "payment_intent": key("pi"),
            "paid": True,
            "subscription_details": {"metadata": METADATA},
        }
    else:
        details = {"subscription": key("sub"), "metadata": METADATA}
        body |= {"parent": {"type": "subscription_details", "subscription_details": details, "quote_details": None}}
    return body | changed  # fmt: skip


def invoice_payment(**changed: Any) -> dict[str, Any]:
    """The link between an invoice and what paid it."""
    return {
        "id": key("inpay"), "object": "invoice_payment", "amount_paid": 1000, "amount_requested": 1000, "created": AT,
        "currency": "usd", "invoice": key("in"), "is_default": True, "status": "paid",
        "payment": {"type": "payment_intent", "payment_intent": key("pi")},
    } | changed  # fmt: skip


def session(**changed: Any) -> dict[str, Any]:
    """A finished checkout of a one-off gift."""
    return {
        "id": key("cs_test"), "object": "checkout.session", "amount_total": 2700, "client_reference_id": None,
        "created": AT - 300, "currency": "usd", "customer_details": BILLING | {"tax_exempt": "none"},
        "customer_email": None, "metadata": METADATA, "mode": "payment", "payment_intent": key("pi"),
        "payment_status": "paid", "status": "complete", "subscription": None, "custom_fields": [],
    } | changed  # fmt: skip


def refund(**changed: Any) -> dict[str, Any]:
    """A refund of $5."""
    return {
        "id": key("re"), "object": "refund", "amount": 500, "charge": key("ch"), "created": AT + 86400,
        "currency": "usd", "metadata": {}, "payment_intent": key("pi"), "reason": "requested_by_customer",
        "status": "succeeded",
    } | changed  # fmt: skip


def charge_refunded(*refunds: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A charge after refunds: listed of old, since 2022-11-15 only as a sum."""
    listed = {"object": "list", "data": list(refunds), "has_more": False} if refunds else None
    return charge(amount_refunded=sum(each["amount"] for each in refunds) or 500, refunds=listed) | changed


def dispute(**changed: Any) -> dict[str, Any]:
    """A dispute over $27."""
    return {
        "id": key("du"), "object": "dispute", "amount": 2700, "balance_transactions": [], "charge": key("ch"),
        "created": AT + 86400, "currency": "usd", "payment_intent": key("pi"), "reason": "fraudulent",
        "status": "needs_response",
    } | changed  # fmt: skip


def price(**changed: Any) -> dict[str, Any]:
    """$10 a month."""
    return {
        "id": "price_1", "object": "price", "currency": "usd", "unit_amount": 1000, "unit_amount_decimal": "1000",
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
    } | changed  # fmt: skip


def subscription(*, old: bool = False, **changed: Any) -> dict[str, Any]:
    """A plan of $10 a month: its period of old on itself, since then on its item."""
    when = {"current_period_start": AT, "current_period_end": AT + 30 * 86400}
    item = {"id": key("si"), "object": "subscription_item", "price": price(), "quantity": 1}
    body: dict[str, Any] = {
        "id": key("sub"), "object": "subscription", "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None}, "created": AT - 10, "currency": "usd",
        "ended_at": None, "items": {"object": "list", "data": [item if old else item | when]}, "metadata": METADATA,
        "pause_collection": None, "start_date": AT - 10, "status": "active",
    }  # fmt: skip
    if old:
        plan = {"id": "price_1", "object": "plan", "amount": 1000, "currency": "usd", "interval": "month",
                "interval_count": 1}  # fmt: skip
        body |= when | {"plan": plan, "quantity": 1}
    return body | changed


def warning(**changed: Any) -> dict[str, Any]:
    """An early fraud warning."""
    return {
        "id": key("issfr"), "object": "radar.early_fraud_warning", "actionable": True, "charge": key("ch"),
        "created": AT + 3600, "fraud_type": "made_with_stolen_card", "payment_intent": key("pi"),
    } | changed  # fmt: skip


def told(type: str, object: Any, **changed: Any) -> Any:
    """What the parser makes of one event: a list of ours, or why not. Raises Invalid."""
    return parse(arrived(raw(event(type, object, **changed)), source="stripe"))


def only(type: str, object: Any, **changed: Any) -> Any:
    """The one event of ours that it makes."""
    (found,) = told(type, object, **changed)
    return found
