"""Receipts of gifts by card, and the word on money that goes back: once, whatever is told in whichever order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import (
    Event,
    HumanNeeded,
    PaymentLinked,
    Person,
    RefundReported,
    RefundTotalReported,
)
from engine.letters.links import Links
from engine.outreach import claims, deliver
from engine.outreach.claims import Terms
from engine.ports import Letter, letter_of
from engine.reactions import react
from engine.settings import Settings
from engine.tokens import Signer
from tests.books import assert_books_balance
from tests.make import gift

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
TERMS = Terms(NOON, 2.0, 1000, "America/New_York", 2, 5, 1, production=False)
BASE = "https://give.example.org"
SETTINGS = Settings(base_url=BASE)
LATE = datetime(2026, 11, 3, 2, 30, tzinfo=UTC)  # the evening of November 2 where the house is
ROSA = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605")


def by_card(**changed: Any) -> Any:
    """A gift by Stripe, one of its own unless a plan is named."""
    told = {"source": "stripe", "source_key": "pi_1", "payment_key": "pi_1", "charge_key": "ch_1", "entity_id": None,
            "donor": ROSA, "paid_at": LATE, "amount_cents": 2750}  # fmt: skip
    return gift(**told | changed)


def instalment(number: int, **changed: Any) -> Any:
    told = {"source_key": f"in_{number}", "payment_key": f"pi_{number}", "charge_key": f"ch_{number}", "plan_key": "sub_1",
            "recurring_period": "monthly", "sequence": min(number - 1, 1)}  # fmt: skip
    return by_card(**told | changed)


def refund(cents: int = 1200, number: int = 1, state: Any = "succeeded") -> RefundReported:
    return RefundReported(None, "stripe", f"re_{number}", cents, LATE, state, payment_key="pi_1", charge_key="ch_1")


def total(cents: int) -> RefundTotalReported:
    return RefundTotalReported(None, "stripe", "ch_1", cents, LATE, payment_key="pi_1", charge_key="ch_1")


def happens(session: Session, *events: Event) -> list[Event]:
    return [one for event in events for one in react(session, [event], NOON, SETTINGS)]


def letters(session: Session, which: str = "") -> list[tuple[str, str, dict[str, Any]]]:
    """Letters that there are: slug, state and facts, in the order of their making."""
    found = session.execute(text("""
        SELECT l.slug, m.state, m.facts FROM message m JOIN mailing w ON w.id = m.mailing_id
        JOIN letter l ON l.id = w.letter_id WHERE :which IN ('', l.slug) ORDER BY m.id
    """), {"which": which})  # fmt: skip
    return [tuple(row) for row in found]


def read(session: Session) -> Letter:
    """The one letter that is ready, as its reader gets it."""
    claimed = claims.receipts(session, TERMS)
    links = Links(Signer(["a key of these tests"]), BASE, NOON)
    (parcel,) = deliver.load(session, claimed.letters, links, SETTINGS.time_zone)
    made = deliver.request(parcel, links, 10_000)
    return letter_of(made.sheet, made.copies[0])


def test_a_gift_by_card_has_a_receipt_that_says_all_of_it_and_no_thank_you_that_speaks_of_actblue(session: Session):
    happens(session, by_card(form_slug="common-ground"))
    ((slug, state, facts),) = letters(session)
    assert (slug, state) == ("receipt", "ready")
    assert facts == {
        "first_name": "Rosa", "donor_name": "Rosa Delgado", "named": True, "amount": "$27.50",
        "given_on": "November 2, 2026", "payment_number": "pi_1", "rhythm": "",
        "receiver": "Common Ground Massachusetts Action, Inc.", "purpose": facts["purpose"], "comes_again": False,
        "own_plans_url": f"{BASE}/give/me",
    }  # fmt: skip
    assert facts["purpose"] == session.scalar(text("SELECT title FROM donation_form WHERE slug = 'common-ground'"))
    assert_books_balance(session)


def test_the_receipt_reads_as_one_with_the_funds_own_lines_and_without_a_word_on_monthly_gifts(session: Session):
    session.execute(text("UPDATE fund SET disclaimer = 'Paid for by us.', deductibility = 'Gifts are not deductible.'"))
    happens(session, by_card())
    letter = read(session)
    for part in (letter.html, letter.text):
        for said in ("Rosa Delgado", "$27.50", "November 2, 2026", "Common Ground Massachusetts Action, Inc.", "pi_1",
                     "Paid for by us.", "Gifts are not deductible.", "answer this letter"):  # fmt: skip
            assert said in part
        assert "/give/me" not in part
        assert "ActBlue" not in part
    assert letter.subject == "Your receipt: $27.50 on November 2, 2026"
    assert "\n\n\n" not in letter.text


def test_a_receipt_names_the_donor_as_she_said_it_with_the_gift_and_nobody_where_that_is_no_name(session: Session):
    happens(session, by_card(), instalment(2, donor=replace(ROSA, first_name="Rosa María", last_name="d'Ávila")))
    happens(session, instalment(3, donor=replace(ROSA, first_name="Win $100", last_name="http://x.example.org")))
    told = [(facts["donor_name"], facts["named"]) for _, _, facts in letters(session)]
    assert told == [("Rosa Delgado", True), ("Rosa María d'Ávila", True), ("", False)]


def test_the_receipt_of_an_instalment_leads_to_where_she_looks_after_it_and_names_nobody_there(session: Session):
    happens(session, instalment(1))
    letter = read(session)
    for part in (letter.html, letter.text):
        assert "$27.50 a month" in part
        assert f"{BASE}/give/me" in part
        assert f"{BASE}/give/me/" not in part


def test_the_receipt_speaks_spanish_to_whoever_reads_that(session: Session):
    happens(session, by_card(source_key="pi_0", payment_key="pi_0"))
    session.execute(text("UPDATE contact SET language = 'es' WHERE email = 'rosa@example.org'"))
    session.execute(text("UPDATE message SET state = 'cancelled'"))
    session.execute(text("""UPDATE fund SET others = '{"es": {"disclaimer": "Pagado por la casa."}}'"""))
    happens(session, instalment(1))
    letter = read(session)
    for part in (letter.html, letter.text):
        assert "Pagado por la casa." in part
        assert "Gifts to Common Ground Massachusetts Action" in part  # nobody has said that in Spanish
        assert "Paid for by" not in part
    assert letter.subject == "Tu recibo: $27.50, 2 de noviembre de 2026"
    assert "$27.50 al mes" in letter.text
    assert "Cuidar de mi donativo" in letter.html
    assert "De            Rosa Delgado" in letter.text


def test_a_form_with_thanks_of_its_own_says_them_for_the_first_gift_and_not_for_instalments(session: Session):
    session.execute(text("UPDATE donation_form SET thanks_letter = 'welcome_far' WHERE slug = 'common-ground'"))
    happens(session, instalment(1), instalment(2), instalment(3))
    assert [slug for slug, _, _ in letters(session)] == ["welcome_far", "receipt", "receipt", "receipt"]


def test_a_gift_by_actblue_is_thanked_for_and_has_no_receipt_of_ours(session: Session):
    happens(session, gift())
    assert [slug for slug, _, _ in letters(session)] == ["thank_you"]


def test_a_gift_has_one_receipt_however_often_and_in_whichever_way_it_is_told(session: Session):
    payment, invoice = by_card(), instalment(1, payment_key="", charge_key="")
    for order in permutations([payment, invoice, PaymentLinked(None, "stripe", "in_1", "pi_1")]):
        with session.begin_nested() as savepoint:
            happens(session, *order, *order)
            booked = session.scalar(text("SELECT count(*) FROM contribution WHERE status <> 'duplicate'"))
            assert booked == 1
            assert {facts["payment_number"] for _, _, facts in letters(session, "receipt")} == {"pi_1"}
            savepoint.rollback()
    happens(session, payment, payment, instalment(1), instalment(1))
    assert len(letters(session, "receipt")) == 1
    assert_books_balance(session)


@pytest.mark.parametrize(
    ("hours", "state"), [(47, "ready"), (48, "skipped")]
)  # a backfill, or a provider's late burst: nobody is written to
def test_what_is_told_long_after_is_put_on_record_and_not_written_about(session: Session, hours: int, state: str):
    at = NOON - timedelta(hours=hours)
    happens(session, by_card(paid_at=at), replace(refund(), refunded_at=at))
    assert [(slug, made) for slug, made, _ in letters(session)] == [("receipt", state), ("refund_notice", state)]


def test_nobody_to_write_to_gets_nothing_until_her_address_is_known(session: Session):
    happens(session, by_card(donor=Person(first_name="Rosa")), refund())
    assert letters(session) == []


def test_money_that_goes_back_is_told_to_her_with_how_much_of_what_and_how_long_it_takes(session: Session):
    happens(session, by_card())
    session.execute(text("UPDATE message SET state = 'cancelled'"))
    happens(session, refund())
    letter = read(session)
    assert letter.subject == "$12 is on its way back to you"
    for part in (letter.html, letter.text):
        for said in ("$12", "$27.50", "November 2, 2026", "5 to 10 days", "Common Ground Massachusetts Action, Inc."):
            assert said in part


@pytest.mark.parametrize(("cents", "vanishes"), [(1200, False), (2750, True)], ids=["a part", "all of it"])
def test_only_a_gift_that_goes_back_as_a_whole_may_vanish_from_a_statement(
    session: Session, cents: int, vanishes: bool
):
    happens(session, by_card())
    session.execute(text("UPDATE message SET state = 'cancelled'"))
    happens(session, refund(cents))
    letter = read(session)
    assert ("vanish from your statement" in letter.html, "vanish from your statement" in letter.text) == (vanishes,) * 2
    assert "There is nothing for you to do." in letter.text


FACTS = [by_card(), refund(500, 1), refund(700, 2), total(1200)]


@pytest.mark.parametrize("order", list(permutations(FACTS)), ids=lambda o: "-".join(str(FACTS.index(e)) for e in o))
def test_refunds_told_one_by_one_and_in_a_total_are_told_to_her_once_each_in_any_order(session: Session, order: Any):
    happens(session, *order, *order)
    told = [facts["refunded"] for _, _, facts in letters(session, "refund_notice")]
    assert sum(int(each.removeprefix("$")) for each in told) == 12
    assert_books_balance(session)


def test_a_total_that_grows_is_told_by_what_was_added(session: Session):
    happens(session, by_card(), total(500), total(500), total(1200))
    assert [facts["refunded"] for _, _, facts in letters(session, "refund_notice")] == ["$5", "$7"]


def test_a_refund_that_failed_is_for_staff_and_never_told_to_her_if_she_has_not_heard(session: Session):
    happened = happens(session, by_card(), refund(), refund(state="failed"))
    assert [state for _, state, _ in letters(session, "refund_notice")] == ["cancelled"]
    (need,) = {one for one in happened if isinstance(one, HumanNeeded)}
    assert (need.kind, need.subject) == ("refund failed", "refund re_1")
    assert need.detail.startswith("$12 of contribution ")
    assert need.detail.endswith("she was not told of it")
    happens(session, refund(number=2, state="failed"))
    assert len(letters(session, "refund_notice")) == 1
    assert_books_balance(session)


def test_a_refund_that_failed_after_she_heard_of_it_says_so_to_staff(session: Session):
    happens(session, by_card(), refund())
    session.execute(text("UPDATE message SET state = 'handed'"))
    happened = happens(session, refund(state="failed"))
    (need,) = (one for one in happened if isinstance(one, HumanNeeded))
    assert need.detail.endswith("; she was told that it is on its way")


def test_actblue_tells_its_own_refunds(session: Session):
    key = {"payment_key": "AB1/1"}
    happens(session, gift(source_key="1", order_number="AB1", **key))
    happens(session, RefundReported(None, "actblue", "1/refund", 2700, LATE, "failed", **key))
    happens(session, RefundReported(None, "actblue", "2/refund", 2700, LATE, **key))
    assert [slug for slug, _, _ in letters(session)] == ["thank_you"]
