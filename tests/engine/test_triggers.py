"""What lets people into sequences: for whom, once, and at what cost."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from engine.events import ContributionReported, Person
from engine.outreach import definitions, sequences
from engine.reactions import react
from engine.settings import Settings
from tests.make import NOON, gift

SETTINGS = Settings()
_IN = text("""
SELECT c.email, q.slug, e.facts FROM enrollment e JOIN sequence q ON q.id = e.sequence_id
JOIN contact c ON c.id = e.contact_id WHERE q.slug = ANY(:slugs) ORDER BY c.email, q.slug, e.rotation
""")
ROSA = Person(email="rosa@example.org", first_name="Rosa", zip="01605")


@contextmanager
def counted(session: Session) -> Iterator[list[str]]:
    said: list[str] = []
    engine = session.get_bind().engine

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", note)


def follow(session: Session, *told: Any, now: datetime = NOON) -> None:
    react(session, list(told), now, SETTINGS)


def gifts(many: int, first: int) -> list[ContributionReported]:
    return [
        gift(source_key=f"k{first + n}", donor=Person(email=f"p{first + n}@example.org", zip="01605"), paid_at=NOON)
        for n in range(many)
    ]


def who_is_in(session: Session, *slugs: str) -> Sequence[tuple[str, str]]:
    return [(row.email, row.slug) for row in session.execute(_IN, {"slugs": list(slugs)})]


def listen(session: Session, on: str) -> None:
    """A sequence of staff's that this opens, as often as it happens."""
    told = {
        "slug": on.replace("_", "-"),
        "name": on,
        "on": on,
        "again": "always",
        "steps": [{"key": "mark", "tag": "new"}],
    }
    sequences.publish(session, definitions.read(told), NOON)


def test_a_batch_takes_as_many_statements_as_two_gifts_and_one_look_while_nothing_listens(session: Session):
    follow(session, *gifts(2, 1000))  # what is read once is read
    with counted(session) as few:
        follow(session, *gifts(2, 2000))
    with counted(session) as many:
        follow(session, *gifts(60, 3000))
    assert len(many) == len(few)
    session.execute(text("UPDATE sequence SET paused_at = now() WHERE trigger <> ''"))
    with counted(session) as silent:
        follow(session, *gifts(2, 4000))
    ours = [said for said in silent if re.search(r"FROM sequence\b", said) and "enrollment" not in said]
    assert [said.split()[:3] for said in ours] == [["SELECT", "DISTINCT", "trigger"]]


def test_the_same_gift_told_again_lets_nobody_in_twice(session: Session):
    listen(session, "gave")
    told = gift(source_key="once", donor=ROSA, paid_at=NOON)
    follow(session, told)
    follow(session, told)
    assert who_is_in(session, "gave", "first-thanks") == [(ROSA.email, "first-thanks"), (ROSA.email, "gave")]


def test_an_order_of_two_line_items_is_one_first_gift(session: Session):
    items = [gift(source_key=f"item{n}", order_number="AB1", donor=ROSA, paid_at=NOON, entity_id=entity)
             for n, entity in enumerate((12345, 123456, 999))]  # fmt: skip
    follow(session, *items)
    assert who_is_in(session, "first-thanks") == [(ROSA.email, "first-thanks")]


def test_a_first_gift_is_the_first_whatever_is_told_later_and_an_older_one_makes_none(session: Session):
    old = gift(source_key="old", donor=ROSA, paid_at=NOON - timedelta(days=400))
    follow(session, old)
    follow(session, gift(source_key="new", donor=ROSA, paid_at=NOON))
    assert who_is_in(session, "first-thanks") == []


@pytest.mark.parametrize(
    ("terms", "opens"),
    [({}, ["gave"]), ({"recurring_period": "monthly", "plan_key": "p1"}, ["gave", "monthly-started"]),
     ({"recurring_period": "monthly", "plan_key": "p1", "sequence": 3}, []), ({"entity_id": 999}, []),
     ({"paid_at": NOON - timedelta(days=3)}, [])],
    ids=repr,
)  # fmt: skip
def test_which_gifts_open_what(session: Session, terms: dict[str, Any], opens: list[str]):
    listen(session, "gave")
    listen(session, "monthly_started")
    follow(session, gift(**{"source_key": "one", "donor": ROSA, "paid_at": NOON} | terms))
    assert [slug for _, slug in who_is_in(session, "gave", "monthly-started")] == opens


def test_words_among_the_facts_are_told_in_every_language(session: Session):
    listen(session, "monthly_started")
    follow(session, gift(source_key="one", donor=ROSA, paid_at=NOON, recurring_period="monthly", amount_cents=1250))
    (row,) = session.execute(_IN, {"slugs": ["monthly-started"]})
    assert row.facts == {
        "amount": "$12.50", "receiver": "Common Ground Massachusetts Action, Inc.",
        "given_on": {"en": "November 3, 2026", "es": "3 de noviembre de 2026"},
        "rhythm": {"en": " a month", "es": " al mes"},
    }  # fmt: skip
