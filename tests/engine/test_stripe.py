"""Stripe's gifts, instalments and checkouts, both shapes, without a database: bytes in, events out."""

from datetime import timedelta

import pytest

from engine.events import CheckoutReported, ContributionReported, PaymentLinked, Person, PlanPaymentFailed, PlanReported
from engine.sources import parse
from engine.sources.words import Ignored
from tests import make_stripe as make
from tests.make import arrived, payload
from tests.make_stripe import PAID, ROSA, TOLD, only, told

# A one-off gift.


def test_a_payment_of_the_older_shape_is_read_field_by_field():
    assert parse(arrived(payload("stripe/older_payment_intent.json"), source="stripe")) == [
        ContributionReported(
            cause=17, source="stripe", source_key="pi_older", amount_cents=2700, paid_at=PAID, donor=ROSA, currency="usd",
            form_slug="common-ground", refcode="nov-letter", refcode2="b", payment_key="pi_older", charge_key="ch_older",
        )
    ]  # fmt: skip


def test_a_payment_of_the_newer_shape_names_its_charge_and_says_when_by_the_event():
    said = make.payment_intent(id="pi_1", latest_charge="ch_1")
    assert only("payment_intent.succeeded", said) == ContributionReported(
        cause=17, source="stripe", source_key="pi_1", amount_cents=2700, paid_at=TOLD, currency="usd",
        donor=Person(email="rosa.delgado@example.org", employer="City Library", occupation="Librarian"),
        form_slug="common-ground", refcode="nov-letter", refcode2="b", payment_key="pi_1", charge_key="ch_1",
    )  # fmt: skip


def test_a_charge_that_comes_whole_tells_the_donor_and_the_time():
    gift = only("payment_intent.succeeded", make.payment_intent(latest_charge=make.charge(id="ch_1")))
    assert (gift.charge_key, gift.paid_at, gift.donor) == ("ch_1", PAID, ROSA)


def test_of_several_charges_the_one_that_took_the_money_counts():
    charges = [make.charge(id="ch_failed", status="failed"), make.charge(id="ch_taken")]
    assert (
        only("payment_intent.succeeded", make.payment_intent(old=True, charges={"data": charges})).charge_key
        == "ch_taken"
    )


def test_a_charge_that_is_named_beside_the_list_is_found_in_it():
    charges = {"data": [make.charge(id="ch_newest", billing_details=None), make.charge(id="ch_1")]}
    gift = only("payment_intent.succeeded", make.payment_intent(charges=charges, latest_charge="ch_1"))
    assert (gift.charge_key, gift.paid_at, gift.donor) == ("ch_1", PAID, ROSA)


def test_a_payment_that_says_its_invoice_is_left_to_the_invoice():
    for said in (make.payment_intent(old=True, invoice="in_1"), make.payment_intent(old=True, invoice={"id": "in_1"}),
                 make.payment_intent(payment_details={"order_reference": "in_1"})):  # fmt: skip
        assert told("payment_intent.succeeded", said) == Ignored("an instalment: booked by its invoice")


@pytest.mark.parametrize("details", [None, {}, {"order_reference": None}, {"order_reference": "order 7"}, "in_1", []])
def test_a_payment_that_says_no_invoice_is_a_gift(details: object):
    assert only("payment_intent.succeeded", make.payment_intent(payment_details=details)).amount_cents == 2700


def test_what_was_received_counts_and_not_what_was_asked():
    assert only("payment_intent.succeeded", make.payment_intent(amount=9900, amount_received=2700)).amount_cents == 2700
    assert only("payment_intent.succeeded", make.payment_intent(amount=9900, amount_received=None)).amount_cents == 9900


def test_shipping_names_the_donor_when_nothing_else_does_and_no_two_addresses_are_mixed():
    elsewhere = {"name": "Tom Okafor", "address": {"line1": "3 Pomeroy Terrace", "city": "Northampton"}}
    billing = {"address": {"postal_code": "01605", "country": "US"}}
    donor = only(
        "payment_intent.succeeded",
        make.payment_intent(latest_charge=make.charge(billing_details=billing), shipping=elsewhere, receipt_email=None),
    ).donor
    assert (donor.first_name, donor.last_name, donor.email) == ("Tom", "Okafor", None)
    assert (donor.street, donor.city, donor.zip) == ("3 Pomeroy Terrace", "Northampton", None)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Rosa", "Rosa", ""), ("", "", ""), (None, "", ""), ("  Rosa  Delgado ", "Rosa", "Delgado"), (17, "17", ""),
     ("\u738b\u79c0\u82f1", "\u738b\u79c0\u82f1", ""), ("Ana de la Cruz", "Ana de la", "Cruz")],
)  # fmt: skip
def test_one_name_becomes_two(name: object, first: str, last: str):
    donor = only("invoice.paid", make.invoice(customer_name=name)).donor
    assert (donor.first_name, donor.last_name) == (first, last)


