"""Development's payment processor: its pages, and that what is pressed there comes back as real signed events."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from engine.adapters.dev_payments import DevPayments
from engine.adapters.stripe_payments import StripePayments
from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Invalid, NotFound, Unavailable
from engine.ports import Basket
from engine.settings import DEVELOPMENT_STRIPE_SECRET
from tests import stripe_stand_in
from tests.asgi import Answer, Client
from tests.books import assert_books_balance
from tests.flows.house import rows, run_everything
from tests.webhooks.joining import PAGES, post, said
from webhooks.app import build

BASE = "http://127.0.0.1:8000"
THANKS, BACK = f"{BASE}/give/common-ground/thanks", f"{BASE}/give/common-ground"


@dataclass
class Walk:
    """A house whose processor is development's, its pages, and its receiver."""

    deps: Deps
    pages: Client
    payments: DevPayments
    answers: list[int]  # instead of the receiver's own, as long as there are any

    def open(self, key: str, **changed: Any) -> str:
        """A session for a gift; its page."""
        told = {"amount_cents": 2700, "monthly": False, "title": "Common Ground", "email": "rosa@example.org",
                "metadata": {"form": "common-ground"}, "success_url": THANKS, "cancel_url": BACK,
                "expires_at": datetime.now(UTC) + timedelta(hours=1)}  # fmt: skip
        return path(self.payments.check_out(Basket(**told | changed), key).url)

    def get(self, page: str) -> Answer:
        return self.pages.send("GET", page, [PAGES])

    def press(self, page: str, way: str, *headers: tuple[str, str], **typed: str) -> Answer:
        """Load the page and press a button of it."""
        stamp = re.search(r'name="stamp" value="([^"]+)"', self.get(page).body.decode())
        return post(self.pages, page, {"stamp": stamp[1] if stamp else "", "way": way} | typed, *headers)

    def gifts(self) -> list[tuple[Any, ...]]:
        run_everything(self.deps)
        return [
            tuple(row)
            for row in rows(
                self.deps,
                """SELECT c.email, g.amount_cents, g.plan_key <> '' FROM contribution g
            JOIN contact c ON c.id = g.contact_id WHERE g.source = 'stripe' ORDER BY g.id""",
            )
        ]


def path(url: str) -> str:
    assert url.startswith(BASE)
    return urlsplit(url).path


@pytest.fixture
def walk(deps: Deps) -> Iterator[Walk]:
    answers: list[int] = []
    with Client(build(deps, ["hooks"])) as receiver:

        def deliver(url: str, body: bytes, headers: Mapping[str, str]) -> int:
            told = [(name.lower(), value) for name, value in headers.items()]
            return answers.pop(0) if answers else receiver.send("POST", path(url), told, body).status

        payments = DevPayments(deps.settings.payments_dir, BASE, DEVELOPMENT_STRIPE_SECRET, post=deliver)
        house = replace(deps, payments=payments)
        with Client(build(house, ["pages"])) as pages:
            yield Walk(house, pages, payments, answers)


def test_a_gift_is_paid_once_however_often_it_is_pressed(walk: Walk):
    page = walk.open("k")
    words = said(walk.get(page))
    assert all(word in words for word in ("$27", "Common Ground", "rosa@example.org", "Once", "no money moves"))
    stamp = re.findall(r'name="stamp" value="([^"]+)"', walk.get(page).body.decode())[0]
    for _ in range(2):  # a double click
        answer = post(walk.pages, page, {"stamp": stamp, "way": "pay"})
        assert (answer.status, answer.headers["location"]) == (303, THANKS)
    assert walk.gifts() == [("rosa@example.org", 2700, False)]
    assert "This is paid" in said(walk.get(page))
    assert rows(walk.deps, "SELECT id FROM inbound_event WHERE kind <> '' OR state NOT IN ('applied', 'ignored')") == []
    with transaction(walk.deps.sessions) as session:
        assert_books_balance(session)


def test_a_declined_card_is_said_and_told_and_another_works(walk: Walk):
    page = walk.open("k", email="")
    assert walk.press(page, "pay", email="rosa").status == 422
    declined = walk.press(page, "decline", email="rosa@example.org")
    assert (declined.status, "The card was declined" in said(declined)) == (402, True)
    assert 'value="rosa@example.org"' in declined.body.decode()
    assert walk.press(page, "pay", email="rosa@example.org").status == 303
    assert walk.gifts() == [("rosa@example.org", 2700, False)]
    assert len(rows(walk.deps, "SELECT id FROM decline")) == 1


def test_a_page_that_ran_out_takes_nothing(walk: Walk):
    page, late = walk.open("k"), walk.open("late", expires_at=datetime.now(UTC) - timedelta(minutes=1))
    answer = walk.press(page, "expire")
    assert (answer.status, answer.headers["location"]) == (303, BACK)
    stamp = re.findall(r'name="stamp" value="([^"]+)"', walk.get(walk.open("other")).body.decode())[0]
    for over in (page, late):
        assert "This page is over" in said(walk.get(over))
        assert post(walk.pages, over, {"stamp": stamp, "way": "pay"}).status == 409
    assert walk.gifts() == []


