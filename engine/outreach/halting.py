"""Pausing a campaign, letting it go on, and cancelling it with all that is queued.

A campaign that is paused lets nobody enter or step, and none of its letters is claimed; one that is cancelled stays paused,
so that nothing leaves from that commit on, while `clear` takes its people and letters out, a bounded number at a time.
"""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine import bell
from engine.errors import Conflict
from engine.events import Event, LettersComposed, MatterSettled, PlacesLeft, StepCounted, StepsDue
from engine.outreach import breakers, campaigns, launching
from engine.outreach.campaigns import CANCELLED, DRAFT, FINISHED, Done
from engine.staff import audit

BECAUSE = "campaign cancelled"  # of its people and its letters
AT_ONCE = 2_000  # people, and letters, that cancelling itself takes out
SHARE = 20_000  # and each turn after it
KINDS = (launching.WAITS, launching.HELD, breakers.CAMPAIGN)  # of notices that are about a campaign

# As the indices have them: of what waits, and of people who are in something.
WAITING = "m.mailing_id, coalesce(m.chapter_id, 0), m.version_id, m.campaign_id, m.due_at, m.id"
_ACTIVE = "e.version_id, e.campaign_id, e.due_at, e.id"
# Versions that people or letters of campaign `k` can be in: of what it sends, and of its earlier runs. Whatever was written
# has been counted, too.
_OF = """
SELECT v.id FROM sequence_version v WHERE v.id = k.version_id OR v.sequence_id = k.sequence_id
UNION SELECT t.version_id FROM step_tally t WHERE t.campaign_id = k.id
"""
_PEOPLE = f"""
EXISTS (SELECT FROM ({_OF}) v CROSS JOIN LATERAL (
    SELECT e.id FROM enrollment e WHERE e.state = 'active' AND e.version_id = v.id AND e.campaign_id = k.id
    ORDER BY {_ACTIVE} LIMIT 1) waits)
"""
# SQL of campaign `k`: a letter of it waits. Each of its mailings is one look into the index of what waits: left to itself the
# planner reads all letters there are.
LETTERS = f"""
EXISTS (SELECT FROM (SELECT DISTINCT t.version_id, t.mailing_id FROM step_tally t WHERE t.campaign_id = k.id) t
    CROSS JOIN LATERAL (SELECT m.id FROM message m WHERE m.state = 'ready' AND m.lane = 'delivery' AND m.campaign_id = k.id
        AND m.mailing_id = t.mailing_id AND m.version_id = t.version_id ORDER BY {WAITING} LIMIT 1) waits)
"""
# SQL of campaign `k`: a letter of it is in a worker's hands, or with the provider and nobody knows: it may be ready again.
OPEN = """
EXISTS (SELECT FROM handover h JOIN message m ON m.handover_id = h.id
    WHERE h.state IN ('submitting', 'uncertain') AND m.campaign_id = k.id)
"""
# SQL of campaign `k`: it was cancelled, and something of it can be taken out; or nothing is left of it, and it has ended.
CLEARING = f"(k.state = 'cancelled' AND k.ended_at IS NULL AND ({_PEOPLE} OR {LETTERS} OR NOT {OPEN}))"

_PAUSE = text("""
UPDATE campaign SET paused_at = :now, paused_because = :because, changed_at = :now WHERE id = :id
""")
_RESUME = text("UPDATE campaign SET paused_at = NULL, paused_because = '', changed_at = :now WHERE id = :id")
_CANCEL = text("""
UPDATE campaign SET state = 'cancelled', ended_because = :because, paused_at = coalesce(paused_at, :now), changed_at = :now
WHERE id = :id
""")
_CANCELLED = text(f"SELECT id FROM campaign k WHERE {CLEARING} ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED")
_VERSIONS = text(f"SELECT v.id FROM campaign k CROSS JOIN LATERAL ({_OF}) v WHERE k.id = :id")
_MAILINGS = text("SELECT DISTINCT mailing_id FROM step_tally WHERE campaign_id = :id")
_LEAVE = text(f"""
WITH chosen AS MATERIALIZED (
    SELECT e.id FROM enrollment e WHERE e.state = 'active' AND e.version_id = ANY(:versions) AND e.campaign_id = :id
    ORDER BY {_ACTIVE} LIMIT :most FOR UPDATE SKIP LOCKED
), gone AS (
    UPDATE enrollment e SET state = 'left', reason = :because, ended_at = :now FROM chosen WHERE e.id = chosen.id
    RETURNING e.id
)
SELECT count(*) FROM gone
""")
_TAKE_BACK = text(f"""
WITH chosen AS MATERIALIZED (
    SELECT m.id FROM message m WHERE m.state = 'ready' AND m.lane = 'delivery' AND m.mailing_id = ANY(:mailings)
        AND m.version_id = ANY(:versions) AND m.campaign_id = :id
    ORDER BY {WAITING} LIMIT :most FOR UPDATE SKIP LOCKED
), back AS (
    UPDATE message m SET state = 'cancelled', reason = :because FROM chosen WHERE m.id = chosen.id
    RETURNING m.version_id, m.mailing_id, coalesce(m.chapter_id, 0) AS chapter_id, m.step
)
SELECT version_id, mailing_id, chapter_id, step, count(*) AS letters FROM back GROUP BY 1, 2, 3, 4
""")
_LEFT = text(f"SELECT {_PEOPLE} OR {LETTERS} AS more, {OPEN} AS open FROM campaign k WHERE k.id = :id")
_ENDED = text("UPDATE campaign SET ended_at = :now WHERE id = :id")


