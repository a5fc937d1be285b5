"""Declined cards: told twice, counted once; too many of them close their form, until staff open it again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import reactions
from engine.events import CardDeclined, CheckoutEndReported, DeclineReported, Event, HumanNeeded
from engine.giving.declines import BECAUSE, CLOSED, FEWEST, OF_ONE
from engine.settings import Settings
from engine.sources.words import Ignored
from tests import make_stripe as make
from tests.make_stripe import TOLD, only, told
from tests.of_a_person import NOW

FORM = "common-ground"
MORE = FEWEST // 2 + 1  # of so many, more than half


def failed_charge(**changed: Any) -> dict[str, Any]:
    return make.charge(status="failed", paid=False, failure_code="card_declined", metadata=make.METADATA) | changed


def failed_payment(charge: str | None, **changed: Any) -> dict[str, Any]:
    error = {"code": "card_declined", "charge": charge}
    return make.payment_intent(status="requires_payment_method", amount_received=0, last_payment_error=error) | changed


# As Stripe tells it.


def test_a_charge_and_its_payment_tell_of_one_attempt():
    charge = failed_charge()
    by_charge = only("charge.failed", charge)
    assert by_charge == only("payment_intent.payment_failed", failed_payment(charge["id"]))
    assert by_charge == DeclineReported(17, "stripe", charge["id"], TOLD, FORM)


def test_an_attempt_that_came_to_no_charge_is_known_by_its_payment_and_second():
    blocked = failed_payment(None, latest_charge="ch_before")
    first, second = (only("payment_intent.payment_failed", blocked, created=make.AT + n).source_key for n in (1, 2))
    assert first == f"{blocked['id']}:{make.AT + 1}" != second


def test_a_card_of_no_form_of_ours_or_of_an_instalment_is_no_attempt_at_a_form():
    for kind, body in (("charge.failed", failed_charge()), ("payment_intent.payment_failed", failed_payment("ch_1"))):
        assert isinstance(told(kind, body | {"metadata": {}}), Ignored)
        assert told(kind, body | {"invoice": "in_1"}) == Ignored("an attempt at an instalment: told by its invoice")
        later = body | {"payment_details": {"order_reference": "in_1"}}
        assert told(kind, later) == Ignored("an attempt at an instalment: told by its invoice")


@pytest.mark.parametrize("old", [False, True])
def test_the_first_instalment_of_a_plan_is_an_attempt_and_later_ones_are_not(old: bool):
    unpaid = make.invoice(old=old, status="open", amount_paid=0)
    plan, attempt = told("invoice.payment_failed", unpaid)
    assert plan.source_key == f"{unpaid['id']}:1"
    assert attempt == DeclineReported(17, "stripe", f"{unpaid['id']}:1:{make.AT + 2}", TOLD, FORM)
    assert told("invoice.payment_failed", unpaid | {"billing_reason": "subscription_cycle"}) == [plan]
    assert told("invoice.payment_action_required", unpaid) == [plan]


def test_a_checkout_that_was_left_is_told_if_it_is_ours():
    left = make.session(status="expired", payment_status="unpaid", metadata={"checkout": "a-word_12"})
    assert only("checkout.session.expired", left) == CheckoutEndReported(17, "stripe", left["id"], TOLD, "a-word_12")
    for metadata in ({}, {"checkout": ""}, {"checkout": ["x"]}, {"checkout": None}):
        assert isinstance(told("checkout.session.expired", left | {"metadata": metadata}), Ignored)


def test_a_gift_says_which_account_it_went_to():
    assert only("payment_intent.succeeded", make.payment_intent(), account="acct_1").account == "acct_1"
    assert told("invoice.paid", make.invoice(), account="acct_1")[0].account == "acct_1"
    assert only("payment_intent.succeeded", make.payment_intent()).account == ""


# As it is counted.


def declined(
    session: Session, *keys: object, at: datetime = NOW, form: str = FORM, now: datetime = NOW, page: str = ""
) -> list[Event]:
    reported = [DeclineReported(None, "stripe", str(key), at, form, page) for key in keys]
    return reactions.react(session, reported, now, Settings())


def given(session: Session, many: int, *, at: datetime = NOW) -> None:
    session.execute(
        text("""INSERT INTO contribution (source, source_key, donation_form_id, amount_cents, paid_at, donor)
        SELECT 'stripe', 'given ' || n, id, 2700, :at, '{}' FROM donation_form, generate_series(1, :many) n
        WHERE slug = 'common-ground'"""),
        {"at": at, "many": many},
    )


def closed(session: Session) -> bool:
    return session.execute(
        text("SELECT closed_at IS NOT NULL FROM donation_form WHERE slug = 'common-ground'")
    ).scalar_one()


def kinds(events: list[Event], kind: type[Event]) -> int:
    return sum(isinstance(event, kind) for event in events)


def test_each_attempt_is_on_record_once(session: Session):
    assert kinds(declined(session, 1, 2, 2, 3), CardDeclined) == 3
    assert kinds(declined(session, 3, 4), CardDeclined) == 1
    assert kinds(declined(session, 5, form="no-such-form"), CardDeclined) == 0


def test_more_than_half_of_twenty_close_a_form_once_and_a_person_is_told_how_to_open_it(session: Session):
    given(session, FEWEST - MORE)
    assert not kinds(declined(session, *range(MORE - 1)), HumanNeeded)
    assert not closed(session)
    (need,) = [event for event in declined(session, "last") if isinstance(event, HumanNeeded)]
    assert (need.kind, need.subject) == (CLOSED, FORM)
    assert need.detail.startswith(f"{MORE} of {FEWEST} cards were declined within an hour")
    assert f"groundswell forms open {FORM}" in need.detail
    assert session.scalar(text("SELECT closed_because FROM donation_form WHERE slug = 'common-ground'")) == BECAUSE
    assert not kinds(declined(session, "late"), HumanNeeded)


@pytest.mark.parametrize(("gifts", "declines"), [(0, FEWEST - 1), (FEWEST // 2, FEWEST // 2), (30, 20)])
def test_few_attempts_and_a_common_share_of_declines_close_nothing(session: Session, gifts: int, declines: int):
    given(session, gifts)
    declined(session, *range(declines))
    assert not closed(session)


def test_of_one_payment_page_three_cards_count_at_most(session: Session):
    session.execute(text("INSERT INTO chore (name, due_at) VALUES ('checkouts', '2099-01-01')"))
    for page in range(7):
        begin(session, f"page {page}")
    declined(session, *range(200), page="page 0")
    declined(session, *(f"{page}: {n}" for page in range(1, 5) for n in range(9)), page="page 1")
    for page in range(2, 6):
        declined(session, *(f"{page} {n}" for n in range(OF_ONE)), page=f"page {page}")
    assert not closed(session)
    declined(session, "nineteenth", page="page 6")
    assert not closed(session)
    declined(session, "twentieth", page="a word that is none of ours")
    assert closed(session)
    assert session.scalar(text("SELECT due_at <= now() FROM chore WHERE name = 'checkouts'"))


def begin(session: Session, word: str) -> None:
    """A payment page of the form."""
    session.execute(
        text("""INSERT INTO checkout (nonce, digest, donation_form_id, form_version, amount_cents, donor, created_at,
            expires_at) SELECT :word, '', id, 1, 2700, '{}', :now, :now FROM donation_form WHERE slug = 'common-ground'"""),
        {"word": word, "now": NOW},
    )


def test_only_the_last_hour_counts(session: Session):
    declined(session, *range(FEWEST), at=NOW - timedelta(hours=1))
    assert not closed(session)
    given(session, FEWEST, at=NOW - timedelta(hours=1))
    declined(session, *(f"now {n}" for n in range(FEWEST)))
    assert closed(session)


def test_a_form_that_was_opened_again_counts_from_then(session: Session):
    declined(session, *range(FEWEST))
    opened = NOW + timedelta(minutes=5)
    declined(session, *(f"while it is closed {n}" for n in range(FEWEST)), at=NOW + timedelta(minutes=1))
    session.execute(
        text("UPDATE donation_form SET closed_at = NULL, closed_because = '', attempts_from = :at"), {"at": opened}
    )
    late = NOW + timedelta(minutes=6)
    declined(session, *(f"again {n}" for n in range(FEWEST - 1)), at=late, now=late)
    assert not closed(session)
    declined(session, "the last", at=late, now=late)
    assert closed(session)


def test_the_time_that_is_measured_is_stripes(session: Session):
    declined(session, *range(FEWEST), at=NOW, now=NOW + timedelta(days=2))  # fetched late: it is long over
    assert not closed(session)
