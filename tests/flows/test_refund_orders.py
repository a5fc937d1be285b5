"""Refunds that staff order: never more than is left, asked once however often, booked by Stripe's own events."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import text

from engine.bootstrap import Deps
from engine.db import transaction
from engine.errors import Conflict, GroundswellError, Invalid, NotFound
from engine.events import DisputeReported, Person, RefundReported
from engine.giving import refund_orders
from engine.people import bundles, erasing
from engine.ports import Refunded
from engine.staff import accounts, dossier, rights
from engine.staff.rights import Reach
from tests import commands
from tests.books import assert_books_balance
from tests.commands import groundswell
from tests.flows.house import change, one, rows
from tests.givers import LAST, instalment, told
from tests.make import gift
from tests.payments import FakePayments
from webhooks.staff import words
from workers import refund_orders as chore

NAMES = iter(range(1, 1000))


@pytest.fixture(scope="module")
def stripe() -> FakePayments:
    return FakePayments()


@pytest.fixture
def house(deps: Deps, stripe: FakePayments) -> Deps:
    stripe.asked.clear()
    stripe.done.clear()
    stripe.answer = None
    return replace(deps, payments=stripe)


def given(house: Deps, cents: int = 2700, **changed: Any) -> tuple[int, str]:
    """A gift by card: its number and its key."""
    key = f"x{next(NAMES)}"
    told(house, instalment(key, f"{key}@example.org", 0, cents, **changed))
    found = one(house, f"SELECT id FROM contribution WHERE plan_key = '{key}'")
    return int(found[0]), key


def order(house: Deps, gift_id: int, cents: int | None = None, because: str = "she asked for it") -> int:
    with house.work() as (session, now):
        return refund_orders.order(session, gift_id, cents, because, now).id


def refused(house: Deps, gift_id: int, cents: int | None = None) -> GroundswellError:
    with pytest.raises(GroundswellError) as caught:
        order(house, gift_id, cents)
    return caught.value


def left(house: Deps, gift_id: int) -> int:
    with house.work() as (session, _):
        return refund_orders.look(session, gift_id).left_cents


def state(house: Deps, order_id: int) -> tuple[str, str]:
    with house.work() as (session, _):
        row = refund_orders.state(session, order_id)
        return row.state, row.detail


def goes_back(house: Deps, key: str, cents: int, refund: str, at: datetime = LAST + timedelta(hours=1)) -> None:
    """What Stripe's event says of a refund."""
    told(house, RefundReported(None, "stripe", refund, cents, at, payment_key=f"pi_{key}_0"))


def test_an_order_is_asked_of_stripe_once_with_its_own_key_and_the_books_move_by_the_event_alone(
    house: Deps, stripe: FakePayments
):
    number, key = given(house)
    ordered = order(house, number, 1200)
    assert stripe.asked == []
    for _ in range(2):
        chore.refund(house)
    assert list(stripe.done) == [f"refund-order-{ordered}"]
    assert stripe.asked == [("give back", f"ch_{key}_0", f"pi_{key}_0", 1200, "")]
    assert state(house, ordered) == ("refunded", "")
    assert one(house, f"SELECT status FROM contribution WHERE id = {number}")[0] == "received"
    assert left(house, number) == 1500
    goes_back(house, key, 1200, "re_1")
    assert one(house, f"SELECT status FROM contribution WHERE id = {number}")[0] == "partly_refunded"
    assert left(house, number) == 1500
    assert order(house, number) > ordered
    assert left(house, number) == 0
    chore.refund(house)
    assert stripe.asked[-1][3] == 1500
    with transaction(house.sessions) as session:
        assert_books_balance(session)


def test_nobody_orders_more_than_is_left_after_refunds_and_open_orders(house: Deps):
    number, key = given(house)
    goes_back(house, key, 700, "re_dashboard")
    assert "only $20 is left" in str(refused(house, number, 2001))
    order(house, number, 1500)
    assert "only $5 is left" in str(refused(house, number, 501))
    assert isinstance(refused(house, number, 0), Invalid)
    assert isinstance(refused(house, number, -5), Invalid)
    order(house, number)
    assert "nothing is left" in str(refused(house, number))