def test_a_monthly_gift_is_walked_to_its_end_on_one_machine(walk: Walk):
    page = walk.open("k", monthly=True)
    assert "Every month" in said(walk.get(page))
    assert walk.press(page, "pay").status == 303
    walk.gifts()
    (plan,) = rows(walk.deps, "SELECT source_key FROM recurring_plan")
    walk.payments.change_plan(plan.source_key, 1000, "change")
    portal = path(walk.payments.portal(plan.source_key, THANKS))
    assert "$10 a month" in said(walk.get(portal))
    assert walk.press(portal, "works").status == 303
    assert walk.press(portal, "declined").status == 303
    assert "past due" in said(walk.get(portal))
    assert walk.gifts() == [("rosa@example.org", 2700, True), ("rosa@example.org", 1000, True)]
    walk.payments.pause_plan(plan.source_key, datetime(2027, 1, 1, tzinfo=UTC))
    assert "No instalment falls due" in said(walk.get(portal))
    for key in ("end", "end again"):
        walk.payments.cancel_plan(plan.source_key, key)
    walk.gifts()
    assert rows(walk.deps, "SELECT state FROM recurring_plan")[0].state == "cancelled"
    payment = rows(walk.deps, "SELECT payment_key FROM contribution ORDER BY id")[0].payment_key
    first = walk.payments.give_back("", payment, 700, "order")
    assert first == walk.payments.give_back("", payment, 700, "order")
    assert walk.payments.give_back("", payment, 2001, "more").outcome == "refused"
    assert walk.payments.refund("", payment, "fraud").outcome == "accepted"
    walk.gifts()
    assert [row.cents for row in rows(walk.deps, "SELECT sum(amount_cents)::int AS cents FROM ledger_entry")] == [1000]


def test_all_processes_see_the_same_and_a_restart_loses_nothing(walk: Walk):
    page = walk.open("k")
    again = DevPayments(walk.deps.settings.payments_dir, BASE, "whsec_x", post=lambda *_: 200)
    ends = datetime.now(UTC) + timedelta(hours=1)
    assert again.checkout(page.rpartition("/")[2]).amount_cents == 2700
    basket = Basket(5000, False, "Common Ground", "", {}, THANKS, BACK, ends)
    assert again.check_out(basket, "k2") == walk.payments.check_out(basket, "k2")
    with pytest.raises(Invalid):
        walk.payments.check_out(replace(basket, amount_cents=1000), "k2")
    for unknown in ("cs_unknown", "evt_1"):
        with pytest.raises(NotFound):
            again.checkout(unknown)


def test_what_the_receiver_did_not_take_is_told_with_the_next_press_or_fetched(walk: Walk):
    page = walk.open("k")
    walk.answers += [200, 500]
    assert walk.press(page, "pay").status == 503
    stored = {json.loads(row.body)["type"] for row in rows(walk.deps, "SELECT body FROM inbound_event")}
    missed = [event.type for page in walk.payments.events(since=datetime(2026, 1, 1, tzinfo=UTC), undelivered=True)
              for event in page]  # fmt: skip
    assert (stored, len(missed)) == (set(), 3)  # of four events, the newest first
    assert missed[0] == "checkout.session.completed"
    walk.payments.expire(page.rpartition("/")[2])  # of one that is paid nothing comes but what was missed
    assert walk.gifts() == [("rosa@example.org", 2700, False)]
    walk.payments._file.write_text("{")
    with pytest.raises(Unavailable):
        walk.open("k2")


def test_where_nobody_listens_it_says_so(walk: Walk):
    basket = Basket(2700, False, "Common Ground", "", {}, THANKS, BACK, datetime.now(UTC) + timedelta(hours=1))
    with stripe_stand_in.running() as somebody_else:  # who answers 401
        for base in (somebody_else.url, "http://127.0.0.1:9"):
            payments = DevPayments(walk.deps.settings.payments_dir, base, DEVELOPMENT_STRIPE_SECRET)
            opened = payments.check_out(basket, base)
            with pytest.raises(Unavailable, match="the payment is made"):
                payments.pay(opened.key, "rosa@example.org")


def test_only_its_own_page_presses_its_buttons(walk: Walk):
    page = walk.open("k")
    assert walk.press(page, "pay", ("sec-fetch-site", "cross-site")).status == 403
    assert walk.press(page, "steal").status == 422
    assert post(walk.pages, page, {"stamp": "x", "way": "pay"}).status == 403
    for unknown in ("/dev/checkout/cs_1", "/dev/portal/bps_1", page.replace("checkout", "portal")):
        assert walk.get(unknown).status == 404
    assert walk.gifts() == []


def test_it_does_not_exist_in_production_nor_where_stripe_is_asked(walk: Walk):
    page = walk.open("k")
    production = walk.deps.settings.model_copy(update={"env": "production"})
    for house in (
        replace(walk.deps, settings=production),
        replace(walk.deps, payments=StripePayments("rk_test_x", "http://127.0.0.1:1")),
        replace(walk.deps, payments=None),
    ):
        with Client(build(house)) as pages:
            assert pages.send("GET", page, [PAGES]).status == 404
