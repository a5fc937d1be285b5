"""Places in campaigns that are long over go into the archive (`past_place`); and whose those are when people turn out to be
one, or are erased.

Places that people entered by an event stay: the next entry counts on from them. So do those of a run in which somebody is on
her way still.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import years
from engine.events import ContactMerged, Event
from engine.mail.archive import RUNS, STRETCH, Stretch
from engine.settings import Settings

TABLE = "past_place"

_STRETCH = text("""
SELECT max(id) AS upto, count(*) AS places, min(entered_at) AS first_at,
    max(entered_at) FILTER (WHERE entered_at < :before) AS last_at
FROM (SELECT id, entered_at FROM enrollment WHERE id > :after ORDER BY id LIMIT :most) s
""")
_MOVE = text(f"""
WITH candidate AS MATERIALIZED (
    SELECT e.id, e.campaign_id, CAST(e.rotation AS text) AS run FROM enrollment e
    WHERE e.id > :after AND e.id <= :upto AND e.campaign_id <> 0 AND e.state <> 'active'
        AND greatest(e.entered_at, e.ended_at) < :before
), {RUNS}, old AS MATERIALIZED (
    SELECT e.id FROM candidate c JOIN run USING (campaign_id, run) JOIN enrollment e ON e.id = c.id
    WHERE e.state <> 'active' ORDER BY e.id FOR UPDATE OF e SKIP LOCKED
), gone AS (
    DELETE FROM enrollment e USING old WHERE e.id = old.id RETURNING e.*
), kept AS (
    INSERT INTO past_place (id, entered_at, contact_id, version_id, sequence_id, campaign_id, due_at, ended_at, rotation,
        state, reason, step, history)
    SELECT id, entered_at, contact_id, version_id, sequence_id, campaign_id, due_at, ended_at, rotation, state, reason, step,
        history FROM gone RETURNING 1
)
SELECT count(*) FROM kept
""")
_HAND_ON = text("""
UPDATE past_place p SET contact_id = o.merged_into_id FROM contact o WHERE o.id = ANY(:ids) AND p.contact_id = o.id
""")

# The table of the archive that names a contact: moved by a merge; it holds none of her words.
MOVED = KEPT = frozenset({TABLE})


def archive(session: Session, before: datetime, after: int, most: int = STRETCH) -> Stretch:
    """Put the places of the next `most` ids into the archive that were over before this moment, in runs that are over. Two
    statements, and two for each year that is new to the archive."""
    next_ones = session.execute(_STRETCH, {"after": after, "before": before, "most": most}).one()
    if next_ones.last_at is None:
        return Stretch(next_ones.upto or after, 0, more=False)
    years.make(session, TABLE, next_ones.first_at.astimezone(UTC).year, next_ones.last_at.astimezone(UTC).year)
    moved = session.scalar(_MOVE, {"after": after, "upto": next_ones.upto, "before": before}) or 0
    return Stretch(next_ones.upto, moved, more=next_ones.places == most)


def take_over(session: Session, merged: Sequence[ContactMerged], _: datetime, __: Settings) -> list[Event]:
    """Her places of before are the other's."""
    session.execute(_HAND_ON, {"ids": [event.contact_id for event in merged]})
    return []
