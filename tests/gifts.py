"""Gifts of two invented people to the invented organisation's first fund, what takes them back, and what is said of them."""

from datetime import datetime
from itertools import count
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import DisputeReported, Person, RefundReported
from engine.people import merging
from engine.reactions import react
from engine.settings import Settings
from tests.make import NOON, gift

ROSA = Person(
    email="rosa@example.org", first_name="Rosa", last_name="Delgado", street="14 Lincoln Street", city="Worcester",
    state="MA", zip="01605", country="United States", employer="Worcester Public Library", occupation="Librarian",
)  # fmt: skip
MEI = Person(email="mei@example.org", first_name="Mei", last_name="Chen", zip="01605")
ZONE = "America/New_York"
SETTINGS = Settings()
_numbers = count(1)


def fund(session: Session, **terms: Any) -> int:
    """The first fund with these columns; its id."""
    changes = ", ".join(f"{name} = :{name}" for name in terms)
    found = text(f"UPDATE fund SET {changes} WHERE id = (SELECT min(id) FROM fund) RETURNING id")
    return int(session.execute(found, terms).scalar_one())


def give(
    session: Session, cents: int, donor: Person = ROSA, at: datetime = NOON, now: datetime = NOON, **more: Any
) -> int:
    """A gift on the books; its id."""
    key = f"gift/{next(_numbers)}"
    told = {"source_key": key, "payment_key": key, "donor": donor, "amount_cents": cents, "paid_at": at} | more
    react(session, [gift(**told)], now, SETTINGS)
    return int(session.execute(text("SELECT max(id) FROM contribution")).scalar_one())


def take_back(
    session: Session, contribution_id: int, cents: int, state: str = "succeeded", key: str = "", now: datetime = NOON
) -> str:
    """A refund of this gift, or its failing; its key."""
    key = key or f"refund/{next(_numbers)}"
    told = RefundReported(None, "actblue", key, cents, now, state, payment_key=_payment(session, contribution_id))
    react(session, [told], now, SETTINGS)
    return key


def ask_about(
    session: Session,
    contribution_id: int,
    state: Any = "open",
    at: datetime = NOON,
    now: datetime = NOON,
    cents: int = 0,
) -> None:
    """The bank's dispute of this gift, in this state; of all of it unless told otherwise."""
    row = session.execute(text("SELECT amount_cents FROM contribution WHERE id = :id"), {"id": contribution_id}).one()
    settled = at if state in ("won", "lost") else None
    key, payment = f"dispute/{contribution_id}", _payment(session, contribution_id)
    amount = cents or row.amount_cents
    react(
        session, [DisputeReported(None, "actblue", key, amount, at, state, settled, payment_key=payment)], now, SETTINGS
    )


def merge(session: Session, one: Person, other: Person, now: datetime = NOON) -> None:
    """The one is the other."""
    react(session, merging.merge(session, who(session, one), who(session, other), now), now, SETTINGS)


def who(session: Session, donor: Person = ROSA) -> int:
    """Her contact's id."""
    found = session.execute(text("SELECT id FROM contact WHERE email = :email"), {"email": donor.email})
    return int(found.scalar_one())


def notices(session: Session, kind: str) -> dict[str, str]:
    """What is open of a kind: subject -> detail."""
    found = text("SELECT subject, detail FROM notice WHERE kind = :kind AND resolved_at IS NULL ORDER BY id")
    return {row.subject: row.detail for row in session.execute(found, {"kind": kind})}


def _payment(session: Session, contribution_id: int) -> str:
    found = session.execute(text("SELECT payment_key FROM contribution WHERE id = :id"), {"id": contribution_id})
    return str(found.scalar_one())
