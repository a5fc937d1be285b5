"""What we ask of Stripe, held to what PyPI's `localstripe` accepts, where it knows the call.

The differences, each of them behind Stripe's API of today, none of them ours:

- it plays no Checkout sessions and no billing portal;
- refunds have no `reason`, and may be larger than their payment;
- an item of a subscription has a `plan`, and neither `price` nor `price_data`;
- a change of a subscription has the older `prorate` instead of `proration_behavior`, and no `pause_collection`;
- lists of events have no `delivery_success`;
- it keeps no idempotency keys, and knows nothing of connected accounts.
"""

import asyncio
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from aiohttp import web
from stripe import StripeClient

from engine.adapters.stripe_payments import StripePayments
from tests import stripe_stand_in
from tests.baskets import plan
from tests.stripe_stand_in import KEY as STAND_IN_KEY

KEY = "sk_test_of_the_tests"  # it takes no restricted key
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2037, "cvc": "123"}


@pytest.fixture(scope="module")
def local() -> Iterator[str]:
    """Its address while it runs, on a port of its own. It would keep what it holds in a file that all share."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at being imported it does what its framework would have otherwise by now
        server = import_module("localstripe.server")
    server.store.dump_to_disk = lambda: None
    loop, runner = asyncio.new_event_loop(), web.AppRunner(server.app)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(_ended(runner), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _ended(runner: web.AppRunner) -> None:
    """Close it, and drop the webhooks that it would still send."""
    await runner.cleanup()
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


class Local:
    """Requests to it."""

    def __init__(self, url: str) -> None:
        self._client = StripeClient(KEY, base_addresses={"api": url}, max_network_retries=0)

    def ask(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        answer: Any = self._client.raw_request(method, path, **asked).data
        return dict(answer)

    def customer(self) -> str:
        made = self.ask("post", "/v1/customers", email="rosa@example.org")["id"]
        way = self.ask("post", "/v1/payment_methods", type="card", card=CARD)["id"]
        self.ask("post", f"/v1/payment_methods/{way}/attach", customer=made)
        self.ask("post", f"/v1/customers/{made}", invoice_settings={"default_payment_method": way})
        return str(made)


def asked_for(call: str) -> dict[str, Any]:
    """What we ask of Stripe in this call, as the stand-in wrote it down."""
    with stripe_stand_in.running() as stripe:
        payments = StripePayments(STAND_IN_KEY, stripe.url, retries=0)
        made = plan(stripe, payments)
        if call == "give_back":
            payments.give_back("", stripe.objects("payment_intent")[0]["id"], 700, "k")
        elif call == "change_plan":
            payments.change_plan(made["id"], 5000, "k")
        else:
            payments.cancel_plan(made["id"], "k")
        return stripe.asked[-1][2]


def test_a_refund_is_taken_but_for_its_reason(local: str):
    stripe = Local(local)
    customer = stripe.customer()
    way = stripe.ask("get", f"/v1/customers/{customer}")["invoice_settings"]["default_payment_method"]
    paid = stripe.ask(
        "post", "/v1/payment_intents", amount=2700, currency="usd", customer=customer, payment_method=way, confirm=True
    )
    asked = asked_for("give_back")
    assert asked.pop("reason") == "requested_by_customer"
    made = stripe.ask("post", "/v1/refunds", **asked | {"payment_intent": paid["id"]})
    assert (made["amount"], made["status"]) == (700, "succeeded")


def test_a_plan_is_changed_but_by_a_plan_of_its_own_and_ends(local: str):
    stripe = Local(local)
    costs = [stripe.ask("post", "/v1/plans", amount=amount, currency="usd", interval="month", product={"name": "Gift"})["id"]
             for amount in (2700, 5000)]  # fmt: skip
    made = stripe.ask("post", "/v1/subscriptions", customer=stripe.customer(), items=[{"plan": costs[0]}])
    asked = asked_for("change_plan")
    assert asked.pop("proration_behavior") == "none"
    (item,) = asked["items"]
    assert item.pop("price_data")["unit_amount"] == "5000"
    item |= {"id": made["items"]["data"][0]["id"], "plan": costs[1]}
    changed = stripe.ask("post", f"/v1/subscriptions/{made['id']}", **asked)
    assert changed["items"]["data"][0]["plan"]["amount"] == 5000
    payments = StripePayments(KEY, local, retries=0)
    assert asked_for("cancel_plan") == {}
    payments.cancel_plan(made["id"], "end")
    payments.cancel_plan(made["id"], "end again")
    assert stripe.ask("get", f"/v1/subscriptions/{made['id']}")["status"] == "canceled"


def test_events_are_listed_by_time_and_place(local: str):
    Local(local).customer()
    pages = list(StripePayments(KEY, local, retries=0).events(since=datetime(2026, 1, 1, tzinfo=UTC)))
    assert "customer.created" in {event.type for page in pages for event in page}
