"""Giving: what is begun, where it leads, and that a second press changes nothing."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Forbidden, Invalid, Unavailable
from tests.webhooks.giving import (
    LAW,
    SLUG,
    Donor,
    FakePayments,
    arrived,
    begun,
    chosen,
    cleaned,
    opened,
    payments,
    publish,
)
from tests.webhooks.joining import PAGES, TYPE, execute, networks, said

PRESS_AGAIN = "Please press once more"
FIRST_PAGE = "https://checkout.stripe.com/c/pay/cs_test_1"


@pytest.fixture
def deps(house: Deps) -> Deps:
    return cleaned(house)


@pytest.fixture
def door(deps: Deps):
    with opened(deps) as client:
        yield client


def test_a_gift_is_begun_and_leads_to_the_payment_page_with_all_that_was_said(door, deps):
    donor = arrived(door, deps, "?amount=50&refcode=em-7g&refcode2=b")
    answer = donor.press(amount="50", first_name="  Rosa ", email="Rosa@Example.org", state="massachusetts", zip="1604")
    assert (answer.status, answer.headers["location"]) == (303, FIRST_PAGE)
    (row,) = begun(deps)
    assert (row["state"], row["amount_cents"], row["period"], row["session_key"], row["url"], row["form_version"]) == (
        "open", 5000, "once", "cs_test_1", FIRST_PAGE, 1,
    )  # fmt: skip
    assert {name: said for name, said in row["donor"].items() if said} == {
        "email": "rosa@example.org", "first_name": "Rosa", "last_name": "Marsh", "street": "12 Canal Street",
        "city": "Worcester", "state": "MA", "zip": "01604", "country": "US",
    }  # fmt: skip
    (basket,) = payments(deps).baskets
    assert payments(deps).asked == [f"checkout-{row['id']}"]
    assert (basket.amount_cents, basket.monthly, basket.title, basket.email) == (
        5000, False, "Keep the heat on", "rosa@example.org",
    )  # fmt: skip
    assert basket.metadata == {
        "form": SLUG, "form_version": "1", "checkout": row["nonce"], "refcode": "em-7g", "refcode2": "b",
    }  # fmt: skip
    base = f"{deps.settings.base_url}/give/{SLUG}"
    assert basket.success_url == base + "/thanks"
    assert basket.cancel_url == base + "?amount=50&refcode=em-7g&refcode2=b&back=1"
    assert timedelta(minutes=30) < basket.expires_at - deps.clock.now <= timedelta(hours=1)


def test_a_monthly_gift_of_another_amount_in_spanish(door, deps):
    publish(deps, others={"es": {"title": "Que no falte calor"}})
    donor = arrived(door, deps, "?lang=es")
    donor.press(amount="other", other=" 35.50 ", period="monthly")
    (basket,) = payments(deps).baskets
    assert (basket.amount_cents, basket.monthly, basket.language, basket.title) == (
        3550,
        True,
        "es",
        "Que no falte calor",
    )
    assert basket.success_url.endswith("/thanks?lang=es")
    assert basket.cancel_url.endswith(f"/give/{SLUG}?lang=es&amount=35.50&recurring=1&back=1")


def test_the_employer_is_asked_by_the_law_of_the_fund_and_goes_with_the_payment(door, deps):
    execute(deps, "UPDATE fund SET employer_cents = 20000, employer_from = false WHERE slug = 'action'")
    donor = arrived(door, deps)
    assert "The law asks this for gifts over $200." in said(door.last)
    assert said(door.last).count("(needed above $200)") == 2
    execute(deps, "UPDATE fund SET employer_from = true WHERE slug = 'action'")
    assert said(door.send("GET", f"/give/{SLUG}?lang=es")).count("(se necesita desde $200)") == 2
    execute(deps, "UPDATE fund SET employer_from = false WHERE slug = 'action'")
    assert donor.press(amount="250").status == 422
    assert donor.press(amount="250", **LAW).status == 303
    assert payments(deps).baskets[0].metadata.items() >= LAW.items()


def test_who_comes_back_from_the_payment_page_is_told_that_nothing_was_charged(door, deps):
    arrived(door, deps).press()
    (basket,) = payments(deps).baskets
    back = basket.cancel_url.removeprefix(deps.settings.base_url)
    shown = door.send("GET", back)
    assert re.search(
        r'role="status">.*Nothing was charged\..* You can give here whenever you like\.', shown.body.decode()
    )
    assert "No se cobró nada." in said(door.send("GET", f"{back}&lang=es"))
    assert "charged" not in said(door.send("GET", f"/give/{SLUG}"))


# D11: one session


def test_the_button_pressed_twice_leads_to_one_page(door, deps):
    donor = arrived(door, deps)
    assert [donor.press().headers["location"] for _ in range(3)] == [FIRST_PAGE] * 3
    assert (len(begun(deps)), payments(deps).asked) == (1, ["checkout-1"])


def test_the_button_pressed_twice_at_once_leads_to_one_page(door, deps):
    donor = arrived(door, deps)
    one = f"stamp={donor.hidden['stamp']}&amount=27&first_name=Rosa&last_name=Marsh&email=rosa@example.org"
    body = f"{one}&street=12+Canal+Street&city=Worcester&state=MA&zip=01604".encode()
    answers = door.together(*[("POST", f"/give/{SLUG}", [TYPE, PAGES], body)] * 3)
    assert [answer.headers.get("location") for answer in answers] == [FIRST_PAGE] * 3
    assert (len(begun(deps)), len(payments(deps).pages)) == (1, 1)


def test_the_same_words_from_two_tabs_lead_to_one_page_until_it_is_over(door, deps):
    donor = arrived(door, deps)
    other = Donor(door, source=donor.source)
    other.open((deps.clock, 5))
    pages = [tab.press().headers["location"] for tab in (donor, other)]
    assert (pages, len(begun(deps))) == ([FIRST_PAGE] * 2, 1)
    deps.clock.skip(timedelta(minutes=59))
    donor.open((deps.clock, 60))
    assert donor.press().headers["location"].endswith("cs_test_2")


@pytest.mark.parametrize("changed", [{"amount": "50"}, {"period": "monthly"}, {"email": "ines@example.org"}])
def test_other_words_from_another_tab_are_another_gift(door, deps, changed):
    donor = arrived(door, deps)
    donor.press()
    donor.open((deps.clock, 5))
    assert donor.press(**changed).headers["location"].endswith("cs_test_2")


def test_nobody_is_led_to_the_page_that_somebody_else_began(door, deps):
    for number in (1, 2):
        assert arrived(door, deps).press().headers["location"].endswith(f"cs_test_{number}")


def test_other_words_under_a_used_stamp_are_asked_for_once_more(door, deps):
    donor = arrived(door, deps)
    donor.press()
    asked = donor.press(amount="100")
    assert (asked.status, len(begun(deps))) == (403, 1)
    assert PRESS_AGAIN in said(asked)
    assert "Nothing has been charged" not in said(asked)
    assert chosen(asked) == ["100", "once"]
    assert donor.press(amount="100").headers["location"].endswith("cs_test_2")


def test_a_press_after_the_gift_was_paid_leads_to_the_thanks_and_begins_nothing(door, deps):
    donor = arrived(door, deps)
    donor.press()
    execute(deps, "UPDATE checkout SET state = 'paid', donor = '{}'")
    assert donor.press().headers["location"] == f"/give/{SLUG}/thanks"
    assert donor.press(amount="50", zip="01605").headers["location"] == f"/give/{SLUG}/thanks"
    donor.source = next(networks)
    deps.clock.skip(timedelta(days=2))
    assert donor.press().headers["location"] == f"/give/{SLUG}/thanks"
    execute(deps, "UPDATE donation_form SET closed_at = now(), closed_because = 'It is over.' WHERE slug = 'winter'")
    assert donor.press().headers["location"] == f"/give/{SLUG}/thanks"
    assert (len(begun(deps)), len(payments(deps).asked)) == (1, 1)


@pytest.mark.parametrize("state", ["open", "expired"])
def test_what_may_be_paid_without_our_knowing_is_never_called_uncharged(door, deps, state):
    donor = arrived(door, deps)
    donor.press()
    execute(deps, "UPDATE checkout SET state = :state", state=state)
    deps.clock.skip(timedelta(hours=3))
    answer = donor.press(amount="50")
    assert (answer.status, PRESS_AGAIN in said(answer)) == (403, True)
    assert "If you have paid it, it is on its way" in said(answer)
    execute(deps, "UPDATE donation_form SET closed_at = now(), closed_because = 'It is over.' WHERE slug = 'winter'")
    closed = donor.press()
    assert closed.status == 404
    assert "charged" not in said(answer) + said(closed)


# D12: the processor does not answer


def test_while_the_processor_does_not_answer_the_row_is_kept_and_the_same_key_is_asked_again(door, deps):
    payments(deps).mishaps += [Unavailable("HTTP 500"), Unavailable("timeout")]
    donor = arrived(door, deps)
    for _ in range(2):
        answer = donor.press()
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        assert "We could not open the payment page just now" in said(answer)
        assert 'value="rosa@example.org"' in answer.body.decode()
    assert [row["state"] for row in begun(deps)] == ["opening"]
    assert donor.press().headers["location"] == FIRST_PAGE
    assert (set(payments(deps).asked), [row["state"] for row in begun(deps)]) == ({"checkout-1"}, ["open"])


def test_an_answer_that_was_lost_is_found_again_by_the_same_press(door, deps):
    payments(deps).lost.append(Unavailable("timeout"))
    donor = arrived(door, deps)
    assert donor.press().status == 503
    deps.clock.skip(timedelta(minutes=20))
    assert donor.press().headers["location"] == FIRST_PAGE
    assert (len(payments(deps).pages), len(begun(deps))) == (1, 1)


def test_a_crash_before_the_answer_was_written_down_heals_by_pressing_again(door, deps):
    donor = arrived(door, deps)
    donor.press()
    execute(deps, "UPDATE checkout SET state = 'opening', session_key = '', url = ''")
    assert donor.press().headers["location"] == FIRST_PAGE
    assert len(payments(deps).pages) == 1


@pytest.mark.parametrize("why", [Invalid("no such account"), Forbidden("the key may not")])
def test_what_the_processor_refuses_is_over_and_people_are_told(door, deps, why):
    payments(deps).mishaps.append(why)
    donor = arrived(door, deps)
    assert donor.press().status == 503
    (row,) = begun(deps)
    assert (row["state"], row["donor"]) == ("refused", {})
    with transaction(deps.sessions) as session:
        assert session.scalars(text("SELECT kind FROM notice")).all() == ["payment page refused"]
    assert donor.press().headers["location"] == FIRST_PAGE
    assert payments(deps).asked == ["checkout-1", "checkout-2"]


def test_a_gift_that_was_told_paid_before_its_page_was_written_down_stays_paid(deps):
    class Quick(FakePayments):
        def check_out(self, basket, idempotency_key):
            execute(deps, "UPDATE checkout SET state = 'paid'")
            return super().check_out(basket, idempotency_key)

    with opened(replace(deps, payments=Quick())) as quick:
        assert arrived(quick, deps).press().status == 303
    assert [row["state"] for row in begun(deps)] == ["paid"]


def test_no_transaction_is_open_while_the_processor_is_asked(deps):
    class Looking(FakePayments):
        def check_out(self, basket, idempotency_key):
            assert [row["state"] for row in begun(deps)] == ["opening"]
            assert deps.sessions.kw["bind"].pool.checkedout() == 0
            return super().check_out(basket, idempotency_key)

    with opened(replace(deps, payments=Looking())) as looking:
        assert arrived(looking, deps).press().status == 303


def test_every_preset_can_be_given_once_and_monthly(door, deps):
    donor = arrived(door, deps)
    for period in ("once", "monthly"):
        for amount in ("27", "50", "100", "250", "1000"):
            donor.source = next(networks)
            donor.open((deps.clock, 3))
            assert donor.press(amount=amount, period=period).status == 303
    told = [(basket.amount_cents, basket.monthly) for basket in payments(deps).baskets]
    assert told == [(cents, monthly) for monthly in (False, True) for cents in (2700, 5000, 10_000, 25_000, 100_000)]


# ActBlue


def test_a_form_of_actblue_hands_over_with_amount_rhythm_and_codes(door, deps):
    publish(deps, slug="blue", processor="actblue", phone=True, agreed=("I am.",))
    donor = arrived(door, deps, "?refcode=em-7g&refcode2=b+c", "blue")
    shown = said(door.last)
    assert "If you\u2019ve saved your payment information with ActBlue Express, your donation will go through" in shown
    assert "First name" not in shown
    answer = donor.press(amount="other", other="1234.50", period="monthly")
    assert answer.status == 303
    assert answer.headers["location"] == (
        "https://secure.actblue.com/donate/blue?amount=1234.50&recurring=1&refcode=em-7g&refcode2=b+c"
    )
    assert begun(deps) == []
    assert donor.press(amount="1").status == 422
