"""Bookmarks: how far something that reads on and on has come. Its reader alone knows what time and number mean."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

_FIND = text("SELECT at, number FROM bookmark WHERE name = :name")
_PUT = text("""
INSERT INTO bookmark (name, at, number) VALUES (:name, :at, :number)
ON CONFLICT (name) DO UPDATE SET at = excluded.at, number = excluded.number, updated_at = now()
""")
_TAKE_OUT = text("DELETE FROM bookmark WHERE name = :name")


@dataclass(frozen=True, slots=True)
class Place:
    """A time, a number, or both."""

    at: datetime | None = None
    number: int = 0


def find(session: Session, name: str) -> Place | None:
    """Where this reader is; None before its first page."""
    found = session.execute(_FIND, {"name": name}).one_or_none()
    return Place(found.at, found.number) if found else None


def put(session: Session, name: str, place: Place) -> None:
    """It has come this far: in the transaction that keeps what it read."""
    session.execute(_PUT, {"name": name, "at": place.at, "number": place.number})


def take_out(session: Session, name: str) -> None:
    """It is through."""
    session.execute(_TAKE_OUT, {"name": name})
