"""The thank-you's words that depend on the gift."""

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import reactions
from engine.settings import Settings
from tests.make import NOON, gift


@pytest.mark.parametrize(
    ("amount", "currency", "shown"), [(2700, "usd", "$27"), (2750, "eur", "27.50 EUR"), (5000, "jpy", "5,000 JPY")]
)
def test_a_thank_you_names_the_amount_in_the_currency_of_the_gift(
    session: Session, amount: int, currency: str, shown: str
):
    told = gift(amount_cents=amount, currency=currency)
    reactions.react(session, [told], NOON, Settings())
    (facts,) = session.scalars(text("SELECT facts FROM message"))
    assert facts["amount"] == shown


@pytest.mark.parametrize(
    ("period", "rhythm"),
    [("once", ""), ("monthly", " a month"), ("weekly", " a week"), ("quarterly", " a quarter"), ("yearly", " a year"),
     ("every 2 weeks", "")],
)  # fmt: skip
def test_a_thank_you_for_a_plan_names_its_rhythm(session: Session, period: str, rhythm: str):
    reactions.react(session, [gift(recurring_period=period)], NOON, Settings())
    (facts,) = session.scalars(text("SELECT facts FROM message"))
    assert facts["rhythm"] == rhythm
