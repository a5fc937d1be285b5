"""What of Stripe's is of no matter, what staff should see, and what is refused: hostile bodies included."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Invalid
from engine.events import Event
from engine.settings import ROOT
from engine.sources import parse, stripe
from engine.sources.words import Ignored
from tests import make_stripe as make
from tests.make import arrived, raw
from tests.make_stripe import only, told

# What is of no matter, and what staff should see.


@pytest.mark.parametrize("type", sorted(stripe.IGNORED))
def test_what_moves_no_money_is_ignored_with_its_reason(type: str):
    found = told(type, None)
    assert found == stripe.IGNORED[type]
    assert found.reason


def test_the_readme_names_every_event_that_somebody_acts_on_and_no_other():
    listed = (ROOT / "README.md").read_text().partition("enable these events:")[2].partition("**What books.**")[0]
    kinds = {kind for kind in (*stripe.READERS, *stripe.IGNORED) if stripe.acted_on(kind)}
    assert set(re.findall(r"[a-z_]+\.[a-z_.]+", listed)) == kinds


def test_a_payment_under_review_is_shown_to_staff():
    assert told("review.opened", {}).tell
    assert stripe.acted_on("review.opened")


def test_a_charge_is_told_by_its_payment_and_one_without_is_shown_to_staff():
    assert told("charge.succeeded", make.charge()) == Ignored("told by its payment")
    assert told("charge.succeeded", make.charge(payment_intent=None, invoice="in_1")) == Ignored("told by its payment")
    assert told("charge.succeeded", make.charge(payment_intent=None)).tell


def test_an_event_nobody_acts_on_is_ignored_by_its_name_cut_short():
    assert told("customer.created", {}) == Ignored("not an event we act on: customer.created")
    assert told("x\x00\x07" + "y" * 500, {}) == Ignored("not an event we act on: x" + "y" * 59)
    assert not stripe.acted_on("customer.created")
    assert not stripe.acted_on("invoice.payment_succeeded")
    assert not stripe.acted_on(None)
    assert stripe.acted_on("invoice.paid")


def test_an_event_of_the_other_mode_is_ignored_and_shown_to_staff():
    found = parse(arrived(b"whatever", source="stripe", kind="other mode"))
    assert found == Ignored("a test event in production, or a live one in development", tell=True)


def test_the_same_id_with_another_body_is_refused():
    with pytest.raises(Invalid, match="the same event id came with another body"):
        parse(arrived(make.event("invoice.paid", make.invoice()), source="stripe", kind="again"))


# What is refused.


def refused(body: Any) -> str:
    with pytest.raises(Invalid) as raised:
        parse(arrived(body, source="stripe"))
    return str(raised.value)


@pytest.mark.parametrize("body", [[], None, "x", 7, True, [{"type": "invoice.paid"}]])
def test_a_body_that_is_no_object_is_refused(body: object):
    assert refused(body if body is not None else b"null") == "not an object"


@pytest.mark.parametrize(
    "body", [{}, {"type": None}, {"type": ""}, {"type": 7}, {"type": "\x00 "}, {"detail-type": "x"}]
)
def test_a_body_without_a_type_is_refused(body: object):
    assert refused(body) == "no type"


@pytest.mark.parametrize("data", [None, [], "x", {}, {"object": None}, {"object": []}, {"object": "pi_1"}])
def test_an_event_without_its_object_is_refused(data: object):
    assert refused(make.event("invoice.paid", {}) | {"data": data}).startswith("not understood: data")


def test_a_thin_event_is_refused_until_we_read_them():
    body = {"id": "evt_1", "object": "v2.core.event", "type": "v1.invoice.paid", "created": "2026-11-02T12:00:00.000Z",
            "livemode": False, "related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"}}  # fmt: skip
    assert refused(body).startswith("a thin event")


NO_AMOUNT = [-1, 0, 2**53 + 1, 10**40, "2700", "", 27.5, 2700.0, True, [], {}, [2700]]
AMOUNTS = {
    "payment_intent.succeeded": lambda amount: make.payment_intent(amount_received=amount),
    "invoice.paid": lambda amount: make.invoice(amount_paid=amount),
    "refund.created": lambda amount: make.refund(amount=amount),
    "charge.refunded": lambda amount: make.charge_refunded(amount_refunded=amount),
    "charge.dispute.created": lambda amount: make.dispute(amount=amount),
    "customer.subscription.updated": lambda amount: make.subscription(items=[{"price": make.price(unit_amount=amount)}]),
}  # fmt: skip
NOTHING = {"invoice.paid", "customer.subscription.updated"}  # may take nothing: no gift, but no mistake


@pytest.mark.parametrize("type", AMOUNTS)
@pytest.mark.parametrize("amount", NO_AMOUNT, ids=repr)
def test_an_amount_that_is_no_whole_number_of_money_is_refused(type: str, amount: object):
    if amount == 0 and type in NOTHING:
        assert isinstance(told(type, AMOUNTS[type](amount)), Ignored)
    else:
        assert refused(make.event(type, AMOUNTS[type](amount))).startswith("not understood: ")


@pytest.mark.parametrize("type", sorted(AMOUNTS.keys() - NOTHING))
def test_an_amount_that_is_missing_is_refused(type: str):
    said = {name: value for name, value in AMOUNTS[type](None).items() if name != "amount"}
    assert refused(make.event(type, said)).startswith("not understood: amount")


def test_the_largest_amount_is_an_amount_and_no_sum_goes_beyond():
    assert only("payment_intent.succeeded", make.payment_intent(amount_received=2**53)).amount_cents == 2**53
    items = [{"price": make.price(unit_amount=2**53), "quantity": 2}]
    assert refused(make.event("customer.subscription.updated", make.subscription(items={"data": items}))) == (
        "not understood: items"
    )


@pytest.mark.parametrize("currency", ["xyz", "", None, "us", "dollars", 7, ["usd"], "\u0455usd"])
@pytest.mark.parametrize("type", sorted(AMOUNTS.keys() - {"customer.subscription.updated"}))
def test_money_of_no_known_currency_is_refused(type: str, currency: object):
    assert refused(make.event(type, AMOUNTS[type](500) | {"currency": currency})) == "not understood: currency"


def test_a_plan_of_no_known_currency_is_refused():
    unknown = make.subscription(currency=None, items={"data": [{"price": make.price(currency=None)}]})
    assert refused(make.event("customer.subscription.updated", unknown)) == "not understood: currency"


@pytest.mark.parametrize(("currency", "code"), [("JPY", "jpy"), ("jpy", "jpy"), (" eur ", "eur"), ("kwd", "kwd")])
def test_an_amount_is_in_the_currencys_own_minor_units(currency: str, code: str):
    gift = only("payment_intent.succeeded", make.payment_intent(amount_received=5000, currency=currency))
    assert (gift.amount_cents, gift.currency) == (5000, code)


@pytest.mark.parametrize(
    "at", [None, 0, -1, 1, 10**12, 10**40, "1793620800", "2026-11-02T12:00:00Z", 1.5, True, [], {}]
)
def test_an_event_of_no_time_on_our_calendar_is_refused(at: object):
    assert refused(make.event("invoice.paid", make.invoice(), created=at)) == "not understood: created"


@pytest.mark.parametrize("at", [0, 10**12, "1793620800", True])
def test_an_object_of_no_time_on_our_calendar_is_refused(at: object):
    assert refused(make.event("refund.created", make.refund(created=at))) == "not understood: created"


@pytest.mark.parametrize("id", [None, "", " ", "\x00", 7, True, [], {}, {"id": ""}, "p" * 256])
def test_money_without_an_id_of_sensible_length_is_refused(id: object):
    assert refused(make.event("payment_intent.succeeded", make.payment_intent(id=id))) == "not understood: id"


@pytest.mark.parametrize("link", ["c" * 256, 7, ["ch_1"], True])
def test_a_link_that_cannot_be_one_is_refused(link: object):
    assert refused(make.event("refund.created", make.refund(charge=link))) == "not understood: charge"


def test_a_link_may_come_as_the_object_it_names():
    found = only("refund.created", make.refund(charge=make.charge(id="ch_1"), payment_intent={"id": "pi_1"}))
    assert (found.charge_key, found.payment_key) == ("ch_1", "pi_1")


def test_metadata_of_any_kind_does_no_harm():
    metadata = {f"key {number}": "<script>alert(1)</script>" for number in range(500)}
    metadata |= {"form": "common\x00-ground", "refcode": "<b>x</b>", "refcode2": None, "employer": ["x"]}
    gift = only("payment_intent.succeeded", make.payment_intent(metadata=metadata))
    assert (gift.form_slug, gift.refcode, gift.refcode2) == ("common-ground", "<b>x</b>", "")
    assert gift.donor.employer == ""
    for nothing in (None, [], "x", 7):
        assert only("payment_intent.succeeded", make.payment_intent(metadata=nothing)).form_slug == ""


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"{", b'{"type": "invoice.paid", "type": "invoice.paid"}', b'{"type": NaN}', b"[" * 10_000,
     b'{"type": "invoice.paid", "created": ' + b"9" * 10_000 + b"}"],
)  # fmt: skip
def test_bytes_that_are_no_json_of_one_meaning_are_refused(body: bytes):
    assert refused(body)


OBJECTS = {
    "payment_intent.succeeded": make.payment_intent(old=True), "charge.succeeded": make.charge(),
    "checkout.session.completed": make.session(), "invoice.paid": make.invoice(old=True),
    "invoice.payment_failed": make.invoice(), "invoice_payment.paid": make.invoice_payment(),
    "charge.refunded": make.charge_refunded(make.refund()), "refund.updated": make.refund(),
    "charge.dispute.closed": make.dispute(status="won"), "customer.subscription.updated": make.subscription(),
    "customer.subscription.deleted": make.subscription(old=True), "radar.early_fraud_warning.created": make.warning(),
}  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([make.AT, 2700, "usd", "in_1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["id", "data", "amount", "price", "status"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def survived(body: bytes) -> None:
    """Events of ours that the books can take, a reason to ignore it, or Invalid; nothing else."""
    try:
        found = parse(arrived(body, source="stripe"))
    except Invalid:
        return
    if isinstance(found, Ignored):
        assert found.reason
        return
    assert found
    for event in found:
        assert isinstance(event, Event)
        assert 0 < getattr(event, "amount_cents", 1) <= 2**53
        assert 0 < len(getattr(event, "source_key", "")) <= 300


@given(st.sampled_from(sorted(stripe.READERS)), VALUES)
def test_no_object_makes_the_parser_raise_anything_but_invalid(type: str, said: object):
    survived(raw(make.event(type, said)))


@given(st.sampled_from(sorted(OBJECTS)), st.data())
def test_no_value_in_any_field_makes_the_parser_raise_anything_but_invalid(type: str, data: st.DataObject):
    said = json.loads(json.dumps(OBJECTS[type]))
    for _ in range(data.draw(st.integers(1, 4))):
        inside = said
        while True:
            name = data.draw(st.sampled_from(sorted(inside)))
            inner = inside[name]["data"] if isinstance(inside[name], dict) and "data" in inside[name] else inside[name]
            inner = inner[0] if isinstance(inner, list) and inner else inner
            if not (isinstance(inner, dict) and inner and data.draw(st.booleans())):
                inside[name] = data.draw(VALUES)
                break
            inside = inner
    survived(raw(make.event(type, said)))


@given(st.binary(max_size=300))
def test_no_bytes_make_the_parser_raise_anything_but_invalid(body: bytes):
    survived(body)
