"""Catching up with Stripe through its real SDK, against a Stripe on this machine; and refunds of what is called fraud."""

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from engine import bell
from engine.adapters.stripe_payments import StripePayments
from engine.bootstrap import Deps, build
from engine.db import transaction
from engine.settings import Settings
from tests import fake_stripe
from tests import make_stripe as make
from tests.fake_stripe import KEY, FakeStripe
from tests.flows.house import one, rows, run_everything
from workers import fraud_refunds, stripe_catch_up, upkeep
from workers.pulse import SCHEDULE, plan

IN_TRANSACTION = """
SELECT count(*) AS held FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND datname = current_database()
"""


@pytest.fixture
def stripe() -> Iterator[FakeStripe]:
    with fake_stripe.running() as running:
        yield running


@pytest.fixture
def house(deps: Deps, stripe: FakeStripe) -> Deps:
    """A house that knows Stripe and is not patient."""
    return connected(deps, stripe)


def connected(deps: Deps, stripe: FakeStripe, key: str = KEY, **changed: Any) -> Deps:
    payments = StripePayments(key, stripe.url, seconds=0.5, retries=1)
    return dataclasses.replace(deps, payments=payments, **changed)


def happened(
    house: Deps, count: int, *, ago: timedelta, every: timedelta = timedelta(minutes=30)
) -> list[dict[str, Any]]:
    """Gifts from so long ago on, the newest first."""
    first = house.clock.read(None) - ago
    times = [int((first + every * number).timestamp()) for number in range(count)]
    return [make.event("payment_intent.succeeded", make.payment_intent(), created=at) for at in reversed(times)]


def stored(house: Deps) -> dict[str, str]:
    return {row.key: row.kind for row in rows(house, "SELECT key, kind FROM inbound_event")}


def bookmark(house: Deps) -> datetime:
    return one(house, "SELECT at FROM bookmark WHERE name = 'stripe'").at


def keys(events: list[dict[str, Any]]) -> set[str]:
    return {event["id"] for event in events}


def notices(house: Deps, kind: str) -> list[str]:
    found = rows(house, "SELECT kind, detail FROM notice WHERE resolved_at IS NULL")
    return [row.detail for row in found if row.kind == kind]


def test_a_week_of_silence_heals_itself_page_by_page_and_the_next_run_changes_nothing(house: Deps, stripe: FakeStripe):
    stripe.events = happened(house, 336, ago=timedelta(days=7))
    stripe_catch_up.catch_up(house)
    assert stored(house) == dict.fromkeys(keys(stripe.events), "")
    assert house.bells.rung == [bell.INTAKE] * 4
    assert stripe.pages() == 4 + 1  # and the undelivered: none
    assert bookmark(house).timestamp() == stripe.events[0]["created"]
    row = one(house, f"SELECT lane, source, state, body FROM inbound_event WHERE key = '{stripe.events[7]['id']}'")
    assert (row.lane, row.source, row.state) == (bell.INTAKE, "stripe", "pending")
    assert json.loads(bytes(row.body)) == stripe.events[7]

    before = rows(house, "SELECT * FROM inbound_event ORDER BY id")
    house.bells.rung.clear()
    stripe_catch_up.catch_up(house)
    assert rows(house, "SELECT * FROM inbound_event ORDER BY id") == before
    assert house.bells.rung == []
    assert stripe.pages() == 5 + 2
    assert rows(house, "SELECT name FROM bookmark") == [("stripe",)]


def test_the_first_run_looks_as_far_back_as_stripe_does_and_later_ones_an_hour_before_the_bookmark(
    house: Deps, stripe: FakeStripe
):
    now = house.clock.read(None)
    stripe.events = happened(house, 1, ago=timedelta(hours=2))
    stripe_catch_up.catch_up(house)
    stripe_catch_up.catch_up(house)
    since = [int(asked["created[gte]"]) for _, asked in stripe.asked if "delivery_success" not in asked]
    assert since == [
        (now - timedelta(days=30)).timestamp(), (now - timedelta(hours=3)).timestamp(),
    ]  # fmt: skip


def test_an_event_that_enters_the_list_late_is_found_by_the_overlap(house: Deps, stripe: FakeStripe):
    newer, late = happened(house, 2, ago=timedelta(hours=2))
    stripe.events = [newer]
    stripe_catch_up.catch_up(house)
    stripe.events = [newer, late]
    stripe_catch_up.catch_up(house)
    assert set(stored(house)) == keys([newer, late])


