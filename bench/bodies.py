"""Bodies as outsiders post them, of invented people, for benchmarks."""

import json
from datetime import UTC, datetime, timedelta

_NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)


def actblue(number: int, email: str) -> bytes:
    """A gift of one line item, about 1.5 kB."""
    at = (_NOW - timedelta(seconds=number % 86_000)).isoformat()
    return json.dumps({
        "donor": {
            "firstname": "ROSA", "lastname": "DELGADO", "addr1": f"{number % 900} Lincoln Street", "city": "Worcester",
            "state": "MA", "zip": f"016{number % 10:02}", "country": "United States", "isEligibleForExpressLane": True,
            "employerData": {"employer": "Worcester Public Library", "occupation": "Librarian", "employerAddr1": None,
                             "employerCity": None, "employerState": None, "employerCountry": None},
            "email": email, "phone": "5085550123",
        },
        "contribution": {
            "createdAt": at, "orderNumber": f"AB{number}", "contributionForm": "common-ground",
            "refcodes": {"refcode": "nov-letter"}, "refcode": "nov-letter", "refcode2": None,
            "creditCardExpiration": "02/2029", "recurringPeriod": "once", "recurringDuration": 1, "isRecurring": False,
            "weeklyRecurringSunset": None, "abTestName": None, "abTestVariation": None, "isPaypal": False,
            "isMobile": True, "isExpress": True, "withExpressLane": False, "expressSignup": False,
            "uniqueIdentifier": f"u{number}", "textMessageOption": "unknown", "giftDeclined": None, "giftIdentifier": None,
            "shippingName": None, "shippingAddr1": None, "shippingCity": None, "shippingState": None, "shippingZip": None,
            "smartBoostAmount": None, "customFields": [], "status": "approved", "thanksUrl": "https://example.org/t",
        },
        "lineitems": [{
            "sequence": 0, "entityId": 12345, "fecId": None, "committeeName": "Common Ground Massachusetts Action, Inc.",
            "amount": f"{number % 90 + 10}.00", "recurringAmount": None, "paidAt": at, "paymentId": number,
            "lineitemId": 1_000_000_000 + number,
        }],
        "form": {"name": "common-ground", "kind": "page", "ownerEmail": "web@example.org",
                 "managingEntityName": "Common Ground", "managingEntityCommitteeName": "Common Ground"},
    }).encode()  # fmt: skip


def stripe_payment(number: int, email: str) -> bytes:
    """A one-off payment as endpoints of before 2022-11-15 are sent it, its charge inside: about 2.5 kB."""
    at = int((_NOW - timedelta(seconds=number % 86_000)).timestamp())
    cents = (number % 90 + 10) * 100
    address = {"city": "Worcester", "country": "US", "line1": f"{number % 900} Lincoln Street", "line2": None,
               "postal_code": f"016{number % 10:02}", "state": "MA"}  # fmt: skip
    charge = {
        "id": f"ch_{number}", "object": "charge", "amount": cents, "amount_captured": cents, "amount_refunded": 0,
        "application": None, "balance_transaction": f"txn_{number}", "captured": True, "created": at, "currency": "usd",
        "billing_details": {"address": address, "email": email, "name": "Rosa Delgado", "phone": None},
        "customer": None, "description": None, "disputed": False, "failure_code": None, "fraud_details": {},
        "invoice": None, "livemode": False, "metadata": {}, "outcome": {"network_status": "approved_by_network",
            "reason": None, "risk_level": "normal", "risk_score": 12, "type": "authorized"},
        "paid": True, "payment_intent": f"pi_{number}", "payment_method": f"pm_{number}",
        "payment_method_details": {"card": {"brand": "visa", "country": "US", "exp_month": 3, "exp_year": 2030,
            "fingerprint": "Invented", "funding": "credit", "last4": "4242", "network": "visa", "wallet": None},
            "type": "card"},
        "receipt_email": email, "refunded": False, "status": "succeeded", "transfer_data": None,
    }  # fmt: skip
    return json.dumps({
        "id": f"evt_{number}", "object": "event", "api_version": "2020-08-27", "created": at, "livemode": False,
        "pending_webhooks": 1, "request": {"id": f"req_{number}", "idempotency_key": f"k-{number}"},
        "type": "payment_intent.succeeded",
        "data": {"object": {
            "id": f"pi_{number}", "object": "payment_intent", "amount": cents, "amount_capturable": 0,
            "amount_received": cents, "application": None, "canceled_at": None, "capture_method": "automatic",
            "charges": {"object": "list", "data": [charge], "has_more": False, "total_count": 1},
            "confirmation_method": "automatic", "created": at, "currency": "usd", "customer": None, "description": None,
            "invoice": None, "last_payment_error": None, "livemode": False,
            "metadata": {"form": "common-ground", "refcode": "nov-letter"}, "next_action": None,
            "payment_method": f"pm_{number}", "receipt_email": email, "shipping": None, "source": None,
            "status": "succeeded",
        }},
    }).encode()  # fmt: skip