def pause(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """Nobody enters it or steps in it, none of its letters leaves, until `resume`. Paused already: nothing is done. Raises
    NotFound; Conflict for a draft and for one that ended."""
    campaign = campaigns.locked(session, slug)
    if campaign.state in (DRAFT, FINISHED, CANCELLED):
        raise Conflict(f"{slug} is {campaign.state}: there is nothing to pause")
    if campaign.paused_at is not None:
        return Done(campaign, changed=False)
    session.execute(_PAUSE, {"id": campaign.id, "because": because, "now": now})
    audit.write(session, who, "campaign paused", "campaign", campaign.id, {"campaign": slug, "because": because}, now)
    return Done(campaigns.of_id(session, campaign.id))


def resume(session: Session, slug: str, now: datetime, *, who: int | None) -> Done:
    """It goes on. Not paused: nothing is done. Raises NotFound, Conflict for one that ended."""
    campaign = campaigns.locked(session, slug)
    if campaign.state in (FINISHED, CANCELLED):
        raise Conflict(f"{slug} is {campaign.state}: duplicate it")
    if campaign.paused_at is None:
        return Done(campaign, changed=False)
    session.execute(_RESUME, {"id": campaign.id, "now": now})
    audit.write(session, who, "campaign resumed", "campaign", campaign.id, {"campaign": slug}, now)
    breakers.excuse_campaign(session, campaign.id)
    happened = [MatterSettled(None, breakers.CAMPAIGN, slug), StepsDue(None), LettersComposed(None, bell.DELIVERY)]
    return Done(campaigns.of_id(session, campaign.id), happened)


def cancel(session: Session, slug: str, now: datetime, *, who: int | None, because: str = "") -> Done:
    """For good: from this commit on nothing of it leaves; its people leave it and its queued letters read `cancelled:
    campaign cancelled`, of a large one within moments (`clear`). Cancelled already: nothing is done. Raises NotFound, and
    Conflict for one that has finished."""
    campaign = campaigns.locked(session, slug)
    if campaign.state == FINISHED:
        raise Conflict(f"{slug} has finished: all of it has left")
    if campaign.state == CANCELLED:
        return Done(campaign, changed=False)
    session.execute(_CANCEL, {"id": campaign.id, "because": because, "now": now})
    audit.write(
        session, who, "campaign cancelled", "campaign", campaign.id, {"campaign": slug, "because": because}, now
    )
    settled = [MatterSettled(None, kind, slug) for kind in KINDS]
    happened, more = _clear(session, campaign.id, now, AT_ONCE)
    return Done(campaigns.of_id(session, campaign.id), [*settled, *happened, *([StepsDue(None)] if more else [])])


def clear(session: Session, now: datetime, most: int = SHARE) -> tuple[list[Event], bool]:
    """Take people and queued letters out of one cancelled campaign, so many at most. Returns what followed, and whether there
    may be more."""
    found: int | None = session.scalar(_CANCELLED)
    return _clear(session, found, now, most) if found is not None else ([], False)


def _clear(session: Session, campaign_id: int, now: datetime, most: int) -> tuple[list[Event], bool]:
    versions = list(session.scalars(_VERSIONS, {"id": campaign_id}))
    mailings = list(session.scalars(_MAILINGS, {"id": campaign_id}))
    of = {"id": campaign_id, "versions": versions, "mailings": mailings, "because": BECAUSE, "now": now, "most": most}
    people: int = session.execute(_LEAVE, of).scalar_one()
    back = session.execute(_TAKE_BACK, of).all()
    happened: list[Event] = [PlacesLeft(None, campaign_id, people)] if people else []
    happened += [
        StepCounted(
            None, row.version_id, campaign_id, row.mailing_id, row.chapter_id, row.step, {"cancelled": row.letters}
        )
        for row in back
    ]
    if people == most or sum(row.letters for row in back) == most:
        return happened, True
    left = session.execute(_LEFT, of).one()
    if not (left.more or left.open):
        session.execute(_ENDED, of)
    return happened, left.more
