"""From a gift that was begun on a page of ours to the books: signed events, doubled, in any order, in both shapes."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from engine.adapters.stripe_payments import StripePayments, basket_of
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Forbidden, Unavailable
from engine.events import Person
from engine.giving import forms
from engine.giving.forms import Definition
from engine.ports import Basket
from tests import make_stripe as make
from tests import stripe_stand_in
from tests.asgi import Client
from tests.books import assert_books_balance
from tests.flows.house import change, one, put, rows, run_everything
from tests.of_a_person import contact, erase, id_of
from tests.payments import FakePayments
from tests.stripe_stand_in import StripeStandIn
from webhooks.app import build
from workers import checkouts, fraud_refunds

FORM = "common-ground"
numbers = count(1)


@pytest.fixture
def stripe(deps: Deps) -> StripeStandIn:
    return StripeStandIn(seed=next(numbers), at=int(deps.clock.now.timestamp()))


@pytest.fixture
def door(deps: Deps) -> Iterator[Client]:
    with Client(build(deps)) as client:
        yield client


def begin(
    deps: Deps, stripe: StripeStandIn, *, email: str = "rosa@example.org", monthly: bool = False, account: str = "",
    form: str | None = FORM,
) -> tuple[int, str]:  # fmt: skip
    """A checkout row, and the session that is opened for it: their ids."""
    who = Person(email=email, first_name="Rosa", last_name="Marsh", street="14 Lincoln Street", city="Worcester", state="MA",
                 zip="01605", country="US", employer="City Library", occupation="Librarian")  # fmt: skip
    ends = deps.clock.now + timedelta(hours=1)
    word = f"n{next(numbers)}"
    with deps.work() as (session, now):
        checkout_id: int = session.execute(
            text("""
            INSERT INTO checkout (nonce, digest, donation_form_id, form_version, amount_cents, period, donor, created_at,
                expires_at)
            SELECT :nonce, :nonce, id, 1, 2700, 'once', CAST(:donor AS jsonb), :now, :ends FROM donation_form
            WHERE slug = 'common-ground' RETURNING id"""),
            {"nonce": word, "donor": _json(asdict(who)), "now": now, "ends": ends},
        ).scalar_one()
    metadata = {"checkout": word, "form": form or "", "refcode": "nov-letter"}
    wanted = Basket(
        2700, monthly, "Common Ground", email, metadata, "https://g.example.org/", "https://g.example.org/", ends
    )
    return checkout_id, stripe.played.open(basket_of(wanted), account)["id"]


def _json(value: Any) -> str:

    return json.dumps(value)


def deliver(deps: Deps, door: Client, stripe: StripeStandIn, **how: Any) -> None:
    """Post what happened, and let everything follow; the books must agree."""
    for body, headers in stripe.webhooks(**how):
        assert door.send("POST", "/webhooks/stripe", headers, body).status == 200
    run_everything(deps)
    assert rows(deps, "SELECT id FROM inbound_event WHERE state NOT IN ('applied', 'ignored')") == []


def state(deps: Deps, checkout_id: int) -> tuple[str, bool]:
    """How a checkout stands, and whether it still holds what was typed."""
    return tuple(one(deps, f"SELECT state, donor <> '{{}}' FROM checkout WHERE id = {checkout_id}"))


@pytest.mark.parametrize("shape", ["old", "new", "bare"])
def test_gifts_once_and_monthly_are_booked_once_whatever_comes_twice_and_in_whatever_order(
    deps: Deps, door: Client, stripe: StripeStandIn, shape: str
):
    begun = [begin(deps, stripe, email=f"donor{n}@example.org", monthly=n % 2 == 1) for n in range(6)]
    for n, (_, key) in enumerate(begun):
        if n > 3:
            stripe.played.decline(key)
        stripe.played.pay(key, name="MS R A CARDOWNER", postal_code="02139")
    stripe.bare, chosen = shape == "bare", Random(shape)

    def post(body: bytes, headers: list[tuple[str, str]]) -> int:
        away = chosen.random() < 0.3
        return 503 if away else door.send("POST", "/webhooks/stripe", headers, body).status

    assert stripe.deliver(post, seed=next(numbers), old=shape == "old") > len(stripe.state["events"])
    run_everything(deps)
    deliver(deps, door, stripe, old=shape == "old", seed=next(numbers))
    gifts = rows(
        deps,
        """SELECT c.email, g.amount_cents, g.recurring_period, g.form_slug, g.refcode, g.donor, c.last_name
        FROM contribution g JOIN contact c ON c.id = g.contact_id WHERE g.source = 'stripe'
        AND g.status <> 'duplicate' ORDER BY c.email""",
    )
    assert [gift.email for gift in gifts] == [f"donor{n}@example.org" for n in range(6)]
    assert [gift.recurring_period for gift in gifts] == ["once", "monthly"] * 3
    for gift in gifts:
        assert (gift.amount_cents, gift.form_slug, gift.refcode) == (2700, FORM, "nov-letter")
        typed = {"street": "14 Lincoln Street", "zip": "01605", "last_name": "Marsh", "employer": "City Library"}
        assert typed.items() <= gift.donor.items()
    plans = rows(deps, "SELECT state, amount_cents FROM recurring_plan WHERE source = 'stripe'")
    assert [tuple(plan) for plan in plans] == [("active", 2700)] * 3
    assert {state(deps, checkout_id) for checkout_id, _ in begun} == {("paid", False)}
    with transaction(deps.sessions) as session:
        assert_books_balance(session)


def test_a_plan_is_changed_paused_renewed_and_ended_a_gift_goes_back_in_part_and_is_disputed(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    (_, monthly), (_, single) = begin(deps, stripe, monthly=True), begin(deps, stripe, email="sam@example.org")
    stripe.played.pay(monthly)
    stripe.played.pay(single)
    (plan,) = stripe.objects("subscription")
    price = plan["_price"] | {"unit_amount": 1000}
    stripe.played.change(plan["id"], {"items": [{"id": plan["_item"], "price_data": price}]})
    stripe.at += 60
    stripe.played.renew(plan["id"])
    stripe.at += 60
    stripe.played.renew(plan["id"], good=False)
    stripe.at += 60
    stripe.played.cancel(plan["id"])
    payment = next(made for made in stripe.objects("payment_intent") if not made["_invoice"])
    stripe.played.refund({"payment_intent": payment["id"], "amount": "700"})
    dispute = stripe.played.dispute({"payment_intent": payment["id"]})
    stripe.played.settle(dispute["id"], won=True)
    deliver(deps, door, stripe, seed=5)
    kept = rows(
        deps,
        """SELECT g.amount_cents, sum(l.amount_cents)::int AS left FROM contribution g
        JOIN ledger_entry l ON l.contribution_id = g.id WHERE g.source = 'stripe'
        GROUP BY g.id ORDER BY g.plan_key, g.sequence""",
    )
    assert [tuple(gift) for gift in kept] == [(2700, 2000), (2700, 2700), (1000, 1000)]
    assert one(deps, "SELECT state FROM recurring_plan").state == "cancelled"
    assert rows(deps, "SELECT id FROM decline") == []  # an instalment's is no attempt at a form
    with transaction(deps.sessions) as session:
        assert_books_balance(session)


def test_what_was_typed_goes_with_stripes_word_that_nobody_paid_or_some_days_later(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    left, forgotten, paid_late = (begin(deps, stripe) for _ in range(3))
    stripe.played.expire(left[1])
    deliver(deps, door, stripe)
    assert state(deps, left[0]) == ("expired", False)
    assert state(deps, forgotten[0]) == ("opening", True)
    deps.clock.skip(timedelta(hours=2))
    checkouts.end(deps)
    assert state(deps, forgotten[0]) == state(deps, paid_late[0]) == ("expired", True)
    stripe.played.pay(paid_late[1])  # a bank took its time
    deliver(deps, door, stripe)
    assert state(deps, paid_late[0]) == ("paid", False)
    assert one(deps, "SELECT donor FROM contribution WHERE source = 'stripe'").donor["employer"] == "City Library"
    deps.clock.skip(timedelta(days=10))
    checkouts.end(deps)
    assert state(deps, forgotten[0]) == ("expired", False)
    deliver(deps, door, stripe)
    assert state(deps, paid_late[0]) == ("paid", False)


def test_the_pages_of_a_form_that_is_closed_over_declined_cards_end_and_those_that_staff_closed_do_not(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    payments = FakePayments()
    (first, key), (second, other) = begin(deps, stripe), begin(deps, stripe)
    for number, session_key in ((first, key), (second, other)):
        change(
            deps, "UPDATE checkout SET state = 'open', session_key = :key WHERE id = :id", key=session_key, id=number
        )
    change(deps, "UPDATE donation_form SET closed_at = :now WHERE slug = :form", now=deps.clock.now, form=FORM)
    change(deps, "INSERT INTO chore (name, due_at) VALUES ('checkouts', '2099-01-01') ON CONFLICT DO NOTHING")
    asking = replace(deps, payments=payments)
    checkouts.end(asking)
    assert payments.asked == []
    change(deps, "UPDATE donation_form SET attempts_from = closed_at WHERE slug = :form", form=FORM)
    payments.fault = Unavailable("a timeout")
    checkouts.end(asking)
    assert len(payments.asked) == 1
    soon = "SELECT due_at < now() + interval '2 minutes' AND due_at > now() FROM chore WHERE name = 'checkouts'"
    assert one(deps, soon)[0]
    payments.fault = Forbidden("the key may not")
    checkouts.end(asking)
    assert one(deps, "SELECT kind FROM notice WHERE resolved_at IS NULL").kind == checkouts.STAY_OPEN
    payments.fault = None
    payments.asked.clear()
    for _ in range(2):
        checkouts.end(asking)
    assert payments.asked == [("expire", key, ""), ("expire", other, "")]
    assert rows(deps, "SELECT kind FROM notice WHERE resolved_at IS NULL") == []
    assert state(deps, first) == state(deps, second) == ("expired", True)
    stripe.played.pay(other)  # before it could be ended
    deliver(deps, door, stripe)
    assert state(deps, second) == ("paid", False)


def test_nobodys_words_go_to_a_payment_that_only_names_the_number_of_her_checkout(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    number, _ = begin(deps, stripe)
    wanted = Basket(2700, False, "Another shop", "sam@example.org", {"checkout": str(number)}, "https://s.example.org/",
                    "https://s.example.org/", deps.clock.now + timedelta(hours=1))  # fmt: skip
    stripe.played.pay(stripe.played.open(basket_of(wanted))["id"])
    deliver(deps, door, stripe)
    donor = one(deps, "SELECT donor FROM contribution WHERE source = 'stripe'").donor
    assert (donor["email"], donor["street"]) == ("sam@example.org", "")
    assert state(deps, number) == ("opening", True)


def test_a_checkout_that_ended_a_year_ago_is_forgotten_and_its_declined_cards_stay_on_record(
    deps: Deps, stripe: StripeStandIn
):
    numbers_of = [begin(deps, stripe)[0] for _ in range(3)]
    for number, how in zip(numbers_of, ("paid", "expired", "open"), strict=True):
        change(deps, "UPDATE checkout SET state = :how, donor = '{}' WHERE id = :id", how=how, id=number)
    change(
        deps,
        """INSERT INTO decline (source, source_key, donation_form_id, checkout_id, declined_at)
        SELECT 'stripe', 'ch_1', donation_form_id, id, created_at FROM checkout WHERE state = 'expired'""",
    )
    deps.clock.skip(timedelta(days=364))
    checkouts.end(deps)
    assert len(rows(deps, "SELECT id FROM checkout")) == 3
    deps.clock.skip(timedelta(days=2))
    checkouts.end(deps)
    assert rows(deps, "SELECT id FROM checkout") == []
    assert one(deps, "SELECT checkout_id FROM decline").checkout_id is None


@pytest.mark.parametrize("monthly", [False, True])
def test_who_gave_is_known_by_the_gift_alone_while_the_checkouts_own_event_is_late(
    deps: Deps, door: Client, stripe: StripeStandIn, monthly: bool
):
    checkout_id, key = begin(deps, stripe, monthly=monthly)
    stripe.played.pay(key, name="MS R A CARDOWNER")
    told = "invoice.paid" if monthly else "payment_intent.succeeded"
    late = [one for one in stripe.state["events"] if one["type"] != told]
    stripe.state["events"] = [one for one in stripe.state["events"] if one["type"] == told]
    deliver(deps, door, stripe)
    gift = one(deps, "SELECT c.email, c.last_name, g.donor FROM contribution g JOIN contact c ON c.id = g.contact_id")
    assert (gift.email, gift.last_name, gift.donor["street"]) == ("rosa@example.org", "Marsh", "14 Lincoln Street")
    assert state(deps, checkout_id) == ("opening", True)
    stripe.state["events"] = late
    deliver(deps, door, stripe, seed=3)
    assert len(rows(deps, "SELECT id FROM contribution WHERE source = 'stripe'")) == 1
    assert state(deps, checkout_id) == ("paid", False)


def test_a_gift_by_no_form_belongs_to_the_fund_of_the_account_that_it_went_to(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    change(deps, "INSERT INTO fund (slug, name, stripe_account) VALUES ('connected', 'Common Ground Fund', 'acct_pac')")
    for account, monthly, form in (("acct_pac", False, None), ("acct_pac", True, None), ("", False, None),
                                   ("acct_other", False, None), ("acct_pac", False, FORM)):  # fmt: skip
        _, key = begin(deps, stripe, account=account, monthly=monthly, form=form, email=f"{next(numbers)}@example.org")
        stripe.played.pay(key, account=account)
    deliver(deps, door, stripe, seed=2)
    funds = rows(
        deps,
        """SELECT f.slug FROM contribution g JOIN fund f ON f.id = g.fund_id JOIN contact c ON c.id = g.contact_id
        WHERE g.source = 'stripe' ORDER BY length(c.email), c.email""",
    )
    (first,) = {fund.slug for fund in funds} - {"connected"}
    assert [fund.slug for fund in funds] == ["connected", "connected", first, first, first]
    with transaction(deps.sessions) as session:
        assert_books_balance(session)


def test_a_gift_that_is_called_fraud_goes_back_from_the_account_that_it_went_to(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    change(deps, "INSERT INTO fund (slug, name, stripe_account) VALUES ('connected', 'Common Ground Fund', 'acct_pac')")
    _, key = begin(deps, stripe, account="acct_pac", form=None)
    stripe.played.pay(key, account="acct_pac")
    deliver(deps, door, stripe)
    (payment,) = stripe.objects("payment_intent")
    warned = make.event("radar.early_fraud_warning.created", make.warning(payment_intent=payment["id"], charge=None))
    warned["account"] = "acct_pac"
    change(deps, "UPDATE fund SET stripe_account = 'acct_new' WHERE slug = 'connected'")
    put(deps, make.raw(warned), source="stripe")
    wary = replace(deps, settings=deps.settings.model_copy(update={"refund_fraud_warnings": True}))
    run_everything(wary)
    with stripe_stand_in.listening(stripe):
        stripe.accounts = ("", "acct_pac")
        fraud_refunds.refund(replace(wary, payments=StripePayments(stripe_stand_in.KEY, stripe.url, retries=0)))
    assert [made["amount"] for made in stripe.objects("refund")] == [2700]
    assert one(deps, "SELECT state FROM fraud_warning").state == "refunded"
    deliver(deps, door, stripe)
    assert one(deps, "SELECT status FROM contribution WHERE source = 'stripe'").status == "refunded"


@pytest.mark.parametrize("first", ["payment_intent.succeeded", "checkout.session.completed"])
def test_the_receipt_speaks_the_language_of_the_page_and_so_do_letters_to_whoever_never_chose(
    deps: Deps, door: Client, stripe: StripeStandIn, first: str
):
    with deps.work() as (session, now):
        said = Definition(slug=FORM, title="Keep the heat on", fund="action", processor="stripe",
                          others={"es": {"title": "Que no falte calor"}})  # fmt: skip
        forms.write(session, said, now)
    new, known = begin(deps, stripe), begin(deps, stripe, email="ines@example.org")
    change(deps, "UPDATE checkout SET language = 'es'")
    with transaction(deps.sessions) as session:
        contact(session, "ines@example.org")
    change(
        deps,
        """INSERT INTO sign_up (source, source_key, kind, contact_id, person, at, place, tags, detail)
        SELECT 'join', 'k', 'join', id, '{}', now(), '', '{}', '{"wishes": {"language": "en"}}' FROM contact""",
    )
    for _, key in (new, known):
        stripe.played.pay(key)
    stripe.state["events"].sort(key=lambda one: one["type"] != first)
    deliver(deps, door, stripe)
    told = rows(
        deps,
        """SELECT c.email, c.language, m.language AS spoken, m.facts ->> 'purpose' AS purpose FROM message m
        JOIN contact c ON c.id = m.contact_id WHERE m.occasion LIKE '%receipt' ORDER BY c.email""",
    )
    assert [tuple(letter) for letter in told] == [
        ("ines@example.org", "en", "es", "Que no falte calor"), ("rosa@example.org", "es", "es", "Que no falte calor"),
    ]  # fmt: skip


@pytest.mark.parametrize("monthly", [False, True])
def test_late_news_of_a_checkout_brings_nobody_back_who_was_erased_since(
    deps: Deps, door: Client, stripe: StripeStandIn, monthly: bool
):
    number, key = begin(deps, stripe, monthly=monthly)
    stripe.played.pay(key, name="ROSA MARSH")
    everything = stripe.state["events"]
    stripe.state["events"] = [one for one in everything if one["type"] != "checkout.session.completed"]
    deliver(deps, door, stripe)
    erase(deps, id_of(deps, "rosa@example.org"))
    stripe.state["events"] = everything
    deliver(deps, door, stripe)
    assert rows(deps, "SELECT id FROM contact WHERE email IS NOT NULL") == []
    assert one(deps, "SELECT donor FROM checkout_session").donor.get("email") is None
    assert one(deps, "SELECT donor FROM contribution WHERE source = 'stripe'").donor["last_name"] == "Marsh"
    assert state(deps, number) == ("paid", False)


def test_somebody_who_is_erased_leaves_nothing_in_a_checkout_that_is_open(
    deps: Deps, door: Client, stripe: StripeStandIn
):
    (_, key), open_still, anothers = (
        begin(deps, stripe),
        begin(deps, stripe),
        begin(deps, stripe, email="sam@example.org"),
    )
    stripe.played.pay(key)
    deliver(deps, door, stripe)
    erase(deps, id_of(deps, "rosa@example.org"))
    assert state(deps, open_still[0]) == ("opening", False)
    assert state(deps, anothers[0]) == ("opening", True)
