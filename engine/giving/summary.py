"""The house in a few numbers, for its home page."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_HOUSE = text("""
SELECT (SELECT name FROM chapter WHERE parent_id IS NULL LIMIT 1) AS name,
    (SELECT count(*) FROM chapter WHERE parent_id IS NOT NULL) AS chapters,
    (SELECT count(*) FROM contribution) AS gifts,
    (SELECT coalesce(sum(amount_cents), 0)::bigint FROM ledger_entry) AS cents,
    (SELECT count(*) FROM handover WHERE state = 'accepted') AS letters,
    (SELECT count(*) FROM inbound_event WHERE state = 'quarantined') AS quarantined
""")
_FORMS = text("""
SELECT d.slug, d.title, d.preset_cents, d.other_amount, f.name AS fund
FROM donation_form d JOIN fund f ON f.id = d.fund_id ORDER BY d.id
""")


@dataclass(frozen=True, slots=True)
class House:
    """What there is. `name` is None before an organisation is loaded."""

    name: str | None
    chapters: int
    gifts: int
    cents: int
    letters: int
    quarantined: int
    forms: Sequence[Row[tuple[object, ...]]]


def house(session: Session) -> House:
    """Count it."""
    row = session.execute(_HOUSE).one()
    return House(**row._mapping, forms=session.execute(_FORMS).all())