# Instalments.


def test_an_instalment_of_the_older_shape_is_read_field_by_field():
    gift, plan = parse(arrived(payload("stripe/older_invoice.json"), source="stripe"))
    assert gift == ContributionReported(
        cause=17, source="stripe", source_key="in_older", amount_cents=1000, paid_at=PAID, donor=ROSA, currency="usd",
        form_slug="common-ground", refcode="nov-letter", refcode2="b", recurring_period="monthly", sequence=0,
        payment_key="pi_older", charge_key="ch_older", plan_key="sub_older",
    )  # fmt: skip
    drawn = PAID - timedelta(seconds=5)
    assert plan == PlanReported(17, "stripe", "sub_older", 1000, "monthly", drawn, drawn)


def test_an_instalment_of_the_newer_shape_is_read_field_by_field():
    assert parse(arrived(payload("stripe/newer_invoice.json"), source="stripe")) == [
        ContributionReported(
            cause=17, source="stripe", source_key="in_newer", amount_cents=1000, paid_at=PAID, donor=ROSA, currency="usd",
            form_slug="common-ground", refcode="nov-letter", refcode2="b", recurring_period="monthly", sequence=0,
            plan_key="sub_newer",
        )
    ]  # fmt: skip


def test_the_newer_shape_may_hold_its_payments():
    failed = make.invoice_payment(status="open", payment={"type": "payment_intent", "payment_intent": "pi_failed"})
    taken = make.invoice_payment(payment={"type": "payment_intent", "payment_intent": "pi_taken"})
    gift, *_ = told("invoice.paid", make.invoice(payments={"object": "list", "data": [failed, taken]}))
    assert (gift.payment_key, gift.charge_key) == ("pi_taken", "")


@pytest.mark.parametrize(
    ("reason", "sequence"),
    [("subscription_create", 0), ("subscription_cycle", 1), ("subscription_update", 1), (None, 1)],
)
def test_a_later_instalment_is_known_by_its_reason(reason: str | None, sequence: int):
    assert only("invoice.paid", make.invoice(billing_reason=reason)).sequence == sequence


def test_an_invoice_of_no_plan_is_a_gift_of_its_own():
    said = make.invoice(old=True, subscription=None, lines={"data": []}, billing_reason="manual")
    gift = only("invoice.paid", said)
    assert (gift.recurring_period, gift.sequence, gift.plan_key) == ("once", 0, "")


def test_a_plan_that_only_the_lines_name_is_found():
    old = make.line(old=True, subscription="sub_1")
    new = make.line(parent={"subscription_item_details": {"subscription": "sub_1"}})
    for said in (
        make.invoice(old=True, subscription=None, lines={"data": [old]}),
        make.invoice(parent=None, lines={"data": [new]}),
    ):
        assert told("invoice.paid", said)[0].plan_key == "sub_1"


@pytest.mark.parametrize(
    ("unit", "count", "period"),
    [("month", 1, "monthly"), ("month", 3, "quarterly"), ("month", 12, "yearly"), ("year", 1, "yearly"),
     ("week", 1, "weekly"), ("day", 1, "daily"), ("week", 2, "every 2 weeks"), ("month", 6, "every 6 months"),
     ("month", None, "monthly"), ("month", 0, "monthly"), ("fortnight", 1, "monthly"), (None, None, "monthly"),
     ("month", 10**15, "monthly")],
)  # fmt: skip
def test_a_rhythm_is_told_in_our_words(unit: object, count: object, period: str):
    price = make.price(recurring={"interval": unit, "interval_count": count})
    gift, *_ = told(
        "invoice.paid", make.invoice(old=True, lines={"data": [make.line(old=True, price=price, plan=None)]})
    )
    assert gift.recurring_period == period
    plan = only("customer.subscription.created", make.subscription(items={"data": [{"price": price, "quantity": 1}]}))
    assert plan.period == period


