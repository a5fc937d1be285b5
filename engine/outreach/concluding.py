"""Campaigns come to their end: all people are through, and no letter waits any more; what repeats goes on to its next run."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.events import Event
from engine.outreach import campaigns, halting, launching, repeating
from engine.settings import Settings

MOST = 20  # in one transaction

# SQL of campaign `k`: it has come to its end. While a letter waits, or may have to wait again, it can still be cancelled, so
# it runs; what repeats does not wait for them: they expire when the next run begins.
DUE = f"""
(k.state = 'running' AND k.finished + k.left_early >= k.enrolled
    AND (k.repeat <> '' OR NOT ({halting.LETTERS} OR {halting.OPEN})))
"""

_ENDING = text(f"SELECT id, repeat FROM campaign k WHERE {DUE} ORDER BY id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED")
_FINISH = text("""
UPDATE campaign SET state = 'finished', ended_at = :now, ended_because = CASE WHEN enrolled = 0 THEN :nobody ELSE '' END
WHERE id = ANY(:ids)
""")
NOBODY = "nobody was left in its audience when it began"


def conclude(session: Session, now: datetime, settings: Settings) -> tuple[list[Event], bool]:
    """End what has come to its end, or schedule its next run. Returns what followed, and whether there may be more."""
    found = session.execute(_ENDING, {"now": now, "most": MOST}).all()
    session.execute(_FINISH, {"ids": [row.id for row in found if not row.repeat], "now": now, "nobody": NOBODY})
    happened: list[Event] = []
    for campaign in [campaigns.of_id(session, row.id) for row in found if row.repeat]:
        repeating.again(session, campaign, now, settings)
        if campaign.needs_approval:
            happened.append(launching.waits(campaign.slug, campaign.expected))
    return happened, len(found) == MOST
