"""The thank-you for a gift: its facts, once for each gift, in headers that are each one line."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.events import Person
from engine.letters.links import Links
from engine.letters.vocabulary import one_line
from engine.outreach import claims, deliver
from engine.outreach.claims import Terms
from engine.ports import letter_of
from engine.reactions import react
from engine.settings import Settings
from engine.tokens import Signer
from tests.engine.test_shipped_letters import HOSTILE
from tests.make import gift

NOON = datetime(2026, 11, 3, 12, 0, tzinfo=UTC)
TERMS = Terms(NOON, 2.0, 1000, "America/New_York", 2, 5, 1, production=False)
BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\t", "\x7f"]


@given(st.text())
def test_one_line_is_one_line_without_controls_and_stays_so(name: str):
    line = one_line(name)
    assert len(line.splitlines()) <= 1
    assert line == one_line(line) == line.strip()


def thanked(session: Session, **changed: Any) -> dict[str, Any]:
    """The facts of the thank-you for one gift, as the message keeps them."""
    react(session, [gift(**changed)], NOON, Settings())
    return dict(session.execute(text("SELECT facts FROM message ORDER BY id DESC LIMIT 1")).scalar_one())


def test_the_thank_you_tells_of_the_gift_as_the_receipt_does(session: Session):
    donor = Person(email="rosa@example.org", first_name="ROSA", zip="01605")
    late = datetime.fromisoformat("2026-11-30T23:30:00-05:00")
    told = {"amount_cents": 123_456, "order_number": "AB1", "recurring_period": "monthly"}
    assert thanked(session, donor=donor, paid_at=late, **told) == {
        "first_name": "Rosa", "amount": "$1,234.56", "given_on": "November 30, 2026", "order_number": "AB1",
        "receiver": "Common Ground Massachusetts Action, Inc.", "rhythm": " a month",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "fact", "said"),
    [({"recurring_period": "weekly"}, "rhythm", " a week"), ({"recurring_period": "once"}, "rhythm", ""),
     ({"recurring_period": "yearly"}, "rhythm", " a year"), ({"recurring_period": "quarterly"}, "rhythm", " a quarter"),
     ({"recurring_period": "every 2 weeks"}, "rhythm", ""),
     ({"amount_cents": 2750, "currency": "eur"}, "amount", "27.50 EUR"),
     ({"amount_cents": 5000, "currency": "jpy"}, "amount", "5,000 JPY"),
     ({"entity_id": 123456}, "receiver", "Common Ground Massachusetts PAC"),
     ({"entity_id": 999, "entity_name": "A Friend's Committee"}, "receiver", "A Friend's Committee"),
     ({"entity_id": None, "entity_name": ""}, "receiver", ""),
     ({"donor": Person(email="rosa@example.org")}, "first_name", "friend"),
     ({"donor": Person(email="rosa@example.org", first_name="Visit evil.example")}, "first_name", "friend"),
     ({"donor": Person(email="rosa@example.org", first_name="Ana Mar\u00eda")}, "first_name", "Ana Mar\u00eda"),
     ({"paid_at": datetime.fromisoformat("2026-11-03T00:30:00+05:30")}, "given_on", "November 3, 2026")],
)  # fmt: skip
def test_each_fact_of_a_thank_you(session: Session, changed: dict[str, Any], fact: str, said: str):
    assert thanked(session, **changed)[fact] == said


def test_a_thank_you_is_composed_once_for_its_gift_in_the_lane_of_receipts(session: Session):
    one = gift()
    for _ in range(2):
        react(session, [one], NOON, Settings())
    (made,) = session.execute(
        text("SELECT m.occasion, m.lane, m.state, m.due_at, g.id FROM message m, contribution g")
    ).all()
    assert (made.occasion, made.lane, made.state, made.due_at) == (
        f"gift:{made.id}:thanks",
        bell.RECEIPTS,
        "ready",
        NOON,
    )


def test_nobody_is_thanked_for_a_gift_without_an_address(session: Session):
    react(session, [gift(donor=Person(first_name="Rosa"))], NOON, Settings())
    assert session.execute(text("SELECT count(*) FROM message")).scalar_one() == 0


@pytest.mark.parametrize("name", [*HOSTILE, *(f"Rosa{end}Bcc: sam@example.org" for end in BREAKS)], ids=repr)
def test_a_hostile_donor_gets_a_letter_whose_headers_are_each_one_line(session: Session, name: str):
    stored = name.replace("\x00", "")  # the parser takes these out, Postgres would refuse them
    react(
        session, [gift(donor=Person(email="rosa@example.org", first_name=stored, last_name=stored))], NOON, Settings()
    )
    claimed = claims.receipts(session, TERMS)
    links = Links(Signer(["a key of these tests"]), "https://give.example.org", NOON)
    (parcel,) = deliver.load(session, claimed.letters, links, "UTC")
    made = deliver.request(parcel, links, 10_000)
    letter = letter_of(made.sheet, made.copies[0])
    for header in (
        letter.subject,
        letter.to_name,
        letter.from_name,
        letter.reply_to,
        letter.to_email,
        *letter.headers.values(),
    ):
        assert len(header.splitlines()) == 1
    assert "<script" not in letter.html
    assert "<img src=x" not in letter.html