def test_what_stripe_calls_undelivered_is_fetched_however_old(house: Deps, stripe: FakeStripe):
    fresh, old = happened(house, 2, ago=timedelta(days=20), every=timedelta(days=19))
    stripe.events = [fresh]
    stripe_catch_up.catch_up(house)
    stripe.events, stripe.undelivered = [fresh, old], {old["id"]}
    stripe_catch_up.catch_up(house)
    assert set(stored(house)) == keys([fresh, old])


def test_a_webhook_that_came_first_stays_as_it_came(house: Deps, stripe: FakeStripe):
    (event,) = stripe.events = happened(house, 1, ago=timedelta(hours=2))
    with transaction(house.sessions) as session:
        session.execute(
            text("INSERT INTO inbound_event (source, key, lane, body) VALUES ('stripe', :key, 'intake', 'as it came')"),
            {"key": event["id"]},
        )
    stripe_catch_up.catch_up(house)
    assert bytes(one(house, "SELECT body FROM inbound_event").body) == b"as it came"
    assert house.bells.rung == []


def test_what_nobody_acts_on_is_not_fetched_into_the_inbox(house: Deps, stripe: FakeStripe):
    stripe.events = [
        make.event(kind, {}, created=int(house.clock.read(None).timestamp()) - 60)
        for kind in ("customer.created", "invoice.paid", "charge.updated", "review.opened", "balance.available")
    ]
    stripe_catch_up.catch_up(house)
    assert set(stored(house)) == keys([stripe.events[1], stripe.events[3]])


def test_an_event_of_the_other_mode_is_marked_as_the_receiver_marks_it(house: Deps, stripe: FakeStripe):
    live, test, silent = stripe.events = happened(house, 3, ago=timedelta(hours=3))
    live["livemode"] = True
    del silent["livemode"]
    stripe_catch_up.catch_up(house)
    assert stored(house) == {live["id"]: "other mode", test["id"]: "", silent["id"]: ""}


def test_a_crash_between_two_pages_loses_nothing_and_the_walk_goes_on_where_it_was(
    deps: Deps, house: Deps, stripe: FakeStripe
):
    stripe.events = happened(house, 350, ago=timedelta(days=8))

    class Dying:
        def events(self, **asked: Any) -> Iterator[Any]:
            pages = house.payments.events(**asked)
            yield next(pages)
            yield next(pages)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stripe_catch_up.catch_up(dataclasses.replace(deps, payments=Dying()))
    assert len(stored(house)) == 200
    assert rows(house, "SELECT name FROM bookmark") == [("stripe walk",)]
    newer = happened(house, 1, ago=timedelta(minutes=5))
    stripe.events = newer + stripe.events
    stripe.asked.clear()
    stripe_catch_up.catch_up(house)
    assert stripe.pages() == 2 + 1  # the two that were missing: what came meanwhile belongs to the next walk
    assert set(stored(house)) == keys(stripe.events[1:])
    assert bookmark(house).timestamp() == stripe.events[1]["created"]
    stripe_catch_up.catch_up(house)
    assert set(stored(house)) == keys(stripe.events)


def test_a_walk_longer_than_its_turn_is_due_again_at_once_and_gets_there(house: Deps, stripe: FakeStripe):
    stripe.events = happened(house, 350, ago=timedelta(days=8))
    with transaction(house.sessions) as session:
        plan(session)
        session.execute(text("UPDATE chore SET due_at = now() + interval '1 hour'"))
    due = "SELECT name FROM chore WHERE due_at <= now()"
    for pages in (1, 2, 3):
        stripe_catch_up.catch_up(house, turn_seconds=0)
        assert stripe.pages() == pages
        assert rows(house, due) == [("stripe_catch_up",)]
    with transaction(house.sessions) as session:
        session.execute(text("UPDATE chore SET due_at = now() + interval '1 hour'"))
    stripe_catch_up.catch_up(house)
    assert set(stored(house)) == keys(stripe.events)
    assert rows(house, due) == []


