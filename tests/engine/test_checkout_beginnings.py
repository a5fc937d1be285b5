"""Beginning a gift: one row for one press and for the same words, whatever happens at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Person
from engine.giving import checkout_beginnings, checkout_ends
from engine.giving.checkout_beginnings import Begun, Wish
from engine.giving.forms import Definition, giving, write
from engine.ports import Opened

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
NETWORK = "10.0.0.0/24"
ROSA = Person(email="rosa@example.org", first_name="Rosa", employer="E" * 600)


@pytest.fixture
def wish(session: Session) -> Wish:
    definition = Definition(slug="winter", title="Keep the heat on", fund="action", processor="stripe")
    kept = write(session, definition, NOW)
    return Wish(kept.form_id, kept.number, 2700, "once", ROSA, refcode="em-7g")


def begin(session: Session, wish: Wish, nonce: str, minutes: float = 0, network: str = NETWORK) -> Begun:
    return checkout_beginnings.begin(session, wish, nonce, network, NOW + timedelta(minutes=minutes))


def test_the_same_press_is_one_row_wherever_it_comes_from(session, wish):
    first = begin(session, wish, "a")
    assert first.state == "opening"
    assert begin(session, wish, "a") == first
    assert begin(session, wish, "a", network="10.0.1.0/24") == first


def test_another_press_with_the_same_words_from_the_same_network_is_the_same_row_while_it_is_open(session, wish):
    first = begin(session, wish, "a")
    page = Opened("cs_1", "https://checkout.stripe.com/1", NOW + timedelta(minutes=60))
    checkout_beginnings.opened(session, first.id, page)
    again = begin(session, wish, "b", 59)
    assert (again.state, again.id, again.url) == ("open", first.id, "https://checkout.stripe.com/1")
    assert begin(session, wish, "c", network="10.0.1.0/24").id != first.id
    assert begin(session, wish, "d", 60).id != first.id


@pytest.mark.parametrize(
    "changed",
    [{"amount_cents": 2701}, {"period": "monthly"}, {"form_version": 9}, {"refcode": ""}, {"language": "es"},
     {"donor": replace(ROSA, occupation="Clerk")}],
)  # fmt: skip
def test_other_words_are_another_row_or_another_press(session, wish, changed):
    first = begin(session, wish, "a")
    other = replace(wish, **changed)
    assert begin(session, other, "a").state == "other"
    assert begin(session, other, "b").id != first.id


@pytest.mark.parametrize(("state", "stands"), [("expired", "other"), ("refused", "refused"), ("paid", "paid")])
def test_a_press_that_is_over_begins_nothing(session, wish, state, stands):
    first = begin(session, wish, "a")
    session.execute(text("UPDATE checkout SET state = :state, donor = '{}'"), {"state": state})
    assert begin(session, wish, "a").state == stands
    assert begin(session, replace(wish, donor=Person(), amount_cents=1), "a", 9999, "10.0.1.0/24").state == stands
    assert begin(session, wish, "b").id != first.id
    checkout_beginnings.refused(session, first.id)
    checkout_beginnings.opened(session, first.id, Opened("cs_1", "https://checkout.stripe.com/1", NOW))
    assert session.scalars(text("SELECT state FROM checkout ORDER BY id LIMIT 1")).one() == state


def test_a_press_that_nobody_answered_for_an_hour_is_over(session, wish):
    begin(session, wish, "a")
    assert begin(session, wish, "a", 59).state == "opening"
    assert begin(session, wish, "a", 60).state == "other"


def test_the_basket_of_a_row_is_the_same_each_time_and_its_words_fit(session, wish):
    form = giving(session, NOW).forms["winter"]
    places = {"success_url": "https://give.example.org/thanks", "cancel_url": "https://give.example.org/"}
    baskets = [
        checkout_beginnings.basket(wish, begin(session, wish, "a", minutes), form, **places) for minutes in (0, 20)
    ]
    assert baskets[0] == baskets[1]
    assert baskets[0].expires_at == NOW + timedelta(minutes=60)
    assert len(baskets[0].metadata["employer"]) == 500
    assert "occupation" not in baskets[0].metadata


def test_a_page_is_ended_in_the_account_that_it_was_opened_in_whatever_became_of_its_fund(session, wish):
    begun = begin(session, replace(wish, account="acct_before"), "a")
    checkout_beginnings.opened(session, begun.id, Opened("cs_1", "https://checkout.stripe.com/1", begun.expires_at))
    session.execute(text("UPDATE fund SET stripe_account = 'acct_since'"))
    session.execute(text("UPDATE donation_form SET closed_at = :now, attempts_from = :now"), {"now": NOW})
    (page,) = checkout_ends.still_open(session, NOW, 10)
    assert (page.session_key, page.account) == ("cs_1", "acct_before")
    assert begin(session, replace(wish, account="acct_since"), "b").id != begun.id
