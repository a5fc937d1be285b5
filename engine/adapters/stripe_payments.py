"""Stripe's API, as the engine's `Payments`: what is asked of it, in its own words (its SDK's types know each of them).

Each event is rendered by the API version of its own time, like the webhook that told it or should have. Which ways to pay
its page offers (cards, wallets, banks) is chosen in Stripe's dashboard.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from engine.adapters.stripe_client import Broken, Client
from engine.errors import Invalid, NotFound, Unavailable
from engine.ports import Basket, Listed, Opened, Refunded

PAGE = 100  # as many as Stripe gives at once
SECONDS = 10.0  # for one try; with two more and the pauses between them some half a minute
RETRIES = 2
WAITING_SECONDS, WAITING_RETRIES = 4.5, 1  # while a donor waits for the page to pay on: some ten seconds in all
LONGEST_VALUE = 500  # of metadata, as Stripe takes it
LANGUAGES = ("en", "es")  # ours that its pages speak; others: whatever the browser says

_KEY = re.compile(r"[A-Za-z0-9_-]{1,255}")


class StripePayments:
    """One account, by its secret key, and the accounts that are connected to it. `seconds`, `retries`: as `Client` says."""

    def __init__(self, key: str, base: str, *, seconds: float = SECONDS, retries: int = RETRIES) -> None:
        self._client = Client(key, base, seconds, retries)
        self._soon = Client(key, base, min(seconds, WAITING_SECONDS), min(retries, WAITING_RETRIES))

    def events(
        self, *, since: datetime, until: datetime | None = None, undelivered: bool = False
    ) -> Iterator[Sequence[Listed]]:
        """Pages, newest first; the next is asked for when this one is done with."""
        created = {"gte": int(since.timestamp())} | ({"lte": int(until.timestamp())} if until else {})
        asked: dict[str, Any] = {"limit": PAGE, "created": created}
        if undelivered:
            asked["delivery_success"] = False
        more = True
        while more:
            answer = self._client.ask("get", "/v1/events", asked)
            if not isinstance(answer.get("data"), list):
                raise Unavailable("Stripe answered with something that is no list")
            page = [_listed(event) for event in answer["data"]]
            if page:
                yield page
                asked["starting_after"] = page[-1].key
            more = bool(page) and answer.get("has_more") is True

    def refund(self, charge_key: str, payment_key: str, idempotency_key: str, *, account: str = "") -> Refunded:
        """All that is left of one payment, as fraud."""
        return self._client.refund(_about(charge_key, payment_key) | {"reason": "fraudulent"}, idempotency_key, account)

    def give_back(
        self, charge_key: str, payment_key: str, amount_cents: int, idempotency_key: str, *, account: str = ""
    ) -> Refunded:
        """So much of one payment, as its donor asked."""
        what = {"amount": amount_cents, "reason": "requested_by_customer"}
        return self._client.refund(_about(charge_key, payment_key) | what, idempotency_key, account)

    def check_out(self, basket: Basket, idempotency_key: str) -> Opened:
        """A session of Checkout, on Stripe's own page. Of an error that Stripe would repeat under this key she would hear for
        a day: a page that nobody was ever led to costs nothing, so there may be another."""
        try:
            answer = self._session(basket, idempotency_key)
        except Broken:
            answer = self._session(basket, f"{idempotency_key}-once-more")
        key, url, ends = answer.get("id"), answer.get("url"), answer.get("expires_at")
        if not (isinstance(key, str) and isinstance(url, str) and isinstance(ends, int)):
            raise Unavailable("Stripe answered with something that is no open checkout")
        return Opened(key, url, datetime.fromtimestamp(ends, UTC))

    def _session(self, basket: Basket, key: str) -> dict[str, Any]:
        asked = basket_of(basket)
        return self._soon.ask("post", "/v1/checkout/sessions", asked, key=key, account=basket.account)

    def expire_checkout(self, session_key: str, *, account: str = "") -> None:
        """At once. Of one that is paid or over Stripe says that it cannot be: then it is looked at."""
        place = _place("checkout/sessions", session_key)
        try:
            self._client.ask("post", f"{place}/expire", account=account)
        except Invalid:
            if self._client.ask("get", place, account=account).get("status") not in ("complete", "expired"):
                raise

    def change_plan(self, plan_key: str, amount_cents: int, idempotency_key: str, *, account: str = "") -> None:
        """Its one item gets a price of its own, for the same product, in the same rhythm; nothing is settled in between."""
        item = self._item(plan_key, account)
        price = item.get("price") or {}
        if price.get("unit_amount") == amount_cents and item.get("quantity") == 1:
            return
        rhythm = price.get("recurring") or {}
        asked = {
            "items": [
                {
                    "id": item.get("id"),
                    "quantity": 1,
                    "price_data": {
                        "currency": price.get("currency"),
                        "product": price.get("product"),
                        "unit_amount": amount_cents,
                        "recurring": {name: rhythm[name] for name in ("interval", "interval_count") if name in rhythm},
                    },
                }
            ],
            "proration_behavior": "none",
        }
        key = f"{idempotency_key}-{price.get('id')}"
        self._soon.ask("post", _plan(plan_key), asked, key=key, account=account)

    def pause_plan(self, plan_key: str, until: datetime | None, *, account: str = "") -> None:
        """Invoices that fall into the pause are void: nobody owes them afterwards. The SDK has a key for its own retries."""
        stands = self._soon.ask("get", _plan(plan_key), account=account).get("pause_collection") or {}
        wished = {"behavior": "void", "resumes_at": int(until.timestamp())} if until else {}
        if stands == wished:
            return
        self._soon.ask("post", _plan(plan_key), {"pause_collection": wished or ""}, account=account)

    def cancel_plan(self, plan_key: str, idempotency_key: str, *, account: str = "") -> None:
        """At once. Of one that is over Stripe says that it does not know it: then it is looked at."""
        try:
            self._soon.ask("delete", _plan(plan_key), key=idempotency_key, account=account)
        except NotFound:
            if self._soon.ask("get", _plan(plan_key), account=account).get("status") != "canceled":
                raise

    def portal(self, plan_key: str, return_url: str, *, account: str = "") -> str:
        """Stripe's billing portal, at the page where a card is changed."""
        plan = self._soon.ask("get", _plan(plan_key), account=account)
        back = {"type": "redirect", "redirect": {"return_url": return_url}}
        asked = {
            "customer": plan.get("customer"),
            "return_url": return_url,
            "flow_data": {"type": "payment_method_update", "after_completion": back},
        }
        url = self._soon.ask("post", "/v1/billing_portal/sessions", asked, account=account).get("url")
        if not isinstance(url, str):
            raise Unavailable("Stripe answered with something that is no page of its portal")
        return url

    def _item(self, plan_key: str, account: str) -> dict[str, Any]:
        """The item of a plan that we can change: it has one. Raises Invalid for others, which no form of ours makes."""
        items = self._soon.ask("get", _plan(plan_key), account=account).get("items")
        listed = items.get("data") if isinstance(items, dict) else None
        if not isinstance(listed, list) or len(listed) != 1 or not isinstance(listed[0], dict):
            raise Invalid("this plan has several parts at Stripe: change it in the dashboard")
        return listed[0]