def test_no_transaction_is_open_while_stripe_is_asked(deps: Deps, house: Deps, stripe: FakeStripe):
    stripe.events = happened(house, 150, ago=timedelta(days=4))
    open_ones: list[int] = []

    class Watched:
        def events(self, **asked: Any) -> Iterator[Any]:
            for page in house.payments.events(**asked):
                open_ones.append(one(house, IN_TRANSACTION).held)
                yield page

    stripe_catch_up.catch_up(dataclasses.replace(deps, payments=Watched()))
    assert open_ones == [0, 0]


@pytest.mark.parametrize("mishap", [500, 503, 429, 409, "silence"])
def test_a_stripe_that_does_not_answer_is_told_to_a_person_until_it_does(house: Deps, stripe: FakeStripe, mishap: Any):
    stripe.events = happened(house, 3, ago=timedelta(hours=3))
    stripe.mishaps = [mishap, mishap]
    stripe_catch_up.catch_up(house)
    (detail,) = notices(house, stripe_catch_up.FAILED)
    assert detail.startswith("Stripe does not answer (")
    assert stored(house) == {}
    stripe.mishaps.clear()
    stripe_catch_up.catch_up(house)
    assert notices(house, stripe_catch_up.FAILED) == []
    assert len(stored(house)) == 3


def test_one_failed_request_is_made_again_by_the_sdk(house: Deps, stripe: FakeStripe):
    stripe.events = happened(house, 3, ago=timedelta(hours=3))
    stripe.mishaps = [500]
    stripe_catch_up.catch_up(house)
    assert notices(house, stripe_catch_up.FAILED) == []
    assert len(stored(house)) == 3


def test_a_key_that_stripe_refuses_is_told_to_a_person_and_never_repeated(deps: Deps, stripe: FakeStripe):
    stripe_catch_up.catch_up(connected(deps, stripe, key="rk_test_wrong"))
    assert notices(deps, stripe_catch_up.FAILED) == ["Stripe does not accept STRIPE_API_KEY for this"]


def test_an_answer_that_is_no_list_of_events_is_told_to_a_person(house: Deps, stripe: FakeStripe):
    for event in ({"id": "x y"}, {"id": None}, {"id": "evt_1", "created": "now"}, {"id": "evt_1", "created": 10**30}):
        stripe.events = [make.event("invoice.paid", {}) | {"created": make.AT}]
        stripe.listed = lambda _, event=event: {"data": [event], "has_more": True}
        stripe_catch_up.catch_up(house)
        assert len(notices(house, stripe_catch_up.FAILED)) == 1
    stripe.listed = lambda _: {"data": None}
    stripe_catch_up.catch_up(house)
    assert notices(house, stripe_catch_up.FAILED) == ["Stripe answered with something that is no list"]
    assert stored(house) == {}


def test_upkeep_goes_on_when_stripe_does_not_answer(house: Deps, stripe: FakeStripe):
    with transaction(house.sessions) as session:
        plan(session)
    stripe.mishaps = [500, 500]
    upkeep.run(house, SCHEDULE)
    assert len(notices(house, stripe_catch_up.FAILED)) == 1
    left = rows(house, "SELECT name FROM chore WHERE due_at <= now() OR finished_at IS NULL ORDER BY name")
    assert left == [("archive",), ("events",)]  # they begin a day after they are planned


def test_a_house_without_a_key_asks_nobody(deps: Deps, settings: Settings):
    stripe_catch_up.catch_up(deps)
    fraud_refunds.refund(deps)
    assert build(settings.model_copy(update={"env": "production"})).payments is None
    assert isinstance(build(settings.model_copy(update={"stripe_api_key": SecretStr(KEY)})).payments, StripePayments)


def test_what_was_fetched_is_booked_like_what_was_sent(house: Deps, stripe: FakeStripe):
    stripe.events = happened(house, 3, ago=timedelta(hours=3))
    stripe_catch_up.catch_up(house)
    run_everything(house)
    booked = rows(house, "SELECT source_key FROM contribution WHERE source = 'stripe' AND amount_cents = 2700")
    assert {row.source_key for row in booked} == {event["data"]["object"]["id"] for event in stripe.events}
    stripe_catch_up.catch_up(house)
    run_everything(house)
    assert len(rows(house, "SELECT id FROM contribution")) == 3


# Refunds of what is called fraud.


@pytest.fixture
def strict(deps: Deps, stripe: FakeStripe) -> Deps:
    """A house that refunds such gifts."""
    return connected(deps, stripe, settings=deps.settings.model_copy(update={"refund_fraud_warnings": True}))


