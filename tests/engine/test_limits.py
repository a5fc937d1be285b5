"""What a limit leaves, in any order of gifts, refunds, disputes and merges."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Person
from engine.giving import limits
from engine.reactions import react
from engine.settings import Settings
from tests.make import NOON, gift

ROSA = Person(email="rosa@example.org", first_name="Rosa", last_name="Delgado", zip="01605")
MEI = Person(email="mei@example.org", first_name="Mei", last_name="Chen", zip="01605")
ZONE = "America/New_York"


def limited(session: Session, cents: int | None = 50_000, clock: str = "year") -> int:
    """The fund of the invented organisation's first form, with a limit."""
    terms = {"cents": cents, "clock": clock}
    found = session.execute(
        text("""UPDATE fund SET limit_cents = :cents, limit_clock = :clock
        WHERE id = (SELECT min(id) FROM fund) RETURNING id"""),
        terms,
    )
    return found.scalar_one()


def give(session: Session, cents: int, donor: Person = ROSA, at: datetime = NOON, **more: Any) -> int:
    """A gift on the books; its id."""
    react(session, [gift(donor=donor, amount_cents=cents, paid_at=at, **more)], NOON, Settings())
    return session.execute(text("SELECT max(id) FROM contribution")).scalar_one()


def who(session: Session, donor: Person = ROSA) -> int:
    return session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": donor.email}).scalar_one()


def test_what_is_left_is_the_limit_less_what_she_gave_and_never_below_nothing(session: Session):
    fund = limited(session)
    give(session, 48_000)
    give(session, 60_000, MEI)
    ids = [who(session), who(session, MEI)]
    assert limits.left(session, ids, fund, NOON, ZONE) == {ids[0]: 2_000, ids[1]: 0}


def test_a_fund_without_a_limit_leaves_nothing_to_count(session: Session):
    fund = limited(session, None)
    give(session, 48_000)
    assert limits.left(session, [who(session)], fund, NOON, ZONE) == {}
