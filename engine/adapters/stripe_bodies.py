"""Stripe's objects and events as its API renders them, for the accounts that we play ourselves: before 2025-03-31 ("Basil",
`old=True`) and since. No real event comes of this module.

An object that is played holds what both ways of rendering need; names that begin with "_" are never rendered.
"""

import hmac
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

NEW, OLD = "2026-10-28.endive", "2022-08-01"  # versions of the API
Object = dict[str, Any]


def signed(body: bytes, secret: str, at: int) -> str:
    """The header `Stripe-Signature` of these bytes, made at this second of Unix time."""
    code = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    return f"t={at},v1={code}"


def event(key: str, kind: str, snapshot: Object, at: int, *, old: bool = False, account: str = "") -> Object:
    """One event around an object as it stood then."""
    body: Object = {
        "id": key, "object": "event", "api_version": OLD if old else NEW, "created": at, "livemode": False,
        "data": {"object": rendered(snapshot, old=old)}, "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None}, "type": kind,
    }  # fmt: skip
    return body | ({"account": account} if account else {})


def raw(body: Object) -> bytes:
    """The bytes of a body, indented as Stripe sends it."""
    return json.dumps(body, indent=2).encode()


def rendered(snapshot: Object, *, old: bool = False) -> Object:
    """An object as the API shows it."""
    body = {name: value for name, value in snapshot.items() if not name.startswith("_")}
    differs = _DIFFERS.get(snapshot["object"])
    return body | differs(snapshot, old=old) if differs else body


def _payment_intent(played: Object, *, old: bool) -> Object:
    invoice = played["_invoice"]
    charges = [rendered(charge, old=old) for charge in played["_charges"]]
    if old:
        return {"invoice": invoice or None, "charges": listed(charges[::-1], "/v1/charges")}
    told = {"customer_reference": None, "order_reference": invoice} if invoice and played["_told"] else None
    return {"latest_charge": charges[-1]["id"] if charges else None, "payment_details": told}


def _charge(played: Object, *, old: bool) -> Object:
    return {"invoice": played["_invoice"] or None, "refunds": listed(played["_refunds"], "")} if old else {}


def _invoice(played: Object, *, old: bool) -> Object:
    plan, metadata = played["_subscription"], played["_metadata"]
    line: Object = {
        "id": played["_line"], "object": "line_item", "amount": played["amount_due"], "currency": played["currency"],
        "metadata": metadata, "period": played["_span"], "quantity": 1,
    }  # fmt: skip
    if old:
        line |= {"subscription": plan, "proration": False, "type": "subscription", "price": played["_price"]}
        return {
            "lines": listed([line], ""), "subscription": plan, "charge": played["_charge"] or None,
            "payment_intent": played["_payment"], "paid": played["status"] == "paid",
            "subscription_details": {"metadata": metadata},
        }  # fmt: skip
    line |= {
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": {"subscription": plan, "subscription_item": played["_item"], "proration": False},
        },
        "pricing": {"type": "price_details", "price_details": {"price": played["_price"]["id"]},
                    "unit_amount_decimal": str(played["amount_due"])},
    }  # fmt: skip
    details = {"subscription": plan, "metadata": metadata}
    return {
        "lines": listed([line], ""),
        "parent": {"type": "subscription_details", "subscription_details": details, "quote_details": None},
    }


def _subscription(played: Object, *, old: bool) -> Object:
    span = {"current_period_start": played["_span"]["start"], "current_period_end": played["_span"]["end"]}
    item = {"id": played["_item"], "object": "subscription_item", "price": played["_price"], "quantity": 1}
    if not old:
        return {"items": listed([item | span], "/v1/subscription_items")}
    price = played["_price"]
    plan = {"id": price["id"], "object": "plan", "amount": price["unit_amount"], "currency": price["currency"],
            **price["recurring"]}  # fmt: skip
    return {"items": listed([item], "/v1/subscription_items"), "plan": plan, "quantity": 1, **span}


_DIFFERS: Mapping[str, Callable[..., Object]] = {
    "payment_intent": _payment_intent,
    "charge": _charge,
    "invoice": _invoice,
    "subscription": _subscription,
}


def listed(objects: list[Any], url: str) -> Object:
    """A list as the API shows it."""
    return {"object": "list", "data": objects, "has_more": False, "url": url}


def billing(email: str, name: str, postal_code: str) -> Object:
    """Who pays, as a card's owner says it."""
    address = {"city": None, "country": "US", "line1": None, "line2": None, "postal_code": postal_code, "state": None}
    return {"address": address, "email": email, "name": name, "phone": None, "tax_id": None}


def session(key: str, asked: Object, at: int, url: str) -> Object:
    """An open session of Checkout, of what was asked for."""
    price = asked["line_items"][0]["price_data"]
    return {
        "id": key, "object": "checkout.session", "amount_total": int(price["unit_amount"]), "client_reference_id": None,
        "created": at, "currency": price["currency"], "custom_fields": [], "customer": None, "customer_details": None,
        "customer_email": asked.get("customer_email"), "cancel_url": asked.get("cancel_url"),
        "expires_at": int(asked.get("expires_at", at + 86400)), "livemode": False, "locale": asked.get("locale"),
        "metadata": dict(asked.get("metadata", {})), "mode": asked["mode"], "payment_intent": None,
        "payment_status": "unpaid", "status": "open", "submit_type": asked.get("submit_type"), "subscription": None,
        "success_url": asked.get("success_url"), "url": url, "_title": price.get("product_data", {}).get("name", ""),
        "_carried": dict(_carried(asked)), "_payment": "", "_invoice": "",
    }  # fmt: skip


