"""Gatherings: whether a code lifts the limits of its network now, and how many it took.

The web process takes a place when it accepts a sign-up, and writes the code into the body only then: a worker never
counts, so that a body which is applied twice is counted once. A crash in between costs one place, never a person.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_OPEN = "code = :code AND starts_at <= :now AND ends_at > :now AND taken < most"
_COLUMNS = "id, code, name, chapter_id, starts_at, ends_at, most, taken"

# One statement on one row: of several at once, each waits and then sees how many are left.
_TAKE = text(f"UPDATE gathering SET taken = taken + 1 WHERE {_OPEN} RETURNING {_COLUMNS}")
_OPEN_ONE = text(f"SELECT {_COLUMNS} FROM gathering WHERE {_OPEN}")
_NEWEST_OPEN = text("""
SELECT code, name FROM gathering WHERE starts_at <= :now AND ends_at > :now AND taken < most ORDER BY starts_at DESC, id DESC
LIMIT 1
""")


def take(session: Session, code: str, now: datetime) -> Row[Any] | None:
    """Take one of this gathering's places: its row (id, code, name, chapter_id, starts_at, ends_at, most, taken).

    None when there is no such code, it is not the time, or it took as many as it may: the usual limits hold. The row stays
    locked until the transaction ends, so keep it short.
    """
    return session.execute(_TAKE, {"code": code, "now": now}).one_or_none()


def open_one(session: Session, code: str, now: datetime) -> Row[Any] | None:
    """The same row without taking a place: for showing the form."""
    return session.execute(_OPEN_ONE, {"code": code, "now": now}).one_or_none()


def newest_open(session: Session, now: datetime) -> Row[Any] | None:
    """The gathering (code, name) that opened last and still takes people; None when there is none."""
    return session.execute(_NEWEST_OPEN, {"now": now}).one_or_none()
