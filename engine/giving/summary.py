"""The house in a few words and numbers, for its home page."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_HOUSE = text("""
SELECT (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS name,
    (SELECT count(*) FROM chapter WHERE kind = 'chapter') AS chapters
""")
_FORMS = text("""
SELECT d.slug, d.title, d.preset_cents, d.other_amount, d.processor, f.name AS fund
FROM donation_form d JOIN fund f ON f.id = d.fund_id WHERE d.version > 0 AND d.closed_at IS NULL ORDER BY d.id
""")
_NUMBERS = text("""
SELECT (SELECT count(*) FROM contribution) AS gifts,
    (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry WHERE currency = 'usd') AS cents,
    (SELECT count(*) FROM handover WHERE state = 'accepted') AS letters,
    (SELECT count(*) FROM inbound_event WHERE state = 'quarantined') AS quarantined
""")


@dataclass(frozen=True, slots=True)
class House:
    """Whose it is and what it asks for. `name` is None before an organisation is loaded."""

    name: str | None
    chapters: int
    forms: Sequence[Row[tuple[object, ...]]]


@dataclass(frozen=True, slots=True)
class Numbers:
    """How much came in and went out; each a count over a whole table."""

    gifts: int
    cents: int
    letters: int
    quarantined: int


def house(session: Session) -> House:
    """Whose it is."""
    row = session.execute(_HOUSE).one()
    return House(row.name, row.chapters, session.execute(_FORMS).all())


def numbers(session: Session) -> Numbers:
    """Count it."""
    return Numbers(*session.execute(_NUMBERS).one())