@pytest.mark.parametrize(
    ("days", "period"),
    [(7, "weekly"), (28, "monthly"), (31, "monthly"), (90, "quarterly"), (365, "yearly"), (366, "yearly"), (1, "daily"),
     (13, "monthly"), (0, "monthly"), (-30, "monthly")],
)  # fmt: skip
def test_where_no_interval_is_named_the_time_that_a_line_pays_for_tells_the_rhythm(days: int, period: str):
    lines = {"data": [make.line(period=None), make.line(period={"start": make.AT, "end": make.AT + days * 86400})]}
    assert only("invoice.paid", make.invoice(lines=lines)).recurring_period == period


def test_only_what_is_asked_for_every_time_is_the_plans_amount():
    lines = [make.line(old=True), make.line(old=True, amount=-300, proration=True), make.line(old=True, amount=250),
             make.line(old=True, amount=7700, price=make.price(recurring=None), plan=None)]  # fmt: skip
    _, plan = told("invoice.paid", make.invoice(old=True, lines={"data": lines}))
    assert plan.amount_cents == 1250


def test_an_invoice_that_took_nothing_is_no_gift():
    assert told("invoice.paid", make.invoice(amount_paid=0)) == Ignored(
        "an invoice that took no money: a trial or a credit"
    )


def test_the_link_between_instalment_and_payment_is_told():
    said = make.invoice_payment(invoice="in_1", payment={"type": "payment_intent", "payment_intent": "pi_1"})
    assert only("invoice_payment.paid", said) == PaymentLinked(17, "stripe", "in_1", "pi_1")
    assert told("invoice_payment.paid", said | {"payment": {"type": "charge", "charge": "ch_1"}}) == Ignored(
        "an invoice paid by other means than a PaymentIntent"
    )


@pytest.mark.parametrize("type", ["invoice.payment_failed", "invoice.payment_action_required"])
@pytest.mark.parametrize("old", [True, False])
def test_a_failed_instalment_is_known_by_its_attempt(type: str, old: bool):
    said = make.invoice(old=old, id="in_1", amount_paid=0, attempt_count=2, billing_reason="subscription_cycle")
    plan = said["subscription"] if old else said["parent"]["subscription_details"]["subscription"]
    assert only(type, said) == PlanPaymentFailed(17, "stripe", "in_1:2", plan, TOLD)


def test_a_failed_invoice_of_no_plan_is_of_no_matter():
    said = make.invoice(parent=None, lines=None)
    assert told("invoice.payment_failed", said) == Ignored("an invoice of no plan: no money moved")


# Checkouts.


@pytest.mark.parametrize("type", ["checkout.session.completed", "checkout.session.async_payment_succeeded"])
def test_a_checkout_carries_the_donors_words(type: str):
    assert only(type, make.session(id="cs_1", payment_intent="pi_1")) == CheckoutReported(
        17,
        "stripe",
        "cs_1",
        TOLD,
        ROSA,
        payment_key="pi_1",
        form_slug="common-ground",
        refcode="nov-letter",
        refcode2="b",
    )


def test_a_checkout_of_a_plan_names_the_plan():
    found = only(
        "checkout.session.completed", make.session(mode="subscription", payment_intent=None, subscription="sub_1")
    )
    assert (found.payment_key, found.plan_key) == ("", "sub_1")


def test_the_reference_of_a_checkout_stands_in_for_a_missing_code():
    found = only("checkout.session.completed", make.session(metadata={}, client_reference_id="table-4"))
    assert (found.form_slug, found.refcode) == ("", "table-4")
    assert only("checkout.session.completed", make.session(client_reference_id="table-4")).refcode == "nov-letter"


def test_what_the_donor_typed_into_the_checkouts_own_fields_is_heard():
    fields = [
        {"key": "employer", "type": "text", "text": {"value": "Acme"}},
        {"key": "occupation", "type": "dropdown", "dropdown": {"value": "nurse"}}, {"key": "size", "type": "numeric"},
    ]  # fmt: skip
    donor = only("checkout.session.completed", make.session(metadata={}, custom_fields=fields)).donor
    assert (donor.employer, donor.occupation) == ("Acme", "nurse")


@pytest.mark.parametrize("status", ["unpaid", "no_payment_required"])
def test_a_checkout_without_money_is_of_no_matter_yet(status: str):
    found = told("checkout.session.completed", make.session(payment_status=status))
    assert found == Ignored("a checkout whose money is not there (yet)")
