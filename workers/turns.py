"""Chores that come to an end in several turns: when the next one is due. Each is one row of `chore`, by its name."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

SECONDS = 30.0  # of one turn: other chores wait meanwhile

_WAS_DUE = text("SELECT due_at FROM chore WHERE name = :name")
_DUE = text("UPDATE chore SET due_at = now() + :span WHERE name = :name")
_DONE = text("UPDATE chore SET due_at = :due WHERE name = :name")


def begin(session: Session, chore: str) -> datetime | None:
    """A turn begins. Returns when the next one is due, should this one not come to its end: `upkeep` saw to that."""
    due: datetime | None = session.scalar(_WAS_DUE, {"name": chore})
    return due


def again(session: Session, chore: str, span: timedelta = timedelta()) -> None:
    """The next turn is due after this span."""
    session.execute(_DUE, {"name": chore, "span": span})


def done(session: Session, chore: str, due: datetime | None) -> None:
    """It came to its end: it is due as `begin` said, and so next time by the schedule."""
    session.execute(_DONE, {"name": chore, "due": due})
