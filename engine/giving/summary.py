"""The house in a few words and numbers, for its home page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.giving import forms
from engine.giving.forms import Shown

_HOUSE = text("""
SELECT (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS name,
    (SELECT count(*) FROM chapter WHERE kind = 'chapter') AS chapters
""")
_NUMBERS = text("""
SELECT (SELECT count(*) FROM contribution) AS gifts,
    (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry WHERE currency = 'usd') AS cents,
    (SELECT count(*) FROM handover WHERE state = 'accepted') AS letters,
    (SELECT count(*) FROM inbound_event WHERE state = 'quarantined') AS quarantined
""")


@dataclass(frozen=True, slots=True)
class House:
    """Whose it is, and the donation forms that are open. `name` is None before an organisation is loaded."""

    name: str | None
    chapters: int
    forms: Sequence[Shown]


@dataclass(frozen=True, slots=True)
class Numbers:
    """How much came in and went out; each a count over a whole table."""

    gifts: int
    cents: int
    letters: int
    quarantined: int


def house(session: Session, now: datetime) -> House:
    """Whose it is."""
    row = session.execute(_HOUSE).one()
    return House(row.name, row.chapters, forms.giving(session, now).open)


def numbers(session: Session) -> Numbers:
    """Count it."""
    return Numbers(*session.execute(_NUMBERS).one())
