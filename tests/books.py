"""How a flow test ends; and how books are falsified, to see that it is found."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import books


def assert_books_balance(session: Session) -> None:
    """Ledger, contributions, totals and statuses agree to the cent."""
    assert books.check(session).discrepancies == ()


def by_hand(session: Session, statement: str, **values: Any) -> int:
    """One statement as whoever owns the database can make it: past all triggers. How many rows it changed."""
    session.execute(text("SET LOCAL session_replication_role = replica"))
    changed = session.execute(text(statement), values).rowcount
    session.execute(text("SET LOCAL session_replication_role = origin"))
    return changed
