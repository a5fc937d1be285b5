"""What waits for someone of the staff, within her reach: decisions, offers of help."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from engine.staff.rights import IN_REACH, Reach

SHOWN = 20

_COUNTS = text(f"""
SELECT
    CASE WHEN :everywhere THEN (SELECT count(*) FROM territory_change WHERE state = 'proposed')
        + (SELECT count(*) FROM spark WHERE state = 'proposed') ELSE 0 END AS decisions,
    (SELECT count(*) FROM volunteer_offer o JOIN contact c ON c.id = o.contact_id
        WHERE o.state = 'new' AND {IN_REACH}) AS offers
""")
_NEW_OFFERS = text(f"""
SELECT o.contact_id, o.at, w.name AS way, h.name AS chapter,
    coalesce(nullif(trim(c.first_name || ' ' || c.last_name), ''), c.email, 'without a name') AS name
FROM volunteer_offer o JOIN contact c ON c.id = o.contact_id JOIN way_to_help w ON w.id = o.way_to_help_id
LEFT JOIN chapter h ON h.id = c.chapter_id
WHERE o.state = 'new' AND {IN_REACH} ORDER BY o.at, o.id LIMIT :most
""")


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many: decisions about chapters (for who reaches everywhere), and offers of help nobody has answered."""

    decisions: int
    offers: int


def counts(session: Session, reach: Reach) -> Waiting:
    """What waits, in numbers."""
    return Waiting(*session.execute(_COUNTS, reach.values()).one())


def new_offers(session: Session, reach: Reach) -> Sequence[Row[tuple[object, ...]]]:
    """Offers that nobody has answered, the oldest first: rows of (contact_id, at, way, chapter, name)."""
    return session.execute(_NEW_OFFERS, reach.values() | {"most": SHOWN}).all()
