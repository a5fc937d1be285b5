"""Gifts of invented people on their way to a page of Stripe's."""

from datetime import UTC, datetime, timedelta
from typing import Any

from engine.adapters.stripe_payments import StripePayments
from engine.ports import Basket
from tests.stripe_stand_in import StripeStandIn

METADATA = {"checkout": "7", "form": "common-ground", "refcode": "nov-letter", "refcode2": "", "employer": "x" * 600}


def basket(**changed: Any) -> Basket:
    """$27, once."""
    told: dict[str, Any] = {
        "amount_cents": 2700, "monthly": False, "title": "Common Ground", "email": "rosa@example.org",
        "metadata": METADATA, "success_url": "https://give.example.org/thanks", "cancel_url": "https://give.example.org/",
        "expires_at": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1),
    } | changed  # fmt: skip
    return Basket(**told)


def plan(stripe: StripeStandIn, payments: StripePayments, account: str = "") -> dict[str, Any]:
    """A monthly gift that was begun."""
    opened = payments.check_out(basket(monthly=True, account=account), "plan")
    stripe.played.pay(opened.key, account=account)
    (made,) = stripe.objects("subscription")
    return made