def _carried(asked: Object) -> Mapping[str, str]:
    """The metadata of what comes of a session: its payment's, or its plan's."""
    part = asked.get("subscription_data" if asked["mode"] == "subscription" else "payment_intent_data", {})
    found: Mapping[str, str] = part.get("metadata", {})
    return found


def payment_intent(key: str, amount: int, currency: str, at: int, *, invoice: str = "", **more: Any) -> Object:
    """A payment that is not made yet."""
    return {
        "id": key, "object": "payment_intent", "amount": amount, "amount_received": 0, "created": at, "currency": currency,
        "customer": None, "last_payment_error": None, "livemode": False, "metadata": {}, "receipt_email": None,
        "shipping": None, "status": "requires_payment_method", "_invoice": invoice, "_charges": [], "_told": True,
    } | more  # fmt: skip


def charge(key: str, payment: Object, owner: Object, at: int, *, good: bool) -> Object:
    """One attempt to take the money of a payment, which went well or was declined."""
    return {
        "id": key, "object": "charge", "amount": payment["amount"], "amount_captured": payment["amount"] if good else 0,
        "amount_refunded": 0, "billing_details": owner, "captured": good, "created": at, "currency": payment["currency"],
        "disputed": False, "failure_code": None if good else "card_declined", "livemode": False,
        "metadata": dict(payment["metadata"]), "paid": good, "payment_intent": payment["id"], "receipt_email": None,
        "refunded": False, "shipping": None, "status": "succeeded" if good else "failed",
        "_invoice": payment["_invoice"], "_refunds": [],
    }  # fmt: skip


def declined(charge: Object) -> Object:
    """What a payment says of its last attempt."""
    return {
        "type": "card_error", "code": "card_declined", "decline_code": "generic_decline", "charge": charge["id"],
        "message": "Your card was declined.",
        "payment_method": {"object": "payment_method", "type": "card", "billing_details": charge["billing_details"]},
    }  # fmt: skip


def price(key: str, product: str, amount: int, currency: str, interval: str = "month") -> Object:
    """So much, every month."""
    return {
        "id": key, "object": "price", "currency": currency, "product": product, "unit_amount": amount,
        "unit_amount_decimal": str(amount), "recurring": {"interval": interval, "interval_count": 1},
    }  # fmt: skip


def subscription(key: str, item: str, cost: Object, span: Object, *, customer: str, metadata: Object) -> Object:
    """A plan whose first invoice is not paid yet."""
    return {
        "id": key, "object": "subscription", "cancel_at_period_end": False, "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None}, "created": span["start"],
        "currency": cost["currency"], "customer": customer, "ended_at": None, "livemode": False, "metadata": metadata,
        "pause_collection": None, "start_date": span["start"], "status": "incomplete", "_item": item, "_price": cost,
        "_span": span, "_owner": {},
    }  # fmt: skip


def invoice(key: str, line: str, plan: Object, payment: str, at: int, *, reason: str) -> Object:
    """An invoice of a plan that nobody has paid yet."""
    owner, amount = plan["_owner"], plan["_price"]["unit_amount"]
    return {
        "id": key, "object": "invoice", "amount_due": amount, "amount_paid": 0, "amount_remaining": amount,
        "attempt_count": 0, "billing_reason": reason, "created": at, "currency": plan["currency"],
        "customer": plan["customer"], "customer_address": owner.get("address"), "customer_email": owner.get("email"),
        "customer_name": owner.get("name"), "customer_phone": None, "livemode": False, "metadata": {}, "status": "open",
        "status_transitions": {"finalized_at": at, "paid_at": None}, "_subscription": plan["id"], "_charge": "",
        "_payment": payment, "_metadata": plan["metadata"], "_line": line, "_span": plan["_span"],
        "_price": plan["_price"], "_item": plan["_item"],
    }  # fmt: skip


def invoice_payment(key: str, invoice: Object, at: int) -> Object:
    """The link between an invoice and what paid it."""
    return {
        "id": key, "object": "invoice_payment", "amount_paid": invoice["amount_paid"], "created": at,
        "currency": invoice["currency"], "invoice": invoice["id"], "is_default": True, "livemode": False, "status": "paid",
        "payment": {"type": "payment_intent", "payment_intent": invoice["_payment"]},
    }  # fmt: skip


def refund(key: str, charge: Object, amount: int, reason: str | None, at: int) -> Object:
    """Money of a charge that went back."""
    return {
        "id": key, "object": "refund", "amount": amount, "charge": charge["id"], "created": at,
        "currency": charge["currency"], "metadata": {}, "payment_intent": charge["payment_intent"], "reason": reason,
        "status": "succeeded",
    }  # fmt: skip


def dispute(key: str, charge: Object, at: int) -> Object:
    """The bank of a charge's donor takes it back for now."""
    return {
        "id": key, "object": "dispute", "amount": charge["amount"], "balance_transactions": [], "charge": charge["id"],
        "created": at, "currency": charge["currency"], "livemode": False, "metadata": {},
        "payment_intent": charge["payment_intent"], "reason": "fraudulent", "status": "needs_response",
    }  # fmt: skip