def basket_of(basket: Basket) -> dict[str, Any]:
    """What a session of Checkout is asked for. Metadata does not spread by itself: it stands on the session and on what
    comes of it. No `client_reference_id`: links of Stripe's own use it for a refcode."""
    price: dict[str, Any] = {
        "currency": basket.currency,
        "unit_amount": basket.amount_cents,
        "product_data": {"name": basket.title},
    }
    carried = {name: value[:LONGEST_VALUE] for name, value in basket.metadata.items() if value}
    asked: dict[str, Any] = {
        "mode": "subscription" if basket.monthly else "payment",
        "metadata": carried,
        "success_url": basket.success_url,
        "cancel_url": basket.cancel_url,
        "expires_at": int(basket.expires_at.timestamp()),
        "locale": basket.language if basket.language in LANGUAGES else "auto",
        "billing_address_collection": "auto",
        "adaptive_pricing": {"enabled": False},  # the amount is ours, to the cent
    }
    if basket.monthly:  # a customer comes of it by itself, who can open the portal later
        price["recurring"] = {"interval": "month"}
        asked["subscription_data"] = {"metadata": carried}
    else:
        asked["payment_intent_data"] = {"metadata": carried}
        asked["submit_type"] = "donate"
    if basket.email:
        asked["customer_email"] = basket.email
    return asked | {"line_items": [{"quantity": 1, "price_data": price}]}


def _about(charge_key: str, payment_key: str) -> dict[str, Any]:
    return {"charge": charge_key} if charge_key else {"payment_intent": payment_key}


def _plan(key: str) -> str:
    return _place("subscriptions", key)


def _place(kind: str, key: str) -> str:
    """The address of an object. Raises NotFound for what is no id: it would be another address."""
    if not _KEY.fullmatch(key):
        raise NotFound("that is no id of Stripe's")
    return f"/v1/{kind}/{key}"


def _listed(event: Any) -> Listed:
    if not isinstance(event, Mapping) or not _KEY.fullmatch(str(event.get("id", ""))):
        raise Unavailable("Stripe listed something that is no event")
    created = event.get("created")
    if not isinstance(created, int) or not 0 <= created < 2**32:
        raise Unavailable("Stripe listed an event without a time")
    body = json.dumps(event, separators=(",", ":")).encode()
    return Listed(
        event["id"], str(event.get("type", "")), datetime.fromtimestamp(created, UTC), event.get("livemode"), body
    )
