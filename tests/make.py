"""Bodies and rows of invented people, for tests."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import time
from typing import Any

from engine.events import ContributionReported, Person, RawEvent
from engine.settings import DEVELOPMENT_CREDENTIALS, DEVELOPMENT_STRIPE_SECRET

PAYLOADS = Path(__file__).resolve().parent / "payloads"
NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
_numbers = count(700_000_001)


def actblue_body(**changed: Any) -> dict[str, Any]:
    """A contribution as ActBlue posts it. Keyword arguments replace parts: donor=, contribution=, lineitems=."""
    number = next(_numbers)
    body: dict[str, Any] = {
        "donor": {
            "firstname": "ROSA", "lastname": "DELGADO", "addr1": "14 Lincoln Street", "city": "Worcester",
            "state": "MA", "zip": "01605", "country": "United States", "isEligibleForExpressLane": True,
            "employerData": {"employer": "Worcester Public Library", "occupation": "Librarian", "employerAddr1": None},
            "email": f"rosa.{number}@example.org", "phone": "5085550123",
        },
        "contribution": {
            "createdAt": "2026-11-02T19:03:11-05:00", "orderNumber": f"AB{number}",
            "contributionForm": "common-ground", "refcodes": {"refcode": "nov-letter"}, "refcode": "nov-letter",
            "refcode2": None, "creditCardExpiration": "02/2029", "recurringPeriod": "once", "recurringDuration": 1,
            "isRecurring": False, "isPaypal": False, "isMobile": True, "isExpress": True, "status": "approved",
            "thanksUrl": "https://example.org/thanks?token=secret-token",
        },
        "lineitems": [line_item(number)],
    }  # fmt: skip
    for part, change in changed.items():
        body[part] = body[part] | change if isinstance(change, dict) else change
    return body


def line_item(number: int | None = None, **changed: Any) -> dict[str, Any]:
    """One line item for the invented organisation's first fund."""
    return {
        "sequence": 0, "entityId": 12345, "fecId": None, "amount": "27.0", "paidAt": "2026-11-02T19:03:15-05:00",
        "committeeName": "Common Ground Massachusetts Action, Inc.", "lineitemId": number or next(_numbers),
    } | changed  # fmt: skip


def raw(body: Any) -> bytes:
    """The bytes of a body."""
    return json.dumps(body).encode()


def arrived(body: Any, source: str = "actblue", kind: str = "", id: int = 17) -> RawEvent:
    """A body as the inbox hands it to a parser: bytes as they are, anything else as JSON."""
    sent = body if isinstance(body, bytes) else raw(body)
    return RawEvent(id, source, hashlib.sha256(sent).hexdigest(), kind, sent, 1, NOON)


def payload(name: str) -> bytes:
    """A body kept under tests/payloads."""
    return (PAYLOADS / name).read_bytes()


def basic(pair: str | bytes = DEVELOPMENT_CREDENTIALS) -> tuple[str, str]:
    """The Authorization header of `user:password`."""
    return ("authorization", "Basic " + base64.b64encode(pair.encode() if isinstance(pair, str) else pair).decode())


def gift(number: int | None = None, **changed: Any) -> ContributionReported:
    """A gift as a parser reports it: $27 to the invented organisation's first fund, of a donor of its own."""
    number = number or next(_numbers)
    donor = Person(
        email=f"rosa.{number}@example.org", first_name="Rosa", last_name="Delgado", zip="01605", country="United States"
    )
    told = {
        "cause": None, "source": "actblue", "source_key": str(number), "amount_cents": 2700, "donor": donor,
        "paid_at": datetime(2026, 11, 3, 0, 3, 15, tzinfo=UTC), "entity_id": 12345, "form_slug": "common-ground",
    }  # fmt: skip
    return ContributionReported(**told | changed)


def stripe_signature(
    body: bytes, *, secret: str = DEVELOPMENT_STRIPE_SECRET, ago: float = 0, scheme: str = "v1"
) -> tuple[str, str]:
    """The Stripe-Signature header of these bytes, made that many seconds ago."""
    moment = int(time() - ago)
    return ("stripe-signature", f"t={moment},{scheme}={stripe_digest(body, moment, secret)}")


def stripe_digest(body: bytes, moment: object, secret: str = DEVELOPMENT_STRIPE_SECRET) -> str:
    """What Stripe signs at that moment, in hex."""
    return hmac.digest(secret.encode(), f"{moment}.".encode() + body, "sha256").hex()


def join_body(**changed: Any) -> dict[str, Any]:
    """A sign-up as our own form stores it: Ines joins on the organisation's form."""
    return {
        "form": "join", "at": NOON.isoformat(), "email": "ines@example.org", "first_name": "Ines", "last_name": "Okafor",
        "street": "", "city": "", "state": "", "zip": "01605", "phone": "", "language": "en", "interests": [],
        "ways_to_help": [], "gathering": "", "confirm": False, "introduce": False, "wording": "Yes, write to me.",
    } | changed  # fmt: skip
