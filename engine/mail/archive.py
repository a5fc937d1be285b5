"""Letters that are long over go into the archive (`past_letter`), and with them what the provider told of them; then the
handovers that carried them.

A letter stays where it is while it may still leave, while its handover is open, while the run of its campaign is not over for
as long, and while its provider told anything of it since. Its occasion never comes again: a trigger on `message` looks for it
in `past_occasion`. What is counted of letters (`step_tally`, `mailing`) and known of their readers stays as it is.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import years

TABLE = "past_letter"
STRETCH = 2_000

_STRETCH = text("""
SELECT max(id) AS upto, count(*) AS letters, min(created_at) AS first_at,
    max(created_at) FILTER (WHERE created_at < :before) AS last_at
FROM (SELECT id, created_at FROM message WHERE id > :after ORDER BY id LIMIT :most) s
""")
# Of the runs of campaigns that `candidate` names those that are over for long, and in which nobody is on her way: nothing of
# them can come any more. A run that is not the present one has no end of its own.
RUNS = """run AS MATERIALIZED (
    SELECT r.campaign_id, r.run FROM (SELECT DISTINCT campaign_id, run FROM candidate WHERE campaign_id <> 0) r
    JOIN campaign k ON k.id = r.campaign_id
    WHERE (k.state IN ('finished', 'cancelled') AND k.ended_at < :before
            OR k.state <> 'draft' AND r.run <> CAST(k.run AS text))
        AND NOT EXISTS (SELECT FROM enrollment x
            WHERE x.state = 'active' AND x.campaign_id = r.campaign_id AND CAST(x.rotation AS text) = r.run)
)"""
# One row says of a run of a campaign that its letter comes to nobody any more.
_MOVE = text(f"""
WITH candidate AS MATERIALIZED (
    SELECT m.id, m.campaign_id, CASE m.campaign_id WHEN 0 THEN '' ELSE split_part(m.occasion, ':', 3) END AS run
    FROM message m WHERE m.id > :after AND m.id <= :upto AND m.state <> 'ready'
        AND greatest(m.created_at, m.due_at, m.handed_at) < :before
), {RUNS}, old AS MATERIALIZED (
    SELECT m.id FROM candidate c JOIN message m ON m.id = c.id
    WHERE (c.campaign_id = 0 OR (c.campaign_id, c.run) IN (SELECT campaign_id, run FROM run)) AND m.state <> 'ready'
        AND NOT EXISTS (SELECT FROM handover h WHERE h.id = m.handover_id AND h.state IN ('submitting', 'uncertain'))
        AND NOT EXISTS (SELECT FROM mail_event e WHERE e.message_id = m.id AND e.at >= :before)
    ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
), told AS (
    DELETE FROM mail_event e USING old WHERE e.message_id = old.id
    RETURNING e.message_id, CASE WHEN e.kind = 'click' AND NOT e.machine THEN e.at END AS clicked_at
), clicked AS (
    SELECT message_id, max(clicked_at) AS at FROM told GROUP BY message_id
), gone AS (
    DELETE FROM message m USING old WHERE m.id = old.id
    RETURNING m.*, m.campaign_id <> 0 AND m.occasion LIKE 'campaign:%' AS everybodys
), closed AS (
    INSERT INTO past_occasion (contact_id, key)
    SELECT DISTINCT CASE WHEN everybodys THEN 0 ELSE contact_id END, hashtextextended(occasion, 0) FROM gone ORDER BY 1, 2
    ON CONFLICT DO NOTHING
), kept AS (
    INSERT INTO past_letter (id, created_at, contact_id, mailing_id, chapter_id, version_id, campaign_id, due_at, handed_at,
        delivered_at, clicked_at, lane, kind, state, step, occasion, reason)
    SELECT g.id, g.created_at, g.contact_id, g.mailing_id, g.chapter_id, g.version_id, g.campaign_id, g.due_at, g.handed_at,
        g.delivered_at, c.at, g.lane, g.kind, g.state, g.step, CASE WHEN g.everybodys THEN '' ELSE g.occasion END, g.reason
    FROM gone g LEFT JOIN clicked c ON c.message_id = g.id
    RETURNING 1
)
SELECT count(*) FROM kept
""")
# Of the newest that anything was told of it is known that the provider tells us of letters at all (`hearing`, `lines`).
_FORGET_HANDOVERS = text("""
WITH stretch AS MATERIALIZED (
    SELECT id, created_at, state FROM handover WHERE id > :after ORDER BY id LIMIT :most
), gone AS (
    DELETE FROM handover h USING stretch s WHERE h.id = s.id AND s.created_at < :before
        AND h.state NOT IN ('submitting', 'uncertain')
        AND h.id < (SELECT coalesce(max(id), 0) FROM handover WHERE heard_at IS NOT NULL)
        AND NOT EXISTS (SELECT FROM message m WHERE m.handover_id = h.id)
    RETURNING h.id
)
SELECT max(id) AS upto, count(*) AS handovers, coalesce(bool_or(created_at < :before), false) AS old,
    (SELECT count(*) FROM gone) AS gone FROM stretch
""")


@dataclass(frozen=True, slots=True)
class Stretch:
    """What became of some rows in the order of their ids. `upto`: the last that was looked at; `moved`: how many went;
    `more`: whether there may be older ones behind it."""

    upto: int
    moved: int
    more: bool


def archive(session: Session, before: datetime, after: int, most: int = STRETCH) -> Stretch:
    """Put the letters of the next `most` ids into the archive that were over before this moment. Three statements, and two
    for each year that is new to the archive."""
    next_ones = session.execute(_STRETCH, {"after": after, "before": before, "most": most}).one()
    if next_ones.last_at is None:
        return Stretch(next_ones.upto or after, 0, more=False)
    years.make(session, TABLE, next_ones.first_at.astimezone(UTC).year, next_ones.last_at.astimezone(UTC).year)
    moved = session.scalar(_MOVE, {"after": after, "upto": next_ones.upto, "before": before}) or 0
    return Stretch(next_ones.upto, moved, more=next_ones.letters == most)


def forget_handovers(session: Session, before: datetime, after: int, most: int = STRETCH) -> Stretch:
    """Take out the handovers among the next `most` ids that ended before this moment and carry no letter any more."""
    found = session.execute(_FORGET_HANDOVERS, {"after": after, "before": before, "most": most}).one()
    return Stretch(found.upto or after, found.gone, more=found.old and found.handovers == most)
