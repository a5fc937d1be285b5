"""What we ask of Stripe, held to its SDK's own types and to a stand-in that remembers; and what becomes of its errors."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.adapters.played_stripe import Refused
from engine.adapters.stripe_payments import StripePayments, basket_of
from engine.errors import Forbidden, Invalid, NotFound, Unavailable
from tests import stripe_params, stripe_stand_in
from tests.baskets import METADATA, basket, plan
from tests.stripe_stand_in import KEY, StripeStandIn


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with stripe_stand_in.running() as running:
        yield running


@pytest.fixture
def payments(stripe: StripeStandIn) -> StripePayments:
    return StripePayments(KEY, stripe.url, seconds=0.3, retries=0)


def test_a_gift_is_paid_on_a_page_that_knows_all_about_it(stripe: StripeStandIn, payments: StripePayments):
    wanted = basket(language="es")
    opened = payments.check_out(wanted, "checkout-7")
    assert opened == payments.check_out(wanted, "checkout-7")  # the same key twice is one page
    assert opened.expires_at == wanted.expires_at
    (session,) = stripe.objects("checkout.session")
    assert (session["id"], session["url"], session["amount_total"]) == (opened.key, opened.url, 2700)
    kept = {name: value[:500] for name, value in METADATA.items() if value}
    stripe.played.pay(opened.key)
    (payment,) = stripe.objects("payment_intent")
    assert session["metadata"] == payment["metadata"] == kept
    (_, _, asked, _) = stripe.asked[0]
    assert asked["line_items"] == [
        {"quantity": "1", "price_data": {
            "currency": "usd", "unit_amount": "2700", "product_data": {"name": "Common Ground"}}}
    ]  # fmt: skip
    assert (asked["mode"], asked["submit_type"], asked["locale"]) == ("payment", "donate", "es")
    assert asked["customer_email"] == "rosa@example.org"
    assert "client_reference_id" not in asked
    assert "payment_method_types" not in asked  # the dashboard says


def test_a_monthly_gift_is_a_plan_of_a_customer_and_carries_the_same(stripe: StripeStandIn, payments: StripePayments):
    made = plan(stripe, payments)
    assert made["metadata"]["checkout"] == "7"
    assert made["_price"]["recurring"]["interval"] == "month"
    assert stripe.asked[0][2]["line_items"][0]["price_data"]["recurring"] == {"interval": "month"}
    assert "submit_type" not in stripe.asked[0][2]


def test_without_an_address_or_a_language_of_theirs_the_page_asks_and_chooses(
    stripe: StripeStandIn, payments: StripePayments
):
    payments.check_out(basket(email="", language="xx"), "k")
    assert "customer_email" not in stripe.asked[0][2]
    assert stripe.asked[0][2]["locale"] == "auto"


def test_a_connected_account_is_named_with_every_request(stripe: StripeStandIn, payments: StripePayments):
    stripe.accounts = ("", "acct_pac")
    made = plan(stripe, payments, account="acct_pac")
    payments.change_plan(made["id"], 500, "k1", account="acct_pac")
    payments.pause_plan(made["id"], None, account="acct_pac")
    payments.portal(made["id"], "https://give.example.org/give/me", account="acct_pac")
    (payment,) = stripe.objects("payment_intent")
    assert payments.give_back("", payment["id"], 100, "k3", account="acct_pac").outcome == "accepted"
    payments.cancel_plan(made["id"], "k4", account="acct_pac")
    assert {account for _, _, _, account in stripe.asked} == {"acct_pac"}
    with pytest.raises(NotFound):
        payments.change_plan(made["id"], 500, "k5")  # our own account has no such plan
    with pytest.raises(Forbidden):
        payments.check_out(basket(account="acct_strangers"), "k6")


def test_a_page_ends_at_once_and_one_that_is_over_stays_so(stripe: StripeStandIn, payments: StripePayments):
    left, paid = (payments.check_out(basket(), key).key for key in ("left", "paid"))
    stripe.played.pay(paid)
    for key in (left, left, paid):
        payments.expire_checkout(key)
    assert [session["status"] for session in stripe.objects("checkout.session")] == ["expired", "complete"]
    for key in ("cs_unknown", "../customers/cus_1", ""):
        with pytest.raises(NotFound):
            payments.expire_checkout(key)
    stripe.mishaps.append(503)
    with pytest.raises(Unavailable):
        payments.expire_checkout(left)


def test_a_plan_changes_to_another_amount_from_its_next_instalment_on(stripe: StripeStandIn, payments: StripePayments):
    made = plan(stripe, payments)
    for _ in range(2):
        payments.change_plan(made["id"], 5000, "change")
    (asked,) = [asked for method, _, asked, _ in stripe.asked if "proration_behavior" in asked]
    assert asked["proration_behavior"] == "none"
    assert len([one for one in stripe.state["events"] if one["type"] == "customer.subscription.updated"]) == 2
    stripe.played.renew(made["id"])
    assert [invoice["amount_due"] for invoice in stripe.objects("invoice")] == [2700, 5000]


def test_a_plan_pauses_and_goes_on(stripe: StripeStandIn, payments: StripePayments):
    made, until = plan(stripe, payments), datetime(2027, 3, 1, tzinfo=UTC)
    payments.pause_plan(made["id"], until)
    assert made["pause_collection"] == {"behavior": "void", "resumes_at": int(until.timestamp())}
    payments.pause_plan(made["id"], None)
    assert made["pause_collection"] is None


def test_from_one_page_a_plan_goes_back_to_what_it_was_and_the_same_press_twice_is_one_act(
    stripe: StripeStandIn, payments: StripePayments
):
    made, until = plan(stripe, payments), datetime(2027, 3, 1, tzinfo=UTC)
    for cents in (500, 500, 1500, 1500, 500):
        payments.change_plan(made["id"], cents, f"page-{cents}")
    assert made["_price"]["unit_amount"] == 500
    for end in (until, until, None, None, until):
        payments.pause_plan(made["id"], end)
    assert made["pause_collection"] == {"behavior": "void", "resumes_at": int(until.timestamp())}
    changes = [one for one in stripe.state["events"] if one["type"] == "customer.subscription.updated"]
    assert len(changes) == 1 + 3 + 3


def test_a_plan_ends_once(stripe: StripeStandIn, payments: StripePayments):
    made = plan(stripe, payments)
    payments.cancel_plan(made["id"], "end")
    payments.cancel_plan(made["id"], "end again")
    assert (made["status"], made["cancellation_details"]["reason"]) == ("canceled", "cancellation_requested")
    for key in ("sub_unknown", "../customers/cus_1", ""):
        with pytest.raises(NotFound):
            payments.cancel_plan(key, "end")
    with pytest.raises(Invalid):
        payments.change_plan(made["id"], 100, "late")


def test_the_portal_opens_where_a_card_is_changed(stripe: StripeStandIn, payments: StripePayments):
    made = plan(stripe, payments)
    assert payments.portal(made["id"], "https://give.example.org/give/me").startswith("https://billing.example.org/")
    asked = stripe.asked[-1][2]
    assert asked["customer"] == made["customer"]
    assert asked["flow_data"]["type"] == "payment_method_update"


def test_a_part_goes_back_once_and_never_more_than_there_is(stripe: StripeStandIn, payments: StripePayments):
    stripe.played.pay(payments.check_out(basket(), "k").key)
    (payment,) = stripe.objects("payment_intent")
    first = payments.give_back("", payment["id"], 700, "order-1")
    assert first == payments.give_back("", payment["id"], 700, "order-1")
    assert [made["id"] for made in stripe.objects("refund")] == [first.provider_id]
    assert payments.give_back("", payment["id"], 2001, "order-2").detail == "more than is left of this payment"
    assert payments.give_back("", payment["id"], 2000, "order-3").outcome == "accepted"
    assert payments.give_back("", payment["id"], 1, "order-4").outcome == "accepted"  # it is back already
    assert payments.give_back("", "pi_unknown", 1, "order-5").outcome == "refused"
    assert payments.give_back("", payment["id"], 5, "order-1").outcome == "uncertain"  # the key of another refund
    (charge,) = stripe.objects("charge")
    assert (charge["amount_refunded"], charge["refunded"]) == (2700, True)


# What goes wrong.


def test_an_error_that_stripe_repeats_does_not_keep_a_donor_from_her_page(
    stripe: StripeStandIn, payments: StripePayments
):
    stripe.mishaps = [500]
    wanted = basket()
    opened = payments.check_out(wanted, "k")
    assert opened == payments.check_out(wanted, "k")
    assert [made["id"] for made in stripe.objects("checkout.session")] == [opened.key]
    stripe.mishaps = [500, 500]
    with pytest.raises(Unavailable):
        payments.check_out(wanted, "another")


@pytest.mark.parametrize("mishap", [503, 409, 429, "silence", "crash"])
def test_what_may_have_happened_is_asked_again_with_the_same_key(
    stripe: StripeStandIn, payments: StripePayments, mishap: int | str
):
    stripe.mishaps = [mishap]
    wanted = basket()
    with pytest.raises(Unavailable):
        payments.check_out(wanted, "k")
    if mishap == 503:  # the stand-in repeats it for as long as it knows the key
        with pytest.raises(Unavailable):
            payments.check_out(wanted, "k")
        assert payments.check_out(wanted, "another").key
    else:
        assert payments.check_out(wanted, "k").key
    assert len(stripe.objects("checkout.session")) == 1
    stripe.mishaps = [mishap]
    assert payments.give_back("ch_1", "", 100, "r").outcome == "uncertain"


def test_the_sdk_tries_once_more_while_a_donor_waits(stripe: StripeStandIn):
    stripe.mishaps = ["crash"]
    opened = StripePayments(KEY, stripe.url, seconds=2).check_out(basket(), "k")
    assert [made["id"] for made in stripe.objects("checkout.session")] == [opened.key]


def test_what_will_never_work_says_so(stripe: StripeStandIn, payments: StripePayments):
    with pytest.raises(Invalid):
        payments.check_out(basket(expires_at=datetime.now(UTC) + timedelta(days=2)), "k1")
    payments.check_out(basket(), "k2")
    with pytest.raises(Invalid, match="the same idempotency key"):
        payments.check_out(basket(amount_cents=100), "k2")
    with pytest.raises(Forbidden):
        StripePayments("rk_test_wrong", stripe.url, retries=0).check_out(basket(), "k3")
    assert payments.give_back("ch_1", "", 0, "k4").outcome == "refused"


# The types of the SDK.


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"expires_on": "1"}, "expires_on"),
        ({"line_items": [{"price_data": {"currency": "usd", "amount": "2700"}}]}, "line_items[0][price_data][amount]"),
        ({"line_items": [{"price_data": {"unit_amount": "1"}}]}, "line_items[0][price_data][currency]"),
        ({"recurring": {"interval": "month"}}, "recurring"),
        ({"mode": "donation"}, "mode"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"metadata": {"a": {"b": "c"}}}, "metadata"),
        ({"adaptive_pricing": {"enabled": "no"}}, "adaptive_pricing[enabled]"),
        ({"line_items": {"price": "1"}}, "line_items"),
    ],
)
def test_a_request_that_the_sdk_does_not_know_is_refused(asked: dict[str, Any], param: str):
    with pytest.raises(Refused) as refused:
        stripe_params.check("open", asked)
    assert refused.value.param == param


def test_what_we_send_is_unfolded_as_it_was_meant():
    form = "mode=payment&line_items[0][price_data][currency]=usd&line_items[1][quantity]=2&metadata[0]=a&cancel_url="
    assert stripe_params.unfolded(form) == {
        "mode": "payment", "line_items": [{"price_data": {"currency": "usd"}}, {"quantity": "2"}], "metadata": ["a"],
        "cancel_url": "",
    }  # fmt: skip


def test_a_basket_says_the_same_each_time():
    assert basket_of(basket()) == basket_of(basket())
