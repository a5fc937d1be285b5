"""Places in sequences of people who turn out to be one, or who are erased or forgotten.

Nobody goes through a sequence twice because she had two addresses: of two places in one, hers stays; the other stays with
the old row and comes to its end.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import ContactErased, ContactMerged, Event, PlacesLeft
from engine.mail import tally
from engine.settings import Settings

# SQL: place `{0}` of a person is active, for statements that name people. In these words, which its partial index does not
# know: where the planner takes active places for few it would read all of them instead of hers.
ACTIVE = "{0}.state || '' = 'active'"

# Hers before any other, else the one with the smallest id, of those that are the same: of one rotation, or of one sequence
# that an event opens when people are in both, for nobody is in it twice at a time.
_MOVE = text("""
UPDATE enrollment e SET contact_id = r.into_id FROM (
    SELECT e.id, o.merged_into_id AS into_id FROM enrollment e JOIN contact o ON o.id = e.contact_id
    WHERE o.id = ANY(:ids) AND o.merged_into_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM enrollment x JOIN contact other ON other.id = x.contact_id
        WHERE x.contact_id = ANY(CAST(:ids AS bigint[]) || o.merged_into_id)
            AND (x.sequence_id, x.campaign_id) = (e.sequence_id, e.campaign_id)
            AND (other.id = o.merged_into_id OR other.merged_into_id = o.merged_into_id AND x.id < e.id)
            AND (x.rotation = e.rotation OR (x.campaign_id, x.state, e.state) = (0, 'active', 'active')))
) r WHERE e.id = r.id RETURNING e.id
""")
# Letters that wait and belong to places that stay behind: she has or gets them under the rotation of her own.
_SPARE = text("""
UPDATE message m SET state = 'cancelled', reason = 'the same letter under another address'
FROM enrollment e JOIN contact o ON o.id = e.contact_id
WHERE e.contact_id = ANY(:ids) AND e.state = 'active' AND e.campaign_id = 0 AND m.contact_id = o.merged_into_id
    AND m.state = 'ready' AND m.occasion = format('step:%s:%s:%s', e.sequence_id, m.step, e.rotation)
    AND NOT EXISTS (SELECT FROM enrollment x WHERE (x.contact_id, x.sequence_id, x.campaign_id, x.rotation)
        = (o.merged_into_id, e.sequence_id, e.campaign_id, e.rotation))
RETURNING m.version_id, m.campaign_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter, m.step
""")
_END = text(f"""
WITH ended AS (
    UPDATE enrollment SET state = 'left', reason = :reason, ended_at = :now
    WHERE contact_id = ANY(:ids) AND {ACTIVE.format("enrollment")} RETURNING campaign_id
)
SELECT campaign_id, count(*) AS people FROM ended WHERE campaign_id <> 0 GROUP BY campaign_id ORDER BY campaign_id
""")
# Of a line (a version and a campaign), those of whom there is nobody any more.
_LOST = text("""
WITH ended AS (
    UPDATE enrollment SET state = 'left', reason = 'forgotten', ended_at = :now WHERE id IN (
        SELECT e.id FROM enrollment e
        WHERE e.state = 'active' AND e.version_id = :version_id AND e.campaign_id = :campaign_id AND e.due_at <= :now
            AND NOT EXISTS (SELECT FROM contact c WHERE c.id = e.contact_id) FOR UPDATE SKIP LOCKED)
    RETURNING campaign_id
)
SELECT campaign_id, count(*) AS people FROM ended GROUP BY campaign_id
""")
_FORGET = text("UPDATE enrollment SET facts = '{}' WHERE contact_id = ANY(:ids) AND facts <> '{}'")

# The table of places that names a contact: moved by a merge, kept without its values when she is erased.
MOVED = KEPT = frozenset({"enrollment"})


def take_over(session: Session, merged: Sequence[ContactMerged], now: datetime, _: Settings) -> list[Event]:
    """Her places are the other's, but for those that the other has already."""
    ids = [event.contact_id for event in merged]
    hand_on(session, ids)
    spare = session.execute(_SPARE, {"ids": ids}).all()
    return [
        *tally.of_steps((row, "cancelled") for row in spare),
        *_ended(session, ids, "merged into another contact", now),
    ]


def hand_on(session: Session, merged: Sequence[int]) -> frozenset[int]:
    """The places of these merged contacts become those of whom they are now, but for those that she has already. The ids of
    the places that did: also of such as came to the old rows while they were being merged."""
    return frozenset(session.scalars(_MOVE, {"ids": list(merged)}))


def lose(session: Session, version_id: int, campaign_id: int, now: datetime) -> list[Event]:
    """Places of this line that are due and of whom there is nobody any more come to their end."""
    found = session.execute(_LOST, {"version_id": version_id, "campaign_id": campaign_id, "now": now})
    return [PlacesLeft(None, row.campaign_id, row.people) for row in found if row.campaign_id]


def forget(session: Session, erased: Sequence[ContactErased], now: datetime, _: Settings) -> list[Event]:
    """She goes through nothing any more, and nothing is left of what let her in."""
    ids = [event.contact_id for event in erased]
    left = _ended(session, ids, "erased", now)
    session.execute(_FORGET, {"ids": ids})
    return left


def _ended(session: Session, contact_ids: Sequence[int], reason: str, now: datetime) -> list[Event]:
    found = session.execute(_END, {"ids": list(contact_ids), "reason": reason, "now": now})
    return [PlacesLeft(None, row.campaign_id, row.people) for row in found]