def test_a_gift_that_cannot_go_back_from_here_says_where_it_can(house: Deps):
    told(house, gift(source_key="700", order_number="AB700"))
    actblue = one(house, "SELECT id FROM contribution WHERE source = 'actblue'")[0]
    assert "ActBlue took this gift" in str(refused(house, actblue))
    unlinked, _ = given(house, payment_key="", charge_key="")
    assert "is not told yet" in str(refused(house, unlinked))
    number, key = given(house)
    told(house, DisputeReported(None, "stripe", f"du_{key}", 2700, LAST, "open", payment_key=f"pi_{key}_0"))
    assert "dispute" in str(refused(house, number))
    for each in (unlinked, number, actblue):
        assert isinstance(refused(house, each), Conflict)
    assert isinstance(refused(house, 10**9), NotFound)
    with pytest.raises(Invalid, match="say why"):
        order(house, given(house)[0], because=" \n ")
    assert rows(house, "SELECT FROM refund_order") == []


@dataclass
class Dying(FakePayments):
    """One that takes the process with it, before it has done anything or after."""

    whole: FakePayments | None = None

    def give_back(self, *told: Any, **more: Any) -> Refunded:
        if self.whole is not None:
            self.whole.give_back(*told, **more)
        raise KeyboardInterrupt


@pytest.mark.parametrize("after", [False, True], ids=["before the request", "between the request and its record"])
def test_a_process_that_dies_leads_to_the_same_request_and_one_refund(house: Deps, stripe: FakePayments, after: bool):
    ordered = order(house, given(house)[0])
    with pytest.raises(KeyboardInterrupt):
        chore.refund(replace(house, payments=Dying(whole=stripe if after else None)))
    assert len(stripe.done) == after
    assert state(house, ordered)[0] == "due"
    chore.refund(house)
    assert state(house, ordered)[0] == "refunded"
    assert len(stripe.done) == 1


WAITING = "SELECT subject FROM notice WHERE kind = 'ordered refunds wait' AND resolved_at IS NULL ORDER BY id"


def subjects(*orders: int) -> list[str]:
    return [f"refund order {ordered}" for ordered in orders]


@pytest.mark.parametrize(
    ("answer", "most"),
    [(Refunded("uncertain", detail="no answer"), 3), (Refunded("refused", retryable=True, detail="no leave"), 1)],
)
def test_in_doubt_it_is_asked_again_with_the_same_key_and_a_person_sees_that_it_waits(
    house: Deps, stripe: FakePayments, answer: Refunded, most: int
):
    orders = [order(house, given(house)[0]) for _ in range(4)]
    stripe.answer = answer
    chore.refund(house)
    assert len(stripe.asked) == most  # a Stripe that is away, or a key that it refuses, is left alone
    assert {state(house, each)[0] for each in orders} == {"due"}
    assert [row.subject for row in rows(house, WAITING)] == subjects(*orders[:most])
    stripe.answer = None
    chore.refund(house)
    assert len(stripe.done) == 4
    assert rows(house, WAITING) == []


@dataclass
class Stuck(FakePayments):
    """One that has no answer to some requests, by their keys, and does not let us into one account."""

    silent: tuple[str, ...] = ()
    closed: str = "-"

    def give_back(
        self, charge_key: str, payment_key: str, amount_cents: int, key: str, *, account: str = ""
    ) -> Refunded:
        if account == self.closed:
            return Refunded("refused", retryable=True, detail="no leave")
        answer = super().give_back(charge_key, payment_key, amount_cents, key, account=account)
        return Refunded("uncertain", detail="HTTP 500") if key in self.silent else answer


