"""How a flow test ends."""

from sqlalchemy.orm import Session

from engine.giving import books


def assert_books_balance(session: Session) -> None:
    """Ledger, contributions, totals and statuses agree to the cent."""
    assert books.check(session).discrepancies == ()
