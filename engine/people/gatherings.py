"""Gatherings at which people sign up one after another."""

from datetime import datetime

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_TAKE = text("""
UPDATE gathering SET taken = taken + 1
WHERE code = :code AND starts_at <= :now AND ends_at > :now AND taken < most
RETURNING id, code, name, chapter_id, starts_at, ends_at, most, taken
""")


def take(session: Session, code: str, now: datetime) -> Row[tuple[object, ...]] | None:
    """Count one more sign-up at this gathering; None outside its times and over its count."""
    return session.execute(_TAKE, {"code": code, "now": now}).one_or_none()