def warned(house: Deps, key: str = "issfr_1", *, charge: str = "ch_1", payment: str = "pi_1") -> None:
    with transaction(house.sessions) as session:
        session.execute(
            text(
                "INSERT INTO fraud_warning (source, source_key, payment_key, charge_key, state, warned_at)"
                " VALUES ('stripe', :key, :payment, :charge, 'refund_due', now())"
            ),
            {"key": key, "payment": payment, "charge": charge},
        )


def standing(house: Deps) -> list[Any]:
    return list(rows(house, "SELECT state, reason FROM fraud_warning ORDER BY id"))


def test_a_warned_gift_is_refunded_once_over_two_runs(strict: Deps, stripe: FakeStripe):
    warned(strict)
    warned(strict, "issfr_2", charge="")
    fraud_refunds.refund(strict)
    fraud_refunds.refund(strict)
    assert [asked for _, asked in stripe.asked] == [
        {"charge": "ch_1", "reason": "fraudulent"}, {"payment_intent": "pi_1", "reason": "fraudulent"},
    ]  # fmt: skip
    assert list(stripe.refunds) == ["fraud-warning-issfr_1", "fraud-warning-issfr_2"]
    assert standing(strict) == [("refunded", ""), ("refunded", "")]


def test_a_crash_before_the_record_leads_to_the_same_refund(strict: Deps, stripe: FakeStripe):
    warned(strict)
    strict.payments.refund("ch_1", "pi_1", "fraud-warning-issfr_1")  # and dies here
    fraud_refunds.refund(strict)
    assert len(stripe.refunds) == 1
    assert standing(strict) == [("refunded", "")]


def test_an_answer_that_was_lost_leads_to_the_same_refund(strict: Deps, stripe: FakeStripe):
    warned(strict)
    stripe.mishaps = ["crash", "crash"]
    fraud_refunds.refund(strict)
    assert standing(strict) == [("refund_due", "")]
    assert len(notices(strict, fraud_refunds.WAITING)) == 1
    fraud_refunds.refund(strict)
    assert len(stripe.refunds) == 1
    assert standing(strict) == [("refunded", "")]
    assert notices(strict, fraud_refunds.WAITING) == []


def test_a_refund_that_is_stuck_holds_up_no_other(strict: Deps, stripe: FakeStripe):
    warned(strict)
    warned(strict, "issfr_2", charge="ch_2", payment="pi_2")
    stripe.mishaps = [500, 500]
    fraud_refunds.refund(strict)
    assert standing(strict) == [("refund_due", ""), ("refunded", "")]
    assert len(notices(strict, fraud_refunds.WAITING)) == 1


def test_what_is_back_already_is_refunded(strict: Deps, stripe: FakeStripe):
    warned(strict)
    stripe.refund_error = "charge_already_refunded"
    fraud_refunds.refund(strict)
    assert standing(strict) == [("refunded", "")]


def test_a_refund_that_stripe_refuses_is_told_to_a_person(strict: Deps, stripe: FakeStripe):
    warned(strict)
    stripe.refund_error = "charge_disputed"
    fraud_refunds.refund(strict)
    fraud_refunds.refund(strict)
    assert standing(strict) == [("refused", "charge_disputed")]
    assert notices(strict, fraud_refunds.REFUSED) == ["charge_disputed"]
    assert len(stripe.asked) == 1


def test_a_wrong_key_leaves_refunds_due(strict: Deps, stripe: FakeStripe):
    warned(strict)
    warned(strict, "issfr_2")
    fraud_refunds.refund(connected(strict, stripe, key="rk_test_wrong"))
    assert standing(strict) == [("refund_due", ""), ("refund_due", "")]
    assert notices(strict, fraud_refunds.WAITING) == ["Stripe does not accept STRIPE_API_KEY for this"]
    assert len(stripe.asked) == 1


def test_a_warning_of_no_payment_is_refused(strict: Deps, stripe: FakeStripe):
    warned(strict, charge="", payment="")
    fraud_refunds.refund(strict)
    assert standing(strict) == [("refused", "the warning names no payment")]
    assert stripe.asked == []


def test_a_house_that_does_not_want_it_refunds_nothing(house: Deps, stripe: FakeStripe):
    warned(house)
    fraud_refunds.refund(house)
    assert stripe.asked == []
    assert standing(house) == [("refund_due", "")]