def test_orders_that_are_stuck_hold_up_no_other_and_after_a_day_a_person_is_told_that_nobody_knows(house: Deps):
    number, _ = given(house)
    closed, _ = given(house, account="acct_1")
    stuck = [order(house, number, 100) for _ in range(4)]
    shut = [order(house, closed, 100) for _ in range(2)]
    other = order(house, given(house)[0])
    stripe = Stuck(silent=tuple(f"refund-order-{each}" for each in stuck), closed="acct_1")
    busy = replace(house, payments=stripe)
    for _ in range(3):
        chore.refund(busy)
    assert state(house, other)[0] == "refunded"
    assert {state(house, each)[0] for each in (*stuck, *shut)} == {"due"}
    house.clock.skip(refund_orders.ASKED_FOR + timedelta(seconds=1))
    young = order(house, given(house)[0])
    asked = len(stripe.asked)
    chore.refund(busy)
    assert [told[3] for told in stripe.asked[asked:]] == [2700]
    assert state(house, young)[0] == "refunded"  # however long it waited before it was asked
    assert {state(house, each)[0] for each in shut} == {"due"}  # never asked: never in doubt
    for each in stuck:
        assert state(house, each) == ("uncertain", chore.NO_ANSWER)
    told = "SELECT subject, detail FROM notice WHERE kind = 'ordered refund in doubt' ORDER BY subject"
    assert [row.subject for row in rows(house, told)] == sorted(subjects(*stuck))
    assert "may have gone back or not" in rows(house, told)[0].detail
    assert left(house, number) == 2700  # by the ledger, which would know


def test_what_is_asked_stays_the_same_whatever_is_learned_of_the_gift_meanwhile(house: Deps, stripe: FakePayments):
    number, key = given(house, charge_key="", account="acct_1")
    ordered = order(house, number, 1200)
    stripe.answer = Refunded("uncertain", detail="no answer")
    chore.refund(house)
    change(house, "UPDATE contribution SET charge_key = 'ch_learned', account = '' WHERE id = :id", id=number)
    stripe.answer = None
    chore.refund(house)
    assert stripe.asked == [("give back", "", f"pi_{key}_0", 1200, "acct_1")] * 2
    assert state(house, ordered) == ("refunded", "")


def test_a_gift_goes_back_from_the_account_that_took_it_whatever_became_of_its_fund(house: Deps, stripe: FakePayments):
    before, _ = given(house)
    change(house, "UPDATE fund SET stripe_account = 'acct_new'")
    try:
        since, _ = given(house, account="acct_new")
        for number in (before, since):
            order(house, number)
        chore.refund(house)
    finally:
        change(house, "UPDATE fund SET stripe_account = ''")
    assert [asked[-1] for asked in stripe.asked] == ["", "acct_new"]


def test_what_stripe_says_is_back_already_is_no_order_any_more(house: Deps, stripe: FakePayments):
    number, key = given(house)
    ordered = order(house, number)
    stripe.answer = Refunded("accepted")
    chore.refund(house)
    assert state(house, ordered) == ("refused", "it was given back already")
    goes_back(house, key, 2700, "re_dashboard")
    assert left(house, number) == 0
    failed = RefundReported(None, "stripe", "re_dashboard", 2700, LAST + timedelta(hours=1), "failed",
                            payment_key=f"pi_{key}_0")  # fmt: skip
    told(house, failed)
    assert left(house, number) == 2700


def test_what_stripe_refuses_is_told_to_staff_and_is_left_again(house: Deps, stripe: FakePayments):
    number, _ = given(house)
    ordered = order(house, number)
    stripe.answer = Refunded("refused", detail="charge_already_refunded")
    chore.refund(house)
    assert state(house, ordered) == ("refused", "charge_already_refunded")
    notice = one(house, f"SELECT kind, detail FROM notice WHERE subject = 'refund order {ordered}'")
    assert tuple(notice) == ("ordered refund refused", f"contribution {number}: charge_already_refunded")
    assert left(house, number) == 2700


def test_without_a_key_of_stripes_orders_stay_as_they_are(house: Deps, deps: Deps):
    ordered = order(house, given(house)[0])
    chore.refund(deps)
    assert state(house, ordered)[0] == "due"


def test_staff_see_on_her_page_what_is_ordered_back_until_it_is_booked(house: Deps):
    number, key = given(house)
    order(house, number, 1200)
    contact = one(house, f"SELECT contact_id FROM contribution WHERE id = {number}")[0]
    ana = accounts.Account(1, "ana@example.org", "Ana", rights.ADMIN, False, Reach(True, frozenset()))

    def shown() -> str:
        with house.work() as (session, now):
            return words.status(dossier.read(session, ana, contact, now).gifts[0])

    assert shown() == "received, $12 ordered back"
    chore.refund(house)
    assert shown() == "received, $12 ordered back"
    goes_back(house, key, 1200, "re_1")
    assert shown() == "partly given back"


