"""Places in sequences of people who turn out to be one, or who are erased.

Nobody goes through a sequence twice because she had two addresses: of two places in one, hers stays; the other stays with
the old row and comes to its end.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import ContactErased, ContactMerged, Event, PlacesLeft
from engine.settings import Settings

# SQL: place `{0}` of a person is active, for statements that name people. In these words, which its partial index does not
# know: where the planner takes active places for few it would read all of them instead of hers.
ACTIVE = "{0}.state || '' = 'active'"

# The place with the smallest id of those that are the same, but hers before any other.
_MOVE = text("""
UPDATE enrollment e SET contact_id = r.into_id FROM (
    SELECT DISTINCT ON (o.merged_into_id, e.sequence_id, e.campaign_id, e.rotation) e.id, o.merged_into_id AS into_id
    FROM enrollment e JOIN contact o ON o.id = e.contact_id
    WHERE o.id = ANY(:ids) AND NOT EXISTS (
        SELECT FROM enrollment x WHERE (x.contact_id, x.sequence_id, x.campaign_id, x.rotation)
            = (o.merged_into_id, e.sequence_id, e.campaign_id, e.rotation))
    ORDER BY o.merged_into_id, e.sequence_id, e.campaign_id, e.rotation, e.id
) r WHERE e.id = r.id
""")
_END = text(f"""
WITH ended AS (
    UPDATE enrollment SET state = 'left', reason = :reason, ended_at = :now
    WHERE contact_id = ANY(:ids) AND {ACTIVE.format("enrollment")} RETURNING campaign_id
)
SELECT campaign_id, count(*) AS people FROM ended WHERE campaign_id <> 0 GROUP BY campaign_id ORDER BY campaign_id
""")
_FORGET = text("UPDATE enrollment SET facts = '{}' WHERE contact_id = ANY(:ids) AND facts <> '{}'")

# The table of places that names a contact: moved by a merge, kept without its values when she is erased.
MOVED = KEPT = frozenset({"enrollment"})


def take_over(session: Session, merged: Sequence[ContactMerged], now: datetime, _: Settings) -> list[Event]:
    """Her places are the other's, but for those that the other has already."""
    ids = [event.contact_id for event in merged]
    session.execute(_MOVE, {"ids": ids})
    return _ended(session, ids, "merged into another contact", now)


def forget(session: Session, erased: Sequence[ContactErased], now: datetime, _: Settings) -> list[Event]:
    """She goes through nothing any more, and nothing is left of what let her in."""
    ids = [event.contact_id for event in erased]
    left = _ended(session, ids, "erased", now)
    session.execute(_FORGET, {"ids": ids})
    return left


def _ended(session: Session, contact_ids: Sequence[int], reason: str, now: datetime) -> list[Event]:
    found = session.execute(_END, {"ids": list(contact_ids), "reason": reason, "now": now})
    return [PlacesLeft(None, row.campaign_id, row.people) for row in found]