def test_why_is_forgotten_with_the_donor(house: Deps):
    number, _ = given(house)
    order(house, number, because="Rosa called")
    contact = one(house, f"SELECT contact_id FROM contribution WHERE id = {number}")[0]
    with house.work() as (session, now):
        house.react(session, erasing.erase(session, contact, house.signer, now), now)
    assert one(house, "SELECT reason FROM refund_order")[0] == ""


def test_what_is_kept_about_her_says_what_was_ordered_back_and_why(house: Deps):
    number, _ = given(house)
    order(house, number, 1200, because="Rosa called")
    contact = one(house, f"SELECT contact_id FROM contribution WHERE id = {number}")[0]
    with house.work() as (session, _now):
        (told,) = bundles.collect(session, contact)["refunds_ordered"]
    assert (told["contribution_id"], told["amount_cents"], told["reason"]) == (number, 1200, "Rosa called")


def test_by_command_a_gift_is_found_by_any_number_that_a_donor_quotes_and_read_in_its_own_currency(
    house: Deps,
):
    number, key = given(house, 5000, currency="jpy")
    for lineitem in (1, 2):
        told(house, gift(source_key=f"70{lineitem}", order_number="AB42", donor=Person(email="ines@example.org")))
    for said in (str(number), f"pi_{key}_0", f"ch_{key}_0", f"in_{key}_0"):
        shown = groundswell(house, "gifts", "show", said).stdout
        for part in (f"gift     {number}: 5,000 JPY monthly, received", f"payment  pi_{key}_0", f"charge   ch_{key}_0",
                      f"number   in_{key}_0", f"plan     {key}", "form     common-ground", "(action)",
                      f"donor    Rosa, {key}@example.org (contact"):  # fmt: skip
            assert part in shown
    several = groundswell(house, "gifts", "show", "ab42")
    assert several.returncode == 1
    assert "ab42 is a number of 2 gifts" in several.stdout
    assert several.stdout.count("actblue") == 2
    assert "no gift with the number pi_none" in groundswell(house, "gifts", "show", "pi_none").stderr
    refund = ("gifts", "refund", f"in_{key}_0", "--because", "she asked", "--amount")
    assert "with at most no places" in groundswell(house, *refund, "12.50").stderr
    with house.work() as (session, _now):
        assert refund_orders.look(session, number).left_cents == 5000


def test_an_order_wakes_the_chore(house: Deps):
    with transaction(house.sessions) as session:
        session.execute(text("INSERT INTO chore (name, due_at) VALUES (:name, now() + interval '1 minute')"),
                        {"name": chore.CHORE})  # fmt: skip
    order(house, given(house)[0])
    assert one(house, "SELECT due_at <= now() FROM chore WHERE name = 'refund_orders'")[0]


def test_by_command_a_gift_is_ordered_back_and_shown_with_all_that_became_of_it(house: Deps, stripe: FakePayments):
    number, key = given(house)
    over = Event()

    def work() -> None:
        while not over.wait(0.1):
            chore.refund(house)

    because = ("--because", "she asked")
    worker = Thread(target=work)

    def run(*words: str) -> commands.Done:
        return commands.run(["gifts", *words], commands.environment(house, STRIPE_API_KEY="sk_test_1"))

    assert "no gift with the number x" in run("show", "x").stderr
    assert "not a plain decimal" in run("refund", str(number), "--amount", "1e3", *because).stderr
    assert stripe.asked == []
    worker.start()
    done = run("refund", str(number), "--amount", "12.50", *because)
    stripe.answer = Refunded("refused", detail="no such charge")
    other = run("refund", str(number), *because)
    over.set()
    worker.join()
    shown = run("show", str(number)).stdout
    assert (done.returncode, other.returncode) == (0, 1)
    assert f"$12.50 of contribution {number} goes back" in done.stdout
    assert "Stripe has taken it: re_1." in done.stdout
    assert "Stripe refused: no such charge. Nothing went back." in other.stdout
    for part in ("$27 monthly, received", f"pi_{key}_0", "$12.50 by the command line: she asked (refunded, re_1)",
                  "left     $14.50"):  # fmt: skip
        assert part in shown
    written = one(house, "SELECT action, subject_id, detail FROM audit ORDER BY id LIMIT 1")
    assert (written.action, written.subject_id) == ("refund ordered", number)
    assert set(written.detail) == {"refund_order", "cents"}
